//! Settings of IPVS as a whole.

use super::Diagnostics;
use crate::plan::lvs::{KernelSettings, ServiceRules, SyncPlan, SyncSettings, Timeouts};
use keepalived_compat::config::lvs::SyncDaemon;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::{Code, Config};
use std::time::Duration;

pub(super) fn settings(config: &Config, rules: ServiceRules, out: &mut Diagnostics) -> KernelSettings {
    let others = &config.global.others;
    let at_stop = others.find("lvs_flush_on_stop").or_else(|| others.find("lvs_flush_onstop"));
    KernelSettings {
        timeouts: timeouts(config),
        sync: sync(config, out),
        flush_at_stop: at_stop.is_some_and(|setting: &Setting| setting.value == Value::None),
        rules,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::lowered;

    fn kernel(text: &str) -> (KernelSettings, Vec<Code>) {
        let instance =
            "vrrp_instance WEB {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress { 192.0.2.1/24 }\n";
        let (inside, outside) = text.split_once('|').unwrap_or(("", text));
        let (plans, codes) = lowered(&format!("global_defs {{\n{outside}\n}}\n{instance}{inside}\n}}"));
        (plans.lvs.kernel, codes)
    }

    #[test]
    fn the_id_of_synchronisation_is_the_vrid_unless_it_is_written() {
        let (plan, codes) = kernel("lvs_sync_daemon eth1 WEB");
        let settings = SyncSettings {
            interface: "eth1".into(),
            sync_id: 51,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let sync = SyncPlan { instance: Some("WEB".into()), settings };
        assert_eq!((plan.sync, codes), (Some(sync.clone()), vec![]));
        let (plan, codes) =
            kernel("lvs_sync_daemon eth1 inst WEB id 7 maxlen 1400 port 9000 ttl 3 group 224.0.0.9");
        let settings = SyncSettings {
            sync_id: 7,
            max_length: Some(1400),
            group: Some([224, 0, 0, 9].into()),
            port: Some(9000),
            ttl: Some(3),
            ..sync.settings.clone()
        };
        assert_eq!((plan.sync, codes), (Some(SyncPlan { settings, ..sync.clone() }), vec![]));
        let (plan, codes) = kernel("lvs_sync_daemon eth1");
        let both =
            SyncPlan { instance: None, settings: SyncSettings { sync_id: 0, ..sync.settings.clone() } };
        assert_eq!((plan.sync, codes), (Some(both), vec![]));
        let (plan, _) = kernel("lvs_sync_daemon_interface eth1|");
        assert_eq!(plan.sync, Some(sync));
        assert_eq!(
            kernel("lvs_sync_daemon eth1 NOWHERE"),
            (KernelSettings::default(), vec![Code::UnknownName])
        );
    }

    #[test]
    fn timeouts_and_the_end_are_as_written() {
        let (plan, codes) = kernel("lvs_timeouts tcp 900 udp 30\nlvs_flush_on_stop");
        assert_eq!((plan.timeouts, codes), (Timeouts { tcp: 900, tcp_fin: 0, udp: 30 }, vec![]));
        assert!(plan.flush_at_stop);
        assert!(!kernel("lvs_flush_on_stop VS").0.flush_at_stop);
        assert!(kernel("lvs_flush_onstop").0.flush_at_stop);
        assert_eq!(kernel(""), (KernelSettings::default(), vec![]));
    }

    #[test]
    fn a_mark_is_checked_all_the_time() {
        let suspends = |header: &str| {
            let body = "ha_suspend\nlvs_sched rr\nlvs_method DR\nprotocol TCP\nreal_server 198.51.100.1 80 { weight 1 }";
            let (plans, codes) = lowered(&format!("virtual_server {header} {{\n{body}\n}}"));
            (plans.lvs.virtual_servers[0].ha_suspend, codes.contains(&Code::Cleared))
        };
        assert_eq!(suspends("192.0.2.1 80"), (true, false));
        assert_eq!(suspends("fwmark 7"), (false, true));
    }
}
