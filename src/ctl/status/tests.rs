use super::*;
use crate::net::Priority;
use crate::plan::Generation;
use crate::report::traffic::OverrideStatus;
use crate::report::{
    BfdSessionStatus, BfdStatus, ClaimStatus, Rights, RoleStatus, SnmpStatus, VERSION, VrrpStatus,
};

fn role(name: &str, trouble: Option<&str>) -> RoleStatus {
    RoleStatus {
        name: name.to_owned(),
        pid: Some(12),
        restarts: u32::from(trouble.is_some()),
        generation: Some(Generation(2)),
        trouble: trouble.map(str::to_owned),
        dropped: 0,
        rights: None,
    }
}

fn status() -> Status {
    Status {
        version: VERSION,
        daemon: DaemonStatus {
            program: "0.1.0".to_owned(),
            pid: 10,
            uptime_seconds: 90,
            configuration: "/etc/keepalived/keepalived.conf".to_owned(),
            generation: Generation(2),
            refused_reload: None,
            configuration_errors: 0,
            not_yet: Vec::new(),
            roles: vec![role("checker", None), role("vrrp", None)],
        },
        vrrp: Some(VrrpStatus { routers: vec![crate::ctl::vrrp::tests::backup()], ..VrrpStatus::default() }),
        checker: None,
        scripts: None,
        bfd: None,
        snmp: None,
        transitions: Vec::new(),
    }
}

/// The kernel took what the router wants.
fn nothing_refused(status: &mut Status) {
    let router = &mut status.vrrp.as_mut().expect("it is set").routers[0];
    (router.addresses, router.routing) = (Vec::new(), Vec::new());
}

/// A server without checks that is up.
fn server() -> RealServerStatus {
    RealServerStatus {
        endpoint: ([10, 0, 0, 1], 80).into(),
        weight: 1,
        up: true,
        checkers: Vec::new(),
        configured_weight: 1,
        grows_to: None,
        by_hand: None,
        set: None,
        cause: None,
        since_seconds: 0,
        kept: false,
    }
}

fn virtual_server(up: bool, sorry_server_in_use: bool) -> VirtualServerStatus {
    let checkers = vec![CheckerDetail {
        kind: "HTTP_GET".to_owned(),
        state: "down".to_owned(),
        last_result: Some("status 503, wanted 200-299".to_owned()),
        latency_us: Some(900),
        failures: 3,
        output: None,
    }];
    VirtualServerStatus {
        name: "192.0.2.80:80".to_owned(),
        up,
        live_weight: u64::from(up),
        quorum: 1,
        hysteresis: 0,
        sorry_server_in_use,
        min_alive: 0,
        real_servers: vec![
            RealServerStatus {
                endpoint: ([10, 0, 0, 1], 80).into(),
                weight: 3,
                up: false,
                checkers,
                ..server()
            },
            RealServerStatus { endpoint: ([10, 0, 0, 2], 80).into(), weight: 1, up, ..server() },
        ],
        services: Vec::new(),
        active_set: None,
    }
}

/// All its servers are up, and do not weigh what its quorum wants.
fn without_quorum() -> VirtualServerStatus {
    let real_servers = vec![RealServerStatus { up: true, ..server() }];
    VirtualServerStatus { live_weight: 1, hysteresis: 1, real_servers, ..virtual_server(false, true) }
}

fn drain_of_nobody() -> OverrideStatus {
    OverrideStatus {
        number: 3,
        kind: "drain".to_owned(),
        virtual_server: None,
        server: Some("10.0.0.9:80".to_owned()),
        weight: None,
        weight_now: None,
        set: None,
        since_seconds: 7,
        ramp_seconds: None,
        ends_in_seconds: None,
        concerns_something: false,
    }
}

#[test]
fn the_screen_of_a_healthy_backup() {
    let mut status = status();
    nothing_refused(&mut status);
    assert_eq!(
        render(&status),
        "holdfast 0.1.0, pid 10, up 1 min 30 s, configuration 2 from /etc/keepalived/keepalived.conf\n\
         all is well: master of 0 of 1 virtual router\n\
         \n\
         roles\n\
         \x20 checker  pid 12  configuration 2  runs\n\
         \x20 vrrp     pid 12  configuration 2  runs\n\
         \n\
         virtual routers\n\
         \x20 web  BACKUP  1 h 1 min  eth0 VRID 51  priority 100 of 150  10.0.0.2 speaks with priority 150\n"
    );
}

