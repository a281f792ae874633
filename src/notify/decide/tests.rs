use super::*;
use crate::net::{AddressFamily, Priority, TransportProtocol, VirtualRouterId};
use crate::plan::notify::MailPlan;
use crate::plan::vrrp::{RouterPlan, SyncGroupPlan, VrrpPlan};
use std::time::Duration;

fn command(word: &str) -> Option<CommandPlan> {
    Some(CommandPlan { words: vec![format!("/bin/{word}"), "fixed".into()], ..CommandPlan::default() })
}

fn scripts() -> StateScripts {
    StateScripts {
        backup: command("backup"),
        master: command("master"),
        fault: command("fault"),
        stop: command("stop"),
        any: command("any"),
    }
}

fn fifo(listens: Listens) -> FifoPlan {
    FifoPlan { listens, path: "/run/fifo".into(), account: None, owner: None, no_owner: None, script: None }
}

fn service() -> ServiceKey {
    let address = "192.0.2.1".parse().expect("an address");
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address, port: 80 }
}

fn endpoint() -> SocketAddr {
    "10.0.0.1:8080".parse().expect("an endpoint")
}

fn plan() -> NotifyPlan {
    NotifyPlan {
        fifos: vec![fifo(Listens::All)],
        instances: vec![InstanceHooks {
            name: "VI_1".into(),
            scripts: scripts(),
            deleted: Some(command("deleted")),
            master_rx_lower_pri: command("weaker"),
            mail: true,
            priority_changes: true,
            claim: None,
        }],
        groups: vec![GroupHooks { name: "G".into(), scripts: scripts(), mail: true }],
        services: vec![
            of_group(),
            ServiceHooks {
                protocol: Some(crate::net::TransportProtocol::Tcp),
                service: service(),
                group: None,
                up: command("quorum_up"),
                down: command("quorum_down"),
                mail: true,
                servers: vec![ServerHooks {
                    endpoint: endpoint(),
                    up: command("up"),
                    down: command("down"),
                    mail: true,
                }],
            },
        ],
        mail: Some(MailPlan {
            server: "127.0.0.1".into(),
            port: 25,
            helo: None,
            from: None,
            to: vec!["a@example.org".into()],
            timeout: Duration::from_secs(30),
            faults: true,
            servers: true,
        }),
        ..NotifyPlan::default()
    }
}

/// A mark, and an address beside it.
fn of_group() -> ServiceHooks {
    ServiceHooks {
        service: mark_of_group(),
        group: Some("g".into()),
        protocol: Some(crate::net::TransportProtocol::Tcp),
        up: None,
        down: None,
        mail: false,
        servers: Vec::new(),
    }
}

fn mark_of_group() -> ServiceKey {
    ServiceKey::FwMark { family: AddressFamily::V4, mark: 9 }
}

fn notifier(plan: &NotifyPlan) -> Notifier {
    let mut notifier = Notifier::default();
    assert!(notifier.plan(plan).is_empty());
    notifier
}

fn instance(name: &str, to: Standing) -> News {
    News::Instance {
        name: name.into(),
        from: State::Backup,
        to,
        priority: Priority(150),
        cause: "why".into(),
    }
}

fn group(to: Standing) -> News {
    News::Group { name: "G".into(), to, cause: "why".into(), quiet: false }
}

/// The commands, the line and the mail's title.
fn told(notifier: &mut Notifier, news: &News) -> String {
    let Told { commands, line, letter, .. } = notifier.hear(news);
    let mut text: String =
        commands.iter().map(|command| format!("run {}\n", command.words.join(" "))).collect();
    if let Some((_, line)) = line {
        text.push_str(&format!("line {:?}\n", String::from_utf8_lossy(&line)));
    }
    if let Some(letter) = letter {
        text.push_str(&format!("mail {}\n", letter.title));
    }
    text
}

