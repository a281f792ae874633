//! The state machine, every pair; what is said when; reload and stop.

use super::*;
use crate::plan::track::Sample;
use crate::wire::bfd::{Diagnostic, State};
use std::num::NonZeroU8;
use std::time::Duration;

const NEIGHBOR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const STATES: [State; 4] = [State::AdminDown, State::Down, State::Init, State::Up];
const THEIRS: NonZeroU32 = NonZeroU32::new(77).unwrap();

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A core with one session and a neighbour that says what the test wants.
struct Lab {
    core: Core,
    now: Instant,
    actions: Vec<Action>,
}

impl Lab {
    fn new(plan: BfdSessionPlan) -> Lab {
        let mut lab = Lab { core: Core::new(1), now: Instant(1_000_000_000), actions: Vec::new() };
        lab.reload(vec![plan]);
        lab.advance(Duration::ZERO);
        lab
    }

    fn reload(&mut self, sessions: Vec<BfdSessionPlan>) {
        let plan = BfdPlan { generation: Generation(1), sessions };
        self.core.handle(Event::Plan(plan), self.now, &mut self.actions);
    }

    /// In the state, with the neighbour known.
    fn in_state(state: State) -> Lab {
        let mut lab = Lab::new(plan());
        match state {
            State::AdminDown => {
                lab.bring_up();
                lab.core.handle(Event::Stop, lab.now, &mut lab.actions);
            }
            State::Down => lab.hear(from(State::AdminDown)),
            State::Init => lab.hear(from(State::Down)),
            State::Up => lab.bring_up(),
        }
        assert_eq!(lab.state(), Some(state));
        lab.actions.clear();
        lab
    }

    fn bring_up(&mut self) {
        self.hear(from(State::Down));
        self.hear(from(State::Init));
        assert_eq!(self.state(), Some(State::Up));
    }

    fn session(&self) -> &Session {
        self.core.sessions.values().next().expect("the lab has one session")
    }

    fn state(&self) -> Option<State> {
        self.core.sessions.values().next().map(|session| session.state)
    }

    fn hear(&mut self, mut packet: ControlPacket) {
        if packet.state != State::Down {
            packet.your_discriminator = self.session().discriminator.get();
        }
        self.hear_bytes(&packet.encode(), 255, false);
    }

    fn hear_bytes(&mut self, bytes: &[u8], hop_limit: u8, multihop: bool) {
        let packet = Received { source: NEIGHBOR, hop_limit, multihop, bytes: bytes.to_vec() };
        self.core.handle(Event::Packet(packet), self.now, &mut self.actions);
    }

    /// Lets time pass, stopping at each deadline.
    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now, &mut self.actions);
        }
        self.now = end;
    }

    /// Packets sent since the last call, and nothing else is kept.
    fn sent(&mut self) -> Vec<ControlPacket> {
        let actions = std::mem::take(&mut self.actions);
        let packets = actions.iter().filter_map(|action| match action {
            Action::Transmit { bytes, .. } => {
                Some(ControlPacket::decode(bytes).expect("we send what we read"))
            }
            _ => None,
        });
        packets.collect()
    }

    fn samples(&self) -> Vec<Sample> {
        let samples = self.actions.iter().filter_map(|action| match action {
            Action::Sample { sample, .. } => Some(*sample),
            _ => None,
        });
        samples.collect()
    }
}

fn plan() -> BfdSessionPlan {
    BfdSessionPlan {
        min_rx: ms(50),
        min_tx: ms(50),
        multiplier: 3,
        ..BfdSessionPlan::new("b".into(), NEIGHBOR)
    }
}

/// A packet of the neighbour: 50 ms both ways once it is up, three times.
fn from(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        multiplier: NonZeroU8::new(3).expect("3 is not 0"),
        my_discriminator: THEIRS,
        your_discriminator: 0,
        desired_min_tx_us: if state == State::Up { 50_000 } else { 1_000_000 },
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 0,
    }
}

