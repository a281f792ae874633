//! The way back from a restore that the kernel refused in its middle.

use super::grammar::Command;
use crate::net::AddressFamily;
use crate::netlink::NetlinkError;
use crate::netlink::ipvs_raw::{RawDaemon, RawDestination, RawIpvs, RawService, RawTimeouts};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What tells services apart: a mark with its family, or protocol, address and port.
type Key = (u32, AddressFamily, u16, Option<IpAddr>, u16);

type Rows = BTreeMap<Key, (RawService, BTreeMap<SocketAddr, RawDestination>)>;

/// Everything as it was.
#[derive(Debug)]
pub struct Before {
    rows: Rows,
    timeouts: RawTimeouts,
    daemons: Vec<RawDaemon>,
}

impl Before {
    /// Looks at everything.
    pub fn of(ipvs: &mut RawIpvs) -> Result<Before, NetlinkError> {
        Ok(Before { rows: rows(ipvs)?, timeouts: ipvs.timeouts()?, daemons: ipvs.daemons()? })
    }

    /// Undoes what `done` did; services that it does not name are left alone, as are counters.
    pub fn put_back(&self, ipvs: &mut RawIpvs, done: &[(usize, Command)]) -> Result<(), NetlinkError> {
        let touched = Touched::of(done);
        for step in steps(&self.rows, &rows(ipvs)?, &touched) {
            match step {
                Step::DeleteService(service) => ipvs.delete_service(service),
                Step::SetService(service, new) => ipvs.set_service(service, new),
                Step::SetDestination(service, server, new) => ipvs.set_destination(service, server, new),
                Step::DeleteDestination(service, server) => ipvs.delete_destination(service, server),
            }?;
        }
        if touched.timeouts {
            ipvs.set_timeouts(self.timeouts)?;
        }
        if touched.daemons {
            let now = ipvs.daemons()?;
            for daemon in now.iter().filter(|daemon| !self.daemons.contains(daemon)) {
                // The kernel may take longer than we wait for its answer, and be done all the same.
                if let Err(error) = ipvs.stop_daemon(daemon)
                    && ipvs.daemons()?.contains(daemon)
                {
                    return Err(error);
                }
            }
            for daemon in self.daemons.iter().filter(|daemon| !now.contains(daemon)) {
                ipvs.start_daemon(daemon)?;
            }
        }
        Ok(())
    }
}

/// What commands may have changed.
#[derive(Debug, Default)]
struct Touched {
    everything: bool,
    services: BTreeSet<Key>,
    timeouts: bool,
    daemons: bool,
}

impl Touched {
    fn of(done: &[(usize, Command)]) -> Touched {
        let mut touched = Touched::default();
        for (_, command) in done {
            match command {
                Command::AddService(service)
                | Command::EditService(service)
                | Command::DeleteService(service)
                | Command::AddServer(service, _)
                | Command::EditServer(service, _)
                | Command::DeleteServer(service, _) => drop(touched.services.insert(key(service))),
                Command::Flush => touched.everything = true,
                Command::SetTimeouts(_) => touched.timeouts = true,
                Command::StartDaemon(_) | Command::StopDaemon(_) => touched.daemons = true,
                Command::List(..)
                | Command::Save(_)
                | Command::Zero(_)
                | Command::Restore
                | Command::Help
                | Command::Version => {}
            }
        }
        touched
    }
}

/// One change; `true` for one that adds.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    DeleteService(&'a RawService),
    SetService(&'a RawService, bool),
    SetDestination(&'a RawService, &'a RawDestination, bool),
    DeleteDestination(&'a RawService, &'a RawDestination),
}

/// From `now` to `before`, where `touched`. Servers come back before others go.
fn steps<'a>(before: &'a Rows, now: &'a Rows, touched: &Touched) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let is_touched = |key: &&Key| touched.everything || touched.services.contains(*key);
    for key in before.keys().filter(is_touched) {
        let (service, servers) = &before[key];
        let has = now.get(key);
        match has {
            None => steps.push(Step::SetService(service, true)),
            Some((has, _)) if !same_service(service, has) => steps.push(Step::SetService(service, false)),
            Some(_) => {}
        }
        let has = has.map(|(_, servers)| servers);
        for (endpoint, server) in servers {
            match has.and_then(|has| has.get(endpoint)) {
                Some(has) if same_destination(server, has) => {}
                has => steps.push(Step::SetDestination(service, server, has.is_none())),
            }
        }
        let surplus = has.into_iter().flatten().filter(|(endpoint, _)| !servers.contains_key(endpoint));
        steps.extend(surplus.map(|(_, server)| Step::DeleteDestination(service, server)));
    }
    let surplus = now.iter().filter(|(key, _)| is_touched(key) && !before.contains_key(key));
    steps.extend(surplus.map(|(_, (service, _))| Step::DeleteService(service)));
    steps
}

