//! The keyword table as a whole: each keyword, in its place with a value of its shape, must reach the typed
//! configuration.

use crate::config::check::CheckerKind;
use crate::config::setting::{Setting, Settings, Value};
use crate::keywords::{self, Keyword, Opens, Place, Shape, Status};
use crate::{Code, Config, Options, Parsed, Reader};
use std::collections::BTreeSet;

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

fn parse(text: &str) -> Parsed {
    crate::parse(&mut Memory(text), "main", Options { config_id: "low", vrrp: true, checker: true })
}

fn codes(text: &str) -> Vec<Code> {
    let built = |c: &Code| !matches!(c, Code::NotYet | Code::NotYetTraffic | Code::NoEffect);
    parse(text).diagnostics.iter().map(|d| d.code).filter(built).collect()
}

const INSTANCE: &str = "vrrp_instance A {\ninterface eth0\n";
const SERVER: &str = "virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\n";

/// What stands before and after a keyword of the place. `None` for places of plain words and of the text layer.
fn around(place: Place) -> Option<(String, String)> {
    let instance = |inner: &str, after: &str| (format!("{INSTANCE}{inner}"), format!("{after}\n}}\n"));
    let check = |name: &str| (format!("{SERVER}{name} {{\n"), "\n}\n}\n}\n".to_owned());
    let root = |inner: &str| (format!("{inner} {{\n"), "\n}\n".to_owned());
    let line = |head: &str| (format!("{head} "), "\n}\n".to_owned());
    let group = |list: &str| {
        let before = format!(
            "vrrp_script S {{\nscript x\n}}\ntrack_file S {{\nfile x\n}}\nvrrp_track_process S {{\nprocess x\n}}\nbfd_instance S {{\nneighbor_ip 192.0.2.9\n}}\nvrrp_instance A {{\n}}\nvrrp_instance B {{\n}}\nvrrp_sync_group G {{\ngroup {{\nA\nB\n}}\n{list}"
        );
        (before, "\n}\n}\n".to_owned())
    };
    let tracked = |list: &str| {
        let (before, after) = group(&format!("{list} {{\nS weight 1 "));
        (before, after)
    };
    Some(match place {
        Place::Lexical | Place::Words | Place::Delays | Place::Scheduler | Place::Method => return None,
        Place::LvsSyncDaemon
        | Place::LvsTimeouts
        | Place::IncludeCheck
        | Place::UseVmac
        | Place::UseIpvlan
        | Place::RegexOptions
        | Place::RouteEncap => return None,
        Place::Root => (String::new(), "\n".to_owned()),
        Place::GlobalDefs => root("global_defs"),
        Place::TrackGroup => root("track_group T"),
        Place::VrrpInstance => instance("", ""),
        Place::Authentication => instance("authentication {\n", "\n}"),
        Place::AuthHmac => instance("auth_hmac {\n", "\n}"),
        Place::UnicastPeer => instance("unicast_peer {\n192.0.2.3 ", "\n}"),
        Place::VirtualAddress => instance("virtual_ipaddress {\n192.0.2.3 ", "\n}"),
        Place::ExcludedAddress => instance("virtual_ipaddress_excluded {\n192.0.2.3 ", "\n}"),
        Place::StaticAddress => line("track_group T {\ngroup {\nA\n}\n}\nstatic_ipaddress {\n192.0.2.3"),
        Place::TrackInterface => instance("track_interface {\neth1 ", "\n}"),
        Place::TrackScript | Place::SyncTrackScript => tracked("track_script"),
        Place::TrackFiles | Place::SyncTrackFiles => tracked("track_file"),
        Place::TrackProcesses | Place::SyncTrackProcesses => tracked("track_process"),
        Place::TrackBfd | Place::SyncTrackBfd => tracked("track_bfd"),
        Place::SyncTrackInterface => tracked("track_interface"),
        Place::SyncGroup => (group("").0, "\n}\n".to_owned()),
        Place::GarpGroup => root("garp_group"),
        Place::LinkbeatInterfaces => line("linkbeat_interfaces {\neth1"),
        Place::VrrpScript => root("vrrp_script S {\nscript x\n}\nvrrp_script R"),
        Place::TrackProcess => root("vrrp_track_process R"),
        Place::TrackFile => root("track_file R"),
        Place::VrrpTrackFile => root("vrrp_track_file R"),
        Place::BfdInstance => root("bfd_instance R"),
        Place::VirtualRoutes => instance("virtual_routes {\n2001:db8::/32 ", "\n}"),
        Place::StaticRoutes => line("track_group T {\n}\nstatic_routes {\n2001:db8::/32"),
        Place::VirtualRules => instance("virtual_rules {\npreference 5 ", "\n}"),
        Place::StaticRules => line("track_group T {\n}\nstatic_rules {\npreference 5"),
        Place::Ssl => root("SSL"),
        Place::VirtualServerGroup => root("virtual_server_group G"),
        Place::VirtualServer => root("virtual_server 192.0.2.1 80"),
        Place::RealServer => (SERVER.to_owned(), "\n}\n}\n".to_owned()),
        Place::TcpCheck => check("TCP_CHECK"),
        Place::PingCheck => check("PING_CHECK"),
        Place::UdpCheck => check("UDP_CHECK"),
        Place::SmtpCheck => check("SMTP_CHECK"),
        Place::HttpGet => check("HTTP_GET"),
        Place::SslGet => check("SSL_GET"),
        Place::DnsCheck => check("DNS_CHECK"),
        Place::MiscCheck => check("MISC_CHECK"),
        Place::SmtpHost => (format!("{SERVER}SMTP_CHECK {{\nhost {{\n"), "\n}\n}\n}\n}\n".to_owned()),
        Place::BfdCheck => {
            let (before, after) = check("BFD_CHECK");
            (format!("bfd_instance S {{\nneighbor_ip 192.0.2.9\n}}\n{before}"), after)
        }
        Place::FileCheck => {
            let (before, after) = check("FILE_CHECK");
            (format!("track_file S {{\nfile x\n}}\n{before}"), after)
        }
        Place::HttpUrl => (format!("{SERVER}HTTP_GET {{\nurl {{\n"), "\n}\n}\n}\n}\n".to_owned()),
        Place::SslUrl => (format!("{SERVER}SSL_GET {{\nurl {{\n"), "\n}\n}\n}\n}\n".to_owned()),
    })
}

