//! Connection synchronisation: which daemons should run, and the way there from those that do.

use crate::plan::lvs::{SyncPlan, SyncRole, SyncSettings};
use std::net::IpAddr;

/// A connection synchronisation daemon of the kernel. One that runs has all its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Does it tell or hear?
    pub role: SyncRole,
    /// How.
    pub settings: SyncSettings,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncOp {
    /// Start a daemon.
    Start(SyncDaemon),
    /// Stop the daemon of this role.
    Stop(SyncRole),
}

/// The daemons that should run. As keepalived: with an instance the one of its state, without one both.
pub fn wanted(plan: &SyncPlan, master: bool) -> Vec<SyncDaemon> {
    let roles: &[SyncRole] = match (&plan.instance, master) {
        (None, _) => &[SyncRole::Master, SyncRole::Backup],
        (Some(_), true) => &[SyncRole::Master],
        (Some(_), false) => &[SyncRole::Backup],
    };
    roles.iter().map(|role| SyncDaemon { role: *role, settings: plan.settings.clone() }).collect()
}

/// What makes of the daemons that run those that should. A new master tells its connections before the backup stops.
pub fn plan(running: &[SyncDaemon], wanted: &[SyncDaemon]) -> Vec<SyncOp> {
    let mut ops = Vec::new();
    for daemon in wanted {
        match running.iter().find(|has| has.role == daemon.role) {
            Some(has) if satisfies(has, daemon) => continue,
            Some(_) => ops.push(SyncOp::Stop(daemon.role)),
            None => {}
        }
        ops.push(SyncOp::Start(daemon.clone()));
    }
    let surplus = running.iter().filter(|has| wanted.iter().all(|daemon| daemon.role != has.role));
    ops.extend(surplus.map(|has| SyncOp::Stop(has.role)));
    ops
}

/// Does `running` do what `wanted` says? What is not said is the kernel's affair.
fn satisfies(running: &SyncDaemon, wanted: &SyncDaemon) -> bool {
    let (has, want) = (&running.settings, &wanted.settings);
    fn fits<T: PartialEq>(has: Option<T>, want: Option<T>) -> bool {
        want.is_none() || has == want
    }
    let length = want.max_length.map(|length| kernel_length(length, wanted.role, want.group));
    has.interface == want.interface
        && has.sync_id == want.sync_id
        && fits(has.max_length, length)
        && fits(has.group, want.group)
        && fits(has.port, want.port)
        && fits(has.ttl, want.ttl)
}

/// The kernel keeps lengths in bounds: a backup takes 1,024 octets at least, and with its headers a message fits 65,535.
fn kernel_length(length: u16, role: SyncRole, group: Option<IpAddr>) -> u16 {
    let least = if role == SyncRole::Backup { 1024 } else { 1 };
    let headers = if group.is_some_and(|group| group.is_ipv6()) { 48 } else { 28 };
    length.clamp(least, u16::MAX - headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SyncSettings {
        SyncSettings {
            interface: "eth0".into(),
            sync_id: 51,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    /// As the kernel lists it.
    fn runs(role: SyncRole) -> SyncDaemon {
        let settings = SyncSettings {
            max_length: Some(1472),
            group: Some([224, 0, 0, 81].into()),
            port: Some(8848),
            ttl: Some(1),
            ..settings()
        };
        SyncDaemon { role, settings }
    }

    fn with(instance: Option<&str>) -> SyncPlan {
        SyncPlan { instance: instance.map(str::to_owned), settings: settings() }
    }

    #[test]
    fn an_instance_has_the_daemon_of_its_state_and_none_has_both() {
        let roles = |plan: &SyncPlan, master| -> Vec<SyncRole> {
            wanted(plan, master).into_iter().map(|daemon| daemon.role).collect()
        };
        assert_eq!(roles(&with(Some("VI")), true), [SyncRole::Master]);
        assert_eq!(roles(&with(Some("VI")), false), [SyncRole::Backup]);
        assert_eq!(roles(&with(None), false), [SyncRole::Master, SyncRole::Backup]);
    }

    #[test]
    fn a_takeover_starts_the_master_before_it_stops_the_backup() {
        let wanted = wanted(&with(Some("VI")), true);
        let ops = plan(&[runs(SyncRole::Backup)], &wanted);
        assert_eq!(ops, [SyncOp::Start(wanted[0].clone()), SyncOp::Stop(SyncRole::Backup)]);
        assert_eq!(plan(&[runs(SyncRole::Master)], &wanted), []);
        assert_eq!(plan(&[runs(SyncRole::Master)], &[]), [SyncOp::Stop(SyncRole::Master)]);
    }

    #[test]
    fn a_setting_that_differs_restarts_its_daemon_and_one_not_written_never_does() {
        let changed = |change: &dyn Fn(&mut SyncSettings)| {
            let mut settings = settings();
            change(&mut settings);
            let plan = SyncPlan { instance: Some("VI".into()), settings };
            super::plan(&[runs(SyncRole::Backup)], &wanted(&plan, false)).len()
        };
        assert_eq!(changed(&|_| {}), 0);
        assert_eq!(changed(&|s| s.interface = "eth1".into()), 2);
        assert_eq!(changed(&|s| s.sync_id = 0), 2);
        assert_eq!(changed(&|s| s.port = Some(8849)), 2);
        assert_eq!(changed(&|s| s.ttl = Some(2)), 2);
        assert_eq!(changed(&|s| s.group = Some([224, 0, 0, 82].into())), 2);
        assert_eq!(changed(&|s| s.max_length = Some(1472)), 0);
        assert_eq!(changed(&|s| s.max_length = Some(1400)), 2);
    }

    #[test]
    fn a_length_that_the_kernel_bounds_is_no_difference() {
        let short = SyncSettings { max_length: Some(100), ..settings() };
        let wanted = [SyncDaemon { role: SyncRole::Backup, settings: short }];
        let mut running = runs(SyncRole::Backup);
        running.settings.max_length = Some(1024);
        assert_eq!(plan(&[running], &wanted), []);
        assert_eq!(kernel_length(65_507, SyncRole::Master, None), 65_507);
        assert_eq!(kernel_length(65_507, SyncRole::Master, "ff02::81".parse().ok()), 65_487);
    }
}
