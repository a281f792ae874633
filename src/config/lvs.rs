//! `virtual_server` to [`plan::VirtualServer`](crate::plan::lvs::VirtualServer).

mod kernel;
mod marks;
mod server;
mod services;

pub(super) use server::forwarding;

use super::{Diagnostics, notify, snmp};
use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::Generation;
use crate::plan::lvs as plan;
use crate::plan::lvs::{Granularity, LvsPlan, Persistence, ServiceKey, ServiceRules};
use crate::plan::manners::Manners;
use crate::plan::notify::{ServerHooks, ServiceHooks};
use crate::plan::snmp::{SnmpRealServer, SnmpVirtualServer};
use keepalived_compat::config::lvs::{self as conf, Group, Method, Protocol, VirtualServer};
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::{Code, Config, Span};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is made of virtual servers beside their plan.
pub(super) struct Beside {
    /// Who is told of them.
    pub(super) hooks: Vec<ServiceHooks>,
    /// What an SNMP agent says of them; nothing without one.
    pub(super) rows: Option<Vec<SnmpVirtualServer>>,
}

pub(super) fn lower<V: Borrow<VirtualServer>>(
    config: &Config,
    servers: impl Iterator<Item = V>,
    generation: Generation,
    beside: &mut Beside,
    out: &mut Diagnostics,
) -> LvsPlan {
    let defaults = notify::Defaults::of(config);
    let mut seen: BTreeMap<ServiceKey, Span> = BTreeMap::new();
    let (mut virtual_servers, mut manners) = (Vec::new(), Manners::default());
    let mut rules = marks::settings(config);
    let mut marks = marks::Marks::of(config, &rules);
    for written in servers {
        let written = written.borrow();
        let name = written.name();
        let mut lowering = Lowering {
            written,
            name,
            defaults: &defaults,
            config,
            hooks: Vec::new(),
            rows: beside.rows.as_ref().map(|_| Vec::with_capacity(written.real_servers.len())),
            endpoints: Vec::new(),
            rules: &mut rules,
            marks: &mut marks,
            before: &virtual_servers,
            out,
        };
        let Some(mut server) = lowering.virtual_server(&config.groups, &mut seen) else { continue };
        manners.share(&mut server);
        let Lowering { hooks, rows, .. } = lowering;
        let first = server.keys.first(); // a plan has one at least
        let protocol = server.protocol();
        let hooks = first.and_then(|key| notify::service(written, *key, protocol, hooks, &defaults));
        beside.hooks.extend(hooks);
        if let Some((all, servers)) = beside.rows.as_mut().zip(rows) {
            all.push(snmp::virtual_server(written, &server, servers, &defaults));
        }
        virtual_servers.push(server);
    }
    services::tell_apart(&mut virtual_servers);
    LvsPlan {
        generation,
        virtual_servers,
        flush_at_start: config.global.lvs_flush,
        init_notifies: config.global.others.is_on("rs_init_notifies"),
        kernel: kernel::settings(config, rules, out),
        untold: false,
    }
}

/// One virtual server on its way.
struct Lowering<'a> {
    written: &'a VirtualServer,
    name: String,
    defaults: &'a notify::Defaults,
    /// All of it but the virtual servers, which may be gone.
    config: &'a Config,
    /// Of the real servers that are kept.
    hooks: Vec<ServerHooks>,
    /// Of the same, for an SNMP agent; nothing without one.
    rows: Option<Vec<SnmpRealServer>>,
    /// What a mark of ours stands for (`nftables_ipvs`); empty without one.
    endpoints: Vec<ServiceKey>,
    rules: &'a mut ServiceRules,
    marks: &'a mut marks::Marks,
    /// Those before it in the file.
    before: &'a [plan::VirtualServer],
    out: &'a mut Diagnostics,
}