#[test]
fn it_says_what_each_role_may_do() {
    let mut status = status();
    let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let vrrp = Rights {
        capabilities: words(&["net_admin", "net_raw"]),
        all_of_the_daemon: false,
        no_new_privileges: true,
        seccomp: true,
        landlock: Some(7),
    };
    let scripts = Rights { capabilities: words(&["chown"]), all_of_the_daemon: true, ..Rights::default() };
    let old_kernel = Rights { no_new_privileges: true, ..Rights::default() };
    let with = |name: &str, rights: Rights| RoleStatus { rights: Some(rights), ..role(name, None) };
    status.daemon.roles =
        vec![role("checker", None), with("vrrp", vrrp), with("scripts", scripts), with("bfd", old_kernel)];
    let page = render(&status);
    let lines: Vec<&str> = page.lines().skip_while(|line| *line != "rights").skip(1).collect();
    assert_eq!(
        lines,
        [
            "  vrrp     net_admin net_raw               no new privileges, seccomp, Landlock 7",
            "  scripts  every capability of the daemon",
            "  bfd      no capability                   no new privileges",
        ]
    );
}

#[test]
fn the_second_line_says_what_is_wrong() {
    let mut status = status();
    nothing_refused(&mut status);
    status.checker = Some(CheckerStatus {
        virtual_servers: vec![virtual_server(true, false)],
        ..CheckerStatus::default()
    });
    let page = render(&status);
    assert_eq!(page.lines().nth(1), Some("TROUBLE: 192.0.2.80:80: 1 of 2 servers down"), "{page}");
    let one = &mut status.checker.as_mut().expect("it is set").virtual_servers[0];
    (one.up, one.live_weight) = (false, 0);
    one.real_servers[1].weight = 0;
    let words = "TROUBLE: 192.0.2.80:80 is down: 1 of 2 servers down, 1 up with weight 0";
    assert_eq!(render(&status).lines().nth(1), Some(words));
    let growing = RealServerStatus { weight: 12, grows_to: Some(50), ..server() };
    assert_eq!(real_server(&growing)[2], "weight 12, growing to 50 (slow_start), not checked");
    let line =
        "    10.0.0.1:80  DOWN  weight 3, HTTP_GET down (status 503, wanted 200-299), 3 failures in a row";
    assert!(page.lines().any(|l| l == line), "{page}");
    assert!(page.lines().any(|l| l == "    10.0.0.2:80  up    weight 1, not checked"), "{page}");
}

#[test]
fn every_trouble_is_listed_worst_first() {
    let mut status = status();
    let router = &mut status.vrrp.as_mut().expect("set above").routers[0];
    router.state = "FAULT".to_owned();
    router.reason = "eth0 is down".to_owned();
    router.missing_source = Some("10.0.0.9".parse().expect("an address"));
    router.at_odds = vec![crate::ctl::vrrp::tests::at_odds()];
    router.claim =
        Some(ClaimStatus { granted: false, has_failed: true, words: "WAITING for notify_claim".to_owned() });
    let refused = RoutingStatus {
        what: "route 10.0.0.0/8".to_owned(),
        installed: false,
        error: Some("no such device".to_owned()),
    };
    router.routing = vec![refused.clone()];
    status.vrrp.as_mut().expect("set above").statics = vec![refused];
    status.checker = Some(CheckerStatus {
        table_latency: None,
        ipvs_error: Some("this kernel has no ip_vs".to_owned()),
        virtual_servers: vec![virtual_server(false, true), virtual_server(false, false), without_quorum()],
        overrides: vec![drain_of_nobody()],
        ..CheckerStatus::default()
    });
    status.daemon.roles = vec![role("checker", Some("silent for 5 heartbeats")), role("vrrp", None)];
    status.daemon.roles.push(role("other", Some("not running: it has no work")));
    status.daemon.refused_reload = Some("k.conf:3: bad\nmore".to_owned());
    let page = render(&status);
    let lines: Vec<&str> = page.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "TROUBLE:",
            "  router web is in FAULT: eth0 is down",
            "  router web: no interface has 10.0.0.9 (unicast_src_ip): it does not hear its peers, and may be Master beside them; \
             add the address, or correct it",
            "  router web: 10.0.0.9: its advertisements are refused; both hold the addresses; make them alike \
             (12 advertisements in 11 s, the last 0.4 s ago)",
            "  router web cannot hold 192.0.2.80/32: no such device",
            "  router web cannot set route 10.0.0.0/8: no such device",
            "  router web is Master without its addresses: WAITING for notify_claim",
            "  static route 10.0.0.0/8 cannot be set: no such device",
            "  the IPVS table cannot be programmed: this kernel has no ip_vs",
            "  192.0.2.80:80 is served by its sorry server: 2 of 2 servers down",
            "  192.0.2.80:80 is down: 2 of 2 servers down",
            "  192.0.2.80:80 has no quorum: no server is down, live weight 1, 2 needed; its sorry server serves",
            "  by hand, number 3: 10.0.0.9:80 at every virtual server: drained (nothing in the configuration fits)",
            "  role checker: silent for 5 heartbeats",
            "  the last reload was refused, the old configuration goes on: k.conf:3: bad",
        ]
    );
}

