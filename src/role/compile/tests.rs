use super::*;
use crate::link::frame::Decoder;
use std::io::Read;
use std::path::Path;

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    directory
}

fn request(file: &Path) -> CompileRequest {
    CompileRequest {
        file: file.to_owned(),
        config_id: Some("lb1".to_owned()),
        generation: Generation(3),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: |name| name != "gone0",
        address_exists: |address| address.to_string() != "192.0.2.99",
    }
}

const INSTANCE: &str =
    "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1/24\n}\n}\n";
const SERVER: &str = "virtual_server 192.0.2.1 80 {\nlvs_sched rr\nlvs_method DR\nprotocol TCP\nreal_server 192.0.2.2 80 {\n}\n}\n";

/// Both statuses of a text: `-t`, and `compile`'s with whether there is a plan.
fn statuses(text: &str) -> (u8, u8, bool) {
    let directory = directory(&[("k.conf", text)]);
    let request = request(&directory.path().join("k.conf"));
    let compiled = compile(&request);
    (config_test(&request, &mut Vec::new()), compiled.status, compiled.plans.is_some())
}

#[test]
fn statuses_are_keepalived_s() {
    assert_eq!(statuses(INSTANCE), (0, 0, true));
    assert_eq!(statuses(&format!("{INSTANCE}nonsense\n")), (5, 5, true));
    assert_eq!(statuses("virtual_server {\n}\n"), (2, 2, false));
    // It ends keepalived before it comes to anything else.
    for text in
        [INSTANCE, "nonsense\n", "vrrp_instance A {\ninterface\n}\n", &INSTANCE.replace("eth0", "gone0")]
    {
        assert_eq!(statuses(&format!("{text}includem absent.conf\n")), (6, 6, false), "{text}");
    }
    // Refused at start with 2; a test calls it a general error.
    assert_eq!(statuses("vrrp_instance A {\ninterface eth0\n}\n"), (5, 2, false));
    let script = format!("{SERVER}vrrp_script x {{\nscript /bin/sh\n}}\n");
    assert_eq!(statuses(&script), (0, 0, true), "a script that nothing uses");
    let used = SERVER.replace("80 {\n}", "80 {\nnotify_up /bin/sh\n}");
    assert_eq!(statuses(&used), (6, 6, true));
    let secure = "global_defs {\nenable_script_security\nscript_user root\n}\n";
    assert_eq!(statuses(&format!("{secure}{used}")), (0, 0, true));
    let nobody = secure.replace("root", "no-such-account");
    assert_eq!(statuses(&format!("{nobody}{used}")), (5, 5, true), "no account to run it as");
    assert_eq!(
        statuses(&used.replace("/bin/sh", "/no/such/script")),
        (0, 0, true),
        "keepalived says nothing"
    );
    let tracked = INSTANCE.replace("interface eth0", "interface eth0\ntrack_script {\nx\n}");
    let tracked = format!("{secure}vrrp_script x {{\nscript /no/such/script\n}}\n{tracked}");
    assert_eq!(statuses(&tracked), (5, 5, true), "a tracked script");
    let waiting = INSTANCE.replace("eth0", "gone0");
    assert_eq!(statuses(&waiting), (5, 5, true), "the daemon waits for the interface");
    for (line, status) in [("dynamic_interfaces", 0), ("", 5)] {
        let text = format!("global_defs {{\n{line}\n}}\n{waiting}");
        assert_eq!(statuses(&text).0, status, "{line}");
    }
    let delayed = format!("{INSTANCE}interface_up_down_delays {{\ngone0 1\n}}\n");
    assert_eq!(statuses(&delayed), (4, 4, true));
    let files = tempfile::tempdir().expect("a temporary directory");
    for (directory, status) in [(files.path(), 0), (Path::new("/no/such/directory"), 5)] {
        let text = format!("{INSTANCE}track_file f {{\nfile {}/x\n}}\n", directory.display());
        assert_eq!(statuses(&text).0, status, "{}", directory.display());
    }
}

