//! What a session does with a packet of its neighbour: RFC 5880 6.8.6 from the point where the session is known.

use super::event::Reason;
use super::session::{Context, Remote, Session};
use crate::wire::bfd::{ControlPacket, Diagnostic, State};
use std::time::Duration;

impl Session {
    /// A packet that passed every check.
    pub(super) fn receive(&mut self, packet: &ControlPacket, cx: &mut Context) {
        self.counters.received += 1;
        let before = self.transmit_interval();
        self.remote = Some(Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            demand: packet.demand,
            multiplier: packet.multiplier.get(),
            desired_min_tx: Duration::from_micros(packet.desired_min_tx_us.into()),
            required_min_rx: Duration::from_micros(packet.required_min_rx_us.into()),
        });
        if packet.is_final {
            self.timing.answered();
        }
        if self.state == State::AdminDown {
            return;
        }
        self.heard_at = Some(cx.now);
        let changed = self.advance(packet, cx);
        self.expect();
        if packet.poll {
            self.counters.polls_answered += 1;
            self.send(true, cx);
        } else if changed {
            self.speak(cx);
        }
        if changed || before != self.transmit_interval() || self.is_unscheduled() {
            self.schedule(cx);
        }
    }

    /// The state machine of RFC 5880 6.2. True if the state changed.
    fn advance(&mut self, packet: &ControlPacket, cx: &mut Context) -> bool {
        let (to, diagnostic, reason) = match (self.state, packet.state) {
            (State::Init | State::Up, State::AdminDown) => {
                (State::Down, Diagnostic::NEIGHBOR_SIGNALED, Reason::NeighborAdminDown)
            }
            (State::Down, State::Down) => (State::Init, self.diagnostic, Reason::Heard),
            (State::Down | State::Init, State::Init) | (State::Init, State::Up) => {
                (State::Up, Diagnostic::NONE, Reason::BothHear)
            }
            (State::Up, State::Down) => {
                (State::Down, Diagnostic::NEIGHBOR_SIGNALED, Reason::NeighborDown(packet.diagnostic))
            }
            (State::AdminDown, _)
            | (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => return false,
        };
        self.transition(to, diagnostic, reason, cx);
        true
    }
}
