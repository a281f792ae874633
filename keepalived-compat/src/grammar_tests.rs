//! Keywords whose options have a grammar of their own.

use crate::command::Account;
use crate::config::check::CheckerKind;
use crate::config::lvs::{Checksum, Method, SyncDaemon, Timeouts, Tunnel};
use crate::config::setting::{Change, IncludeChange, Settings as _, Value};
use crate::config::vrrp::{
    AntiReplay, HmacMode, HmacSecret, Ipvlan, IpvlanMode, Settings, Vmac, VmacAddress,
};
use crate::keywords::{self, Place};
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

#[test]
fn commands_have_arguments_and_an_account() {
    let command = |line: &str| {
        let (settings, wrong) = instance(&format!("notify {line}"));
        let command = settings.others.command("notify").cloned();
        (command.map(|c| (c.argv, c.account)), wrong)
    };
    let argv = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let account = |user: &str, group: Option<&str>, supplementary| {
        Some(Account { user: user.into(), group: group.map(str::to_owned), supplementary })
    };
    assert_eq!(command("\"/bin/x 'a b' c\""), (Some((argv(&["/bin/x", "a b", "c"]), None)), 0));
    assert_eq!(command("/bin/x u").0, Some((argv(&["/bin/x"]), account("u", None, false))));
    assert_eq!(command("\"/bin/x\" u g").0, Some((argv(&["/bin/x"]), account("u", Some("g"), false))));
    assert_eq!(command("/bin/x u :g more").0, Some((argv(&["/bin/x"]), account("u", Some("g"), true))));
    assert_eq!(command("/bin/x u : g").0, Some((argv(&["/bin/x"]), account("u", Some("g"), true))));
    assert_eq!(command("/bin/x u :").0, Some((argv(&["/bin/x"]), account("u", None, true))));
    assert_eq!(command("\"\""), (None, 0));
    let quote = |line: &str| {
        parse(&format!("vrrp_instance A {{\nvirtual_ipaddress {{ 192.0.2.1 }}\nnotify {line}\n}}\n")).1
    };
    assert_eq!(quote("\"/bin/x 'a\""), [Code::Quote]);
    assert_eq!(quote("'/bin/x a"), [Code::Quote]);
    assert_eq!(quote("\"/bin/x a\\"), [Code::Quote]);
}

#[test]
fn the_sync_daemon_is_typed() {
    let global = |lines: &str| {
        let (config, codes) = parse(&format!("global_defs {{\n{lines}\n}}\n"));
        (config.global.sync_daemon().cloned(), codes)
    };
    let group = Some("224.0.0.99".parse().expect("an address"));
    let full = SyncDaemon {
        interface: "eth0".into(),
        instance: Some("A".into()),
        id: Some(3),
        max_length: Some(1000),
        port: Some(5000),
        ttl: Some(2),
        group,
    };
    let options = "id 3 maxlen 1000 port 5000 ttl 2 group 224.0.0.99";
    assert_eq!(global(&format!("lvs_sync_daemon eth0 A {options}")), (Some(full.clone()), vec![]));
    assert_eq!(global(&format!("lvs_sync_daemon eth0 {options} inst A")), (Some(full), vec![]));
    let plain = |instance: Option<&str>| {
        Some(SyncDaemon {
            interface: "eth0".into(),
            instance: instance.map(str::to_owned),
            ..SyncDaemon::default()
        })
    };
    for wrong in ["id 300", "id", "port 0", "maxlen 65508", "ttl x", "group 192.0.2.1", "maxlen 5 B"] {
        let (daemon, codes) = global(&format!("lvs_sync_daemon eth0 A {wrong}"));
        let expected = SyncDaemon {
            max_length: wrong.ends_with('B').then_some(5),
            ..plain(Some("A")).expect("it is one")
        };
        assert_eq!((daemon, codes), (Some(expected), vec![Code::BadValue]), "{wrong}");
    }
    // The old place of the id: the word after an instance that has no `inst` before it.
    let with_id = |id| Some(SyncDaemon { id: Some(id), ..plain(Some("A")).expect("it is one") });
    let old = |words: &str| global(&format!("lvs_sync_daemon eth0 A {words}"));
    assert_eq!(old("7"), (with_id(7), vec![Code::Deprecated]));
    assert_eq!(old("+7"), (with_id(7), vec![Code::Deprecated]));
    assert_eq!(old("7 id 8"), (with_id(8), vec![Code::Deprecated]));
    assert_eq!(old("7 1400"), (with_id(7), vec![Code::Deprecated, Code::BadValue]));
    for wrong in ["256", "0x7", "bogus"] {
        assert_eq!(old(wrong), (plain(Some("A")), vec![Code::BadValue]), "{wrong}");
    }
    assert_eq!(global("lvs_sync_daemon eth0 inst A 7"), (plain(Some("A")), vec![Code::BadValue]));
    let twice = "lvs_sync_daemon eth0\nlvs_sync_daemon eth1 A";
    assert_eq!(global(twice), (plain(None), vec![Code::Duplicate]));
    assert_eq!(global("lvs_sync_daemon a/b"), (None, vec![Code::BadValue]));
}

