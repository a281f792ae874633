//! What a role gives up before it hears anything (docs/decisions/0019): capabilities, programs, system calls, files.
//!
//! The scripts role gives nothing up: what it starts must have what keepalived's scripts have.

use super::Role;
use crate::sys::capabilities::{Capabilities, keep_only, no_new_privileges};
use crate::sys::landlock::{Left, restrict};
use crate::sys::seccomp::{Allowed, refuse_foreign_business};

/// Settings of interfaces, of IPVS and of IGMP; the rest of /proc/sys is the machine's.
const NET_SETTINGS: &str = "/proc/sys/net";

/// What is read where nothing else is.
const LITTLE: &[&str] = &["/proc", "/dev/urandom"];

/// The same, and the namespaces that `ip netns add` made.
const LITTLE_AND_NAMESPACES: &[&str] = &["/proc", "/dev/urandom", "/run/netns"];

/// What a role keeps.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// As far as the daemon has them.
    pub capabilities: Capabilities,
    /// System calls: it enters a network namespace of its own accord, it asks services of this machine.
    pub calls: Allowed,
    /// Files; `None`: it may do with them what root may.
    pub files: Option<Left<'static>>,
}

/// What `role` keeps; `None` if that is everything. `enters_namespace`: its IPVS table is elsewhere, or it may find
/// `net_namespace` in what it reads.
pub fn profile(role: Role, enters_namespace: bool) -> Option<Profile> {
    let scheduled = Capabilities::IPC_LOCK | Capabilities::SYS_NICE;
    let (capabilities, files) = match role {
        Role::Scripts => return None,
        Role::Vrrp => (
            scheduled | Capabilities::NET_ADMIN | Capabilities::NET_RAW,
            Left { changes: &[NET_SETTINGS], ..Left::default() },
        ),
        Role::Checker => (
            // Ports of bind_port below 1024; certificates and keys of other accounts.
            scheduled
                | Capabilities::NET_ADMIN
                | Capabilities::NET_RAW
                | Capabilities::NET_BIND_SERVICE
                | Capabilities::DAC_READ_SEARCH,
            Left { changes: &[NET_SETTINGS], tcp: true, ..Left::default() },
        ),
        Role::Bfd => (
            // Receive buffers beyond net.core.rmem_max; ports of net.ipv4.ip_unprivileged_port_start above 4784.
            scheduled | Capabilities::NET_ADMIN | Capabilities::NET_BIND_SERVICE,
            Left { reads: Some(LITTLE), ..Left::default() },
        ),
        Role::Snmp => (
            // The kernel's counters; a socket of the SNMP master, or its directory, may be for another account alone, and
            // DAC_READ_SEARCH connects to none.
            Capabilities::NET_ADMIN | Capabilities::DAC_OVERRIDE,
            Left {
                reads: Some(if enters_namespace { LITTLE_AND_NAMESPACES } else { LITTLE }),
                tcp: true,
                ..Left::default()
            },
        ),
        Role::Compile => (
            // Whatever is included, and certificates; the kernel loads the module of an interface such as tunl0 only when
            // somebody with CAP_NET_ADMIN asks for it; account databases may listen to reserved ports alone.
            Capabilities::DAC_READ_SEARCH | Capabilities::NET_ADMIN | Capabilities::NET_BIND_SERVICE,
            Left { tcp: true, others: true, ..Left::default() },
        ),
    };
    let capabilities = if enters_namespace { capabilities | Capabilities::SYS_ADMIN } else { capabilities };
    // Account databases are asked for over such sockets, and the SNMP master listens at one. A filter sees no path.
    let services = matches!(role, Role::Compile | Role::Snmp);
    let calls = Allowed { namespaces: enters_namespace, services };
    Some(Profile { capabilities, calls, files: Some(files) })
}

/// Gives up what `profile` does not keep. Call it before any thread starts. What this kernel cannot refuse is left, and
/// what fails is said: no reason not to run. The version of Landlock that is in force, if any.
pub fn confine(profile: &Profile) -> Option<u32> {
    if let Err(error) = no_new_privileges() {
        tracing::warn!("this process may still become more than it is (no_new_privs): {error}");
    }
    let landlock = profile.files.and_then(|files| {
        restrict(&files).unwrap_or_else(|error| {
            tracing::warn!("this process may still change files (Landlock): {error}");
            None
        })
    });
    if let Err(error) = keep_only(profile.capabilities) {
        tracing::warn!("this process keeps its capabilities: {error}");
    }
    // Last: it refuses some of what came before.
    if let Err(error) = refuse_foreign_business(profile.calls) {
        tracing::warn!("no system call is refused to this process (seccomp): {error}");
    }
    landlock
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    const ROLES: [Role; 6] = [Role::Vrrp, Role::Checker, Role::Bfd, Role::Snmp, Role::Compile, Role::Scripts];

    fn kept(role: Role, enters_namespace: bool) -> String {
        let names = profile(role, enters_namespace).map(|profile| profile.capabilities.names());
        names.map_or_else(|| "everything".to_owned(), |names| names.join(" "))
    }

    #[test]
    fn each_role_keeps_what_the_decision_says() {
        let lines = ROLES.map(|role| format!("{}: {}", role.name(), kept(role, false)));
        let said = [
            "vrrp: net_admin net_raw ipc_lock sys_nice",
            "checker: dac_read_search net_bind_service net_admin net_raw ipc_lock sys_nice",
            "bfd: net_bind_service net_admin ipc_lock sys_nice",
            "snmp: dac_override net_admin",
            "compile: dac_read_search net_bind_service net_admin",
            "scripts: everything",
        ];
        assert_eq!(lines, said);
        let decision = include_str!("../../docs/decisions/0019-each-role-keeps-what-it-needs.md");
        for line in &said[..5] {
            let (role, capabilities) = line.split_once(": ").expect("as above");
            let row = format!("| `{role}` | {capabilities} |");
            assert!(decision.contains(&row), "no row {row}");
        }
    }

    #[test]
    fn the_snmp_role_reaches_its_master_whosever_that_is_and_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, file) = (folder.path().join("agentx"), folder.path().join("file"));
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(&file, "before").expect("written");
        let master = inside.join("master");
        let _listener = UnixListener::bind(&master).expect("bound");
        // Where root runs this, all of it is another account's: as snmpd that has given root up leaves it.
        for (path, mode) in [(&master, 0o600), (&inside, 0o500)] {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).ok();
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
                .expect("it is ours, or we are root");
        }
        // A thread of its own: the others of the test program keep their rights.
        let outcome = std::thread::spawn(move || {
            let landlock = confine(&profile(Role::Snmp, false).expect("it gives up much"));
            let reached = UnixStream::connect(&master).map_err(|error| error.to_string());
            let changed = std::fs::write(&file, "after").is_ok();
            (reached.map(drop), changed && landlock.is_some(), std::fs::read("/proc/self/status").is_ok())
        });
        assert_eq!(outcome.join().expect("it ends"), (Ok(()), false, true));
    }

    #[test]
    fn only_who_enters_a_namespace_may() {
        for role in ROLES {
            let Some(stays) = profile(role, false) else { continue };
            let enters = profile(role, true).expect("as before");
            assert!(!stays.capabilities.has(Capabilities::SYS_ADMIN) && !stays.calls.namespaces);
            assert!(enters.capabilities.has(Capabilities::SYS_ADMIN) && enters.calls.namespaces);
        }
    }
}
