//! What lints ask of this machine: networks of interfaces, and who may change a script.

use keepalived_compat::lint::Facts;
use keepalived_compat::{Code, Config, Diagnostic};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// All that lints ask.
pub trait Machine: Facts {
    /// Who besides root may change the program at this absolute path or put another in its place, as a phrase like
    /// "everybody may write to /opt"; `None` when nobody may, or when it is not known.
    fn writable(&self, program: &str) -> Option<String>;
}

/// The machine and the network namespace that this process is in.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl Facts for ThisMachine {
    fn networks(&self, interface: &str) -> Option<Vec<(IpAddr, u8)>> {
        let all = getifaddrs().ok()?.filter(|entry| entry.interface_name == interface);
        let network = |entry: nix::ifaddrs::InterfaceAddress| {
            let address = address_of(entry.address.as_ref()?)?;
            let prefix = match address_of(entry.netmask.as_ref()?)? {
                IpAddr::V4(mask) => u32::from(mask).leading_ones(),
                IpAddr::V6(mask) => u128::from(mask).leading_ones(),
            };
            Some((address, u8::try_from(prefix).ok()?))
        };
        Some(all.filter_map(network).collect())
    }
}

pub(super) fn address_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

impl Machine for ThisMachine {
    fn writable(&self, program: &str) -> Option<String> {
        const OTHERS: u32 = 0o002;
        const GROUP: u32 = 0o020;
        const STICKY: u32 = 0o1000;
        // A link may lead elsewhere: what is run is what counts.
        let path = Path::new(program).canonicalize().ok()?;
        path.ancestors().find_map(|part| {
            let meta = part.metadata().ok()?;
            let mode = meta.mode();
            // In a sticky directory nobody replaces what is not his.
            if meta.is_dir() && mode & STICKY != 0 {
                return None;
            }
            if mode & OTHERS != 0 {
                return Some(format!("everybody may write to {}", part.display()));
            }
            // Some distributions give /usr/local to a group of their own: that is theirs to decide.
            let group = meta.is_file() && mode & GROUP != 0 && meta.gid() != 0;
            group.then(|| format!("the group {} may write to {}", meta.gid(), part.display()))
        })
    }
}

/// One diagnostic per program that others may change.
pub(super) fn lint(config: &Config, machine: &dyn Machine) -> Vec<Diagnostic> {
    let mut asked = BTreeSet::new();
    let absolute = |name: &str| Path::new(name).is_absolute();
    let programs = config.scripts.programs.iter().filter(|p| absolute(&p.value));
    let first = programs.filter(|p| asked.insert(p.value.as_str()));
    let lint = |program: &keepalived_compat::Spanned<String>| {
        let who = machine.writable(&program.value)?;
        let title = format!("the script {} can be changed by others: {who}", program.value);
        let now = "whoever may write there decides what runs, and may take an address away from this node";
        let diagnostic = Diagnostic::new(Code::ScriptWritable, program.span, title, now);
        Some(diagnostic.instead("chown root and chmod go-w for the file and its directories"))
    };
    first.filter_map(lint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_script_is_as_safe_as_its_path() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = directory.path().join("s");
        std::fs::write(&script, "#!/bin/sh\n").expect("written");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("mode set");
        };
        let name = script.to_string_lossy().into_owned();
        set(&script, 0o755);
        assert_eq!(ThisMachine.writable(&name), None);
        set(&script, 0o757);
        assert!(ThisMachine.writable(&name).is_some_and(|w| w.contains("everybody")));
        set(&script, 0o755);
        set(directory.path(), 0o777);
        assert!(ThisMachine.writable(&name).is_some_and(|w| w.contains("everybody")));
        set(directory.path(), 0o1777);
        assert_eq!(ThisMachine.writable(&name), None);
        assert_eq!(ThisMachine.writable("/no/such/file"), None);
    }

    #[test]
    fn the_loopback_has_its_network() {
        let networks = ThisMachine.networks("lo").expect("interfaces can be listed");
        assert!(networks.iter().all(|(_, prefix)| *prefix <= 128));
        assert!(networks.is_empty() || networks.iter().any(|(a, _)| a.is_loopback()), "{networks:?}");
    }
}
