//! Network namespaces: where the daemon lives, and where its IPVS table is.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Set when the command line has chosen (`-s`), which the configuration does not override.
static CHOSEN: OnceLock<()> = OnceLock::new();

/// Where the IPVS table is, if not where the process lives; open if it is an open file of another process, which a process
/// with fewer rights than that one may not open (ptrace(2), "access mode checking").
static IPVS: OnceLock<(PathBuf, Option<File>)> = OnceLock::new();

/// Moves the calling thread, and with it every process and thread that it starts, into a network namespace that
/// `ip netns add` made. The error is a sentence.
pub fn enter(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains('/') {
        return Err("the name of a network namespace is wanted, as ip netns shows it".to_owned());
    }
    enter_path(&path_of(name))
}

/// The file of a named namespace.
pub fn path_of(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn enter_path(path: &Path) -> Result<(), String> {
    let namespace = File::open(path).map_err(|error| {
        format!("there is no network namespace {} ({error}): make it with ip netns add", path.display())
    })?;
    enter_open(path, &namespace)
}

fn enter_open(path: &Path, namespace: &File) -> Result<(), String> {
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("cannot enter {}: {error}", path.display()))
}

/// From now on the configuration's `net_namespace` means nothing to this process.
pub fn choose() {
    CHOSEN.get_or_init(|| ());
}

/// `net_namespace`, for a process that looks interfaces up while it reads the configuration. If it fails they are
/// looked up here; the daemon itself refuses to start then.
pub fn enter_configured(name: &str) {
    if CHOSEN.get().is_none()
        && let Err(error) = enter(name)
    {
        tracing::warn!("net_namespace {name}: {error}");
    }
}

/// Where [`enter_ipvs`] goes. Call it before the process gives rights up.
pub fn set_ipvs(path: PathBuf) {
    let open = if path.starts_with("/proc") { File::open(&path).ok() } else { None };
    IPVS.get_or_init(|| (path, open));
}

/// Moves the calling thread to where the IPVS table is (`net_namespace_ipvs`).
pub fn enter_ipvs() -> Result<(), String> {
    match IPVS.get() {
        None => Ok(()),
        Some((path, Some(namespace))) => enter_open(path, namespace),
        Some((path, None)) => enter_path(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let error = enter("holdfast-no-such-namespace").expect_err("nobody made it");
        assert!(
            error.starts_with("there is no network namespace /run/netns/holdfast-no-such-namespace"),
            "{error}"
        );
        for name in ["", "../net", "a/b"] {
            assert!(enter(name).expect_err("not a name").starts_with("the name of"), "{name}");
        }
    }
}