#[test]
fn a_router_that_does_not_begin_is_trouble_after_a_while() {
    let mut status = status();
    nothing_refused(&mut status);
    let mut second_line = |seconds, reason: &str| {
        let router = &mut status.vrrp.as_mut().expect("it is set").routers[0];
        (router.state, router.since_seconds, router.reason) = ("INIT".to_owned(), seconds, reason.to_owned());
        render(&status).lines().nth(1).unwrap_or_default().to_owned()
    };
    let waits = "waits: script chk has no result yet";
    assert_eq!(second_line(9, waits), "all is well: master of 0 of 1 virtual router");
    let trouble = "TROUBLE: router web has not begun for 10 s: waits: script chk has no result yet";
    assert_eq!(second_line(10, waits), trouble);
    let delayed = "waits: vrrp_startup_delay is not over";
    assert_eq!(second_line(60, delayed), "all is well: master of 0 of 1 virtual router");
}

#[test]
fn the_latest_change_of_state_comes_first() {
    let mut status = status();
    let change = |to: &str, seconds_ago| RecentTransition {
        router: "web".to_owned(),
        from: "BACKUP".to_owned(),
        to: to.to_owned(),
        cause: "10.0.0.2 resigned (priority 0)".to_owned(),
        priority: Priority(150),
        unix_seconds: 0,
        seconds_ago,
    };
    status.transitions = (0..20).rev().map(|age| change("MASTER", age)).collect();
    status.daemon.not_yet = vec!["track_script: no script runs".to_owned()];
    let page = render(&status);
    let changes: Vec<&str> =
        page.lines().skip_while(|line| *line != "last changes of state").skip(1).take(RECENT + 1).collect();
    assert_eq!(changes[0], "  0 s ago  web  BACKUP -> MASTER  10.0.0.2 resigned (priority 0)");
    assert_eq!(changes[RECENT], "", "no more than {RECENT}");
    assert!(page.ends_with("\nconfigured, not built yet\n  track_script: no script runs\n"), "{page}");
}

#[test]
fn well_is_not_said_of_a_configuration_that_is_not_carried_out() {
    let mut status = status();
    status.vrrp = None;
    status.daemon.configuration_errors = 1;
    status.daemon.not_yet = vec!["`track_script`: the script is not run".to_owned()];
    let screen = render(&status);
    let verdict = screen.split_once("\nroles").map(|(head, _)| head.replace('\n', " ")).unwrap_or_default();
    assert!(verdict.contains("all is well except 1 error in the configuration"), "{verdict}");
    assert!(verdict.contains("1 setting not built yet (see below)"), "{verdict}");
}

#[test]
fn who_cannot_resume_is_told_before_it_matters() {
    let mut status = status();
    let well = |status: &Status| verdict(status).replace('\n', " ");
    status.daemon.roles.clear();
    let vrrp = VrrpStatus { unrecorded: true, ..VrrpStatus::default() };
    (status.vrrp, status.checker, status.bfd) = (Some(vrrp), None, None);
    assert!(well(&status).contains("except no record for the next vrrp process"), "{}", well(&status));
    status.vrrp = Some(VrrpStatus::default());
    assert!(!well(&status).contains("record"), "{}", well(&status));
}

#[test]
fn a_quorum_with_hysteresis_says_what_is_needed() {
    let server =
        VirtualServerStatus { quorum: 2, hysteresis: 1, live_weight: 2, ..virtual_server(false, true) };
    let row = super::virtual_server(&server);
    assert_eq!(row[2], "live weight 2, 3 needed (quorum 2 + 1), SORRY SERVER IN USE");
}

