//! `holdfastctl show config`: the printed configuration is the configuration.

use holdfast::link::Compiled;
use holdfast::plan::Generation;
use holdfast::role::compile::{CompileRequest, compile, effective};
use keepalived_compat::print::{self, HIDDEN, Line};
use keepalived_compat::source::encode;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn request(file: &Path) -> CompileRequest {
    CompileRequest {
        file: file.to_owned(),
        config_id: Some("lb1".to_owned()),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: |_| true,
        address_exists: |_| true,
    }
}

/// The plans of a file without what names places in it.
fn plans(file: &Path) -> Option<holdfast::plan::Plans> {
    let Compiled { plans, .. } = compile(&request(file));
    plans.map(|mut plans| {
        plans.global.not_yet.clear();
        // As it is written, not as it is in force: a printed configuration writes defaults.
        plans.global.written.clear();
        plans
    })
}

/// Prints, reads back, compares, prints again. False if the file cannot be run.
fn comes_back(file: &Path, folder: &Path) -> Result<bool, String> {
    let Some(before) = plans(file) else { return Ok(false) };
    let first = print::text(&effective(&request(file)), true);
    let copy = folder.join("printed.conf");
    std::fs::write(&copy, encode(&first)).map_err(|e| e.to_string())?;
    let name = file.display();
    if plans(&copy).as_ref() != Some(&before) {
        let said = compile(&request(&copy)).diagnostics.join("\n");
        let after = plans(&copy);
        return Err(format!("{name}: other plans\n{before:#?}\n{after:#?}\n{first}\n{said}"));
    }
    let second = print::text(&effective(&request(&copy)), true);
    if first != second {
        return Err(format!("{name}: printed differently the second time\n{first}\n----\n{second}"));
    }
    Ok(true)
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name)
}

/// Every configuration below `folder`.
fn configurations(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a readable folder");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => configurations(&path),
            Some(extension) if extension == "conf" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn the_files_beside_this_test_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = configurations(&own(""));
    let results: Vec<_> = files.iter().map(|file| comes_back(file, folder.path())).collect();
    let faults: Vec<&String> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let ran = results.iter().filter(|r| matches!(r, Ok(true))).count();
    assert!(ran >= 10, "{ran} of {} files can be run", files.len());
}

/// With HOLDFAST_SHARED set: the public corpus.
#[test]
fn the_corpus_comes_back() {
    let Some(shared) = std::env::var_os("HOLDFAST_SHARED") else {
        return assert!(plans(&own("pair.conf")).is_some());
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut faults = Vec::new();
    let mut ran = 0;
    for entry in std::fs::read_dir(Path::new(&shared).join("corpus")).expect("a corpus") {
        let file = entry.expect("a readable folder").path();
        if file.extension().is_some_and(|e| e == "conf") {
            match comes_back(&file, folder.path()) {
                Ok(can_run) => ran += usize::from(can_run),
                Err(fault) => faults.push(fault),
            }
        }
    }
    println!("{ran} files of the corpus come back, {} do not", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(ran > 50);
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("state MASTER".to_owned()),
        Just("nopreempt".to_owned()),
        Just("preempt".to_owned()),
        Just("dont_track_primary".to_owned()),
        Just("unknown_word { priority 7 }".to_owned()),
        Just("authentication { auth_type PASS\nauth_pass \"a #b{$x\" }".to_owned()),
        Just("track_interface { eth1 weight -20 bogus\neth2 }".to_owned()),
        Just("virtual_ipaddress_excluded { 2001:db8::1/64\n10.9.0.1 dev eth3 label eth3:x }".to_owned()),
        Just("unicast_peer { 10.1.0.2\n10.1.0.3 }".to_owned()),
        Just("notify \"/bin/notify {a b} #x\" root".to_owned()),
        (0u32..300).prop_map(|n| format!("priority {n}")),
        (0u32..5000).prop_map(|n| format!("advert_int {}.{:02}", n / 100, n % 100)),
        (1u32..4).prop_map(|n| format!("version {n}")),
        (0u32..120).prop_map(|n| format!("down_timer_adverts {n}")),
        (0u32..2000).prop_map(|n| format!("preempt_delay {n}")),
        (0u32..40, 0usize..6).prop_map(|(n, which)| {
            let names = [
                "master_delay",
                "master_repeat",
                "master_refresh",
                "master_refresh_repeat",
                "lower_prio_delay",
                "lower_prio_repeat",
            ];
            format!("garp_{} {n}", names[which])
        }),
        any::<bool>().prop_map(|on| format!("lower_prio_no_advert {}", if on { "on" } else { "off" })),
        any::<bool>().prop_map(|on| format!("v3_checksum_as_v2 {}", if on { "yes" } else { "no" })),
    ]
}

fn global() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("router_id \"lb one\"".to_owned()),
        Just("vrrp_strict".to_owned()),
        Just("vrrp_version 3".to_owned()),
        Just("vrrp_lower_prio_no_advert".to_owned()),
        (1u32..9).prop_map(|n| format!("vrrp_garp_master_delay {n}")),
        (1u32..9).prop_map(|n| format!("vrrp_down_timer_adverts {n}")),
    ]
}

