use super::*;
use crate::net::{AddressFamily, IpCidr, MacAddr, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::vrrp::{RouterKey, RouterPlan, VirtualAddress};
use crate::vrrp::{Event, InterfaceFacts};
use std::path::PathBuf;

fn router(vrid: u8) -> RouterPlan {
    let vrid = VirtualRouterId::new(vrid).expect("not 0");
    let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid);
    let address = VirtualAddress::new(IpCidr::host([10, 0, 0, vrid.get()].into()));
    RouterPlan {
        priority: Priority::OWNER,
        addresses: vec![address],
        ..RouterPlan::new(format!("r{vrid}"), key)
    }
}

fn plan(vrids: &[u8]) -> VrrpPlan {
    let routers = vrids.iter().copied().map(router).collect();
    VrrpPlan { generation: Generation(1), routers, ..VrrpPlan::default() }
}

/// A role: its core and its record, with a kernel that obeys.
struct Role {
    core: Core,
    record: Record,
}

impl Role {
    fn start(path: &Path, vrids: &[u8]) -> Role {
        let mut record = Record::open(path).expect("opens");
        let mut core = Core::new();
        let facts = InterfaceFacts {
            index: 2,
            name: "eth0".to_owned(),
            up: true,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            ipv6_forwarding: false,
            ipv4: vec![[10, 0, 0, 254].into()],
            ipv6_link_local: Vec::new(),
            ipv6_wide: Vec::new(),
        };
        let mut actions = Vec::new();
        core.handle(Event::Interface(facts), monotonic_now(), &mut actions);
        core.handle(Event::Resume(record.take_found()), monotonic_now(), &mut actions);
        let mut role = Role { core, record };
        role.take(vrids);
        role
    }

    fn take(&mut self, vrids: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        self.core.handle(Event::Plan(plan(vrids)), monotonic_now(), &mut actions);
        self.record.follow(&self.core, true);
        self.perform(actions)
    }

    fn perform(&mut self, actions: Vec<Action>) -> Vec<Action> {
        self.record.before(&actions);
        self.record.after(&actions, &self.core);
        actions
    }

    fn states(&self) -> Vec<String> {
        self.core.routers().map(|router| router.cause().to_string()).collect()
    }
}

fn place(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("holdfast-record-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory.join("record")
}

fn done(path: &Path) {
    std::fs::remove_dir_all(path.parent().expect("it has one")).expect("removed");
}

#[test]
fn the_next_process_goes_on_with_the_routers_that_spoke() {
    let path = place("next");
    let first = Role::start(&path, &[51, 52, 53]);
    assert!(first.states().iter().all(|cause| cause.contains("own")), "{:?}", first.states());
    assert_eq!(Record::open(&path).err().map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    drop(first);
    let mut second = Role::start(&path, &[52, 54]);
    let causes = second.states();
    assert!(causes[0].starts_with("goes on"), "{causes:?}");
    assert!(!causes[1].starts_with("goes on"), "{causes:?}");
    // Routers that left are forgotten, and their places are used again.
    second.take(&[54, 52, 55, 56]);
    let length = second.record.words.len();
    drop(second);
    let third = Role::start(&path, &[51, 52, 54, 55, 56]);
    let resumed: Vec<bool> = third.states().iter().map(|cause| cause.starts_with("goes on")).collect();
    assert_eq!(resumed, [false, true, true, true, true]);
    assert!(third.record.words.len() <= length.max(HEADER + 6 * PLACE), "{} words", third.record.words.len());
    drop(third);
    done(&path);
}

#[test]
fn who_resigned_does_not_go_on() {
    let path = place("resigned");
    let mut first = Role::start(&path, &[51]);
    let mut actions = Vec::new();
    let stop = Event::Command(crate::vrrp::Command::Stop { release: true });
    first.core.handle(stop, monotonic_now(), &mut actions);
    first.record.before(&actions);
    // It dies before anything else.
    drop(first);
    let second = Role::start(&path, &[51]);
    assert!(!second.states()[0].starts_with("goes on"), "{:?}", second.states());
    drop(second);
    done(&path);
}

#[test]
fn how_long_a_successor_is_left_in_peace_outlives_the_process() {
    // At once, and while it hands over.
    for (handover, state) in [(false, State::Backup), (true, State::Master)] {
        let path = place(&format!("held-back-{handover}"));
        let mut first = Role::start(&path, &[51]);
        let mut actions = Vec::new();
        let again = VrrpPlan { handover, ..plan(&[51]) };
        first.core.handle(Event::Plan(again), monotonic_now(), &mut actions);
        let hold = Duration::from_secs(600);
        first.core.handle(Event::Failover { routers: Vec::new(), hold }, monotonic_now(), &mut actions);
        first.perform(actions);
        assert!(first.core.routers().all(|router| router.state() == state), "{:?}", first.states());
        drop(first);
        let second = Role::start(&path, &[51]);
        let left =
            |router: &Router| router.held_back().map(|at| at.saturating_duration_since(monotonic_now()));
        let left = second.core.routers().next().and_then(left).expect("it is remembered");
        assert!(left <= hold && left > hold - Duration::from_secs(60), "{left:?}");
        assert!(second.core.routers().all(|router| router.state() == State::Backup), "{:?}", second.states());
        drop(second);
        done(&path);
    }
}

#[test]
fn what_nobody_heard_is_told_by_the_next_process() {
    let path = place("unheard");
    let mut first = Role::start(&path, &[51]);
    first.record.is_unheard();
    let mut actions = Vec::new();
    let hold = Duration::from_secs(600);
    first.core.handle(Event::Failover { routers: Vec::new(), hold }, monotonic_now(), &mut actions);
    first.perform(actions);
    drop(first);
    let mut second = Record::open(&path).expect("opens");
    let found = second.take_found();
    let states: Vec<_> = found.iter().map(|one| (one.state, one.spoke_at.is_some())).collect();
    assert_eq!(states, [(State::Master, false)], "it was told that it is Master");
    drop(second);
    done(&path);
}

#[test]
fn another_version_or_machine_or_garbage_is_not_believed() {
    for (index, value) in [
        (header::VERSION, VERSION + 1),
        (header::VERSION, VERSION - 1),
        (header::BOOT, 1),
        (header::NAMESPACE, 1),
        (header::MAGIC, 7),
    ] {
        let path = place(&format!("other-{index}"));
        drop(Role::start(&path, &[51]));
        crate::sys::shared_words::Peek::open(&path)
            .and_then(|peek| peek.store(index, value))
            .expect("stores");
        let second = Role::start(&path, &[51]);
        assert!(!second.states()[0].starts_with("goes on"), "{:?}", second.states());
        drop(second);
        done(&path);
    }
}

#[test]
fn a_record_switched_off_remembers_nothing() {
    let path = place("off");
    let mut first = Role::start(&path, &[51]);
    first.record.follow(&first.core, false);
    assert!(!first.record.is_on());
    drop(first);
    assert!(!Role::start(&path, &[51]).states()[0].starts_with("goes on"));
    done(&path);
}