#[test]
fn a_faulty_tunnel_is_a_plain_one() {
    let methods = |method: &str| {
        let (config, codes) = parse(&format!(
            "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlvs_method {method}\nsorry_server 198.51.100.9 80\n\
             sorry_server_lvs_method {method}\nreal_server 198.51.100.1 80 {{\nlvs_method {method}\n}}\n}}\n"
        ));
        let server = &config.virtual_servers[0];
        let sorry = server.sorry_server.as_ref().expect("it is written");
        let methods = [server.method, sorry.method, server.real_servers[0].method];
        (methods.map(|method| method.map(|method| method.value)), codes)
    };
    let gue = Method::Tun(Tunnel::Gue { port: 5000, checksum: Checksum::Remote });
    assert_eq!(methods("TUN type gue port 5000 remcsum"), ([Some(gue); 3], vec![]));
    let gre = Method::Tun(Tunnel::Gre { checksum: Checksum::Full });
    assert_eq!(methods("TUN type gre csum"), ([Some(gre); 3], vec![]));
    let plain = [Some(Method::Tun(Tunnel::Ipip)); 3];
    for none in ["TUN", "TUN type ipip", "TUN nocsum"] {
        assert_eq!(methods(none), (plain, vec![]), "{none}");
    }
    let gue = ["gue", "gue csum", "gue port 0", "gue port 65536", "gue port", "gue port 5000 extra"];
    let others = ["gre remcsum", "gre port 5", "ipip csum", "ipip port 5", "bogus", ""];
    for wrong in gue.into_iter().chain(others).map(|words| format!("TUN type {words}")) {
        assert_eq!(methods(&wrong), (plain, vec![Code::BadValue; 3]), "{wrong}");
    }
    assert_eq!(methods("TUN gre"), (plain, vec![Code::BadValue; 3]));
    assert_eq!(methods("bogus"), ([None; 3], vec![Code::BadValue; 3]));
}

#[test]
fn the_timeouts_of_ipvs_are_typed() {
    let global = |lines: &str| {
        let (config, codes) = parse(&format!("global_defs {{\n{lines}\n}}\n"));
        let Timeouts { tcp, tcp_fin, udp } = config.global.timeouts();
        ([tcp, tcp_fin, udp].map(|t| t.map(|t| t.as_secs())), codes)
    };
    assert_eq!(global("lvs_timeouts tcp 5 tcpfin 6 udp 0"), ([Some(5), Some(6), Some(0)], vec![]));
    assert_eq!(global("lvs_timeouts udp 7\nlvs_timeouts tcp 5"), ([Some(5), None, Some(7)], vec![]));
    let twice = vec![Code::BadValue, Code::BadValue];
    assert_eq!(global("lvs_timeouts tcp 5 foo 6"), ([Some(5), None, None], twice.clone()));
    assert_eq!(global("lvs_timeouts tcp 2678401"), ([None; 3], twice));
    assert_eq!(global("lvs_timeouts"), ([None; 3], vec![Code::BadValue]));
}

#[test]
fn words_of_a_fixed_set_are_typed() {
    let (config, codes) = parse("global_defs {\ninclude_check +read -match wildcard_match bogus\n}\n");
    let change = |change, check| IncludeChange { change, check };
    let want = vec![
        change(Change::Add, "read"),
        change(Change::Remove, "match"),
        change(Change::Set, "wildcard_match"),
    ];
    let value = config.global.others.find("include_check").map(|s| s.value.clone());
    assert_eq!((value, codes), (Some(Value::Includes(want)), vec![Code::BadValue]));
    let url = |options: &str| {
        let (config, codes) = parse(&format!(
            "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nreal_server 192.0.2.2 80 {{\nSSL_GET {{\nurl {{\npath /\n\
             regex \"a\\\\.\\x42\"\nregex_options {options}\n}}\n}}\n}}\n}}\n"
        ));
        let check = &config.virtual_servers[0].real_servers[0].checkers[0];
        let CheckerKind::Http(http) = &check.kind else { panic!("{check:?}") };
        let url = http.urls[0].others.clone();
        assert_eq!(url.text("regex"), Some("a\\.B"));
        (url.find("regex_options").map(|s| s.value.clone()), codes.contains(&Code::BadValue))
    };
    assert_eq!(url("caseless utf"), (Some(Value::Names(vec!["caseless", "utf"])), false));
    assert_eq!(url("caseless bogus"), (None, true));
}