/// Values that a keyword of this shape could take: one of them must be right.
fn values(keyword: &Keyword) -> Vec<String> {
    let from_shape = match keyword.shape {
        Shape::OneOf(list) | Shape::AnyCase(list) | Shape::MaybeOneOf(list) => list[0].to_owned(),
        Shape::Decimal(low, _) | Shape::Millis(low, _) if low >= 1_000_000 => "1000".to_owned(),
        _ => "1".to_owned(),
    };
    let mut values: Vec<String> = [
        "",
        "1",
        "10",
        "1000",
        "192.0.2.9",
        "2001:db8::9",
        "2001:db8::/32",
        "eth9",
        "T",
        "S",
        "on",
        "1-2",
        "x",
        "0a",
        "all 5",
        "tcp 5",
        "1 0123456789abcdef0123456789abcdef",
        "200",
        "MTU",
        "read",
        "caseless",
        "022",
        "mpls 5",
        "via 2001:db8::1",
        "0123456789abcdef0123456789abcdef",
        "16385",
        "table 5",
    ]
    .map(str::to_owned)
    .to_vec();
    values.insert(0, from_shape);
    values
}

/// All settings of a configuration, at any depth.
fn all(config: &Config) -> BTreeSet<&'static str> {
    fn add(found: &mut BTreeSet<&'static str>, settings: &[Setting]) {
        for setting in settings {
            found.insert(setting.keyword);
            add(found, &setting.block);
        }
    }
    let mut found = BTreeSet::new();
    add(&mut found, &config.others);
    add(&mut found, &config.global.others);
    for settings in config.instances.iter().map(|i| &i.settings) {
        add(&mut found, &settings.others);
        add(&mut found, &settings.peer_options);
        for address in settings.addresses.iter().chain(&settings.excluded) {
            add(&mut found, &address.others);
        }
    }
    for server in &config.virtual_servers {
        add(&mut found, &server.others);
        for real in &server.real_servers {
            add(&mut found, &real.others);
            for checker in &real.checkers {
                add(&mut found, &checker.others);
                if let CheckerKind::Http(http) = &checker.kind {
                    http.urls.iter().for_each(|url| add(&mut found, &url.others));
                }
            }
        }
    }
    found
}