/// As keepalived 2.2.7 does it (netns-scripts/tests/notify compares).
#[test]
fn everything_about_instances_and_groups() {
    let mut notifier = notifier(&plan());
    let mut text = String::new();
    for to in [Standing::Backup, Standing::Master, Standing::Fault, Standing::Stop, Standing::Deleted] {
        text.push_str(&told(&mut notifier, &instance("VI_1", to)));
    }
    for to in [Standing::Master, Standing::Stop] {
        text.push_str(&told(&mut notifier, &group(to)));
    }
    for state in [State::Master, State::Backup, State::Fault] {
        let news = News::Priority { name: "VI_1".into(), state, priority: Priority(90) };
        text.push_str(&told(&mut notifier, &news));
    }
    let weaker = News::MasterRxLowerPri { name: "VI_1".into(), priority: Priority(150) };
    text.push_str(&told(&mut notifier, &weaker));
    let expected = r#"run /bin/backup fixed
run /bin/any fixed INSTANCE VI_1 BACKUP 150
line "INSTANCE \"VI_1\" BACKUP 150\n"
mail VRRP Instance VI_1 - Entering BACKUP state
run /bin/master fixed
run /bin/any fixed INSTANCE VI_1 MASTER 150
line "INSTANCE \"VI_1\" MASTER 150\n"
mail VRRP Instance VI_1 - Entering MASTER state
run /bin/fault fixed
run /bin/any fixed INSTANCE VI_1 FAULT 150
line "INSTANCE \"VI_1\" FAULT 150\n"
mail VRRP Instance VI_1 - Entering FAULT state
run /bin/stop fixed
run /bin/any fixed INSTANCE VI_1 STOP 150
line "INSTANCE \"VI_1\" STOP 150\n"
mail VRRP Instance VI_1 - Stopping
run /bin/deleted fixed
run /bin/any fixed INSTANCE VI_1 DELETED 150
line "INSTANCE \"VI_1\" DELETED 150\n"
mail VRRP Instance VI_1 - Deleted
run /bin/master fixed
run /bin/any fixed GROUP G MASTER 0
line "GROUP \"G\" MASTER 0\n"
mail VRRP Group G - Entering MASTER state
run /bin/stop fixed
run /bin/any fixed GROUP G STOP 0
line "GROUP \"G\" STOP 0\n"
mail VRRP Group G - Stopping
line "INSTANCE \"VI_1\" MASTER_PRIORITY 90\n"
line "INSTANCE \"VI_1\" BACKUP_PRIORITY 90\n"
run /bin/weaker fixed
line "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 150\n"
"#;
    assert_eq!(text, expected);
}

#[test]
fn everything_about_servers() {
    let mut notifier = notifier(&plan());
    let mut text = String::new();
    for up in [true, false] {
        let news = News::VirtualServer { service: service(), up, gone: false, cause: "why".into() };
        text.push_str(&told(&mut notifier, &news));
        let news = News::RealServer {
            service: service(),
            endpoint: endpoint(),
            up,
            gone: false,
            cause: "why".into(),
        };
        text.push_str(&told(&mut notifier, &news));
    }
    let marked = ServiceKey::FwMark { family: AddressFamily::V4, mark: 5 };
    let news = News::RealServer {
        service: mark_of_group(),
        endpoint: endpoint(),
        up: true,
        gone: false,
        cause: "why".into(),
    };
    text.push_str(&told(&mut notifier, &news));
    let news = News::RealServer {
        service: marked,
        endpoint: endpoint(),
        up: true,
        gone: false,
        cause: "why".into(),
    };
    text.push_str(&told(&mut notifier, &news));
    let expected = r#"run /bin/quorum_up fixed
line "VS [192.0.2.1]:tcp:80 UP\n"
mail Virtualserver [192.0.2.1]:tcp:80 - UP
run /bin/up fixed
line "RS [10.0.0.1]:tcp:8080 [192.0.2.1]:tcp:80 UP\n"
mail Realserver [10.0.0.1]:tcp:8080 of virtual server [192.0.2.1]:tcp:80 - UP
run /bin/quorum_down fixed
line "VS [192.0.2.1]:tcp:80 DOWN\n"
mail Virtualserver [192.0.2.1]:tcp:80 - DOWN
run /bin/down fixed
line "RS [10.0.0.1]:tcp:8080 [192.0.2.1]:tcp:80 DOWN\n"
mail Realserver [10.0.0.1]:tcp:8080 of virtual server [192.0.2.1]:tcp:80 - DOWN
line "RS [10.0.0.1]:tcp:8080 [g]:0 UP\n"
mail Realserver [10.0.0.1]:tcp:8080 of virtual server [g]:0 - UP
line "RS [10.0.0.1]:none:8080 FWM 5 UP\n"
mail Realserver [10.0.0.1]:none:8080 of virtual server FWM 5 - UP
"#;
    assert_eq!(text, expected);
}

