//! Lines for the trace, and who is what at its end.

use super::model::{self, Said, label};
use super::world::World;
use holdfast::net::AddressFamily;
use holdfast::vrrp::{Action, Command, Event, Frame, State};
use std::net::IpAddr;

impl World {
    pub(super) fn note(&mut self, node: usize, event: Option<&Event>, actions: &[Action]) {
        let what = match event {
            None => "timeout".to_owned(),
            Some(Event::Plan(plan)) => format!("plan {}", plan.generation.0),
            Some(Event::Advertisement(r)) => {
                format!("hears {} on {}: {}", r.source, r.interface, words(&r.bytes, r.source))
            }
            Some(Event::Interface(f)) => format!(
                "facts {} {} {:?} {:?}",
                f.name,
                if f.up { "up" } else { "down" },
                f.ipv4,
                f.ipv6_link_local
            ),
            Some(Event::Command(Command::Stop { release })) => format!("stop, release {release}"),
            Some(other) => format!("{other:?}"),
        };
        self.trace.line(self.now, &format!("n{node} {what}"));
        for action in actions {
            let what = match action {
                Action::Transmit(_, Frame::Advertisement { interface, destination, bytes, .. }) => {
                    format!("says to {destination} on {interface}: {}", words(bytes, *destination))
                }
                Action::Transmit(_, Frame::Sealed { interface, packet, .. }) => {
                    format!("says behind a header on {interface}: {}", hex(packet))
                }
                Action::Transmit(_, Frame::Ethernet { interface, bytes }) => {
                    let about =
                        model::announced(bytes).map_or_else(|| hex(bytes), |address| address.to_string());
                    format!("announces on {interface}: {about}")
                }
                Action::Kernel(op, body) => format!("asks {} {body:?}", op.0),
                Action::Routing(op, body) => format!("asks {} {body:?}", op.0),
                Action::Notify(t) => {
                    format!("{} {} -> {} ({}) {:?}", label(&t.key), t.from, t.to, t.priority, t.cause)
                }
                Action::News(news) => format!("{news:?}"),
                Action::Log(level, text) => format!("{level:?}: {text}"),
                Action::Stopped => "stopped".to_owned(),
                Action::Claim(order) => format!("claims {}", order.claim.0),
                Action::Unclaim(claim) => format!("claims no longer {}", claim.0),
                Action::Silence { addresses, .. } => format!("answers nobody about {addresses:?}"),
            };
            self.trace.line(self.now, &format!("n{node}     {what}"));
        }
    }

    /// Who is what, for a failing seed.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (number, node) in self.nodes.iter().enumerate() {
            text += &format!("n{number} {:?}, holds {:?}\n", node.process, node.kernel.held());
            for plan in &node.applied.routers {
                let state: State = node.state(&plan.key);
                let priority = model::priority(plan, &node.kernel);
                text += &format!("   {} {state} priority {priority}: {plan:?}\n", label(&plan.key));
            }
        }
        text
    }
}

/// An advertisement as people read it; octets if it is none.
fn words(bytes: &[u8], other: IpAddr) -> String {
    let Some(said) = model::read(bytes, AddressFamily::of(other)) else { return hex(bytes) };
    let Said { version, vrid, priority, addresses, interval_centiseconds } = said;
    format!("VRID {vrid} priority {priority} every {interval_centiseconds} cs (v{version}) {addresses:?}")
}

/// Octets as people write them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
