//! Orders of `holdfastctl`: stop, fail over, maintenance.

use super::dump::write;
use super::own_file;
use super::run::Supervisor;
use super::worker::Worker;
use crate::link::ToVrrp;
use crate::link::control::Answer;
use crate::link::frame::encode;
use crate::vrrp::{Maintenance, Upkeep};
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;

/// The layout of the file that keeps what is in maintenance.
const VERSION: u32 = 1;

/// More than every name that a configuration can have: a larger file is none of ours.
const MAX_FILE: u64 = 4 << 20;

/// Readable by root only, as the control socket.
const MODE: u32 = 0o600;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    #[serde(flatten)]
    maintenance: Maintenance,
}

impl Supervisor {
    /// End in order; with `keep`, leave everything to a daemon that is started at once.
    pub(super) fn ask_stop(&mut self, keep: bool, reply: oneshot::Sender<Answer>) {
        if keep {
            self.settings.release_vrrp = false;
            self.settings.release_ipvs = false;
        }
        reply.send(Answer::Begun(Vec::new())).ok();
        self.stop(0, None);
    }

    /// Hand over once.
    pub(super) fn ask_failover(
        &mut self,
        instances: Vec<String>,
        hold_seconds: u32,
        reply: oneshot::Sender<Answer>,
    ) {
        let hold = Duration::from_secs(hold_seconds.into());
        let answer = self.find(&instances).and_then(|()| {
            let named = |name: &&String| instances.is_empty() || instances.contains(name);
            let masters: Vec<String> = self.masters.iter().filter(named).cloned().collect();
            if masters.is_empty() {
                return Err("this node is Master of none of them: there is nothing to give up".to_owned());
            }
            tracing::info!("told to fail over: {}", masters.join(", "));
            self.tell_vrrp(&ToVrrp::Failover { routers: instances, hold }).map(|()| masters)
        });
        reply.send(answer.map_or_else(Answer::Refused, Answer::Begun)).ok();
    }

    /// Into maintenance, or out of it. It is kept first: what a restart would forget is not begun.
    pub(super) fn ask_maintenance(
        &mut self,
        instance: Option<String>,
        upkeep: Option<Upkeep>,
        reply: oneshot::Sender<Answer>,
    ) {
        let mut next = self.maintenance.clone();
        match (&instance, upkeep) {
            (Some(name), Some(upkeep)) => drop(next.routers.insert(name.clone(), upkeep)),
            (Some(name), None) => drop(next.routers.remove(name)),
            (None, all) => {
                next.all = all;
                next.routers.clear();
            }
        }
        let names: Vec<String> = instance.into_iter().collect();
        // What left the configuration may still leave maintenance.
        let known = if upkeep.is_some() { self.find(&names) } else { Ok(()) };
        let answer = known.and_then(|()| {
            if names.iter().any(|name| upkeep.is_none() && next.of(name).is_some()) {
                return Err("all of this node is in maintenance: holdfastctl maintenance off".to_owned());
            }
            let file = self.settings.maintenance_file();
            save(&file, &next).map_err(|error| format!("{}: {error}; nothing was done", file.display()))?;
            self.maintenance = next;
            let what = match upkeep {
                Some(Upkeep { allow_last: true }) => "in maintenance, the last resort",
                Some(_) => "in maintenance",
                None => "out of maintenance",
            };
            let whose = if names.is_empty() { "all instances".to_owned() } else { names.join(", ") };
            tracing::info!("{whose}: {what}");
            let frame = ToVrrp::Maintenance(self.maintenance.clone());
            if self.slots[Worker::Vrrp.index()].child.is_some() {
                self.tell_vrrp(&frame)?;
            }
            Ok(names)
        });
        reply.send(answer.map_or_else(Answer::Refused, Answer::Begun)).ok();
    }

    /// What a vrrp role that starts must hear of it.
    pub(super) fn maintenance_frame(&self) -> Option<Vec<u8>> {
        let frame = || encode(&ToVrrp::Maintenance(self.maintenance.clone())).ok();
        if self.maintenance.is_empty() { None } else { frame() }
    }

    fn tell_vrrp(&self, message: &ToVrrp) -> Result<(), String> {
        match &self.slots[Worker::Vrrp.index()].child {
            Some(child) if child.send(encode(message)) => Ok(()),
            Some(_) => Err("the vrrp role does not read what it is told: try again".to_owned()),
            None => Err("the vrrp role does not run".to_owned()),
        }
    }

    fn find(&self, names: &[String]) -> Result<(), String> {
        if names.is_empty() {
            return Ok(());
        }
        let plans =
            self.plans.whole().map_err(|error| format!("the plans in force cannot be read: {error}"))?;
        let routers = plans.vrrp.routers;
        let unknown = names.iter().find(|name| routers.iter().all(|router| router.name != **name));
        let all = || routers.iter().map(|router| router.name.as_str()).collect::<Vec<_>>().join(", ");
        unknown.map_or(Ok(()), |name| Err(format!("no vrrp_instance is called {name}: there is {}", all())))
    }
}

/// What an earlier run kept. A file that cannot be read is said and means nothing.
pub fn load(path: &Path) -> Maintenance {
    let kept = match read(path) {
        Ok(kept) => kept,
        Err(error) if error.kind() == ErrorKind::NotFound => return Maintenance::default(),
        Err(error) => {
            tracing::error!("{}: {error}; nothing is in maintenance", path.display());
            return Maintenance::default();
        }
    };
    if !kept.is_empty() {
        let mut names: Vec<&str> = kept.routers.keys().map(String::as_str).collect();
        names.extend(kept.all.map(|_| "all instances"));
        tracing::warn!("in maintenance since an earlier run: {}", names.join(", "));
    }
    kept
}

fn read(path: &Path) -> io::Result<Maintenance> {
    let kept: Kept = serde_json::from_slice(&own_file::read(path, MAX_FILE)?)?;
    if kept.version != VERSION {
        return Err(io::Error::other(format!("its version is {}, not {VERSION}", kept.version)));
    }
    Ok(kept.maintenance)
}

fn save(path: &Path, maintenance: &Maintenance) -> io::Result<()> {
    if maintenance.is_empty() {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let kept = Kept { version: VERSION, maintenance: maintenance.clone() };
    write(path, &serde_json::to_string(&kept)?, MODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_nothing_else_is_believed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keepalived.maintenance");
        assert!(load(&path).is_empty());
        let mut maintenance =
            Maintenance { all: Some(Upkeep { allow_last: true }), ..Maintenance::default() };
        maintenance.routers.insert("web".to_owned(), Upkeep { allow_last: false });
        save(&path, &maintenance).expect("saved");
        assert_eq!(load(&path), maintenance);
        assert_eq!(maintenance.of("web"), Some(Upkeep { allow_last: false }));
        assert_eq!(maintenance.of("db"), Some(Upkeep { allow_last: true }));
        for text in ["", "{}", "{\"version\":2,\"all\":null,\"routers\":{}}", "[[[["] {
            std::fs::write(&path, text).expect("written");
            assert!(load(&path).is_empty(), "{text}");
        }
        save(&path, &Maintenance::default()).expect("removed");
        assert!(!path.exists());
        save(&path, &Maintenance::default()).expect("there is nothing to remove");
    }
}