/// Every option of these grammars has a typed value of its own.
#[test]
fn every_option_of_these_grammars_is_known() {
    let lines = |place: Place| -> (&str, &str) {
        match place {
            Place::UseVmac => ("vrrp_instance A {\nuse_vmac", "\n}"),
            Place::UseIpvlan => ("vrrp_instance A {\nuse_ipvlan 192.0.2.1", "\n}"),
            Place::LvsSyncDaemon => ("global_defs {\nlvs_sync_daemon eth0", "\n}"),
            Place::LvsTimeouts => ("global_defs {\nlvs_timeouts udp 1", "\n}"),
            Place::IncludeCheck => ("global_defs {\ninclude_check +read", "\n}"),
            _ => ("static_routes {\n192.0.2.0/24 via 198.51.100.1 dev eth0", "\n}"),
        }
    };
    let value = |option: &str| match option {
        "inst" | "name" => "x",
        "group" => "224.0.0.99",
        "encap ip" => "dst 192.0.2.1 tos 3 ttl 4 id 5 src 192.0.2.2 flags 6",
        "encap ip6" => "dst 2001:db8::1 tc 3 hoplimit 4 id 5 src 2001:db8::2 flags 6",
        "encap mpls" => "5/6",
        "encap ila" => "1:2:3:4",
        "netlink_notify_msg" | "private" | "vepa" | "match" | "wildcard_match" | "brace_match" => "",
        _ => "7",
    };
    for place in [
        Place::UseVmac,
        Place::UseIpvlan,
        Place::LvsSyncDaemon,
        Place::LvsTimeouts,
        Place::IncludeCheck,
        Place::RouteEncap,
    ] {
        let (before, after) = lines(place);
        let without = parse(&format!("{before}{after}\n")).0;
        for keyword in keywords::at(place) {
            // What holds anyway, or stands there already.
            if matches!(keyword.name, "bridge" | "read") {
                continue;
            }
            let option = if place == Place::RouteEncap {
                format!("encap {}", keyword.name)
            } else {
                keyword.name.into()
            };
            let text = format!("{before} {option} {}{after}\n", value(&option));
            let (with, codes) = parse(&text);
            assert!(
                !codes.contains(&Code::BadValue) && !codes.contains(&Code::UnknownKeyword),
                "{text}: {codes:?}"
            );
            assert_ne!(with, without, "{text}");
        }
    }
}

/// What counts of two lines, as seen with 2.2.7.
#[test]
fn of_some_keywords_the_first_line_counts() {
    let said = |lines: &str| {
        let text =
            format!("vrrp_instance A {{\ninterface eth0\nvirtual_ipaddress {{ 192.0.2.1 }}\n{lines}\n}}\n");
        let (config, codes) = parse(&text);
        (config.instances[0].settings.clone(), codes.iter().filter(|c| **c == Code::Duplicate).count())
    };
    let (settings, twice) = said("version 2\nversion 3");
    assert_eq!((settings.version.map(|v| v.value), twice), (Some(2), 1));
    assert_eq!(said("version 3\nversion 3").1, 0);
    let master = |lines: &str| {
        let (settings, twice) = said(lines);
        (settings.master.map(|m| m.value), twice)
    };
    assert_eq!(master("state MASTER\nstate BACKUP"), (Some(true), 1));
    assert_eq!(master("state BACKUP\nstate MASTER"), (Some(true), 0));
    let (settings, twice) = said("notify_master /bin/true\nnotify_master /bin/false");
    let command = settings.others.command("notify_master").map(|c| c.text.as_str());
    assert_eq!((command, twice), (Some("/bin/true"), 1));
    let name = |lines: &str| {
        let (settings, twice) = said(lines);
        let Some(Value::Vmac(vmac)) = settings.others.find("use_vmac").map(|s| s.value.clone()) else {
            panic!("no use_vmac: {lines}");
        };
        (vmac.name, twice)
    };
    assert_eq!(name("use_vmac va\nuse_vmac vb"), (Some("va".to_owned()), 1));
    assert_eq!(name("use_vmac va\nuse_vmac"), (Some("va".to_owned()), 0));
    assert_eq!(name("use_vmac\nuse_vmac vb"), (Some("vb".to_owned()), 0));
}

#[test]
fn of_global_settings_too_over_several_blocks() {
    let (config, codes) = parse(
        "global_defs {\nnotify_fifo /a\n}\nglobal_defs {\nnotify_fifo /b\nrouter_id x\n}\nrouter_id y\n",
    );
    let fifo = config.global.others.find("notify_fifo").and_then(|s| s.name());
    assert_eq!((fifo, codes.iter().filter(|c| **c == Code::Duplicate).count()), (Some("/a"), 1));
    let (config, codes) = parse("net_namespace a\nnet_namespace b\n");
    assert_eq!((config.others.text("net_namespace"), codes), (Some("a"), vec![Code::Duplicate]));
}

#[test]
fn an_endpoint_is_the_address_before_a_mask_or_a_range() {
    let (config, codes) = parse(
        "virtual_server 192.0.2.1/24 80 {\nreal_server 10.0.0.2/24 80 {\n}\nreal_server 10.0.0.3-5 80 {\n}\n}\n",
    );
    let server = &config.virtual_servers[0];
    let found: Vec<String> =
        server.real_servers.iter().filter_map(|r| Some(r.endpoint.as_ref()?.value.0.to_string())).collect();
    assert_eq!(found, ["10.0.0.2", "10.0.0.3"]);
    assert_eq!(codes, []);
}

#[test]
fn a_plus_sign_is_part_of_a_number() {
    let (settings, wrong) = instance("priority +50\nvirtual_router_id +5\nadvert_int +2");
    assert_eq!(
        (settings.priority.map(|p| p.value), settings.vrid.map(|v| v.value), wrong),
        (Some(50), Some(5), 0)
    );
}
