//! Causes of transitions as sentences.

use crate::vrrp::TransitionCause;

/// Why a router changed state, for people.
pub fn cause_sentence(cause: &TransitionCause) -> String {
    match cause {
        TransitionCause::Started => "started by the configuration".to_owned(),
        TransitionCause::Owner => "it owns the addresses (priority 255)".to_owned(),
        TransitionCause::MasterDown { last: Some(last), silence_ms } => {
            format!("no advertisement for {}, last from {last}", seconds(*silence_ms))
        }
        TransitionCause::MasterDown { last: None, silence_ms } => {
            format!("no advertisement from anybody for {}", seconds(*silence_ms))
        }
        TransitionCause::MasterResigned { by } => format!("{by} resigned (priority 0)"),
        TransitionCause::Outranked { by, priority } => format!("{by} speaks with priority {priority}"),
        TransitionCause::Preempted { from, priority } => format!("preempted {from} of priority {priority}"),
        TransitionCause::Fault(reasons) if reasons.is_empty() => "something it needs is missing".to_owned(),
        TransitionCause::Fault(reasons) => reasons.join("; "),
        TransitionCause::Recovered => "what was missing is back".to_owned(),
        TransitionCause::AddressLost { cidr } => format!("somebody else removed {cidr}"),
        TransitionCause::Reconfigured => "the configuration changed".to_owned(),
        TransitionCause::Stopped => "the daemon stops".to_owned(),
    }
}

/// Milliseconds as seconds with two places: `3.61 s`.
fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn a_cause_names_who_and_how_long() {
        let by = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
        let silence = TransitionCause::MasterDown { last: Some(by), silence_ms: 3609 };
        assert_eq!(cause_sentence(&silence), "no advertisement for 3.60 s, last from 10.0.0.2");
        assert_eq!(cause_sentence(&TransitionCause::MasterResigned { by }), "10.0.0.2 resigned (priority 0)");
        let fault = TransitionCause::Fault(vec!["eth0 is down".to_owned(), "eth1 is down".to_owned()]);
        assert_eq!(cause_sentence(&fault), "eth0 is down; eth1 is down");
    }
}
