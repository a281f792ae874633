//! Network namespaces: where the daemon lives, and where its IPVS table is.

use crate::report::TableHome;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
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

/// Where the IPVS table of this process is.
pub fn table() -> Option<TableHome> {
    let own = || {
        let path = PathBuf::from(format!("/proc/{}/ns/net", std::process::id()));
        let inode = path.metadata().ok()?.ino();
        Some((path, inode))
    };
    let (path, inode) = match IPVS.get() {
        None => own()?,
        Some((path, Some(open))) => (path.clone(), open.metadata().ok()?.ino()),
        Some((path, None)) => (path.clone(), path.metadata().ok()?.ino()),
    };
    Some(TableHome { path: path.display().to_string(), inode })
}

/// Is it the table of the calling thread's own namespace?
pub fn is_here(home: &TableHome) -> bool {
    std::fs::metadata("/proc/thread-self/ns/net").is_ok_and(|own| own.ino() == home.inode)
}

/// Moves the calling thread to the table of another process. The error is a sentence.
pub fn enter_table(home: &TableHome) -> Result<(), String> {
    if is_here(home) {
        return Ok(());
    }
    let path = Path::new(&home.path);
    let elsewhere = |why: String| format!("the table is in another network namespace, {}: {why}", home.path);
    let namespace = File::open(path).map_err(|error| elsewhere(error.to_string()))?;
    if namespace.metadata().map(|found| found.ino()).ok() != Some(home.inode) {
        return Err(elsewhere("there is another one by now".to_owned()));
    }
    enter_open(path, &namespace)
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

    #[test]
    fn a_table_here_is_entered_and_one_that_is_gone_is_not_taken_for_it() {
        let home = table().expect("there is /proc");
        assert!(is_here(&home));
        assert_eq!(enter_table(&home), Ok(()));
        let gone = TableHome { inode: 1, ..home };
        let error = enter_table(&gone).expect_err("no namespace has this number");
        assert!(error.ends_with("/ns/net: there is another one by now"), "{error}");
        let nowhere = TableHome { path: "/run/netns/holdfast-no-such-namespace".into(), inode: 1 };
        assert!(enter_table(&nowhere).expect_err("nobody made it").contains("No such file"), "said");
    }
}