fn key(service: &RawService) -> Key {
    match service.mark {
        0 => (0, service.family, service.protocol, Some(service.address), service.port),
        mark => (mark, service.family, 0, None, 0),
    }
}

fn rows(ipvs: &mut RawIpvs) -> Result<Rows, NetlinkError> {
    let mut rows = Rows::new();
    for service in ipvs.services()? {
        let servers = match ipvs.destinations(&service) {
            // Somebody deleted the service meanwhile.
            Err(error) if error.errno == libc::ESRCH => continue,
            servers => servers?,
        };
        let servers = servers.into_iter().map(|it| (SocketAddr::new(it.address, it.port), it));
        rows.insert(key(&service), (service, servers.collect()));
    }
    Ok(rows)
}

fn same_service(a: &RawService, b: &RawService) -> bool {
    let settings =
        |it: &RawService| (it.scheduler.clone(), it.engine.clone(), it.flags, it.timeout, it.netmask);
    settings(a) == settings(b)
}

fn same_destination(a: &RawDestination, b: &RawDestination) -> bool {
    let settings = |it: &RawDestination| {
        let tunnel = (it.tunnel_kind, it.tunnel_port, it.tunnel_flags);
        (it.forwarding, it.weight, it.upper_threshold, it.lower_threshold, tunnel)
    };
    settings(a) == settings(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::lvs::ServiceKey;

    fn service(mark: u32, scheduler: &str) -> RawService {
        let key = ServiceKey::FwMark { family: AddressFamily::V4, mark };
        RawService { scheduler: scheduler.into(), ..RawService::of_key(&key) }
    }

    fn table(services: &[(RawService, &[(u8, u32)])]) -> Rows {
        let server = |(last, weight): &(u8, u32)| {
            let address = IpAddr::from([10, 0, 0, *last]);
            (
                SocketAddr::new(address, 0),
                RawDestination { address, weight: *weight, ..RawDestination::nowhere() },
            )
        };
        let row = |(service, servers): &(RawService, &[(u8, u32)])| {
            (key(service), (service.clone(), servers.iter().map(server).collect()))
        };
        services.iter().map(row).collect()
    }

    #[test]
    fn only_what_was_touched_and_differs_is_put_back() {
        let before = table(&[
            (service(1, "rr"), &[(1, 1), (2, 2)]),
            (service(2, "rr"), &[(1, 1)]),
            (service(3, "rr"), &[(1, 1)]),
        ]);
        let now = table(&[
            (service(1, "wrr"), &[(2, 9), (3, 3)]),
            (service(3, "lc"), &[]),
            (service(4, "rr"), &[(1, 1)]),
        ]);
        let named = |marks: &[u32]| Touched {
            services: marks.iter().map(|mark| key(&service(*mark, ""))).collect(),
            ..Touched::default()
        };
        let said = |steps: Vec<Step<'_>>| -> Vec<String> {
            let word = |step: &Step<'_>| match step {
                Step::DeleteService(service) => format!("- {}", service.mark),
                Step::SetService(service, new) => format!("{new} {} {}", service.mark, service.scheduler),
                Step::SetDestination(service, server, new) => {
                    format!("{new} {} {} {}", service.mark, server.address, server.weight)
                }
                Step::DeleteDestination(service, server) => format!("- {} {}", service.mark, server.address),
            };
            steps.iter().map(word).collect()
        };
        let first = ["false 1 rr", "true 1 10.0.0.1 1", "false 1 10.0.0.2 2", "- 1 10.0.0.3"];
        assert_eq!(said(steps(&before, &now, &named(&[1]))), first);
        let all = Touched { everything: true, ..Touched::default() };
        let rest = ["true 2 rr", "true 2 10.0.0.1 1", "false 3 rr", "true 3 10.0.0.1 1", "- 4"];
        assert_eq!(said(steps(&before, &now, &all)), [&first[..], &rest].concat());
        assert_eq!(steps(&before, &now, &named(&[9])), []);
        assert_eq!(steps(&before, &before, &all), []);
    }
}
