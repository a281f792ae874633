//! Who is told what: notify scripts, FIFOs and mail.

use crate::net::TransportProtocol;
use crate::plan::lvs::ServiceKey;
use crate::plan::scripts::{AccountName, CommandPlan, Identity};
use crate::plan::vrrp::{RouterKey, VrrpPlan};
use serde::{Deserialize, Deserializer, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// All hooks of one configuration. What is not listed has none, except that FIFOs and mail tell of everything their
/// defaults say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyPlan {
    /// `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo`; at most one of each.
    pub fifos: Vec<FifoPlan>,
    /// Instances with a hook or with settings other than the defaults; names are unique.
    pub instances: Vec<InstanceHooks>,
    /// Sync groups with a hook or with settings other than the defaults; names are unique.
    pub groups: Vec<GroupHooks>,
    /// Virtual servers with a hook, with a group's name, or with settings other than the defaults; services are unique.
    pub services: Vec<ServiceHooks>,
    /// Mail, when there is a server and somebody to write to.
    pub mail: Option<MailPlan>,
    /// `router_id`, for the subjects of mail; the host name when `None`.
    pub router_id: Option<String>,
    /// `fifo_write_vrrp_states_on_reload`.
    pub states_on_reload: bool,
    /// Whose states those are; empty without it.
    pub known: Known,
}

/// The instances and groups of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Each instance's name, and what tells it from others whatever its name is.
    pub instances: Vec<(String, RouterKey)>,
    /// The groups' names.
    pub groups: Vec<String>,
}

/// A named pipe that gets a line for each event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FifoPlan {
    /// Which events.
    pub listens: Listens,
    /// Its path; absolute.
    pub path: String,
    /// Whom it belongs to, as written.
    pub account: Option<AccountName>,
    /// Whom it belongs to, looked up when the configuration was read; the daemon itself when `None`.
    pub owner: Option<Identity>,
    /// Why that could not be found: it then belongs to the daemon.
    pub no_owner: Option<String>,
    /// The program that reads it; its last argument is the path.
    pub script: Option<CommandPlan>,
}

/// Which events a FIFO gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Listens {
    /// `notify_fifo`: all.
    All,
    /// `vrrp_notify_fifo`: instances and groups.
    Vrrp,
    /// `lvs_notify_fifo`: virtual and real servers.
    Lvs,
}

impl Listens {
    /// keepalived's keyword.
    pub const fn keyword(self) -> &'static str {
        match self {
            Listens::All => "notify_fifo",
            Listens::Vrrp => "vrrp_notify_fifo",
            Listens::Lvs => "lvs_notify_fifo",
        }
    }
}

/// Scripts for the states that instances and groups share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateScripts {
    /// `notify_backup`.
    pub backup: Option<CommandPlan>,
    /// `notify_master`.
    pub master: Option<CommandPlan>,
    /// `notify_fault`.
    pub fault: Option<CommandPlan>,
    /// `notify_stop`.
    pub stop: Option<CommandPlan>,
    /// `notify`: run beside each of the others, with four more arguments.
    pub any: Option<CommandPlan>,
}

impl StateScripts {
    fn commands_mut(&mut self) -> impl Iterator<Item = &mut CommandPlan> {
        let StateScripts { backup, master, fault, stop, any } = self;
        [backup, master, fault, stop, any].into_iter().flatten()
    }
}

/// Hooks of a `vrrp_instance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceHooks {
    /// Its name.
    pub name: String,
    /// Scripts.
    pub scripts: StateScripts,
    /// `notify_deleted`: `None` if it is not written, and its removal is told as FAULT, as in keepalived.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "written")]
    pub deleted: Option<Option<CommandPlan>>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<CommandPlan>,
    /// `smtp_alert`, with its inheritance; off by default.
    pub mail: bool,
    /// `notify_priority_changes`, with its inheritance; off by default.
    pub priority_changes: bool,
    /// `notify_claim`: run for the vrrp role, which waits for its end.
    pub claim: Option<CommandPlan>,
}

/// What is written without a command is `null`, which serde would take for not written.
fn written<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<CommandPlan>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Hooks of a `vrrp_sync_group`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHooks {
    /// Its name.
    pub name: String,
    /// Scripts.
    pub scripts: StateScripts,
    /// `smtp_alert`, with its inheritance; off by default.
    pub mail: bool,
}

