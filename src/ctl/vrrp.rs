//! `holdfastctl vrrp`: each virtual router, and why it is what it is.

use super::client::{AskError, ask};
use super::status::spoken;
use super::{Done, print_json, text};
use crate::link::control::{Answer, Request};
use crate::report::{
    AddressStatus, AtOddsStatus, GroupStatus, MasterSeen, RecentTransition, RouterStatus, RoutingStatus,
    Status, VrrpStatus,
};
use std::collections::BTreeMap;
use std::path::Path;

/// What to show.
#[derive(Debug, clap::Args)]
pub(super) struct Vrrp {
    /// Only this vrrp_instance
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    form: super::Form,
    /// The latest changes of state, oldest first, with their causes (at most a hundred)
    #[arg(long)]
    history: bool,
}

pub(super) fn run(socket: &Path, what: &Vrrp) -> Done {
    let status = match ask(socket, Request::Status)? {
        Answer::Status(status) => status,
        other => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
    };
    let json = what.form.json;
    let name = what.name.as_deref();
    let vrrp = match (&status.vrrp, name) {
        (Some(vrrp), Some(name)) => Some(only(vrrp, name)?),
        (vrrp, _) => vrrp.clone(),
    };
    if what.history {
        let of_it = |change: &&RecentTransition| name.is_none_or(|name| change.router == name);
        let changes: Vec<RecentTransition> = status.transitions.iter().filter(of_it).cloned().collect();
        if json {
            print_json(&changes)?;
        } else {
            text::print(&history(&changes));
        }
        return Ok(0);
    }
    let Some(vrrp) = &vrrp else { return Err(absence(&status).into()) };
    if json {
        print_json(vrrp)?;
    } else {
        text::print(&render(vrrp));
    }
    Ok(0)
}

/// Names in a complaint about another one; the rest is counted.
const NAMED: usize = 20;

/// One instance and its sync groups, in the layout of all of them.
fn only(vrrp: &VrrpStatus, name: &str) -> Result<VrrpStatus, String> {
    let routers: Vec<RouterStatus> = vrrp.routers.iter().filter(|one| one.name == name).cloned().collect();
    if routers.is_empty() {
        let there: Vec<&str> = vrrp.routers.iter().take(NAMED).map(|router| router.name.as_str()).collect();
        let more = vrrp.routers.len().saturating_sub(NAMED);
        return Err(match (there.as_slice(), more) {
            ([], _) => format!("no vrrp_instance is called {name}: there is none at all"),
            (there, 0) => format!("no vrrp_instance is called {name}: there is {}", there.join(", ")),
            (there, more) => {
                format!("no vrrp_instance is called {name}: there is {} (+{more} more)", there.join(", "))
            }
        });
    }
    let groups = vrrp.groups.iter().filter(|group| group.members.iter().any(|member| member == name));
    Ok(VrrpStatus { routers, groups: groups.cloned().collect(), ..VrrpStatus::default() })
}

/// Why there is no report of the vrrp role.
fn absence(status: &Status) -> String {
    let role = status.daemon.roles.iter().find(|role| role.name == "vrrp");
    let why = role.and_then(|role| role.trouble.as_deref()).unwrap_or("it did not answer");
    format!("the vrrp role says nothing: {why}")
}

/// Changes of state for people.
fn history(transitions: &[RecentTransition]) -> String {
    if transitions.is_empty() {
        return "no change of state since the daemon started\n".to_owned();
    }
    let row = |t: &RecentTransition| {
        let when = format!("{} ago", text::span(t.seconds_ago));
        vec![when, t.router.clone(), format!("{} -> {}", t.from, t.to), t.cause.clone()]
    };
    text::columns(0, &transitions.iter().map(row).collect::<Vec<_>>())
}

/// All routers for people.
pub(super) fn render(vrrp: &VrrpStatus) -> String {
    if vrrp.routers.is_empty() && vrrp.statics.is_empty() {
        return "no virtual router is configured\n".to_owned();
    }
    let mut page: String = vrrp.groups.iter().map(group).collect();
    page += &vrrp.routers.iter().map(router).collect::<String>();
    for held in &vrrp.statics {
        page += &text::block(0, &format!("static {}", routing(held)));
    }
    if let Some(line) = counters(&vrrp.counters) {
        page += &text::block(0, &format!("not of one router: {line}"));
    }
    page
}