#[test]
fn every_state_meets_every_state() {
    // RFC 5880 6.2 and 6.8.6: own state, received state, next state.
    let expected = [
        [State::AdminDown, State::AdminDown, State::AdminDown, State::AdminDown],
        [State::Down, State::Init, State::Up, State::Down],
        [State::Down, State::Init, State::Up, State::Up],
        [State::Down, State::Down, State::Up, State::Up],
    ];
    for (own, row) in STATES.into_iter().zip(expected) {
        for (heard, next) in STATES.into_iter().zip(row) {
            let mut lab = Lab::in_state(own);
            lab.hear(from(heard));
            // A session that is being stopped ends when the neighbour shows that it knows.
            let ends = own == State::AdminDown && matches!(heard, State::AdminDown | State::Down);
            assert_eq!(lab.state(), (!ends).then_some(next), "{own} hears {heard}");
            if next == own || ends {
                continue;
            }
            let said = lab.sent();
            assert_eq!(said.iter().map(|p| p.state).collect::<Vec<_>>(), [next], "told at once");
            let diagnostic = match (own, next) {
                (_, State::Down) => Diagnostic::NEIGHBOR_SIGNALED,
                _ => Diagnostic::NONE,
            };
            assert_eq!(said[0].diagnostic, diagnostic, "{own} hears {heard}");
        }
    }
}

#[test]
fn silence_takes_down_what_was_heard() {
    for (state, next) in [(State::Down, State::Down), (State::Init, State::Down), (State::Up, State::Down)] {
        let mut lab = Lab::in_state(state);
        // A second in all these states: the neighbour has not announced a faster pace.
        let limit = lab.session().detection_time().expect("the neighbour is known");
        assert_eq!(limit, ms(3000));
        lab.advance(limit - ms(1));
        assert_eq!(lab.state(), Some(state));
        assert!(lab.session().remote.is_some());
        lab.actions.clear();
        lab.advance(ms(1));
        assert_eq!(lab.state(), Some(next));
        assert_eq!(lab.session().remote, None);
        if state != next {
            let said = lab.sent();
            assert_eq!(said.len(), 1);
            assert_eq!((said[0].diagnostic, said[0].your_discriminator), (Diagnostic::TIME_EXPIRED, 0));
        }
    }
}

#[test]
fn a_session_up_is_fast_and_dies_after_three_intervals() {
    let mut lab = Lab::in_state(State::Up);
    lab.hear(from(State::Up));
    assert_eq!(lab.session().detection_time(), Some(ms(150)));
    lab.actions.clear();
    lab.advance(ms(149));
    let packets = lab.sent().len();
    assert!((2..=3).contains(&packets), "{packets} in 149 ms at 50 ms less jitter");
    assert_eq!(lab.state(), Some(State::Up));
    lab.advance(ms(1));
    assert_eq!(lab.state(), Some(State::Down));
    assert_eq!(lab.samples(), [Sample::Down]);
    let reason = lab.session().reason.to_string();
    assert_eq!(reason, "nothing was heard for 150 ms (allowed: 3 times 50 ms)");
    lab.sent();
    lab.advance(Duration::from_secs(10));
    let packets = lab.sent().len();
    assert!((10..=14).contains(&packets), "a slow second each again: {packets} in 10 s");
}

#[test]
fn the_slower_end_sets_the_pace() {
    let mut lab = Lab::in_state(State::Up);
    let slow = ControlPacket { desired_min_tx_us: 300_000, required_min_rx_us: 200_000, ..from(State::Up) };
    lab.hear(slow);
    assert_eq!(lab.session().transmit_interval(), Some(ms(200)));
    assert_eq!(lab.session().detection_time(), Some(ms(900)));
    lab.hear(ControlPacket { required_min_rx_us: 1, desired_min_tx_us: 1, ..slow });
    assert_eq!(lab.session().transmit_interval(), Some(ms(50)));
    assert_eq!(lab.session().detection_time(), Some(ms(150)));
}

