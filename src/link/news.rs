//! News: what happened at a router, a group, a server, for those who asked to be told. Plain data: who is told, and how,
//! the scripts role knows from its own plan.

use crate::net::Priority;
use crate::plan::lvs::ServiceKey;
use crate::vrrp::{State, Transition, TransitionCause};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// A `vrrp_instance` changed state.
    Instance {
        /// Its name.
        name: String,
        /// What it was.
        from: State,
        /// What it is.
        to: Standing,
        /// Effective priority.
        priority: Priority,
        /// Why, one sentence.
        cause: String,
    },
    /// A `vrrp_sync_group` changed state.
    Group {
        /// Its name.
        name: String,
        /// What it is.
        to: Standing,
        /// Why, one sentence.
        cause: String,
        /// Known from now on, told to nobody.
        quiet: bool,
    },
    /// The effective priority of an instance changed while it stayed in its state.
    Priority {
        /// The instance's name.
        name: String,
        /// Its state; only Master and Backup are told of.
        state: State,
        /// The new priority.
        priority: Priority,
    },
    /// A Master heard an advertisement of lower priority.
    MasterRxLowerPri {
        /// The instance's name.
        name: String,
        /// Its own effective priority.
        priority: Priority,
    },
    /// A `virtual_server` gained or lost its quorum.
    VirtualServer {
        /// The first of its services.
        service: ServiceKey,
        /// Gained?
        up: bool,
        /// Is it down because a reload has removed it? What the configuration before said of it counts.
        gone: bool,
        /// Why, one sentence.
        cause: String,
    },
    /// A `real_server` came up or went down.
    RealServer {
        /// The first service of its virtual server.
        service: ServiceKey,
        /// Address and port in the kernel's table.
        endpoint: SocketAddr,
        /// Up?
        up: bool,
        /// Is it down because a reload has removed it? What the configuration before said of it counts.
        gone: bool,
        /// Why, one sentence.
        cause: String,
    },
}

/// A state as keepalived's notifications name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// Listens.
    Backup,
    /// Holds the addresses.
    Master,
    /// Cannot take part.
    Fault,
    /// The daemon ends.
    Stop,
    /// No longer in the configuration.
    Deleted,
}

impl Standing {
    /// The word that scripts and FIFOs get.
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Backup => "BACKUP",
            Standing::Master => "MASTER",
            Standing::Fault => "FAULT",
            Standing::Stop => "STOP",
            Standing::Deleted => "DELETED",
        }
    }

    /// What a change to `state` for this reason is; `None` for an instance that is not started yet.
    pub fn of(state: State, cause: &TransitionCause) -> Option<Standing> {
        match (state, cause) {
            (State::Backup, _) => Some(Standing::Backup),
            (State::Master, _) => Some(Standing::Master),
            (State::Fault, _) => Some(Standing::Fault),
            (State::Initialize, TransitionCause::Removed) => Some(Standing::Deleted),
            (State::Initialize, TransitionCause::Stopped | TransitionCause::Orphaned) => Some(Standing::Stop),
            (State::Initialize, _) => None,
        }
    }
}

impl News {
    /// The news that a change of state is, if it is one.
    pub fn of_transition(transition: &Transition) -> Option<News> {
        // A new process of ours came to where the one before it was.
        if transition.from == transition.to {
            return None;
        }
        Some(News::Instance {
            name: transition.name.clone(),
            from: transition.from,
            to: Standing::of(transition.to, &transition.cause)?,
            priority: transition.priority,
            cause: transition.cause.to_string(),
        })
    }

    /// The news that a change at a virtual server is, if it is one.
    pub fn of_server(event: &crate::lvs::notify::Event) -> Option<News> {
        use crate::lvs::notify::Event;
        let cause = event.to_string();
        let server = |service: &ServiceKey, endpoint: &SocketAddr, up, gone| {
            Some(News::RealServer { service: *service, endpoint: *endpoint, up, gone, cause: cause.clone() })
        };
        let quorum = |service: &ServiceKey, up, gone| {
            Some(News::VirtualServer { service: *service, up, gone, cause: cause.clone() })
        };
        match event {
            Event::ServerUp { service, endpoint, .. } => server(service, endpoint, true, false),
            Event::ServerDown { service, endpoint, .. } => server(service, endpoint, false, false),
            Event::ServerGone { service, endpoint, .. } => server(service, endpoint, false, true),
            Event::ServiceGone { quorum_up: false, .. } | Event::ServerWaits { .. } | Event::Floor { .. } => {
                None
            }
            Event::ServiceGone { service, .. } => quorum(service, false, true),
            Event::QuorumGained { service, .. } => quorum(service, true, false),
            Event::QuorumLost { service, .. } => quorum(service, false, false),
        }
    }

    /// What else the vrrp role tells, if it is one of the things that people are told of.
    pub fn of_vrrp(news: crate::vrrp::News) -> News {
        use crate::vrrp::News as Told;
        match news {
            Told::Group(group) => News::Group {
                to: match group.to {
                    State::Backup => Standing::Backup,
                    State::Master => Standing::Master,
                    State::Fault => Standing::Fault,
                    State::Initialize => Standing::Stop,
                },
                name: group.name,
                cause: group.cause,
                quiet: group.quiet,
            },
            Told::Priority(news) => {
                News::Priority { name: news.name, state: news.state, priority: news.priority }
            }
            Told::WeakerHeard(news) => News::MasterRxLowerPri { name: news.name, priority: news.priority },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_instance_is_deleted_or_stop_by_its_cause() {
        let of = |cause| Standing::of(State::Initialize, &cause);
        assert_eq!(of(TransitionCause::Removed), Some(Standing::Deleted));
        assert_eq!(of(TransitionCause::Stopped), Some(Standing::Stop));
        assert_eq!(of(TransitionCause::Started), None);
        assert_eq!(Standing::of(State::Backup, &TransitionCause::Started), Some(Standing::Backup));
    }
}