/// Hooks of a `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHooks {
    /// The first of its services.
    pub service: ServiceKey,
    /// The `virtual_server_group` it is written with.
    pub group: Option<String>,
    /// What its services speak; none where there are marks alone.
    pub protocol: Option<TransportProtocol>,
    /// `quorum_up`.
    pub up: Option<CommandPlan>,
    /// `quorum_down`.
    pub down: Option<CommandPlan>,
    /// `smtp_alert`, with its inheritance; off by default.
    pub mail: bool,
    /// Real servers with a script or with mail other than the default; endpoints are unique.
    pub servers: Vec<ServerHooks>,
}

/// Hooks of a `real_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHooks {
    /// Address and port in the kernel's table.
    pub endpoint: SocketAddr,
    /// `notify_up`.
    pub up: Option<CommandPlan>,
    /// `notify_down`.
    pub down: Option<CommandPlan>,
    /// `smtp_alert`, with its inheritance; [`MailPlan::servers`] by default.
    pub mail: bool,
}

/// How mail leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailPlan {
    /// The relay: an address or a name.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// `smtp_helo_name`; the host name when `None`.
    pub helo: Option<String>,
    /// `notification_email_from`; user@host when `None`.
    pub from: Option<String>,
    /// The recipients; at least one.
    pub to: Vec<String>,
    /// `smtp_connect_timeout`: for the connection and for each answer; at least a second.
    pub timeout: Duration,
    /// Is FAULT written about? `no_email_faults` says no.
    pub faults: bool,
    /// Is a real server written about that says nothing itself? On in keepalived.
    pub servers: bool,
}

impl NotifyPlan {
    /// Notes whose states a reload is to tell, if it is.
    pub fn know(&mut self, plan: &VrrpPlan) {
        if self.states_on_reload {
            let instances = plan.routers.iter().map(|router| (router.name.clone(), router.key.clone()));
            let groups = plan.groups.iter().map(|group| group.name.clone());
            self.known = Known { instances: instances.collect(), groups: groups.collect() };
        }
    }

    /// Is there anybody to tell?
    pub fn has_work(&self) -> bool {
        let NotifyPlan {
            fifos,
            instances,
            groups,
            services: _,
            mail,
            router_id: _,
            states_on_reload: _,
            known: _,
        } = self;
        let others = !fifos.is_empty() || !instances.is_empty() || !groups.is_empty() || mail.is_some();
        others || self.tells_of_servers()
    }

    /// Is somebody told of virtual and real servers?
    pub fn tells_of_servers(&self) -> bool {
        let servers = self.services.iter().any(|service| {
            service.up.is_some()
                || service.down.is_some()
                || service.servers.iter().any(|server| server.up.is_some() || server.down.is_some())
        });
        servers || self.mail.is_some() || self.fifos.iter().any(|fifo| fifo.listens != Listens::Vrrp)
    }

    /// Every command, to look its account up and to check its program.
    pub fn commands_mut(&mut self) -> impl Iterator<Item = &mut CommandPlan> {
        let NotifyPlan {
            fifos,
            instances,
            groups,
            services,
            mail: _,
            router_id: _,
            states_on_reload: _,
            known: _,
        } = self;
        let fifos = fifos.iter_mut().filter_map(|fifo| fifo.script.as_mut());
        let instances = instances.iter_mut().flat_map(|instance| {
            let deleted = instance.deleted.as_mut().and_then(Option::as_mut);
            let others = deleted.into_iter().chain(instance.master_rx_lower_pri.as_mut());
            let others = others.chain(instance.claim.as_mut());
            instance.scripts.commands_mut().chain(others)
        });
        let groups = groups.iter_mut().flat_map(|group| group.scripts.commands_mut());
        let services = services.iter_mut().flat_map(|service| {
            let servers = service.servers.iter_mut();
            let servers = servers.flat_map(|server| server.up.as_mut().into_iter().chain(&mut server.down));
            service.up.as_mut().into_iter().chain(&mut service.down).chain(servers)
        });
        fifos.chain(instances).chain(groups).chain(services)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_notify_deleted_survives_the_link() {
        for deleted in [None, Some(None), Some(Some(CommandPlan::default()))] {
            let hooks = InstanceHooks { deleted, ..InstanceHooks::default() };
            let text = serde_json::to_string(&hooks).expect("encodes");
            assert_eq!(serde_json::from_str::<InstanceHooks>(&text).expect("decodes"), hooks, "{text}");
        }
    }
}