/// What a block needs beside the keyword, so that it is kept.
fn company(place: Place, name: &str) -> &'static str {
    match place {
        Place::TrackProcess if name != "process" => "process x\n",
        Place::TrackFile | Place::VrrpTrackFile if name != "file" => "file /x\n",
        Place::VrrpScript if name != "script" => "script x\n",
        Place::BfdInstance if !name.starts_with("neigh") => "neighbor_ip 192.0.2.8\n",
        Place::MiscCheck if name != "misc_path" => "misc_path x\n",
        Place::SslGet | Place::HttpGet if name != "url" => "url {\npath /\n}\n",
        Place::BfdCheck if name != "name" => "name S\n",
        Place::FileCheck if name != "track_file" => "track_file S\n",
        Place::SslUrl | Place::HttpUrl if name != "path" => "path /\n",
        Place::VirtualRules | Place::StaticRules => "table 5 ",
        _ => "",
    }
}

/// Places whose lines have no fields of their own, whatever is built.
fn all_settings(place: Place) -> bool {
    matches!(
        place,
        Place::VirtualRoutes
            | Place::StaticRoutes
            | Place::VirtualRules
            | Place::StaticRules
            | Place::StaticAddress
            | Place::RouteEncap
            | Place::UdpCheck
            | Place::SmtpCheck
            | Place::SmtpHost
            | Place::DnsCheck
            | Place::MiscCheck
            | Place::BfdCheck
            | Place::FileCheck
    )
}

/// Keywords that stand for what another place reads, and those that need more company than [`company`] gives.
fn elsewhere(place: Place, keyword: &Keyword) -> bool {
    let name = keyword.name;
    name.starts_with('(')
        || matches!(keyword.status, Status::Works) && !all_settings(place)
        || keyword.opens != Opens::Nothing
        || matches!(
            place,
            Place::VirtualRoutes | Place::StaticRoutes | Place::VirtualRules | Place::StaticRules
        ) && matches!(name, "to" | "type")
        // Fields of their own.
        || matches!(name, "vrrp_strict" | "strict_mode")
        // The destination here is an IPv6 one.
        || matches!(place, Place::VirtualRoutes | Place::StaticRoutes) && name == "inet"
        || matches!(place, Place::StaticAddress) && matches!(name, "brd" | "dev")
}

#[test]
fn every_keyword_reaches_the_typed_configuration() {
    let (mut tried, mut lost) = (0, Vec::new());
    for (place, list) in keywords::places() {
        let Some((before, after)) = around(place) else { continue };
        for keyword in list.iter().filter(|k| !elsewhere(place, k)) {
            let arrives = values(keyword).iter().any(|value| {
                let with = company(place, keyword.name);
                let actions =
                    ["lookup", "goto", "nop", "blackhole", "unreachable", "prohibit", "l3mdev", "table"];
                let with = if with == "table 5 " && actions.contains(&keyword.name) { "" } else { with };
                let text = format!("{before}{with}{} {value}{after}", keyword.name);
                all(&parse(&text).config).contains(keyword.name)
            });
            if !arrives {
                lost.push(format!("{} {}", place.path(), keyword.name));
            }
            tried += 1;
        }
    }
    assert!(lost.is_empty() && tried > 200, "{tried} tried, lost: {lost:#?}");
}