#[test]
fn coming_up_announces_the_pace_by_a_poll_until_it_is_confirmed() {
    let mut lab = Lab::new(plan());
    let first = lab.sent();
    assert_eq!((first.len(), first[0].state, first[0].desired_min_tx_us), (1, State::Down, 1_000_000));
    assert_eq!((first[0].poll, first[0].your_discriminator), (false, 0));
    lab.hear(from(State::Down));
    lab.hear(from(State::Init));
    assert_eq!(lab.samples(), [Sample::Up]);
    let said = lab.sent();
    assert_eq!((said[0].state, said[0].poll, said[0].your_discriminator), (State::Init, false, 77));
    assert_eq!((said[1].state, said[1].poll, said[1].desired_min_tx_us), (State::Up, true, 50_000));
    lab.advance(ms(120));
    assert!(lab.sent().iter().all(|packet| packet.poll), "each until the answer");
    lab.hear(ControlPacket { is_final: true, ..from(State::Up) });
    lab.advance(ms(120));
    assert!(lab.sent().iter().all(|packet| !packet.poll), "none after it");
}

#[test]
fn a_poll_is_answered_at_once_in_every_state_but_admin_down() {
    for state in [State::Down, State::Init, State::Up] {
        let mut lab = Lab::in_state(state);
        let heard = if state == State::Up { State::Up } else { State::AdminDown };
        lab.hear(ControlPacket { poll: true, ..from(heard) });
        let said = lab.sent();
        assert_eq!(said.len(), 1, "{state}");
        assert!(said[0].is_final && !said[0].poll, "{state}");
    }
    let mut lab = Lab::in_state(State::AdminDown);
    lab.hear(ControlPacket { poll: true, ..from(State::Up) });
    assert_eq!(lab.sent(), []);
}

#[test]
fn a_passive_end_waits_to_be_spoken_to_and_falls_silent_again() {
    let mut lab = Lab::new(BfdSessionPlan { passive: true, ..plan() });
    lab.advance(Duration::from_secs(60));
    assert_eq!(lab.sent(), []);
    lab.hear(from(State::Down));
    assert_eq!(lab.sent().len(), 1);
    lab.advance(ms(2999));
    assert!(!lab.sent().is_empty());
    lab.advance(ms(1));
    lab.sent();
    lab.advance(Duration::from_secs(60));
    assert_eq!(lab.sent(), []);
}

#[test]
fn a_neighbor_that_wants_no_packets_gets_none() {
    let mut lab = Lab::in_state(State::Up);
    let mute = ControlPacket { required_min_rx_us: 0, ..from(State::Up) };
    let demand = ControlPacket { demand: true, is_final: true, ..from(State::Up) };
    for wish in [mute, demand] {
        lab.hear(wish);
        lab.actions.clear();
        lab.advance(ms(140));
        assert_eq!(lab.sent(), []);
        lab.hear(from(State::Up));
        lab.advance(ms(140));
        assert!(!lab.sent().is_empty(), "the wish is withdrawn");
    }
}

#[test]
fn a_demanding_neighbor_is_still_polled() {
    let mut lab = Lab::in_state(State::Up);
    lab.hear(ControlPacket { demand: true, ..from(State::Up) });
    lab.actions.clear();
    lab.advance(ms(140));
    assert!(!lab.sent().is_empty(), "the pace of the session that came up is not confirmed yet");
}

#[test]
fn only_packets_with_enough_hops_left_are_heard() {
    let mut lab = Lab::new(BfdSessionPlan { least_ttl: 250, ..plan() });
    let bytes = from(State::Down).encode();
    lab.hear_bytes(&bytes, 249, false);
    assert_eq!((lab.state(), lab.session().counters.discarded_ttl), (Some(State::Down), 1));
    lab.hear_bytes(&bytes, 250, false);
    assert_eq!(lab.state(), Some(State::Init));
}

#[test]
fn packets_of_nobody_are_counted_and_nothing_else() {
    let mut lab = Lab::in_state(State::Up);
    let wrong = ControlPacket { your_discriminator: 1, ..from(State::Down) };
    lab.hear_bytes(&wrong.encode(), 255, false);
    lab.hear_bytes(&from(State::Down).encode(), 255, true);
    assert_eq!(lab.session().counters.discarded_no_session, 2, "wrong discriminator, wrong port");
    let stranger = IpAddr::from([192, 0, 2, 99]);
    for bytes in [from(State::Down).encode().to_vec(), vec![0x20; 3]] {
        let packet = Received { source: stranger, hop_limit: 255, multihop: false, bytes };
        lab.core.handle(Event::Packet(packet), lab.now, &mut lab.actions);
    }
    let counted: Vec<_> = lab.core.strangers.named().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("discarded_no_session", 1), ("discarded_truncated", 1)]);
    assert_eq!((lab.state(), lab.sent()), (Some(State::Up), vec![]));
}