/// Counters that are not zero.
fn counters(counters: &BTreeMap<String, u64>) -> Option<String> {
    let words: Vec<String> =
        counters.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn group(group: &GroupStatus) -> String {
    let GroupStatus { name, state, reason, since_seconds, members } = group;
    let head = format!("sync group {name} {state} for {}: {reason}", text::span(*since_seconds));
    text::block(0, &head) + &text::columns(2, &[vec!["members".to_owned(), members.join(", ")]])
}

/// One line that says what and why, then the facts.
fn router(router: &RouterStatus) -> String {
    let head = format!(
        "{} {} for {}: {}",
        router.name,
        router.state,
        text::span(router.since_seconds),
        router.reason
    );
    let identity = format!(
        "{} VRID {}, VRRPv{} over {}, every {} ms, priority {}{}",
        router.interface,
        router.vrid,
        router.version,
        router.family,
        router.interval_ms,
        router.priority,
        if router.priority == router.base_priority {
            String::new()
        } else {
            format!(" (configured {})", router.base_priority)
        },
    );
    let mut rows = vec![vec!["router".to_owned(), identity]];
    if let Some(master) = &router.master {
        let MasterSeen { address, priority, down_in_ms, interval_ms } = master;
        let interval = match *interval_ms == router.interval_ms {
            true => String::new(),
            false => format!(", every {interval_ms} ms (not as here)"),
        };
        rows.push(vec![
            "master".to_owned(),
            format!("{address} priority {priority}{interval}, down in {down_in_ms} ms"),
        ]);
    }
    for sender in &router.at_odds {
        let AtOddsStatus { from, what, meaning, advice, .. } = sender;
        rows.push(vec!["at odds".to_owned(), format!("{from}: {what} ({})", spoken(sender))]);
        rows.push(vec![String::new(), format!("{meaning}; {advice}")]);
    }
    for (number, virtual_address) in router.addresses.iter().enumerate() {
        let label = if number == 0 { "address" } else { "" };
        rows.push(vec![label.to_owned(), address(virtual_address)]);
    }
    if let Some(claim) = &router.claim {
        rows.push(vec!["claim".to_owned(), claim.words.clone()]);
    }
    for held in &router.routing {
        rows.push(vec![String::new(), routing(held)]);
    }
    if let Some(line) = counters(&router.counters) {
        rows.push(vec!["counters".to_owned(), line]);
    }
    text::block(0, &head) + &text::columns(2, &rows)
}

fn address(status: &AddressStatus) -> String {
    let held = match (status.installed, &status.error) {
        (_, Some(error)) => format!("NOT INSTALLED: {error}"),
        (true, None) => "held".to_owned(),
        (false, None) => "not held".to_owned(),
    };
    format!("{} on {}, {held}", status.address, status.interface)
}

fn routing(status: &RoutingStatus) -> String {
    let held = match (status.installed, &status.error) {
        (_, Some(error)) => format!("NOT INSTALLED: {error}"),
        (true, None) => "held".to_owned(),
        (false, None) => "not held".to_owned(),
    };
    format!("{}, {held}", status.what)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::{AddressFamily, IpCidr, Priority};
    use std::net::IpAddr;

    /// A Backup that lost priority, with an address that the kernel refuses.
    pub fn backup() -> RouterStatus {
        let vip = IpCidr::host(IpAddr::from([192, 0, 2, 80]));
        RouterStatus {
            name: "web".to_owned(),
            interface: "eth0".to_owned(),
            vrid: 51,
            family: AddressFamily::V4,
            version: 2,
            state: "BACKUP".to_owned(),
            reason: "10.0.0.2 speaks with priority 150".to_owned(),
            since_seconds: 3700,
            base_priority: Priority(150),
            priority: Priority(100),
            interval_ms: 1000,
            master: Some(MasterSeen {
                address: IpAddr::from([10, 0, 0, 2]),
                priority: Priority(150),
                down_in_ms: 3204,
                interval_ms: 1000,
            }),
            addresses: vec![
                AddressStatus { address: vip, interface: "eth0".to_owned(), installed: false, error: None },
                AddressStatus {
                    address: vip,
                    interface: "eth1".to_owned(),
                    installed: false,
                    error: Some("no such device".to_owned()),
                },
            ],
            claim: None,
            routing: vec![RoutingStatus {
                what: "route 10.0.0.0/24 via 192.0.2.254 dev eth0".to_owned(),
                installed: false,
                error: Some("Network is unreachable (errno 101)".to_owned()),
            }],
            counters: [("advertisements_received".to_owned(), 12), ("checksum".to_owned(), 0)].into(),
            since_us: 3_700_000_000,
            wants_master: false,
            hands_over: false,
            missing_source: None,
            at_odds: Vec::new(),
        }
    }

    #[test]
    fn the_first_line_says_what_and_why() {
        let text = render(&VrrpStatus {
            routers: vec![backup()],
            statics: Vec::new(),
            groups: vec![GroupStatus {
                name: "pair".to_owned(),
                state: "BACKUP".to_owned(),
                reason: "web: 10.0.0.2 is stronger".to_owned(),
                since_seconds: 3,
                members: vec!["web".to_owned(), "db".to_owned()],
            }],
            counters: [("unknown_vrid".to_owned(), 4), ("lying_length".to_owned(), 0)].into(),
            unrecorded: false,
        });
        assert_eq!(
            text,
            "sync group pair BACKUP for 3 s: web: 10.0.0.2 is stronger\n\
             \x20 members  web, db\n\
             web BACKUP for 1 h 1 min: 10.0.0.2 speaks with priority 150\n\
             \x20 router    eth0 VRID 51, VRRPv2 over IPv4, every 1000 ms, priority 100 (configured 150)\n\
             \x20 master    10.0.0.2 priority 150, down in 3204 ms\n\
             \x20 address   192.0.2.80/32 on eth0, not held\n\
             \x20           192.0.2.80/32 on eth1, NOT INSTALLED: no such device\n\
             \x20           route 10.0.0.0/24 via 192.0.2.254 dev eth0, NOT INSTALLED: Network is unreachable (errno 101)\n\
             \x20 counters  advertisements_received 12\n\
             not of one router: unknown_vrid 4\n"
        );
        assert_eq!(render(&VrrpStatus::default()), "no virtual router is configured\n");
    }

    #[test]
    fn one_instance_is_shown_alone_and_a_stranger_is_answered_with_the_names() {
        let other = RouterStatus { name: "db".to_owned(), ..backup() };
        let group = |name: &str, member: &str| GroupStatus {
            name: name.to_owned(),
            state: "BACKUP".to_owned(),
            reason: String::new(),
            since_seconds: 3,
            members: vec![member.to_owned()],
        };
        let all = VrrpStatus {
            routers: vec![backup(), other],
            groups: vec![group("one", "web"), group("two", "db")],
            counters: [("discarded_unknown_vrid".to_owned(), 4)].into(),
            ..VrrpStatus::default()
        };
        let db = only(&all, "db").expect("it is there");
        assert_eq!(db.routers.iter().map(|router| router.name.as_str()).collect::<Vec<_>>(), ["db"]);
        assert_eq!(db.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["two"]);
        assert!(db.counters.is_empty() && db.statics.is_empty());
        assert_eq!(only(&all, "dB"), Err("no vrrp_instance is called dB: there is web, db".to_owned()));
        let none = Err("no vrrp_instance is called web: there is none at all".to_owned());
        assert_eq!(only(&VrrpStatus::default(), "web"), none);
        let many = VrrpStatus { routers: vec![backup(); 25], ..VrrpStatus::default() };
        let said = only(&many, "x").expect_err("nobody is called so");
        assert!(said.ends_with("web (+5 more)"), "{said}");
    }

    #[test]
    fn a_master_with_another_interval_is_shown_with_it() {
        let mut slow = backup();
        slow.master.as_mut().expect("it has one").interval_ms = 2000;
        let text = router(&slow);
        assert!(
            text.contains("10.0.0.2 priority 150, every 2000 ms (not as here), down in 3204 ms"),
            "{text}"
        );
    }

    #[test]
    fn who_is_at_odds_is_named_under_its_instance() {
        let text = router(&RouterStatus { at_odds: vec![at_odds()], ..backup() });
        let expected = "\x20 at odds   10.0.0.9: its advertisements are refused (12 advertisements in 11 s, the last 0.4 s ago)\n\
                        \x20           both hold the addresses; make them alike\n";
        assert!(text.contains(expected), "{text}");
    }

    /// Somebody who is refused.
    pub fn at_odds() -> AtOddsStatus {
        AtOddsStatus {
            from: IpAddr::from([10, 0, 0, 9]),
            counter: "discard_auth_mismatch".to_owned(),
            what: "its advertisements are refused".to_owned(),
            meaning: "both hold the addresses".to_owned(),
            advice: "make them alike".to_owned(),
            times: 12,
            for_seconds: 11,
            last_ms: 432,
        }
    }

    #[test]
    fn the_history_says_when_who_what_and_why() {
        let change = RecentTransition {
            router: "sync group pair".to_owned(),
            from: "MASTER".to_owned(),
            to: "BACKUP".to_owned(),
            cause: "web: 10.0.0.2 is stronger (priority 200)".to_owned(),
            priority: Priority(0),
            unix_seconds: 1,
            seconds_ago: 75,
        };
        let line =
            "1 min 15 s ago  sync group pair  MASTER -> BACKUP  web: 10.0.0.2 is stronger (priority 200)\n";
        assert_eq!(history(&[change]), line);
        assert_eq!(history(&[]), "no change of state since the daemon started\n");
    }
}