fn checker() -> impl Strategy<Value = String> {
    let timing = prop_oneof![
        (0u32..9).prop_map(|n| format!("retry {n}")),
        (0u32..9).prop_map(|n| format!("delay_before_retry {n}.5")),
        (0u32..9).prop_map(|n| format!("connect_timeout {n}")),
        (0u32..9).prop_map(|n| format!("warmup {n}")),
        Just("connect_port 8080".to_owned()),
        Just("alpha off".to_owned()),
    ];
    let kind = prop_oneof![
        Just("TCP_CHECK {"),
        Just("PING_CHECK {"),
        Just("HTTP_GET { url { path \"/a b\"\n status_code 200-204 301 }"),
        Just("SMTP_CHECK {"),
    ];
    (kind, prop::collection::vec(timing, 0..4)).prop_map(|(kind, t)| format!("{kind}\n{}\n}}", t.join("\n")))
}

fn server() -> impl Strategy<Value = String> {
    let setting = prop_oneof![
        (0u32..9).prop_map(|n| format!("weight {n}")),
        Just("inhibit_on_failure".to_owned()),
        Just("uthreshold 100".to_owned()),
        Just("lvs_method DR".to_owned()),
        checker(),
    ];
    // Fewer addresses than servers: some are defined twice.
    (1u8..5, prop::collection::vec(setting, 0..4))
        .prop_map(|(n, s)| format!("real_server 10.2.0.{n} 80 {{\n{}\n}}", s.join("\n")))
}

fn service() -> impl Strategy<Value = String> {
    let setting = prop_oneof![
        (0u32..9).prop_map(|n| format!("quorum {n}")),
        (0u32..9).prop_map(|n| format!("hysteresis {n}")),
        (1u32..9).prop_map(|n| format!("delay_loop {n}")),
        Just("lvs_sched sh\nsh-port".to_owned()),
        Just("lb_algo rr".to_owned()),
        Just("lb_kind TUN".to_owned()),
        Just("lvs_method NAT".to_owned()),
        Just("protocol tcp".to_owned()),
        Just("weight 3".to_owned()),
        Just("alpha".to_owned()),
        Just("persistence_timeout 60".to_owned()),
        Just("sorry_server 10.3.0.1 80\nsorry_server_inhibit".to_owned()),
        server(),
        server(),
        server(),
    ];
    let head = prop_oneof![
        (1u8..4).prop_map(|n| format!("10.1.0.{n} 80")),
        (1u8..4).prop_map(|n| format!("fwmark {n}")),
        Just("group web".to_owned()),
    ];
    (head, prop::collection::vec(setting, 0..8))
        .prop_map(|(head, s)| format!("virtual_server {head} {{\n{}\n}}", s.join("\n")))
}

fn configuration() -> impl Strategy<Value = String> {
    let instance =
        (1u8..6, any::<bool>(), prop::collection::vec(statement(), 0..8)).prop_map(|(n, v6, s)| {
            let address = if v6 { format!("fe80::{n}/64") } else { format!("10.0.0.{n}/24 brd +") };
            format!(
                "vrrp_instance V{n} {{ # number {n}\ninterface $IF\nvirtual_router_id {n}\n{}\n\
             virtual_ipaddress {{\n{address}\n}}\n}}",
                s.join("\n")
            )
        });
    let block = prop_oneof![
        3 => instance,
        1 => prop::collection::vec(global(), 0..3).prop_map(|g| format!("global_defs {{\n{}\n}}", g.join("\n"))),
        3 => service(),
        1 => Just("virtual_server_group web {\n10.1.1.1-3 80\nfwmark 9\n}".to_owned()),
    ];
    prop::collection::vec(block, 1..8).prop_map(|blocks| format!("$IF=eth0\n{}\n", blocks.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn generated_configurations_come_back(source in configuration()) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("generated.conf");
        std::fs::write(&file, &source).expect("a file");
        if let Err(fault) = comes_back(&file, folder.path()) {
            return Err(TestCaseError::fail(format!("{source}\n----\n{fault}")));
        }
    }
}

/// Text with everything that means something to the lexer, the definitions, the ids and the generators.
fn garbage() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b c",
            "\"",
            "\"",
            "\"x y\"",
            "\\",
            "\\#",
            "\\!",
            "#",
            "!",
            "{",
            "}",
            "$",
            "$A",
            "${A}",
            "$B",
            "${_HASH}",
            "${_BANG}",
            "$x=1",
            "@lb1 ",
            "@",
            "~SEQ(i, 1, 3) $i",
            "~",
            "'",
            "=",
            "\t",
            " ",
            "\u{e9}",
            "\n",
            "\r",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,6}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn garbage_comes_back(words in prop::collection::vec(garbage(), 6)) {
        let [a, b, c, d, e, f] = words.as_slice() else { unreachable!("six were drawn") };
        let source = format!(
            "$A=x y\n$B= \\\nl1 {a}\\\nl2\nglobal_defs {{\nrouter_id {b}\n}}\nvrrp_instance {c} {{\ninterface eth0\n\
             virtual_router_id 1\nnotify {d}\nvirtual_ipaddress {{\n10.0.0.1 label {e}\n}}\n}}\n{f}\n"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("generated.conf");
        std::fs::write(&file, encode(&source)).expect("a file");
        if let Err(fault) = comes_back(&file, folder.path()) {
            return Err(TestCaseError::fail(format!("{source}\n----\n{fault}")));
        }
    }
}

