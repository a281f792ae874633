//! One session: state, timers, what it sends. What it does with a packet is in `reception`.

use super::chance::Chance;
use super::counters::Counters;
use super::event::{Action, Path, Reason, SessionId, Transition};
use super::timing::Timing;
use crate::plan::bfd::BfdSessionPlan;
use crate::plan::track::Sample;
use crate::time::Instant;
use crate::wire::bfd::{ControlPacket, Diagnostic, State};
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

/// A session that was taken down repeats that for at most this long, until the neighbour shows that it heard: a
/// packet is lost now and then, and a daemon that stops is waited for.
const LEAVING_LIMIT: Duration = Duration::from_secs(2);

/// A session that has not come up says "down" to its trackers after so many of its idle intervals, not at once: after
/// a restart of this process the neighbour is still there, and nobody should fail over because of us.
const FIRST_VERDICT_INTERVALS: u32 = 3;

/// What sessions share while something is done.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) chance: &'a mut Chance,
    pub(super) actions: &'a mut Vec<Action>,
}

/// The neighbour as its last packet describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// bfd.RemoteDiscr.
    pub discriminator: NonZeroU32,
    /// bfd.RemoteSessionState.
    pub state: State,
    /// Its diagnostic.
    pub diagnostic: Diagnostic,
    /// bfd.RemoteDemandMode.
    pub demand: bool,
    /// Its Detect Mult.
    pub multiplier: u8,
    /// Its Desired Min TX Interval.
    pub desired_min_tx: Duration,
    /// bfd.RemoteMinRxInterval.
    pub required_min_rx: Duration,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) id: SessionId,
    pub(super) plan: BfdSessionPlan,
    pub(super) discriminator: NonZeroU32,
    pub(super) state: State,
    pub(super) diagnostic: Diagnostic,
    pub(super) reason: Reason,
    pub(super) since: Instant,
    pub(super) timing: Timing,
    pub(super) remote: Option<Remote>,
    pub(super) heard_at: Option<Instant>,
    pub(super) counters: Counters,
    pub(super) ups: u64,
    pub(super) downs: u64,
    pub(super) send_error: Option<String>,
    last_sent: Option<Instant>,
    send_at: Option<Instant>,
    detect_at: Option<Instant>,
    /// When "down" is said if nothing else was; `None` once something was said.
    verdict_at: Option<Instant>,
    /// What trackers were told last.
    told: Option<Sample>,
    /// It was taken down for good, and ends here at the latest.
    leave_at: Option<Instant>,
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        plan: BfdSessionPlan,
        discriminator: NonZeroU32,
        cx: &mut Context,
    ) -> Session {
        let mut session = Session {
            id,
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            reason: Reason::Started,
            since: cx.now,
            timing: Timing::new(plan.idle_tx, plan.min_rx),
            remote: None,
            heard_at: None,
            counters: Counters::default(),
            ups: 0,
            downs: 0,
            send_error: None,
            last_sent: None,
            send_at: None,
            detect_at: None,
            verdict_at: Some(cx.now + plan.idle_tx * FIRST_VERDICT_INTERVALS),
            told: None,
            leave_at: None,
            plan,
        };
        session.schedule(cx);
        session
    }

    /// What it was told to be.
    pub fn plan(&self) -> &BfdSessionPlan {
        &self.plan
    }

    /// Its state, why, and since when.
    pub fn state(&self) -> (State, Reason, Instant) {
        (self.state, self.reason, self.since)
    }

    /// bfd.LocalDiag.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// bfd.LocalDiscr.
    pub fn discriminator(&self) -> NonZeroU32 {
        self.discriminator
    }

    /// The neighbour, while it is heard.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Its numbers.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How often it went up, and how often it left that state.
    pub fn changes(&self) -> (u64, u64) {
        (self.ups, self.downs)
    }

    /// Why nothing can be sent, if so.
    pub fn send_error(&self) -> Option<&str> {
        self.send_error.as_deref()
    }

    /// The next deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.send_at, self.detect_at, self.verdict_at, self.leave_at].into_iter().flatten().min()
    }

    /// Handles every deadline that has passed. Detection comes first: a packet that is due carries its outcome.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context) {
        if self.detect_at.is_some_and(|at| at <= cx.now) {
            self.fall_silent(cx);
        }
        if self.verdict_at.is_some_and(|at| at <= cx.now) {
            self.tell_trackers(Sample::Down, cx);
        }
        if self.send_at.is_some_and(|at| at <= cx.now) {
            self.send(false, cx);
            self.schedule(cx);
        }
    }

    /// Takes a plan with the same addresses: the session goes on, and the neighbour is told of changes by a poll.
    pub(super) fn take_plan(&mut self, plan: BfdSessionPlan, cx: &mut Context) {
        if plan == self.plan {
            return;
        }
        let old = std::mem::replace(&mut self.plan, plan);
        // Who listens from now on under that name has not heard it.
        let tracked = |p: &BfdSessionPlan| (p.name.clone(), p.to_vrrp, p.to_checker);
        if let Some(told) = self.told.filter(|_| tracked(&old) != tracked(&self.plan)) {
            self.tell_trackers(told, cx);
        }
        let changed = self.advertise();
        // RFC 5880 6.8.7: what differs from the last packet is said at once.
        if changed || old.multiplier != self.plan.multiplier {
            self.speak(cx);
        }
        self.expect();
        self.schedule(cx);
    }

    /// Down for good. The neighbour is told now, and again until it shows that it heard.
    pub(super) fn leave(&mut self, reason: Reason, cx: &mut Context) {
        self.verdict_at = None;
        self.leave_at = Some(cx.now + LEAVING_LIMIT);
        self.transition(State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, reason, cx);
        self.detect_at = None;
        self.speak(cx);
        self.schedule(cx);
    }

    /// Was it taken down for good?
    pub(super) fn is_leaving(&self) -> bool {
        self.leave_at.is_some()
    }

    /// Is no periodic packet planned?
    pub(super) fn is_unscheduled(&self) -> bool {
        self.send_at.is_none()
    }

    /// Has it ended?
    pub(super) fn has_left(&self, now: Instant) -> bool {
        let deaf = self.remote.is_none_or(|remote| matches!(remote.state, State::Down | State::AdminDown));
        self.leave_at.is_some_and(|at| deaf || at <= now)
    }

    /// The only place where the state changes.
    pub(super) fn transition(&mut self, to: State, diagnostic: Diagnostic, reason: Reason, cx: &mut Context) {
        let from = std::mem::replace(&mut self.state, to);
        self.diagnostic = diagnostic;
        self.reason = reason;
        self.since = cx.now;
        self.ups += u64::from(to == State::Up);
        self.downs += u64::from(from == State::Up);
        self.advertise();
        let (name, neighbor) = (self.plan.name.clone(), self.plan.neighbor);
        cx.actions.push(Action::Notify(Transition { name, neighbor, from, to, reason, at: cx.now }));
        // RFC 5882 4.2, and keepalived: an operator's decision at either end is no failure of the path.
        let decided = to == State::AdminDown || reason == Reason::NeighborAdminDown;
        if to == State::Up {
            self.tell_trackers(Sample::Up, cx);
        } else if from == State::Up && !decided {
            self.tell_trackers(Sample::Down, cx);
        }
    }

    /// bfd.DesiredMinTxInterval is at least a second while the session is not up (RFC 5880 6.8.3).
    fn advertise(&mut self) -> bool {
        let up = self.state == State::Up;
        let tx = if up { self.plan.min_tx } else { self.plan.idle_tx };
        self.timing.change(tx, self.plan.min_rx, up, self.remote.is_some())
    }

    /// The detection time has passed (RFC 5880 6.8.4).
    fn fall_silent(&mut self, cx: &mut Context) {
        self.detect_at = None;
        let (Some(remote), Some(heard)) = (self.remote, self.heard_at) else { return };
        let reason = Reason::Silence {
            silent: cx.now.saturating_duration_since(heard),
            multiplier: remote.multiplier,
            interval: self.receive_interval(&remote),
        };
        // RFC 5880 6.8.1: bfd.RemoteDiscr is forgotten after a detection time without a packet.
        self.remote = None;
        self.timing.forget();
        if matches!(self.state, State::Init | State::Up) {
            self.transition(State::Down, Diagnostic::TIME_EXPIRED, reason, cx);
            self.speak(cx);
        }
        self.schedule(cx);
    }

    fn tell_trackers(&mut self, sample: Sample, cx: &mut Context) {
        self.verdict_at = None;
        self.told = Some(sample);
        cx.actions.push(Action::Sample { tracker: self.plan.tracker(), sample });
    }

    /// Sets or moves the end of patience with the neighbour, after a packet or a change of intervals.
    pub(super) fn expect(&mut self) {
        let time = self.detection_time().filter(|_| self.state != State::AdminDown);
        self.detect_at = self.heard_at.zip(time).map(|(heard, time)| heard + time);
    }

    /// Silence after which the neighbour is taken for dead (RFC 5880 6.8.4); `None` until it is known.
    pub fn detection_time(&self) -> Option<Duration> {
        self.remote.map(|remote| self.receive_interval(&remote) * u32::from(remote.multiplier))
    }

    fn receive_interval(&self, remote: &Remote) -> Duration {
        self.timing.rx_in_use().max(remote.desired_min_tx)
    }

    /// Time between periodic packets before jitter (RFC 5880 6.8.2, 6.8.7); `None` while there are none.
    pub fn transmit_interval(&self) -> Option<Duration> {
        let Some(remote) = &self.remote else {
            // bfd.RemoteMinRxInterval is 1 microsecond until it is known (RFC 5880 6.8.1).
            return (!self.plan.passive).then_some(self.timing.tx_in_use());
        };
        let silenced = remote.demand && self.state == State::Up && remote.state == State::Up;
        let wanted = !remote.required_min_rx.is_zero() && (!silenced || self.timing.is_polling());
        wanted.then_some(self.timing.tx_in_use().max(remote.required_min_rx))
    }

    /// Plans the next periodic packet from the last one.
    pub(super) fn schedule(&mut self, cx: &mut Context) {
        self.send_at = self.transmit_interval().map(|interval| {
            let wait = cx.chance.jittered(interval, self.plan.multiplier);
            self.last_sent.map_or(cx.now, |last| last + wait)
        });
    }

    /// Says what is new between periodic packets (RFC 5880 6.8.7), unless this end must keep silent.
    pub(super) fn speak(&mut self, cx: &mut Context) {
        if self.remote.is_some() || !self.plan.passive {
            self.send(false, cx);
        }
    }

    /// A packet, as the answer to a poll or not. Never both bits: RFC 5880 6.8.7.
    pub(super) fn send(&mut self, is_final: bool, cx: &mut Context) {
        let packet = ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: !is_final && self.timing.poll_bit(),
            is_final,
            control_plane_independent: false,
            demand: false,
            multiplier: NonZeroU8::new(self.plan.multiplier).unwrap_or(NonZeroU8::MIN),
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.map_or(0, |remote| remote.discriminator.get()),
            desired_min_tx_us: micros(self.timing.desired_min_tx()),
            required_min_rx_us: micros(self.timing.required_min_rx()),
            required_min_echo_rx_us: 0,
        };
        self.counters.sent += 1;
        if !is_final {
            self.last_sent = Some(cx.now);
        }
        let path = Path {
            source: self.plan.source,
            neighbor: self.plan.neighbor,
            multihop: self.plan.multihop,
            ttl: self.plan.ttl,
        };
        cx.actions.push(Action::Transmit { session: self.id, path, bytes: packet.encode() });
    }
}

/// As on the wire.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