#[test]
fn a_bfd_session_that_is_not_up_is_trouble() {
    let mut status = status();
    let up = crate::ctl::bfd::tests::up();
    status.vrrp = None;
    status.bfd = Some(BfdStatus { sessions: vec![up.clone()], ..BfdStatus::default() });
    assert!(render(&status).contains("all is well: 1 BFD session up\n"));
    let down = BfdSessionStatus { state: "Down".to_owned(), reason: "silence".to_owned(), ..up };
    status.bfd = Some(BfdStatus { sessions: vec![down], ..BfdStatus::default() });
    let page = render(&status);
    assert!(page.contains("TROUBLE: BFD session core is Down: silence\n"), "{page}");
    assert!(page.contains("\nBFD sessions\n  core  Down  1 h 1 min  192.0.2.2  silence\n"), "{page}");
}

#[test]
fn the_snmp_agent_has_a_line_and_is_no_trouble() {
    let mut status = status();
    nothing_refused(&mut status);
    let agent = SnmpStatus { master: "unix:/var/agentx/master".to_owned(), ..SnmpStatus::default() };
    let mut page_of = |agent: SnmpStatus| {
        status.snmp = Some(agent);
        render(&status)
    };
    let page = page_of(SnmpStatus { connected: true, requests: 120, traps: 1, ..agent.clone() });
    let line = "\nSNMP agent: connected to unix:/var/agentx/master, 120 requests, 1 trap\n";
    assert!(page.contains(line) && page.contains("all is well: "), "{page}");
    let page =
        page_of(SnmpStatus { trouble: Some("no such file".to_owned()), traps_lost: 2, ..agent.clone() });
    let line = "\nSNMP agent: no session with unix:/var/agentx/master: no such file, 2 traps lost: nobody took them\n";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("all is well except no session with the SNMP master (see below): "), "{page}");
    assert!(page_of(agent).contains("no session with unix:/var/agentx/master yet\n"));
    let idle = page_of(SnmpStatus::default());
    assert!(!idle.contains("SNMP"), "{idle}");
}

#[test]
fn trackers_are_shown_with_their_last_result() {
    let tracker = |name: &str, state: &str, words: &str, output: Option<&str>| TrackerStatus {
        kind: "script".to_owned(),
        name: name.to_owned(),
        state: state.to_owned(),
        since_seconds: 61,
        last_result: Some(words.to_owned()),
        late_ms: None,
        output: output.map(str::to_owned),
        running: false,
    };
    let mut status = status();
    status.scripts = Some(crate::report::ScriptsStatus {
        trackers: vec![
            tracker("good", "up", "exit status 0", None),
            tracker("bad", "down", "exit status 3", Some("no route\nmore")),
            tracker("none", "cannot run", "cannot run: /x: No such file", None),
        ],
        counters: Default::default(),
    });
    let page = render(&status);
    for line in [
        "  script good  up          1 min 1 s  exit status 0\n",
        "  script bad   down        1 min 1 s  exit status 3 (it said: no route)\n",
        "script none: cannot run: /x: No such file; it checks nothing\n",
    ] {
        assert!(page.contains(line), "{line:?} in\n{page}");
    }
}

#[test]
fn servers_that_are_kept_although_they_fail_are_trouble() {
    let mut status = status();
    nothing_refused(&mut status);
    let mut server = VirtualServerStatus { min_alive: 2, ..virtual_server(true, false) };
    server.real_servers[0].kept = true;
    status.checker = Some(CheckerStatus { virtual_servers: vec![server], ..CheckerStatus::default() });
    let page = render(&status);
    let line = "TROUBLE: 192.0.2.80:80: 1 of 2 servers down, 1 kept in service all the same (min_alive 2)";
    assert_eq!(page.lines().nth(1), Some(line), "{page}");
    assert!(page.contains("    10.0.0.1:80  KEPT  weight 3, "), "{page}");
}

#[test]
fn a_check_that_cannot_be_made_is_trouble() {
    let mut status = status();
    nothing_refused(&mut status);
    let mut server = virtual_server(true, false);
    let real = &mut server.real_servers[0];
    real.up = true;
    real.checkers[0].state = "cannot run".to_owned();
    real.checkers[0].last_result =
        Some("not run: no interface has the address 192.0.2.7 (bindto)".to_owned());
    status.checker = Some(CheckerStatus { virtual_servers: vec![server], ..CheckerStatus::default() });
    let page = render(&status);
    let line = "TROUBLE: HTTP_GET of 10.0.0.1:80 is not run: no interface has the address 192.0.2.7 (bindto)";
    assert_eq!(page.lines().nth(1), Some(line), "{page}");
}
