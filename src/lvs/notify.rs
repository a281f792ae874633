//! What changed at a virtual server, as sentences with causes.

use crate::plan::lvs::ServiceKey;
use std::fmt;
use std::net::SocketAddr;

/// A change of a real server or of a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A real server goes into service.
    ServerUp {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// Real server.
        endpoint: SocketAddr,
        /// Why.
        why: Up,
    },
    /// A real server goes out of service.
    ServerDown {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// Real server.
        endpoint: SocketAddr,
        /// The failed check and its result.
        cause: String,
    },
    /// A real server that was up is not in the configuration any more.
    ServerGone {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services, before.
        service: ServiceKey,
        /// Real server.
        endpoint: SocketAddr,
    },
    /// A virtual server is not in the configuration any more.
    ServiceGone {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// Was its quorum met?
        quorum_up: bool,
    },
    /// At start: a real server that the kernel's table had out of service waits for its checks.
    ServerWaits {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// Real server.
        endpoint: SocketAddr,
    },
    /// Enough live weight again.
    QuorumGained {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// The figures.
        quorum: Figures,
        /// The sorry server that is no longer needed.
        sorry_server: Option<SocketAddr>,
    },
    /// Too little live weight.
    QuorumLost {
        /// Was it enough before?
        was_met: bool,
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// The figures.
        quorum: Figures,
        /// The sorry server that takes over.
        sorry_server: Option<SocketAddr>,
    },
    /// `min_alive` keeps another number of servers in service whose checks fail.
    Floor {
        /// Virtual server, by name.
        virtual_server: String,
        /// The first of its services.
        service: ServiceKey,
        /// Servers that are up.
        alive: usize,
        /// Servers that are kept although they are not; 0: no longer.
        kept: usize,
        /// Configured floor.
        min_alive: u32,
    },
}

/// Why a real server is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// All its checks succeed.
    Checked,
    /// They have not all spoken, and none has failed.
    Presumed,
    /// There are none.
    Unchecked,
}

impl Up {
    const fn words(self) -> &'static str {
        match self {
            Up::Checked => "all its checks succeed",
            Up::Presumed => "no check of it has failed, and not all have spoken yet",
            Up::Unchecked => "nothing checks it",
        }
    }
}

/// The figures behind a change of quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Sum of the weights of servers that are up.
    pub live_weight: u64,
    /// Configured quorum.
    pub quorum: u32,
    /// Configured margin.
    pub hysteresis: u32,
}

impl Event {
    /// Is service hurt?
    pub fn is_bad(&self) -> bool {
        matches!(self, Event::ServerDown { .. } | Event::QuorumLost { .. } | Event::Floor { kept: 1.., .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::ServerUp { virtual_server, endpoint, why, .. } => {
                write!(f, "{virtual_server}: real server {endpoint} is up: {}", why.words())
            }
            Event::ServerDown { virtual_server, endpoint, cause, .. } => {
                write!(f, "{virtual_server}: real server {endpoint} is down: {cause}")
            }
            Event::ServerGone { virtual_server, endpoint, .. } => {
                write!(
                    f,
                    "{virtual_server}: real server {endpoint}, which was up, is not configured any more"
                )
            }
            Event::ServiceGone { virtual_server, .. } => {
                write!(f, "{virtual_server}: is not configured any more")
            }
            Event::ServerWaits { virtual_server, endpoint, .. } => write!(
                f,
                "{virtual_server}: real server {endpoint} was out of service in the kernel's table and stays so \
                 until its checks succeed"
            ),
            Event::Floor { virtual_server, kept: 0, alive, .. } => {
                write!(
                    f,
                    "{virtual_server}: {alive} servers are up: none is kept in service by min_alive any more"
                )
            }
            Event::Floor { virtual_server, alive, kept, min_alive, .. } => write!(
                f,
                "{virtual_server}: only {alive} servers are up, {kept} whose checks fail are kept in service \
                 (min_alive {min_alive}): look at the checks, and at the way to the servers"
            ),
            Event::QuorumGained {
                virtual_server,
                quorum: Figures { live_weight, quorum, hysteresis },
                sorry_server,
                ..
            } => {
                write!(
                    f,
                    "{virtual_server}: quorum gained: live weight {live_weight}, {} wanted",
                    quorum.saturating_add(*hysteresis)
                )?;
                match sorry_server {
                    Some(sorry) => write!(f, "; sorry server {sorry} rests, the real servers serve"),
                    None => Ok(()),
                }
            }
            Event::QuorumLost {
                was_met,
                virtual_server,
                quorum: Figures { live_weight, quorum, hysteresis },
                sorry_server,
                ..
            } => {
                let (happened, needed) = match was_met {
                    true => ("lost", quorum.saturating_sub(*hysteresis).max(1)),
                    false => ("not met", quorum.saturating_add(*hysteresis)),
                };
                write!(
                    f,
                    "{virtual_server}: quorum {happened}: live weight {live_weight}, at least {needed} needed"
                )?;
                match (sorry_server, live_weight) {
                    (Some(sorry), _) => write!(f, "; sorry server {sorry} serves"),
                    (None, 0) => write!(f, "; nobody serves and there is no sorry server"),
                    (None, _) => write!(f, "; the servers that are up go on serving"),
                }
            }
        }
    }
}
