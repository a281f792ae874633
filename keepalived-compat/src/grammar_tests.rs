//! Keywords whose options have a grammar of their own.

use crate::config::vrrp::{
    AntiReplay, HmacMode, HmacSecret, Ipvlan, IpvlanMode, Settings, Vmac, VmacAddress,
};
use crate::{Code, Config, Options, Reader};

/// One text as the whole configuration.
struct Memory<'a>(&'a str);

impl Reader for Memory<'_> {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }
}

fn parse(text: &str) -> (Config, Vec<Code>) {
    let options = Options { config_id: "low", vrrp: true, checker: true };
    let parsed = crate::parse(&mut Memory(text), "main", options);
    let built = |c: &Code| !matches!(c, Code::NotYet | Code::NotYetTraffic | Code::NoEffect);
    (parsed.config, parsed.diagnostics.iter().map(|d| d.code).filter(built).collect())
}

/// The settings of an instance with these lines, and how many of them are said to be wrong.
fn instance(lines: &str) -> (Settings, usize) {
    let text =
        format!("vrrp_instance A {{\ninterface eth0\nvirtual_ipaddress {{ 192.0.2.1 }}\n{lines}\n}}\n");
    let (config, codes) = parse(&text);
    let wrong = codes.iter().filter(|c| **c == Code::BadValue).count();
    (config.instances[0].settings.clone(), wrong)
}

#[test]
fn the_options_of_a_vmac_are_typed() {
    let vmac = |line: &str| {
        let (settings, wrong) = instance(line);
        (settings.vmac().expect("it stands there").clone(), wrong)
    };
    let named = |name: &str| Vmac { name: Some(name.into()), ..Vmac::default() };
    let prefix = VmacAddress::Prefix([2, 0, 0, 0, 1]);
    let whole = VmacAddress::Whole([2, 0, 0, 0, 1, 0xfe]);
    assert_eq!(vmac("use_vmac"), (Vmac::default(), 0));
    assert_eq!(vmac("use_vmac v1"), (named("v1"), 0));
    assert_eq!(vmac("use_vmac name group"), (named("group"), 0));
    assert_eq!(vmac("use_vmac v1 02:0:00:00:01"), (Vmac { mac: Some(prefix), ..named("v1") }, 0));
    assert_eq!(vmac("use_vmac 02:00:00:00:01:fE v1"), (Vmac { mac: Some(whole), ..named("v1") }, 0));
    let both = Vmac { notify: true, group: Some("3".into()), ..Vmac::default() };
    assert_eq!(vmac("use_vmac netlink_notify_msg group 3"), (both, 0));
    for wrong in ["a/b", "sixteen-letters-x", "02:00", "02:00:00:00:01:zz", "name", "group"] {
        assert_eq!(vmac(&format!("use_vmac {wrong}")), (Vmac::default(), 1), "{wrong}");
    }
    assert_eq!(vmac("use_vmac v1 v2"), (named("v1"), 1));
    assert_eq!(prefix.octets(7), [2, 0, 0, 0, 1, 7]);
    assert_eq!(whole.octets(7), [2, 0, 0, 0, 1, 0xfe]);
}

#[test]
fn the_options_of_an_ipvlan_are_typed() {
    let ipvlan = |line: &str| {
        let (settings, wrong) = instance(line);
        (settings.ipvlan().expect("it stands there").clone(), wrong)
    };
    let address = Some(("192.0.2.9".parse().expect("an address"), Some(24)));
    let full = Ipvlan { name: Some("v1".into()), address, mode: IpvlanMode::Vepa, group: Some("g".into()) };
    assert_eq!(ipvlan("use_ipvlan v1 192.0.2.9/24 vepa group g"), (full.clone(), 0));
    assert_eq!(ipvlan("use_ipvlan vepa 192.0.2.9/24 group g name v1"), (full.clone(), 0));
    assert_eq!(ipvlan("use_ipvlan v1 192.0.2.9/24 vepa group g private 192.0.2.10 v2"), (full, 3));
    // Without an address an IPv4 instance is in FAULT.
    assert_eq!(ipvlan("use_ipvlan"), (Ipvlan::default(), 1));
}

#[test]
fn the_keys_of_auth_hmac_are_typed() {
    let key = "0123456789abcdef0123456789abcdef";
    let block = |lines: &str| {
        let (settings, wrong) = instance(&format!("auth_hmac {{\n{lines}\n}}"));
        (settings.hmac().expect("it stands there"), wrong)
    };
    let (hmac, wrong) = block(&format!(
        "key 1 {key}\nkey 7 hex:{key}{key}\nkey 9 file:/etc/key\nactive_key 7\ntime_window 20\nanti_replay monotonic\nmode receive-only"
    ));
    assert_eq!((wrong, hmac.keys.len(), hmac.active_key().map(|k| k.id)), (0, 3, Some(7)));
    assert_eq!(hmac.keys[0].secret, HmacSecret::Octets(key.as_bytes().to_vec()));
    let HmacSecret::Octets(octets) = &hmac.keys[1].secret else { panic!("{:?}", hmac.keys[1]) };
    assert_eq!((octets.len(), octets[0], octets[31]), (32, 0x01, 0xef));
    assert_eq!(hmac.keys[2].secret, HmacSecret::File("/etc/key".into()));
    assert_eq!((hmac.anti_replay, hmac.mode), (AntiReplay::Monotonic, HmacMode::ReceiveOnly));
    assert_eq!(hmac.window, Some(std::time::Duration::from_secs(20)));
    let long = "x".repeat(65);
    for wrong in ["1 short", "0 x", "256 x", "x", "1 hex:0g", "1 hex:012", "1 file:", &format!("1 {long}")] {
        let (hmac, said) = block(&format!("key {wrong}\nkey 2 {key}\nactive_key 2"));
        assert_eq!((hmac.keys.len(), said), (1, 1), "{wrong}");
    }
    assert_eq!(block(&format!("key 1 {key}\nactive_key 2")).1, 1);
    assert_eq!(block(&format!("key 1 {key}")).1, 1);
    assert_eq!(block("active_key 1").1, 1);
    assert!(!format!("{hmac:?}").contains("cdef"), "keys are not for logs");
}

#[test]
fn the_key_of_a_file_may_end_its_line() {
    let key = b"0123456789abcdef0123456789abcdef";
    for end in ["", "\n", "\r\n"] {
        assert_eq!(HmacSecret::of_file(&[key, end.as_bytes()].concat()).as_deref(), Ok(&key[..]));
    }
    assert!(HmacSecret::of_file(b"short\n").is_err());
}
