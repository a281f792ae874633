use super::*;
use crate::config::lower;
use crate::net::TransportProtocol;
use crate::plan::Generation;
use keepalived_compat::{Options, Reader};

struct Memory(String);

impl Reader for Memory {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }
    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }
}

fn plan(text: &str) -> NotifyPlan {
    let options = Options { config_id: "lb1", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut Memory(text.to_owned()), "main", options);
    *lower(&parsed.config, Generation(1)).plans.scripts.notify
}

fn instance(name: &str, vrid: u8, body: &str) -> String {
    format!(
        "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n192.0.2.{vrid}\n}}\n{body}\n}}\n"
    )
}

fn command(words: &[&str]) -> CommandPlan {
    CommandPlan { words: words.iter().map(|word| (*word).to_owned()).collect(), ..CommandPlan::default() }
}

fn user(name: &str) -> AccountName {
    AccountName { user: name.to_owned(), group: None, supplementary: false }
}

const MAIL: &str =
    "smtp_server 192.0.2.25\nnotification_email {\na@example.org b@example.org\nc@example.org\n}\n";

const SERVER: &str = "virtual_server 192.0.2.1 80 {\nprotocol TCP\n";

#[test]
fn without_hooks_there_is_nobody_to_tell() {
    let found = plan(&format!("global_defs {{\n{MAIL}}}\n{}", instance("A", 51, "")));
    assert!(!found.has_work(), "{found:?}");
}

#[test]
fn an_instance_has_its_scripts() {
    let body = "notify_master \"/bin/m a 'b c'\" daemon\nnotify_backup /bin/b\nnotify_fault /bin/f\nnotify_stop /bin/s\n\
                notify /bin/any\nnotify_deleted\nnotify_master_rx_lower_pri /bin/l\nnotify_claim \"/bin/c eni-1\"";
    let found = plan(&instance("A", 51, body));
    let master = CommandPlan { account: Some(user("daemon")), ..command(&["/bin/m", "a", "b c"]) };
    let expected = InstanceHooks {
        name: "A".into(),
        scripts: StateScripts {
            master: Some(master),
            backup: Some(command(&["/bin/b"])),
            fault: Some(command(&["/bin/f"])),
            stop: Some(command(&["/bin/s"])),
            any: Some(command(&["/bin/any"])),
        },
        deleted: Some(None),
        master_rx_lower_pri: Some(command(&["/bin/l"])),
        mail: false,
        claim: Some(command(&["/bin/c", "eni-1"])),
        priority_changes: false,
    };
    assert_eq!(found.instances, [expected]);
    let found = plan(&instance("A", 51, "notify_deleted /bin/d"));
    assert_eq!(found.instances[0].deleted, Some(Some(command(&["/bin/d"]))));
}

#[test]
fn scripts_run_as_script_user_unless_they_say_else() {
    let text = format!(
        "global_defs {{\nscript_user nobody\nset_supplementary_groups\n}}\n{}",
        instance("A", 51, "notify_master /bin/m\nnotify_backup /bin/b daemon adm")
    );
    let scripts = plan(&text).instances.remove(0).scripts;
    let nobody = AccountName { supplementary: true, ..user("nobody") };
    let daemon = AccountName { user: "daemon".into(), group: Some("adm".into()), supplementary: true };
    assert_eq!(scripts.master.and_then(|command| command.account), Some(nobody));
    assert_eq!(scripts.backup.and_then(|command| command.account), Some(daemon));
}

/// Who writes mail, by what `global_defs` and the block say: an instance, a virtual server, a real server.
#[test]
fn mail_is_inherited_as_in_keepalived() {
    let table = [
        ("", "", [false, false, true]),
        ("", "smtp_alert", [true, true, true]),
        ("", "smtp_alert false", [false, false, false]),
        ("smtp_alert", "", [true, true, true]),
        ("smtp_alert off", "", [false, false, false]),
        ("smtp_alert", "smtp_alert no", [false, false, false]),
        ("smtp_alert_vrrp", "", [true, false, true]),
        ("smtp_alert\nsmtp_alert_vrrp false", "", [false, true, true]),
        ("smtp_alert_checker", "", [false, true, true]),
        ("smtp_alert\nsmtp_alert_checker false", "", [true, false, false]),
    ];
    for (global, own, expected) in table {
        let own = own.replace(" no", " false");
        let text = format!(
            "global_defs {{\n{MAIL}{global}\n}}\n{}{SERVER}{own}\nreal_server 10.0.0.1 80 {{\nnotify_up /bin/u\n{own}\n}}\n}}\n",
            instance("A", 51, &own)
        );
        let found = plan(&text);
        let found = [
            found.instances.first().is_some_and(|instance| instance.mail),
            found.services[0].mail,
            found.services[0].servers[0].mail,
        ];
        assert_eq!(found, expected, "{global} / {own}");
    }
}

