//! Settings of IPVS as a whole.

use super::Diagnostics;
use crate::plan::lvs::{KernelSettings, SyncPlan, SyncSettings, Timeouts};
use keepalived_compat::config::lvs::SyncDaemon;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::{Code, Config};
use std::time::Duration;

pub(super) fn settings(config: &Config, out: &mut Diagnostics) -> KernelSettings {
    let others = &config.global.others;
    let at_stop = others.find("lvs_flush_on_stop").or_else(|| others.find("lvs_flush_onstop"));
    KernelSettings {
        timeouts: timeouts(config),
        sync: sync(config, out),
        flush_at_stop: at_stop.is_some_and(|setting: &Setting| setting.value == Value::None),
    }
}

fn timeouts(config: &Config) -> Timeouts {
    let written = config.global.timeouts();
    // At most 31 days, so the seconds fit.
    let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs() as u32);
    Timeouts { tcp: seconds(written.tcp), tcp_fin: seconds(written.tcp_fin), udp: seconds(written.udp) }
}

/// `lvs_sync_daemon`, else the first `lvs_sync_daemon_interface` of an instance, which keepalived had before it.
fn sync(config: &Config, out: &mut Diagnostics) -> Option<SyncPlan> {
    let written = config.global.sync_daemon().cloned().or_else(|| of_an_instance(config))?;
    let instance = written.instance.as_ref();
    let known = instance.and_then(|name| config.instances.iter().find(|known| known.name.value == *name));
    if let (Some(name), None) = (instance, known) {
        let title = format!("lvs_sync_daemon: there is no vrrp_instance {name}");
        let span = config.global.others.find("lvs_sync_daemon").map(|setting| setting.span);
        out.tell(Code::UnknownName, span, title, "connections are not synchronised");
        return None;
    }
    let vrid = known.and_then(|known| known.settings.vrid).map(|vrid| vrid.value);
    let settings = SyncSettings {
        interface: written.interface,
        sync_id: written.id.or(vrid).unwrap_or(0),
        max_length: written.max_length,
        group: written.group,
        port: written.port,
        ttl: written.ttl,
    };
    Some(SyncPlan { instance: written.instance, settings })
}

fn of_an_instance(config: &Config) -> Option<SyncDaemon> {
    config.instances.iter().find_map(|instance| {
        let interface = instance.settings.others.text("lvs_sync_daemon_interface")?.to_owned();
        Some(SyncDaemon { interface, instance: Some(instance.name.value.clone()), ..SyncDaemon::default() })
    })
}