/// A script that withdraws a route is to run when the service goes, whatever the new configuration says of another.
#[test]
fn what_leaves_is_told_as_the_configuration_before_says() {
    let mut notifier = notifier(&plan());
    let mut renamed = plan();
    renamed.services[1].group = Some("g".into());
    (renamed.services[1].down, renamed.services[1].servers) = (None, Vec::new());
    notifier.plan(&renamed);
    let mut text = String::new();
    for gone in [true, false] {
        let news = News::VirtualServer { service: service(), up: false, gone, cause: "why".into() };
        text.push_str(&told(&mut notifier, &news));
        let news = News::RealServer {
            service: service(),
            endpoint: endpoint(),
            up: false,
            gone,
            cause: "why".into(),
        };
        text.push_str(&told(&mut notifier, &news));
    }
    let expected = r#"run /bin/quorum_down fixed
line "VS [192.0.2.1]:tcp:80 DOWN\n"
mail Virtualserver [192.0.2.1]:tcp:80 - DOWN
run /bin/down fixed
line "RS [10.0.0.1]:tcp:8080 [192.0.2.1]:tcp:80 DOWN\n"
mail Realserver [10.0.0.1]:tcp:8080 of virtual server [192.0.2.1]:tcp:80 - DOWN
line "VS [g]:0 DOWN\n"
mail Virtualserver [g]:0 - DOWN
line "RS [10.0.0.1]:tcp:8080 [g]:0 DOWN\n"
mail Realserver [10.0.0.1]:tcp:8080 of virtual server [g]:0 - DOWN
"#;
    assert_eq!(text, expected);
}

#[test]
fn a_fifo_gets_what_it_listens_for() {
    for (listens, vrrp, lvs) in
        [(Listens::All, true, true), (Listens::Vrrp, true, false), (Listens::Lvs, false, true)]
    {
        let mut notifier = notifier(&NotifyPlan { fifos: vec![fifo(listens)], ..plan() });
        let news = News::VirtualServer { service: service(), up: true, gone: false, cause: String::new() };
        assert_eq!(notifier.hear(&instance("VI_1", Standing::Master)).line.is_some(), vrrp, "{listens:?}");
        assert_eq!(notifier.hear(&news).line.is_some(), lvs, "{listens:?}");
    }
}

#[test]
fn one_mail_for_each_state() {
    let mut notifier = notifier(&plan());
    let mut wrote = |to| notifier.hear(&instance("VI_1", to)).letter.is_some();
    assert!(
        wrote(Standing::Master)
            && !wrote(Standing::Master)
            && wrote(Standing::Backup)
            && wrote(Standing::Master)
    );
}

/// As keepalived 2.2.7: an instance may have another name now, and a repetition is better than silence about it.
#[test]
fn a_reload_forgets_what_mail_was_about() {
    let mail = plan().mail.map(|mail| MailPlan { faults: false, ..mail });
    let plan = NotifyPlan { mail, ..plan() };
    let mut notifier = notifier(&plan);
    let group = group(Standing::Backup);
    let wrote = |notifier: &mut Notifier| {
        [&instance("VI_1", Standing::Backup), &instance("VI_1", Standing::Fault), &group]
            .map(|news| notifier.hear(news).letter.is_some())
    };
    assert_eq!(wrote(&mut notifier), [true, false, true]);
    assert_eq!(wrote(&mut notifier), [false, false, false]);
    notifier.plan(&plan);
    assert_eq!(wrote(&mut notifier), [true, false, true]);
    notifier.plan(&plan);
    assert!(notifier.mailed.is_empty(), "an old name stays for ever");
}

#[test]
fn no_email_faults() {
    let mail = plan().mail.map(|mail| MailPlan { faults: false, ..mail });
    let mut notifier = notifier(&NotifyPlan { mail, ..plan() });
    assert!(notifier.hear(&instance("VI_1", Standing::Fault)).letter.is_none());
    assert!(notifier.hear(&instance("VI_1", Standing::Master)).letter.is_some());
}

#[test]
fn an_instance_that_left_with_the_plan_is_told_of_by_its_old_hooks() {
    let mut notifier = notifier(&plan());
    notifier.plan(&NotifyPlan { instances: Vec::new(), ..plan() });
    let told = notifier.hear(&instance("VI_1", Standing::Deleted));
    assert_eq!(told.commands.len(), 2, "{told:?}");
    notifier.plan(&NotifyPlan { instances: Vec::new(), ..plan() });
    assert!(notifier.hear(&instance("VI_1", Standing::Deleted)).commands.is_empty());
}

