//! How the processes of the daemon are scheduled, where they live, and what the daemon's files are called.

use crate::plan::scripts::CommandPlan;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// For each role that keepalived has a process for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlans {
    /// `vrrp_*`.
    pub vrrp: ProcessPlan,
    /// `checker_*`.
    pub checker: ProcessPlan,
    /// `bfd_*`.
    pub bfd: ProcessPlan,
    /// `process_name`: what ps and top call the supervisor; at most 15 octets.
    pub supervisor: Option<String>,
}

/// One process. What is not set stays as the system gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// Nice value, -20 to 19.
    pub nice: Option<i8>,
    /// SCHED_RR priority, 1 to 99.
    pub real_time: Option<u8>,
    /// Longest time on a processor without a pause, while it is scheduled in real time.
    pub real_time_limit: Option<Duration>,
    /// Memory is locked.
    pub no_swap: bool,
    /// Processors that it may run on; all when empty.
    pub processors: Vec<u16>,
    /// What ps and top call it; at most 15 octets.
    pub name: Option<String>,
    /// Grow into real time when it wakes late.
    pub automatic: Option<AutoPriority>,
}

/// `max_auto_priority` and `min_auto_priority_delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoPriority {
    /// Ceiling, 1 to 99.
    pub most: u8,
    /// How late a wake-up must be to count.
    pub delay: Duration,
}

/// Where the daemon lives and what its files are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonPlan {
    /// `instance`.
    pub instance: Option<String>,
    /// `net_namespace`.
    pub namespace: Option<String>,
    /// `net_namespace_ipvs`.
    pub ipvs_namespace: Option<IpvsNamespace>,
    /// `use_pid_dir`.
    pub pid_directory: bool,
    /// `data_use_instance`: the names of state files carry namespace and instance.
    pub names_in_dumps: bool,
    /// `json_version`, 1 or 2.
    pub json_version: u8,
    /// `state_dump_file`: a path, or a directory with a final slash.
    pub state_dump_file: Option<String>,
    /// `umask`: bits that files of ours do not get.
    pub umask: Option<u32>,
    /// Run before the roles start.
    pub startup: Option<LifeScript>,
    /// Run after they have ended.
    pub shutdown: Option<LifeScript>,
    /// `child_wait_time`: how long a role may take to stop.
    pub stop_limit: Option<Duration>,
    /// Instances that are `strict`, by name; for state files alone.
    pub strict: Vec<String>,
    /// `reload_time_file`.
    pub reload_time: Option<ReloadTime>,
    /// `reload_file`.
    pub reload_marker: Option<ReloadMarker>,
    /// `no_confinement`: roles that are started keep every right of the daemon.
    #[serde(default)]
    pub no_confinement: bool,
}

/// A file that says when to reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadTime {
    /// Its path.
    pub file: String,
    /// `reload_repeat`: it stays, for the same time of the next day.
    pub repeat: bool,
}

/// A file that is there while the configuration is being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReloadMarker {
    /// `keepalived.reload` beside the pid file.
    Usual,
    /// At this path.
    Named(String),
}

impl Default for DaemonPlan {
    fn default() -> DaemonPlan {
        DaemonPlan {
            instance: None,
            namespace: None,
            ipvs_namespace: None,
            pid_directory: false,
            names_in_dumps: false,
            json_version: 1,
            state_dump_file: None,
            umask: None,
            startup: None,
            shutdown: None,
            stop_limit: None,
            strict: Vec::new(),
            reload_time: None,
            reload_marker: None,
            no_confinement: false,
        }
    }
}

impl DaemonPlan {
    /// What a running daemon cannot change (keepalived refuses the whole reload): the first keyword that differs.
    pub fn fixed_difference(&self, other: &DaemonPlan) -> Option<&'static str> {
        [
            ("net_namespace", self.namespace != other.namespace),
            ("net_namespace_ipvs", self.ipvs_namespace != other.ipvs_namespace),
            ("instance", self.instance != other.instance),
            ("use_pid_dir", self.pid_directory != other.pid_directory),
        ]
        .into_iter()
        .find_map(|(keyword, differs)| differs.then_some(keyword))
    }
}

/// Where IPVS is set up, if not where everything else lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvsNamespace {
    /// Where the daemon was started.
    Original,
    /// By name.
    Named(String),
}

/// A script that the daemon runs once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeScript {
    /// What.
    pub command: CommandPlan,
    /// How long it may take; not zero.
    pub timeout: Duration,
}