#[test]
fn mail_has_keepalived_s_defaults_and_settings() {
    let found = plan(&format!("global_defs {{\n{MAIL}smtp_alert\n}}\n{}", instance("A", 51, "")));
    let mail = found.mail.expect("there is a server, and somebody writes");
    assert_eq!((mail.server.as_str(), mail.port, mail.timeout), ("192.0.2.25", 25, Duration::from_secs(30)));
    assert_eq!(mail.to, ["a@example.org", "b@example.org", "c@example.org"]);
    assert_eq!((mail.helo, mail.from, mail.faults), (None, None, true));
    let more = "smtp_alert\nno_email_faults\nsmtp_connect_timeout 7\nsmtp_helo_name lb1.example.org\n\
                notification_email_from \"LB <lb@example.org>\"\nrouter_id lb1\n";
    let text = format!(
        "global_defs {{\n{MAIL}{more}smtp_server mail.example.org 2525\n}}\n{}",
        instance("A", 51, "")
    );
    let found = plan(&text);
    assert_eq!(found.router_id.as_deref(), Some("lb1"));
    let mail = found.mail.expect("there is a server, and somebody writes");
    assert_eq!(
        (mail.server.as_str(), mail.port, mail.timeout),
        ("mail.example.org", 2525, Duration::from_secs(7))
    );
    assert_eq!(mail.helo.as_deref(), Some("lb1.example.org"));
    assert_eq!((mail.from.as_deref(), mail.faults), (Some("LB <lb@example.org>"), false));
}

#[test]
fn priority_changes_are_those_of_the_instance_else_its_group_else_all() {
    for (global, group, own, expected) in [
        ("", "", "", false),
        ("vrrp_notify_priority_changes", "", "", true),
        ("vrrp_notify_priority_changes", "notify_priority_changes false", "", false),
        ("", "notify_priority_changes", "", true),
        ("", "notify_priority_changes", "notify_priority_changes false", false),
    ] {
        let text = format!(
            "global_defs {{\n{global}\n}}\nvrrp_sync_group G {{\ngroup {{\nA\nB\n}}\n{group}\n}}\n{}{}",
            instance("A", 51, own),
            instance("B", 52, "")
        );
        let found = plan(&text).instances;
        let found = found.iter().any(|instance| instance.name == "A" && instance.priority_changes);
        assert_eq!(found, expected, "{global} / {group} / {own}");
    }
}

#[test]
fn groups_have_their_scripts() {
    let members = format!("{}{}", instance("A", 51, ""), instance("B", 52, ""));
    let found = plan(&format!(
        "vrrp_sync_group G {{\ngroup {{\nA\nB\n}}\nnotify_master /bin/m\nnotify /bin/any\nsmtp_alert\n}}\n{members}"
    ));
    assert_eq!(found.groups.len(), 1);
    let group = &found.groups[0];
    assert_eq!((group.name.as_str(), group.mail), ("G", true));
    assert_eq!(group.scripts.master, Some(command(&["/bin/m"])));
    assert_eq!(group.scripts.any, Some(command(&["/bin/any"])));
}

#[test]
fn servers_have_their_scripts() {
    let found = plan(&format!(
        "{SERVER}quorum_up /bin/qu\nquorum_down \"/bin/qd x\"\nreal_server 10.0.0.1 80 {{\nnotify_up /bin/u\nnotify_down /bin/d\n}}\n\
         real_server 10.0.0.2 80 {{\n}}\n}}\n"
    ));
    let address = "192.0.2.1".parse().expect("an address");
    let expected = ServiceHooks {
        protocol: Some(crate::net::TransportProtocol::Tcp),
        service: ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address, port: 80 },
        group: None,
        up: Some(command(&["/bin/qu"])),
        down: Some(command(&["/bin/qd", "x"])),
        mail: false,
        servers: vec![ServerHooks {
            endpoint: "10.0.0.1:80".parse().expect("an endpoint"),
            up: Some(command(&["/bin/u"])),
            down: Some(command(&["/bin/d"])),
            mail: true,
        }],
    };
    assert_eq!(found.services, [expected]);
}

#[test]
fn fifos_belong_to_script_user_unless_they_say_else() {
    let found = plan(
        "global_defs {\nscript_user nobody\nnotify_fifo /run/all daemon adm\nnotify_fifo_script \"/bin/r x\"\n\
         vrrp_notify_fifo /run/vrrp\nlvs_notify_fifo /run/lvs daemon\nfifo_write_vrrp_states_on_reload\n}\n",
    );
    assert!(found.states_on_reload);
    let daemon = AccountName { group: Some("adm".into()), ..user("daemon") };
    let script = CommandPlan { account: Some(user("nobody")), ..command(&["/bin/r", "x"]) };
    let fifo = |listens, path: &str, account, script| FifoPlan {
        listens,
        path: path.to_owned(),
        account: Some(account),
        owner: None,
        no_owner: None,
        script,
    };
    assert_eq!(
        found.fifos,
        [
            fifo(Listens::All, "/run/all", daemon, Some(script)),
            fifo(Listens::Vrrp, "/run/vrrp", user("nobody"), None),
            fifo(Listens::Lvs, "/run/lvs", user("daemon"), None),
        ]
    );
}