/// At a start and at a reload the same: an error that is counted by itself and refuses nothing.
#[test]
fn a_tracked_script_that_cannot_run_is_an_error_that_refuses_no_reload() {
    let files = directory(&[("open", "#!/bin/sh\n"), ("plain", "x\n")]);
    let open = files.path().join("open");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("changed");
    let [open, plain] = [open, files.path().join("plain")].map(|path| path.display().to_string());
    let missing = "/no/such/script".to_owned();
    for (program, why) in
        [(missing, "No such file"), (plain, "is not executable"), (open, "others than root")]
    {
        let instance = INSTANCE.replace("interface eth0", "interface eth0\ntrack_script {\nx\n}");
        let script = format!("vrrp_script x {{\ninterval 1\nscript {program}\n}}\n");
        let text =
            format!("global_defs {{\nenable_script_security\nscript_user root\n}}\n{script}{instance}");
        let directory = directory(&[("k.conf", &text)]);
        let compiled = compile(&request(&directory.path().join("k.conf")));
        assert_eq!((compiled.errors, compiled.cannot_run, compiled.status), (0, 1, 5), "{program}");
        assert!(compiled.plans.is_some(), "{program}");
        let [said] = compiled.diagnostics.as_slice() else { panic!("{:?}", compiled.diagnostics) };
        let begins = said.starts_with("error[HF0026]: vrrp_script x cannot run: ");
        assert!(begins && said.contains(why) && said.contains("k.conf:7:"), "{said}");
    }
}

#[test]
fn a_missing_file_is_said_and_is_no_plan() {
    let directory = directory(&[]);
    let request = request(&directory.path().join("none.conf"));
    let compiled = compile(&request);
    assert_eq!((compiled.plans, compiled.status, compiled.errors), (None, 6, 1));
    assert!(compiled.diagnostics[0].contains("none.conf"), "{:?}", compiled.diagnostics);
    let mut printed = Vec::new();
    assert_eq!(config_test(&request, &mut printed), 4);
    assert!(String::from_utf8_lossy(&printed).contains("1 error, 0 warnings"));
}

#[test]
fn a_glob_and_its_includes_make_one_configuration() {
    let directory = directory(&[("a.conf", "include parts/*.part\n"), ("b.conf", SERVER)]);
    std::fs::create_dir(directory.path().join("parts")).expect("made");
    std::fs::write(directory.path().join("parts/x.part"), INSTANCE).expect("written");
    let compiled = compile(&request(&directory.path().join("*.conf")));
    let plans = compiled.plans.expect("plans");
    assert_eq!((plans.vrrp.routers.len(), plans.lvs.virtual_servers.len(), compiled.status), (1, 1, 0));
    assert_eq!((plans.vrrp.generation, plans.lvs.generation), (Generation(3), Generation(3)));
}

#[test]
fn what_is_not_wanted_is_not_read() {
    let broken = SERVER.replace("192.0.2.2 80", "nonsense");
    let directory = directory(&[("k.conf", &(INSTANCE.to_owned() + &broken))]);
    let request = CompileRequest { want_checker: false, ..request(&directory.path().join("k.conf")) };
    let compiled = compile(&request);
    assert_eq!((compiled.status, compiled.diagnostics.len()), (0, 0));
    assert_eq!(compiled.plans.map(|p| (p.vrrp.routers.len(), p.lvs.virtual_servers.len())), Some((1, 0)));
}

#[test]
fn diagnostics_come_in_the_order_of_the_file() {
    // The first is found while lowering, the second while reading.
    let text = format!("{}nonsense\n", INSTANCE.replace("interface eth0", "interface eth0\nadvert_int 1.5"));
    let directory = directory(&[("k.conf", &text)]);
    let compiled = compile(&request(&directory.path().join("k.conf")));
    let lines: Vec<&str> = compiled.diagnostics.iter().filter_map(|d| d.lines().next()).collect();
    assert!(
        lines[0].contains("advert_int") && lines[1].contains("nonsense") && lines.len() == 2,
        "{lines:?}"
    );
    assert_eq!(compiled.errors, 1);
}