impl Lowering<'_> {
    /// Says something about the virtual server as a whole.
    fn tell(&mut self, code: Code, what: &str, now: &str) {
        let title = format!("virtual_server {}: {what}", self.name);
        self.out.tell(code, self.written.service.span, title, now);
    }

    fn virtual_server(
        &mut self,
        groups: &[Group],
        seen: &mut BTreeMap<ServiceKey, Span>,
    ) -> Option<plan::VirtualServer> {
        let family = self.family(groups);
        let keys = self.keys(groups, family);
        let (keys, twice) = services::unique(keys, seen);
        if keys.is_empty() {
            self.left_out(&twice);
        }
        let keys = self.mark(keys, seen);
        // All keys are of one family now, or all servers are tunnelled, or this one is dropped.
        let family = keys.first()?.family();
        let real_servers = self.real_servers(&keys, family);
        if real_servers.is_empty() {
            self.tell(Code::Cleared, "there is no real server", "it is left out, as in keepalived");
            return None;
        }
        self.served_by_others(&twice, &real_servers);
        for key in &keys {
            seen.insert(*key, self.written.service.span);
        }
        let total = real_servers.iter().map(|r| u64::from(r.weight)).sum();
        let (quorum, hysteresis) = self.quorum(total);
        let sorry_server = self.sorry_server(&keys, family);
        let persistence = self.persistence(&keys, family);
        // As in keepalived: an engine is for persistent services.
        let engine = self.written.engine.clone().filter(|_| persistence.is_some());
        Some(plan::VirtualServer {
            scheduler: self.scheduler(),
            scheduler_flags: self.written.flags,
            persistence,
            persistence_engine: engine,
            one_packet: self.one_packet(&keys),
            quorum,
            hysteresis,
            sorry_server,
            alpha: self.written.alpha,
            omega: self.written.omega,
            ha_suspend: self.ha_suspend(&keys),
            active_set: self.active_set(&real_servers),
            min_alive: self.min_alive(real_servers.len()),
            real_servers,
            marked: std::mem::take(&mut self.endpoints),
            keys,
            name: self.name.clone(),
            group: self.group(),
        })
    }

    fn protocol(&mut self) -> TransportProtocol {
        match self.written.protocol.map(|p| p.value) {
            Some(Protocol::Tcp) => TransportProtocol::Tcp,
            Some(Protocol::Udp) => TransportProtocol::Udp,
            Some(Protocol::Sctp) => TransportProtocol::Sctp,
            None => {
                self.tell(Code::Default, "no protocol is written", "UDP is used, as in keepalived");
                TransportProtocol::Udp
            }
        }
    }

    fn scheduler(&mut self) -> String {
        self.written.scheduler.clone().unwrap_or_else(|| {
            self.tell(Code::Default, "no usable scheduler is written", "wlc is used, as in keepalived");
            "wlc".to_owned()
        })
    }

    fn persistence(&mut self, keys: &[ServiceKey], family: AddressFamily) -> Option<Persistence> {
        let default = u32::try_from(plan::DEFAULT_PERSISTENCE.as_secs()).unwrap_or(360);
        let granularity =
            self.written.granularity.map_or(Granularity::Client, |written| match (written.value, family) {
                (conf::Granularity::Netmask(mask), AddressFamily::V4) => Granularity::netmask(mask),
                (conf::Granularity::Prefix(bits), AddressFamily::V6) => Granularity::prefix(bits),
                _ => {
                    let title =
                        format!("virtual_server {}: the granularity is not one of {family}", self.name);
                    self.out.tell(Code::BadValue, written.span, title, "each client counts for itself");
                    Granularity::Client
                }
            });
        let every_port = keys.iter().any(|k| matches!(k, ServiceKey::Endpoint { port: 0, .. }));
        let written = self.written.persistence_timeout.or(self.written.granularity.map(|_| default));
        if written.is_none() && every_port {
            let what = "port 0 is for persistent services only";
            self.tell(Code::Adjusted, what, "persistence_timeout 360 is set, as in keepalived");
        }
        let timeout_seconds = written.or(every_port.then_some(default))?;
        Some(Persistence { timeout_seconds, granularity })
    }

    fn ha_suspend(&mut self, keys: &[ServiceKey]) -> bool {
        let marks = keys.iter().any(|key| matches!(key, ServiceKey::FwMark { .. }));
        if self.written.ha_suspend && marks {
            self.tell(Code::Cleared, "a mark has no address for `ha_suspend`", "its checks run all the time");
        }
        self.written.ha_suspend && !marks
    }

    /// A floor above the number of servers keeps them all.
    fn min_alive(&mut self, servers: usize) -> u32 {
        let written = self.written.others.number("min_alive").and_then(|n| u32::try_from(n).ok());
        let most = u32::try_from(servers).unwrap_or(u32::MAX);
        let written = written.unwrap_or(0);
        if written >= most && written > 0 {
            let what = format!("min_alive {written}, and there are {servers} real servers");
            self.tell(Code::Adjusted, &what, "no server is ever taken out, whatever its checks say");
        }
        written.min(most)
    }

    fn one_packet(&mut self, keys: &[ServiceKey]) -> bool {
        let Some(span) = self.written.one_packet else { return false };
        let fits = |key: &ServiceKey| {
            matches!(
                key,
                ServiceKey::FwMark { .. } | ServiceKey::Endpoint { protocol: TransportProtocol::Udp, .. }
            )
        };
        let all = keys.iter().all(fits);
        if !all {
            let title = format!("virtual_server {}: `ops` is for UDP and marks", self.name);
            self.out.tell(Code::Cleared, span, title, "it is cleared, as in keepalived");
        }
        all
    }

    /// A quorum above what all servers weigh is reduced; a hysteresis is smaller than the quorum.
    fn quorum(&mut self, total: u64) -> (u32, u32) {
        let most = u32::try_from(total).unwrap_or(u32::MAX);
        let mut quorum = self.written.quorum.map_or(1, |q| q.value);
        if quorum > most {
            let what = format!("quorum {quorum} exceeds {most}, what all real servers weigh");
            self.tell(Code::Adjusted, &what, "it is reduced to that, as in keepalived");
            // A total of 0 never makes a quorum, neither as 1 nor as keepalived's 0.
            quorum = most.max(1);
        }
        let mut hysteresis = self.written.hysteresis.map_or(0, |h| h.value);
        if hysteresis >= quorum {
            if hysteresis > 0 {
                let what = format!("hysteresis {hysteresis} is not below quorum {quorum}");
                self.tell(Code::Adjusted, &what, "it is set to one less than the quorum, as in keepalived");
            }
            hysteresis = quorum - 1;
        }
        (quorum, hysteresis)
    }
}

/// The port that all services share, if they do; 0 for marks and services of every port.
fn common_port(keys: &[ServiceKey]) -> Option<u16> {
    let port = |key: &ServiceKey| match key {
        ServiceKey::Endpoint { port, .. } => *port,
        ServiceKey::FwMark { .. } => 0,
    };
    let first = keys.first().map(port)?;
    keys.iter().all(|k| port(k) == first).then_some(first)
}

/// May a server with this address serve this family? A tunnel may cross families.
fn family_fits(address: IpAddr, family: AddressFamily, method: Method) -> bool {
    AddressFamily::of(address) == family || matches!(method, Method::Tun(_))
}