/// A line is marked if it says no more than its absence.
#[test]
fn defaults_are_marked_and_only_they() {
    let lines = effective(&request(&own("pair.conf")));
    let block = |line: &Line| line.block.clone().unwrap_or_default();
    let web = lines.iter().find(|l| l.arguments().eq(["WEB"])).map(block).expect("the instance");
    let note = |keyword: &str| {
        let line = web.iter().find(|l| l.keyword() == keyword).expect("written out");
        (line.arguments().collect::<Vec<_>>().join(" "), line.note)
    };
    assert_eq!(note("priority"), ("150".to_owned(), None));
    assert_eq!(note("advert_int"), ("1".to_owned(), Some("default")));
    assert_eq!(note("version"), ("2".to_owned(), Some("default")));
    // The instance's default is what global_defs says.
    assert_eq!(note("garp_master_delay"), ("3".to_owned(), Some("default")));
}

#[test]
fn what_is_not_run_is_marked_and_left_as_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("empty.conf");
    // keepalived too leaves out a virtual server without real servers.
    std::fs::write(&file, "virtual_server 192.0.2.1 80 {\n    lvs_sched rr\n}\n").expect("a file");
    let lines: Vec<Line> = effective(&request(&file)).split_off(2);
    let want = "virtual_server 192.0.2.1 80 {    # not run, see holdfastctl check\n    lvs_sched rr\n}\n";
    assert_eq!(print::text(&lines, true), want);
}

/// Keywords whose values no plan holds have their defaults from the table, unless a block around says otherwise.
#[test]
fn defaults_of_what_no_plan_holds_are_written_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("scripts.conf");
    let source = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress { 192.0.2.9/24 }\n}\n\
         vrrp_script chk {\nscript /bin/true\nfall 1\nrise 3\n}\nglobal_defs {\nsmtp_connect_timeout 5\n}\n\
         global_defs {\njson_version 2\n}\nvirtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 192.0.2.2 80 {\n\
         retry 4\nMISC_CHECK {\nmisc_path /bin/true\n}\n}\n}\n";
    std::fs::write(&file, source).expect("a file");
    let lines = effective(&request(&file));
    let all = |keyword: &str| -> Vec<String> {
        fn add(found: &mut Vec<String>, lines: &[Line], keyword: &str) {
            for line in lines {
                if line.keyword() == keyword {
                    let words: Vec<&str> = line.arguments().collect();
                    found.push(format!("{} {}", words.join(" "), line.note.unwrap_or_default()));
                }
                add(found, line.block.as_deref().unwrap_or_default(), keyword);
            }
        }
        let mut found = Vec::new();
        add(&mut found, &lines, keyword);
        found
    };
    assert_eq!(all("interval"), ["1 default"]);
    assert_eq!(all("fall"), ["1 default"]);
    assert_eq!(all("rise"), ["3 "]);
    assert_eq!(all("smtp_connect_timeout"), ["5 "]);
    assert_eq!(all("json_version"), ["2 "], "a value of the second block is no default");
    assert_eq!(all("vrrp_version"), ["2 default"]);
    assert_eq!(all("log_all_failures"), ["off default"]);
    assert!(!all("retry").contains(&"0 default".to_owned()), "the server around the check says 4");
    // What only repeats a default is nothing that is missing here.
    let printed = folder.path().join("printed.conf");
    std::fs::write(&printed, print::text(&lines, true)).expect("a file");
    let sentences = |file: &Path| compile(&request(file)).plans.expect("it can be run").global.not_yet.len();
    assert_eq!(sentences(&printed), sentences(&file));
}

fn tool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfastctl")).args(arguments).output().expect("the tool runs")
}

#[test]
fn the_tool_hides_passwords_unless_asked() {
    let pair = own("pair.conf").display().to_string();
    let shown = tool(&["show", "config", &pair]);
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.contains(&format!("auth_pass {HIDDEN}")) && !shown.contains("auth_pass secret"), "{shown}");
    assert!(shown.lines().next().is_some_and(|first| first.contains("--secrets")), "{shown}");
    let json = tool(&["show", "config", &pair, "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let statements = json["statements"].as_array().expect("a list");
    assert!(statements.iter().any(|s| s["words"][0] == "global_defs"), "{json}");
    assert!(!json.to_string().contains("\"secret\""), "{json}");
    let open = String::from_utf8(tool(&["show", "config", &pair, "--secrets"]).stdout).expect("text");
    assert!(open.contains("auth_pass secret"));
}

#[test]
fn the_tool_shows_nothing_of_a_file_that_cannot_be_run() {
    let broken = own("broken.conf").display().to_string();
    let output = tool(&["show", "config", &broken]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}