#[test]
fn what_is_not_built_is_no_error_of_the_file() {
    let text =
        INSTANCE.replace("interface eth0", "interface eth0\nuse_vmac\nno_accept\nauth_hmac {\nkey 1 0123456789abcdef0123456789abcdef\nactive_key 1\n}");
    assert_eq!(statuses(&text), (0, 0, true));
    let directory = directory(&[("k.conf", &text)]);
    assert_eq!(compile(&request(&directory.path().join("k.conf"))).errors, 0, "it can be reloaded");
}

#[test]
fn keywords_that_are_not_built_reach_the_plan_as_sentences() {
    let text = format!("global_defs {{\nenable_snmp_vrrp\n}}\n{INSTANCE}");
    let directory = directory(&[("k.conf", &text)]);
    let compiled = compile(&request(&directory.path().join("k.conf")));
    let sentences = compiled.plans.expect("plans").global.not_yet;
    assert!(sentences.len() == 1 && sentences[0].contains(": `enable_snmp_vrrp`"), "{sentences:?}");
}

#[test]
fn a_source_of_fullnat_that_nobody_has_is_said_once() {
    let said = |text: &str| {
        let directory = directory(&[("k.conf", text)]);
        let request = request(&directory.path().join("k.conf"));
        let outcome = Outcome::of(&request);
        outcome.diagnostics.iter().filter(|d| d.code == Code::MissingSource).count()
    };
    let translated = SERVER.replace("lvs_method DR", "lvs_method FULLNAT source 192.0.2.99");
    assert_eq!(said(&translated), 1);
    let again = translated.replace("virtual_server 192.0.2.1 80", "virtual_server 192.0.2.1 81");
    assert_eq!(said(&format!("{translated}{again}")), 1, "each address once");
    assert_eq!(said(&translated.replace("192.0.2.99", "192.0.2.98")), 0, "an interface has it");
    let sorry = "sorry_server 192.0.2.3 80\nsorry_server_lvs_method FULLNAT source 192.0.2.99\nreal_server";
    assert_eq!(said(&SERVER.replace("real_server", sorry)), 1);
    let real = "80 {\nlvs_method FULLNAT source 192.0.2.99\n}\n}";
    assert_eq!(said(&SERVER.replace("80 {\n}\n}", real)), 1);
    // What the configuration brings comes later, on a Backup much later.
    for brings in [
        INSTANCE.replace("192.0.2.1/24", "192.0.2.99"),
        INSTANCE.replace(
            "virtual_ipaddress {",
            "virtual_ipaddress_excluded {\n192.0.2.99\n}\nvirtual_ipaddress {",
        ),
        "static_ipaddress {\n192.0.2.99/24 dev eth0\n}\n".to_owned(),
        "net_namespace_ipvs blue\n".to_owned(),
    ] {
        assert_eq!(said(&format!("{brings}{translated}")), 0, "{brings}");
    }
}

#[test]
fn the_role_sends_one_frame_and_ends() {
    let directory = directory(&[("k.conf", INSTANCE)]);
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let request = request(&directory.path().join("k.conf"));
    assert_eq!(run_role(ours, &request), ExitCode::SUCCESS);
    let mut octets = Vec::new();
    theirs.read_to_end(&mut octets).expect("read to the end");
    let mut decoder = Decoder::default();
    decoder.push(&octets);
    let answer = CompileAnswer::try_from(compile(&request)).expect("it is short");
    assert_eq!(decoder.message::<CompileAnswer>().expect("a frame"), Some(answer));
    assert_eq!(decoder.message::<CompileAnswer>().expect("nothing more"), None);
    // Nobody listens: said by the exit status, not by a signal.
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    drop(theirs);
    assert_eq!(run_role(ours, &request), ExitCode::FAILURE);
}