#[test]
fn without_notify_deleted_the_end_of_an_instance_is_a_fault() {
    let mut new = plan();
    new.instances[0].deleted = None;
    let mut notifier = notifier(&new);
    let expected = r#"run /bin/any fixed INSTANCE VI_1 FAULT 150
line "INSTANCE \"VI_1\" FAULT 150\n"
mail VRRP Instance VI_1 - Entering FAULT state
"#;
    assert_eq!(told(&mut notifier, &instance("VI_1", Standing::Deleted)), expected);
}

/// As keepalived 2.2.7: neither script, line nor mail, unless `notify_deleted` asks.
#[test]
fn the_end_of_an_instance_in_fault_is_no_second_fault() {
    let failed = |to| News::Instance {
        name: "VI_1".into(),
        from: State::Fault,
        to,
        priority: Priority(150),
        cause: "why".into(),
    };
    let mut new = plan();
    assert!(told(&mut notifier(&new), &failed(Standing::Deleted)).contains("DELETED"));
    new.instances[0].deleted = None;
    assert_eq!(told(&mut notifier(&new), &failed(Standing::Deleted)), "");
    assert!(told(&mut notifier(&new), &failed(Standing::Stop)).contains("STOP"));
}

/// The plan with these instances (name and VRID) and groups, whose states a reload tells.
fn telling(instances: &[(&str, u8)], groups: &[&str]) -> NotifyPlan {
    let key = |vrid| {
        let vrid = VirtualRouterId::new(vrid).expect("not 0");
        RouterKey::new("eth0".into(), AddressFamily::V4, vrid)
    };
    let mut vrrp = VrrpPlan::default();
    let routers = instances.iter().map(|(name, vrid)| RouterPlan::new((*name).into(), key(*vrid)));
    vrrp.routers = routers.collect();
    let group = |name: &&str| SyncGroupPlan {
        name: (*name).into(),
        members: Vec::new(),
        track_interfaces: Vec::new(),
        trackers: Vec::new(),
    };
    vrrp.groups = groups.iter().map(group).collect();
    let mut plan = NotifyPlan { states_on_reload: true, ..plan() };
    plan.know(&vrrp);
    plan
}

fn lines_at(notifier: &mut Notifier, plan: &NotifyPlan) -> Vec<String> {
    let text = |(_, line)| String::from_utf8(line).expect("names of this test");
    notifier.plan(plan).into_iter().map(text).collect()
}

#[test]
fn a_reload_may_write_the_states_again() {
    let again = telling(&[("VI_1", 51), ("VI_2", 52)], &["G"]);
    let mut notifier = notifier(&again);
    notifier.hear(&instance("VI_1", Standing::Master));
    notifier.hear(&instance("VI_2", Standing::Deleted));
    notifier.hear(&group(Standing::Master));
    let all = ["INSTANCE \"VI_1\" MASTER 150\n", "GROUP \"G\" MASTER 0\n"];
    assert_eq!(lines_at(&mut notifier, &again), all);
    assert!(notifier.plan(&plan()).is_empty());
    // Asked for again by a reload: what stands is known all the same.
    assert_eq!(lines_at(&mut notifier, &again), all);
}

/// A group that a reload made of Masters, or took away: later its state is known.
#[test]
fn quiet_news_are_known_and_told_to_nobody() {
    let mut notifier = notifier(&telling(&[], &["G"]));
    let quiet = |to| News::Group { name: "G".into(), to, cause: "why".into(), quiet: true };
    assert_eq!(notifier.hear(&quiet(Standing::Master)), Told::default());
    assert_eq!(lines_at(&mut notifier, &telling(&[], &["G"])), ["GROUP \"G\" MASTER 0\n"]);
    assert_eq!(notifier.hear(&quiet(Standing::Stop)), Told::default());
    assert!(lines_at(&mut notifier, &telling(&[], &["G"])).is_empty());
}

/// keepalived 2.2.7 tells no old name either, and nothing of what left but its end.
#[test]
fn a_reload_tells_the_states_under_the_names_of_today() {
    let mut notifier = notifier(&telling(&[("A", 51), ("B", 52), ("C", 53)], &["G"]));
    notifier.hear(&instance("A", Standing::Master));
    notifier.hear(&instance("B", Standing::Backup));
    notifier.hear(&instance("C", Standing::Fault));
    notifier.hear(&group(Standing::Master));
    // A has another name, B's name is another router's, C and the group have left.
    let renamed = telling(&[("A2", 51), ("B", 54)], &["G2"]);
    for _ in 0..2 {
        assert_eq!(lines_at(&mut notifier, &renamed), ["INSTANCE \"A2\" MASTER 150\n"]);
    }
}