#[test]
fn a_script_keeps_its_values_and_what_is_out_of_range_is_left_out() {
    let text = "vrrp_script s {\nscript \"/bin/x -a\"\ninterval 2.5\ntimeout 3\nweight -20 reverse\nrise 0\nfall 3\nuser u g\n}\n";
    let parsed = parse(text);
    let [script] = parsed.config.others.as_slice() else { panic!("{:?}", parsed.config.others) };
    assert_eq!((script.keyword, script.name()), ("vrrp_script", Some("s")));
    let block = script.block.as_slice();
    let command = block.command("script").expect("it stands there");
    assert_eq!(
        (command.argv.as_slice(), &command.account),
        (["/bin/x", "-a"].map(String::from).as_slice(), &None)
    );
    assert_eq!(block.account("user").map(|a| (a.user.as_str(), a.group.as_deref())), Some(("u", Some("g"))));
    assert_eq!(block.time("interval"), Some(std::time::Duration::from_millis(2500)));
    assert_eq!(block.find("weight").map(|s| &s.value), Some(&Value::Weight(-20, Some(true))));
    assert_eq!((block.number("rise"), block.number("fall")), (None, Some(3)));
    assert_eq!(codes(text), [Code::BadValue]);
}

#[test]
fn what_is_tracked_must_be_defined_above() {
    let instance =
        |lines: &str| format!("vrrp_instance A {{\ninterface eth0\ntrack_script {{\n{lines}\n}}\n}}\n");
    let script = "vrrp_script s {\nscript x\n}\n";
    assert_eq!(codes(&format!("{script}{}", instance("s weight 254 reverse"))), [Code::Adjusted]);
    assert_eq!(codes(&format!("{script}{}", instance("s reverse"))), [Code::UnknownKeyword]);
    assert_eq!(codes(&format!("{script}{}", instance("s\ns"))), [Code::Duplicate]);
    // keepalived tracks nothing then, not the first of them.
    let tracked = |lines: &str| {
        let parsed = parse(&format!("{script}{}", instance(lines)));
        parsed.config.instances[0].settings.others.find("track_script").map(|t| t.block.len())
    };
    assert_eq!(codes(&format!("{script}{}", instance("s t u"))), [Code::UnknownKeyword]);
    assert_eq!(codes(&format!("{script}{}", instance("s weight"))), [Code::BadValue]);
    assert_eq!((tracked("s"), tracked("s t u"), tracked("s weight")), (Some(1), Some(0), Some(0)));
    assert_eq!(tracked("s weight 5 t"), Some(1), "what follows the weight is left out alone");
    assert_eq!(codes(&format!("{}{script}", instance("s"))), [Code::UnknownName]);
    assert_eq!(
        codes(&format!("vrrp_script s {{\n}}\n{}", instance("s"))),
        [Code::BadValue, Code::UnknownName]
    );
}

#[test]
fn interfaces_on_one_line_are_not_tracked() {
    let tracked = |block: &str| {
        let parsed =
            parse(&format!("vrrp_instance A {{\ninterface eth0\ntrack_interface {{\n{block}\n}}\n}}\n"));
        let codes: Vec<Code> = parsed.diagnostics.iter().map(|d| d.code).collect();
        (parsed.config.instances[0].settings.track_interfaces.len(), codes)
    };
    assert_eq!(tracked("eth1\neth2 weight 5 reverse"), (2, vec![]));
    assert_eq!(tracked("eth1 eth2"), (0, vec![Code::UnknownKeyword]));
    assert_eq!(tracked("eth1 reverse\neth2 weight"), (0, vec![Code::UnknownKeyword, Code::BadValue]));
    assert_eq!(tracked("eth1 weight 5 eth2"), (1, vec![Code::UnknownKeyword]));
}