#[test]
fn a_malformed_packet_is_counted_at_the_neighbor_it_names_and_changes_nothing() {
    let mut lab = Lab::in_state(State::Up);
    let good = from(State::Down).encode();
    for (at, value, counter) in [
        (0, 0x40, "discarded_version"),
        (3, 23, "discarded_length"),
        (3, 25, "discarded_beyond_payload"),
        (2, 0, "discarded_multiplier_zero"),
        (1, 0x41, "discarded_multipoint"),
        (7, 0, "discarded_my_discriminator_zero"),
        (1, 0xc0, "discarded_your_discriminator_zero"),
    ] {
        let mut bytes = good;
        bytes[at] = value;
        lab.hear_bytes(&bytes, 255, false);
        let count = lab.session().counters.named().find(|(name, _)| *name == counter);
        assert_eq!(count, Some((counter, 1)));
    }
    assert_eq!((lab.state(), lab.sent()), (Some(State::Up), vec![]));
    assert_eq!(lab.session().counters.received, 2, "those that brought it up");
}

#[test]
fn trackers_hear_down_only_after_the_session_had_time_to_come_up() {
    let mut lab = Lab::new(plan());
    lab.advance(ms(2999));
    assert_eq!(lab.samples(), []);
    lab.advance(ms(1));
    assert_eq!(lab.samples(), [Sample::Down]);
    lab.advance(Duration::from_secs(60));
    assert_eq!(lab.samples(), [Sample::Down], "once");
    lab.bring_up();
    assert_eq!(lab.samples(), [Sample::Down, Sample::Up]);
    lab.hear(from(State::Down));
    assert_eq!(lab.samples(), [Sample::Down, Sample::Up, Sample::Down]);
}

#[test]
fn a_neighbor_that_is_taken_down_by_its_operator_is_no_failure() {
    let mut lab = Lab::in_state(State::Up);
    lab.hear(from(State::AdminDown));
    assert_eq!((lab.state(), lab.samples()), (Some(State::Down), vec![]));
    lab.advance(Duration::from_secs(60));
    assert_eq!(lab.samples(), [], "nor is its silence after that");
    lab.reload(vec![BfdSessionPlan { name: "c".into(), ..plan() }]);
    assert_eq!(lab.samples(), [Sample::Up], "who asks hears what holds");
}

#[test]
fn an_equal_plan_changes_nothing() {
    let mut lab = Lab::in_state(State::Up);
    let due = lab.core.next_timeout();
    lab.reload(vec![plan()]);
    assert_eq!(lab.actions, []);
    assert_eq!(lab.core.next_timeout(), due);
}

#[test]
fn changed_intervals_are_polled_for_and_the_session_stays_up() {
    let mut lab = Lab::in_state(State::Up);
    lab.hear(ControlPacket { is_final: true, ..from(State::Up) });
    let discriminator = lab.session().discriminator;
    lab.actions.clear();
    lab.reload(vec![BfdSessionPlan { min_tx: ms(400), min_rx: ms(20), multiplier: 7, ..plan() }]);
    let said = lab.sent();
    assert_eq!(said.len(), 1, "at once");
    assert_eq!((said[0].desired_min_tx_us, said[0].required_min_rx_us), (400_000, 20_000));
    assert_eq!((said[0].poll, said[0].multiplier.get(), said[0].state), (true, 7, State::Up));
    assert_eq!(lab.session().transmit_interval(), Some(ms(50)), "as before until the neighbour knows");
    assert_eq!(lab.session().detection_time(), Some(ms(150)));
    lab.hear(ControlPacket { desired_min_tx_us: 1, is_final: true, ..from(State::Up) });
    assert_eq!(lab.session().transmit_interval(), Some(ms(400)));
    assert_eq!(lab.session().detection_time(), Some(ms(60)));
    assert_eq!(lab.session().discriminator, discriminator);
    assert_eq!(lab.samples(), []);
}

