//! The names for tables, protocols, scopes and the like on this machine.

use crate::config::names::{NameKind, Names};
use crate::netlink::route::RouteSocket;
use std::fs;
use std::path::Path;

/// Where iproute2 looks, later ones winning: `/usr` has a distribution's files, `/etc` the administrator's.
const DIRECTORIES: &[&str] = &["/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"];

const FILES: &[(NameKind, &str)] = &[
    (NameKind::Table, "rt_tables"),
    (NameKind::Protocol, "rt_protos"),
    (NameKind::Scope, "rt_scopes"),
    (NameKind::Realm, "rt_realms"),
    (NameKind::DsField, "rt_dsfield"),
    (NameKind::Group, "group"),
];

/// Files beside one of them (`rt_tables.d/*.conf`) that are read.
const MAX_BESIDE: usize = 1000;

/// All names that are known here. A file that cannot be read has none.
pub(super) fn names() -> Names {
    let mut names = Names::default();
    for directory in DIRECTORIES {
        read_directory(Path::new(directory), &mut names);
    }
    if let Ok(text) = fs::read_to_string("/etc/protocols") {
        names.read(NameKind::IpProtocol, &text);
    }
    let tables = RouteSocket::open().and_then(|mut socket| socket.vrf_tables()).unwrap_or_default();
    for (name, table) in tables {
        names.add(NameKind::Vrf, &name, table);
    }
    names
}

fn read_directory(directory: &Path, names: &mut Names) {
    for (kind, file) in FILES {
        let main = directory.join(file);
        let beside = fs::read_dir(directory.join(format!("{file}.d"))).into_iter().flatten().flatten();
        let mut beside: Vec<_> = beside.map(|entry| entry.path()).take(MAX_BESIDE).collect();
        beside.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        beside.sort();
        for path in std::iter::once(main).chain(beside) {
            if let Ok(text) = fs::read_to_string(&path) {
                names.read(*kind, &text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_iproute2_is_read_with_the_files_beside() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join("rt_tables"), "100 isp1\n").expect("written");
        fs::create_dir(path.join("rt_tables.d")).expect("made");
        fs::write(path.join("rt_tables.d/b.conf"), "101 isp2\n").expect("written");
        fs::write(path.join("rt_tables.d/README"), "102 isp3\n").expect("written");
        let mut names = Names::default();
        read_directory(path, &mut names);
        assert_eq!(names.number(NameKind::Table, "isp1"), Some(100));
        assert_eq!(names.number(NameKind::Table, "isp2"), Some(101));
        assert_eq!(names.number(NameKind::Table, "isp3"), None);
    }
}
