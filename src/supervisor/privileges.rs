//! May this process do what the configuration asks of its roles? They begin with its capabilities. And what may they do?

use crate::link::kept::KeptPlans;
use crate::report::Rights;
use crate::sys::capabilities::Capabilities;

/// The capabilities that `plans` need and this process lacks, by name, with what they are needed for. None when
/// that cannot be found out: the roles then say what fails.
pub fn missing(plans: &KeptPlans) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    missing_from(Capabilities::effective(&status)?, plans)
}

fn missing_from(effective: Capabilities, plans: &KeptPlans) -> Option<String> {
    let (routers, services) = (!plans.vrrp.is_empty(), !plans.lvs.is_empty());
    let wanted = [
        (Capabilities::NET_ADMIN, "CAP_NET_ADMIN", routers || services),
        (Capabilities::NET_RAW, "CAP_NET_RAW", routers),
    ];
    let lacking: Vec<&str> = wanted
        .into_iter()
        .filter(|(capability, _, needed)| *needed && !effective.has(*capability))
        .map(|(_, name, _)| name)
        .collect();
    (!lacking.is_empty()).then(|| lacking.join(" and "))
}

/// What a process of ours may do; `None` if it is gone. `landlock`: what it says itself.
pub fn rights_of(process: u32, landlock: Option<u32>) -> Option<Rights> {
    let text = |process: &str| std::fs::read_to_string(format!("/proc/{process}/status")).ok();
    let own = text("self").as_deref().and_then(Capabilities::effective);
    rights_from(&text(&process.to_string())?, own, landlock)
}

fn rights_from(status: &str, own: Option<Capabilities>, landlock: Option<u32>) -> Option<Rights> {
    let word = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let effective = Capabilities::effective(status)?;
    Some(Rights {
        capabilities: effective.names(),
        all_of_the_daemon: own == Some(effective),
        no_new_privileges: word("NoNewPrivs:") == Some("1"),
        // 2: SECCOMP_MODE_FILTER.
        seccomp: word("Seccomp:") == Some("2"),
        landlock,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plans;
    use crate::plan::lvs::VirtualServer;

    #[test]
    fn rights_are_read_as_the_kernel_writes_them() {
        let own = Some(Capabilities(0x3000));
        let text = "Name:\tholdfast_vrrp\nCapEff:\t0000000000003000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let rights = Rights {
            capabilities: vec!["net_admin".to_owned(), "net_raw".to_owned()],
            all_of_the_daemon: true,
            no_new_privileges: true,
            seccomp: true,
            landlock: Some(4),
        };
        assert_eq!(rights_from(text, own, Some(4)), Some(rights));
        let bare = rights_from("CapEff:\t0000000000002000\n", own, None).expect("enough");
        assert_eq!((bare.all_of_the_daemon, bare.no_new_privileges, bare.seccomp), (false, false, false));
        assert_eq!(rights_from("", own, None), None);
        assert!(rights_of(std::process::id(), None).is_some_and(|rights| rights.all_of_the_daemon));
    }

    #[test]
    fn what_is_needed_depends_on_the_plan() {
        let kept = |plans| KeptPlans::new(plans).expect("they are short");
        assert_eq!(missing_from(Capabilities(0), &kept(Plans::default())), None);
        let json = serde_json::json!({
            "name": "web", "keys": [], "scheduler": "rr", "scheduler_flags": 0, "persistence": null,
            "persistence_engine": null, "one_packet": false, "quorum": 1, "hysteresis": 0, "sorry_server": null,
            "alpha": false, "ha_suspend": false, "omega": false, "real_servers": [], "min_alive": 0,
        });
        let server: VirtualServer = serde_json::from_value(json).expect("a virtual server");
        let mut services = Plans::default();
        services.lvs.virtual_servers.push(server);
        let services = kept(services);
        assert_eq!(missing_from(Capabilities(0), &services).as_deref(), Some("CAP_NET_ADMIN"));
        assert_eq!(missing_from(Capabilities::NET_ADMIN, &services), None);
    }
}