#[test]
fn a_renamed_session_tells_its_state_under_the_new_name() {
    let mut lab = Lab::in_state(State::Up);
    lab.reload(vec![BfdSessionPlan { name: "c".into(), ..plan() }]);
    let told = lab.actions.iter().find_map(|action| match action {
        Action::Sample { tracker, sample, .. } => Some((tracker.name.as_str(), *sample)),
        _ => None,
    });
    assert_eq!(told, Some(("c", Sample::Up)));
    assert_eq!(lab.sent(), [], "the neighbour knows no names");
}

#[test]
fn other_addresses_are_another_session() {
    let mut lab = Lab::in_state(State::Up);
    let old = lab.session().discriminator;
    lab.reload(vec![BfdSessionPlan { source: Some(IpAddr::from([192, 0, 2, 1])), ..plan() }]);
    assert!(matches!(lab.actions.last(), Some(Action::Close(SessionId(0)))));
    assert_eq!(lab.sent().iter().map(|packet| packet.state).collect::<Vec<_>>(), [State::AdminDown]);
    assert_eq!(lab.state(), Some(State::Down));
    assert_ne!(lab.session().discriminator, old);
}

#[test]
fn a_removed_session_says_so_until_the_neighbor_knows() {
    let mut lab = Lab::in_state(State::Up);
    lab.reload(vec![]);
    let said = lab.sent();
    assert_eq!((said[0].state, said[0].diagnostic), (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN));
    assert_eq!(lab.core.sessions().count(), 0, "nobody shows it");
    lab.hear(from(State::Down));
    assert!(matches!(lab.actions[..], [Action::Close(SessionId(0))]));
    assert_eq!(lab.core.next_timeout(), None);
}

#[test]
fn a_session_that_comes_back_before_it_has_left_begins_anew() {
    let mut lab = Lab::in_state(State::Up);
    lab.reload(vec![]);
    lab.actions.clear();
    lab.reload(vec![plan()]);
    assert!(matches!(lab.actions[..], [Action::Close(SessionId(0))]));
    lab.advance(Duration::ZERO);
    lab.bring_up();
    assert_eq!(lab.core.sessions().count(), 1);
}

#[test]
fn stopping_waits_for_the_neighbor_but_not_for_long() {
    let mut lab = Lab::in_state(State::Up);
    lab.core.handle(Event::Stop, lab.now, &mut lab.actions);
    assert!(!lab.actions.contains(&Action::Stopped));
    lab.advance(ms(1999));
    assert!(!lab.actions.contains(&Action::Stopped));
    let said = lab.sent();
    assert!((2..=3).contains(&said.len()), "again after a second: {}", said.len());
    assert!(said.iter().all(|packet| packet.state == State::AdminDown));
    lab.advance(ms(1));
    assert_eq!(lab.actions, [Action::Close(SessionId(0)), Action::Stopped]);

    let mut lab = Lab::in_state(State::Up);
    lab.core.handle(Event::Stop, lab.now, &mut lab.actions);
    lab.hear(from(State::Down));
    assert_eq!(lab.actions.last(), Some(&Action::Stopped), "it knows");

    let mut lab = Lab::new(plan());
    lab.core.handle(Event::Stop, lab.now, &mut lab.actions);
    assert_eq!(lab.actions.last(), Some(&Action::Stopped), "nobody is there");

    let mut core = Core::new(1);
    let mut actions = Vec::new();
    core.handle(Event::Stop, Instant(0), &mut actions);
    assert_eq!(actions, [Action::Stopped], "nothing is there");
}

#[test]
fn what_the_kernel_refuses_is_shown_until_it_sends_again() {
    let mut lab = Lab::new(plan());
    let id = lab.session().id;
    lab.core.handle(Event::Sending(id, Some("no route".into())), lab.now, &mut lab.actions);
    assert_eq!(lab.session().send_error(), Some("no route"));
    assert_eq!(lab.session().counters.send_errors, 1);
    lab.core.handle(Event::Sending(id, None), lab.now, &mut lab.actions);
    assert_eq!((lab.session().send_error(), lab.session().counters.send_errors), (None, 1));
}