/// Tried with keepalived 2.2.7.
#[test]
fn words_before_a_block_are_said() {
    let text = |line: &str| format!("vrrp_instance A {{\n{line} {{\n192.0.2.1\n}}\n}}\n");
    assert_eq!(codes(&text("virtual_ipaddress")), []);
    assert_eq!(codes(&text("virtual_ipaddress =")), [Code::BadValue]);
    assert_eq!(parse(&text("virtual_ipaddress =")).config.instances[0].settings.addresses.len(), 1);
    assert_eq!(codes("vrrp_instance A {\nauthentication x {\n}\n}\n"), []);
    let named = parse("vrrp_instance \"A B\" {\n}\nvrrp_instance C D {\n}\n");
    assert_eq!(named.config.instances.iter().map(|i| i.name.value.as_str()).collect::<Vec<_>>(), ["A B"]);
    assert_eq!(named.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::BadValue]);
}

#[test]
fn commands_where_keepalived_knows_none_are_not_in_use() {
    let programs = |lines: &str| {
        let parsed = parse(&format!("vrrp_instance A {{\n{lines}\n}}\n"));
        parsed.config.scripts.programs.iter().map(|p| p.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(programs("notify /bin/a"), ["/bin/a"]);
    assert_eq!(
        programs("script /bin/a\nvrrp_script x {\nscript /bin/b\n}\nfoo {\nnotify /bin/c\n}"),
        [""; 0]
    );
}

#[test]
fn signs_of_other_languages_are_named() {
    for line in ["priority = 9", "priority 9;", "priority 9,"] {
        let parsed = parse(&format!("vrrp_instance A {{\n{line}\n}}\n"));
        let advice = parsed.diagnostics.first().map(|d| d.instead.as_str()).unwrap_or_default();
        assert!(advice.contains(", without `"), "{line}: {advice}");
    }
}

#[test]
fn the_digits_of_a_prefix_length_count() {
    let prefix = |written: &str| {
        let parsed =
            parse(&format!("vrrp_instance A {{\nvirtual_ipaddress {{\n192.0.2.1/{written}\n}}\n}}\n"));
        (parsed.config.instances[0].settings.addresses[0].prefix, parsed.diagnostics.len())
    };
    assert_eq!((prefix("24"), prefix("24,"), prefix("24/24")), ((Some(24), 0), (Some(24), 1), (Some(24), 1)));
    assert_eq!(
        (prefix("33"), prefix("x"), prefix("255.255.255.0")),
        ((Some(32), 1), (Some(32), 1), (Some(32), 1))
    );
}

#[test]
fn sync_groups_have_members_of_their_own() {
    let text = |groups: &str| format!("vrrp_instance A {{\n}}\nvrrp_instance B {{\n}}\n{groups}");
    let group =
        |name: &str, members: &str| format!("vrrp_sync_group {name} {{\ngroup {{\n{members}\n}}\n}}\n");
    assert_eq!(codes(&text(&group("G", "A\nB"))), []);
    assert_eq!(codes(&text(&group("G", "A"))), [Code::Adjusted]);
    assert_eq!(codes(&text(&group("G", "A\nB\nC"))), [Code::UnknownName]);
    let two = parse(&text(&(group("G", "A\nB") + &group("H", "A\nB"))));
    assert_eq!(two.config.others.len(), 1, "the second has no members left");
    let weighted = "vrrp_instance A {\ntrack_interface {\neth1 weight 5\n}\n}\nvrrp_instance B {\n}\n";
    assert_eq!(codes(&format!("{weighted}{}", group("G", "A\nB"))), [Code::Cleared]);
    let allowed = group("G", "A\nB").replace("group {", "sync_group_tracking_weight\ngroup {");
    assert_eq!(codes(&format!("{weighted}{}", allowed)), []);
}

/// All of it as `keepalived -t` 2.2.7 does, but for what its daemon says only (HF0030).
#[test]
fn weights_of_owners_and_sync_groups_are_said() {
    const DEFINED: &str = "vrrp_script s {\nscript x\n}\ntrack_file f {\nfile /f\n}\n\
                           vrrp_track_process p {\nprocess x\n}\nbfd_instance b {\nneighbor_ip 192.0.2.9\n}\n";
    let said = |own: &str, group: &str| {
        let text = format!(
            "{DEFINED}vrrp_sync_group G {{\ngroup {{\nA\nB\n}}\n{group}\n}}\nvrrp_instance A {{\n{own}\n}}\n\
             vrrp_instance B {{\n}}\n"
        );
        let diagnostics = parse(&text).diagnostics.into_iter();
        let said = diagnostics.filter(|d| matches!(d.code, Code::Cleared | Code::TrackedTwice));
        said.map(|d| (d.code, d.now)).collect::<Vec<_>>()
    };
    let lists = ["interface {\neth1", "script {\ns", "file {\nf", "process {\np", "bfd {\nb"];
    let tracks = |weight: &str| lists.map(|list| format!("track_{list} {weight}\n}}\n")).concat();
    let codes = |said: Vec<(Code, String)>| said.into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    let weights = "sync_group_tracking_weight";
    let owner = |list: &str| said(&format!("priority 255\ntrack_{list}\n}}"), weights);
    assert_eq!(codes(owner("script {\ns weight 5")), [Code::Cleared]);
    assert_eq!(codes(owner("interface {\neth1 weight 5")), [Code::Cleared]);
    assert_eq!(codes(owner("bfd {\nb weight 5")), [Code::Cleared]);
    assert_eq!(codes(owner("process {\np weight 5")), []);
    assert_eq!(codes(owner("file {\nf weight 0")), []);
    assert!(owner("file {\nf weight 5")[0].1.starts_with("the line is left out"));
    assert!(owner("file {\nf")[0].1.starts_with("it is a condition"));
    assert_eq!(codes(said("priority 254\ntrack_file {\nf\n}", weights)), []);
    // A group with an owner, and a group that allows no weights.
    assert_eq!(codes(said("priority 255", &tracks("weight 5"))), [Code::Cleared; 5]);
    assert_eq!(codes(said("priority 255", &tracks("weight 0"))), []);
    assert_eq!(codes(said("priority 254", &tracks("weight 5"))), []);
    assert_eq!(codes(said(&tracks("weight 5"), "")), [Code::Cleared; 4], "not of the process");
    // What both track.
    let both = said(&tracks("weight 5"), &format!("{weights}\n{}", tracks("weight 7")));
    let cleared = both.iter().filter(|(code, _)| *code == Code::Cleared).count();
    assert_eq!((both.len(), cleared), (5, 1), "{both:?}: with status 5 of the interface only");
    let left =
        said(&tracks("weight 5"), &tracks("weight 7")).into_iter().filter(|(_, now)| now.contains("once"));
    assert_eq!(left.count(), 2, "of the interface and the process: the others are gone already");
}

#[test]
fn routes_and_rules_are_left_out_as_a_whole_when_a_word_is_wrong() {
    let kept = |list: &str, line: &str| {
        let parsed = parse(&format!("static_{list} {{\n{line}\n}}\n"));
        let lines = parsed.config.others.find(&format!("static_{list}")).map_or(0, |s| s.block.len());
        (lines, parsed.diagnostics.iter().any(|d| d.code.status() == 5))
    };
    for good in [
        "default via 192.0.2.1 dev eth0",
        "blackhole 192.0.2.0/24 no_track",
        "src 192.0.2.1 to 198.51.100.0/24 via 192.0.2.2 dev eth0 table 100 metric 5 mtu lock 1400 initcwnd 10",
        "198.51.100.0/24 nexthop via 192.0.2.1 dev eth0 weight 2 nexthop via 192.0.2.2 dev eth1 encap mpls 5/6",
        "2001:db8::/32 dev eth0 pref low expires 5",
        "198.51.100.0/24 via inet6 fe80::1 dev eth0 rtt 300ms congctl lock cubic realms 5/6",
    ] {
        assert_eq!(kept("routes", good), (1, false), "{good}");
    }
    for bad in [
        "dev eth0",
        "192.0.2.0/24 foo dev eth0",
        "192.0.2.0/24 via x",
        "192.0.2.0/24 via 2001:db8::1 dev eth0",
        "192.0.2.0/24 dev eth0 expires 5",
        "192.0.2.0/24 nexthop foo",
        "192.0.2.0/24 dev eth0 encap ip ttl 5",
        "192.0.2.0/24 dev eth0 encap ip dst 192.0.2.1 ttl 256",
        "192.0.2.0/24 dev eth0 encap ip dst 2001:db8::1",
        "192.0.2.0/24 dev eth0 encap ip6 dst 2001:db8::1 ttl 5",
        "192.0.2.0/24 dev eth0 encap ip id 5 flags 0x1",
        "192.0.2.0/24 dev eth0 encap ila 1:2:3",
        "192.0.2.0/24 metric x",
    ] {
        assert_eq!(kept("routes", bad), (0, true), "{bad}");
    }
    assert_eq!(kept("routes", "192.0.2.0/24 via 192.0.2.1"), (1, true), "set, but not tracked");
    let trailing = "192.0.2.0/24 nexthop via 192.0.2.1 dev eth0 table 5";
    assert_eq!(kept("routes", trailing), (1, true), "set without what follows the next hops");
    assert_eq!(kept("rules", "from 192.0.2.0/24 table 100 preference 5"), (1, false));
    assert_eq!(kept("rules", "from 192.0.2.0/24 table 100"), (1, true), "a preference is made up");
    for bad in
        ["from 192.0.2.0/24", "table 5 nop priority 1", "goto 5 priority 6", "sport 80 table 5 priority 1"]
    {
        assert_eq!(kept("rules", bad), (0, true), "{bad}");
    }
}

#[test]
fn bfd_instances_need_a_neighbor_of_their_own() {
    let bfd = |name: &str, body: &str| format!("bfd_instance {name} {{\n{body}\n}}\n");
    let one = bfd("a", "neighbor_ip 192.0.2.1\nmin_tx 100\nidle_tx 1000\nmultiplier 3\npassive");
    let parsed = parse(&one);
    assert_eq!(parsed.config.others[0].block.time("min_tx"), Some(std::time::Duration::from_millis(100)));
    assert_eq!(codes(&one), []);
    assert_eq!(codes(&bfd("a", "idle_tx 5")), [Code::BadValue, Code::BadValue]);
    assert_eq!(codes(&(one.clone() + &bfd("b", "neighbor_ip 192.0.2.1"))), [Code::BadValue]);
    assert_eq!(codes(&(one + &bfd("a", "neighbor_ip 192.0.2.2"))), [Code::Duplicate]);
    assert_eq!(codes(&bfd("a", "neighbor_ip 192.0.2.1\nsource_ip ::1")), [Code::BadValue]);
}

#[test]
fn every_default_is_a_value_of_its_keyword() {
    let mut count = 0;
    for (place, list) in keywords::places() {
        for keyword in list {
            let Some(text) = keywords::default(place, keyword.name) else { continue };
            let value = crate::config::setting::default(place, keyword.name);
            assert!(value.is_some(), "{} {} {text}", place.path(), keyword.name);
            count += 1;
            let Some((before, after)) = around(place) else { continue };
            let with = company(place, keyword.name);
            let line = format!("{before}{with}{} {text}{after}", keyword.name);
            let said = parse(&line).diagnostics;
            let wrong =
                |c: Code| matches!(c, Code::BadValue | Code::Adjusted | Code::NotYet | Code::NoEffect);
            let own = |d: &&crate::Diagnostic| wrong(d.code) && d.title.contains(keyword.name);
            assert_eq!(said.iter().find(own).map(|d| &d.title), None, "{line}");
        }
    }
    assert!(count > 90, "{count}");
}
