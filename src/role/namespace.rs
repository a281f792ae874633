//! Network namespaces: where the daemon lives, and where its IPVS table is.

use nix::sched::{CloneFlags, setns};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Set when the command line has chosen (`-s`), which the configuration does not override.
static CHOSEN: OnceLock<()> = OnceLock::new();

/// Where the IPVS table is, if not where the process lives.
static IPVS: OnceLock<PathBuf> = OnceLock::new();

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
    let shown = path.display();
    let namespace = std::fs::File::open(path).map_err(|error| {
        format!("there is no network namespace {shown} ({error}): make it with ip netns add")
    })?;
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|error| format!("cannot enter {shown}: {error}"))
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

/// Where [`enter_ipvs`] goes.
pub fn set_ipvs(path: PathBuf) {
    IPVS.get_or_init(|| path);
}

/// Moves the calling thread to where the IPVS table is (`net_namespace_ipvs`).
pub fn enter_ipvs() -> Result<(), String> {
    IPVS.get().map_or(Ok(()), |path| enter_path(path))
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
