//! May this process do what the configuration asks of its roles? They inherit its capabilities.

use crate::plan::Plans;

/// linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;

/// The capabilities that `plans` need and this process lacks, by name, with what they are needed for. None when
/// that cannot be found out: the roles then say what fails.
pub fn missing(plans: &Plans) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    missing_from(effective(&status)?, plans)
}

fn missing_from(effective: u64, plans: &Plans) -> Option<String> {
    let (routers, services) = (!plans.vrrp.routers.is_empty(), !plans.lvs.virtual_servers.is_empty());
    let wanted =
        [(CAP_NET_ADMIN, "CAP_NET_ADMIN", routers || services), (CAP_NET_RAW, "CAP_NET_RAW", routers)];
    let lacking: Vec<&str> = wanted
        .into_iter()
        .filter(|(number, _, needed)| *needed && effective >> number & 1 == 0)
        .map(|(_, name, _)| name)
        .collect();
    (!lacking.is_empty()).then(|| lacking.join(" and "))
}

/// The effective set in /proc/PID/status (proc_pid_status(5)).
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::lvs::VirtualServer;

    #[test]
    fn the_effective_set_is_read_as_the_kernel_writes_it() {
        assert_eq!(effective("Name:\tx\nCapPrm:\tff\nCapEff:\t0000000000003000\n"), Some(0x3000));
        assert_eq!(effective("Name:\tx\n"), None);
        assert!(effective(&std::fs::read_to_string("/proc/self/status").expect("proc is mounted")).is_some());
    }

    #[test]
    fn what_is_needed_depends_on_the_plan() {
        let nothing = Plans::default();
        assert_eq!(missing_from(0, &nothing), None);
        let json = serde_json::json!({
            "name": "web", "keys": [], "scheduler": "rr", "scheduler_flags": 0, "persistence": null,
            "persistence_engine": null, "one_packet": false, "quorum": 1, "hysteresis": 0, "sorry_server": null,
            "alpha": false, "ha_suspend": false, "omega": false, "real_servers": [], "min_alive": 0,
        });
        let server: VirtualServer = serde_json::from_value(json).expect("a virtual server");
        let mut services = Plans::default();
        services.lvs.virtual_servers.push(server);
        assert_eq!(missing_from(0, &services).as_deref(), Some("CAP_NET_ADMIN"));
        assert_eq!(missing_from(1 << CAP_NET_ADMIN, &services), None);
    }
}
