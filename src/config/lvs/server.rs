//! Real servers and the sorry server of one virtual server.

use super::{Lowering, common_port, family_fits};
use crate::config::{check, notify, snmp};
use crate::net::AddressFamily;
use crate::plan::lvs::{
    ForwardingMethod, RealServer, ServiceKey, SorryServer, Translated, TunnelChecksum, TunnelKind,
};
use keepalived_compat::config::lvs as conf;
use keepalived_compat::config::lvs::{Checksum, Method, Tunnel};
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::{Code, Diagnostic, Span};
use std::net::SocketAddr;

impl Lowering<'_> {
    fn method(&mut self) -> Method {
        self.written.method.map(|m| m.value).unwrap_or_else(|| {
            self.tell(Code::Default, "no forwarding method is written", "NAT is used, as in keepalived");
            Method::Nat
        })
    }

    pub(super) fn real_servers(&mut self, keys: &[ServiceKey], family: AddressFamily) -> Vec<RealServer> {
        let default = self.method();
        let written = self.written;
        let mut servers: Vec<RealServer> = Vec::with_capacity(written.real_servers.len());
        let mut seen = std::collections::BTreeSet::new();
        for server in &written.real_servers {
            let Some((span, plan)) = self.real_server(server, default, keys, family) else { continue };
            // What the kernel would see twice is there twice.
            let method = plan.forwarding;
            let first = keys.first().map_or(plan.endpoint, |key| method.destination(plan.endpoint, key));
            if seen.insert(first) {
                self.hooks.extend(notify::server(server, plan.endpoint, self.defaults));
                if let Some(rows) = &mut self.rows {
                    rows.push(snmp::real_server((written, server), &plan, self.defaults));
                }
                servers.push(plan);
            } else {
                let title =
                    format!("virtual_server {}: real_server {} is defined twice", self.name, plan.endpoint);
                self.out.tell(Code::Duplicate, span, title, "the second is left out");
            }
        }
        servers
    }

    fn real_server(
        &mut self,
        server: &conf::RealServer,
        default: Method,
        keys: &[ServiceKey],
        family: AddressFamily,
    ) -> Option<(Span, RealServer)> {
        let endpoint = server.endpoint?;
        let (address, port) = endpoint.value;
        let method = server.method.map_or(default, |m| m.value);
        if !family_fits(address, family, method) {
            let title =
                format!("virtual_server {}: real_server {address} is not an {family} address", self.name);
            let diagnostic =
                Diagnostic::new(Code::BadValue, endpoint.span, title, "it is left out, as in keepalived");
            self.out.say(diagnostic.instead("a server of the same family, or a tunnel"));
            return None;
        }
        // Behind marks of ours there are ports.
        let service_port = common_port(&self.endpoints).or(common_port(keys));
        let asked_port = port.or(service_port).unwrap_or(0);
        let kernel_port = self.port("real_server", endpoint.span, port, method, keys);
        self.translate(method, SocketAddr::new(address, kernel_port), endpoint.span, keys);
        // A group's services come and go with reloads: its servers are called as they are written, as in keepalived.
        let named_port = if self.group().is_some() { port.unwrap_or(0) } else { kernel_port };
        let slow_start = server.others.time("slow_start").or(self.written.others.time("slow_start"));
        let plan = RealServer {
            endpoint: SocketAddr::new(address, named_port),
            weight: server.weight.or(self.written.weight).unwrap_or(1),
            forwarding: forwarding(method),
            inhibit_on_failure: server.inhibit_on_failure.unwrap_or(self.written.inhibit_on_failure),
            upper_threshold: server.upper_threshold.unwrap_or(0),
            lower_threshold: self.lower_threshold(server, endpoint.span),
            checkers: check::checkers(
                &check::Around {
                    config: self.config,
                    defaults: self.defaults,
                    virtual_server: self.written,
                    server,
                },
                SocketAddr::new(address, asked_port),
                self.out,
            ),
            set: server.others.text("set").map(Box::from),
            slow_start: slow_start.unwrap_or_default(),
        };
        Some((endpoint.span, plan))
    }

    /// The kernel refuses a server whose lower threshold is above the upper one.
    fn lower_threshold(&mut self, server: &conf::RealServer, span: Span) -> u32 {
        let (upper, lower) = (server.upper_threshold.unwrap_or(0), server.lower_threshold.unwrap_or(0));
        if lower <= upper {
            return lower;
        }
        let title = format!("virtual_server {}: lthreshold {lower} is above uthreshold {upper}", self.name);
        let now = "it is left out: the kernel would refuse the real server";
        self.out.tell(Code::BadValue, span, title, now);
        0
    }

    /// The port: for direct routing and tunnels (packets keep theirs) that of the service if there is one, and none for
    /// marks; for NAT the written one, else the service's. Where the services of a group differ the written one names
    /// the server, whatever the kernel gets.
    fn port(
        &mut self,
        what: &str,
        span: Span,
        written: Option<u16>,
        method: Method,
        keys: &[ServiceKey],
    ) -> u16 {
        let translated = matches!(method, Method::Nat | Method::FullNat(_));
        if !self.endpoints.is_empty() {
            // A mark of ours stands for addresses with ports, which packets keep unless they are translated.
            return written.filter(|_| translated).unwrap_or(0);
        }
        let marks = keys.iter().all(|k| matches!(k, ServiceKey::FwMark { .. }));
        let service = if marks && self.group().is_some() { None } else { common_port(keys) };
        match (written, service) {
            (Some(port), Some(service)) if !translated && port != service => {
                let why = if marks { "a mark has no port" } else { "packets keep the virtual server's port" };
                let title = format!("virtual_server {}: {what} port {port} does not apply: {why}", self.name);
                let now = format!("port {service} is used, as in keepalived");
                self.out.tell(Code::Adjusted, span, title, &now);
                service
            }
            (Some(port), None) if !translated => {
                let title = format!(
                    "virtual_server {}: {what} port {port} does not apply to each service of the group",
                    self.name
                );
                let now = "packets keep the port of their service, as in keepalived";
                self.out.tell(Code::Adjusted, span, title, now);
                port
            }
            (Some(port), _) => port,
            (None, service) => service.unwrap_or(0),
        }
    }

    /// With FULLNAT: what goes to this server comes from the director.
    fn translate(&mut self, method: Method, server: SocketAddr, span: Span, keys: &[ServiceKey]) {
        let Method::FullNat(source) = method else { return };
        let foreign = source.filter(|source| source.is_ipv4() != server.is_ipv4());
        if let Some(source) = foreign {
            let title = format!("virtual_server {}: the source {source} is of another family", self.name);
            self.out.tell(Code::BadValue, span, title, "the address of the interface to the server is used");
        }
        let source = source.filter(|_| foreign.is_none());
        let services = keys.iter().map(|service| Translated { service: *service, server, source });
        self.rules.translated.extend(services);
    }

    /// `active_set`, if some server belongs to it.
    pub(super) fn active_set(&mut self, servers: &[RealServer]) -> Option<String> {
        let setting = self.written.others.find("active_set")?;
        let set = self.written.others.text("active_set")?;
        if servers.iter().any(|server| server.set.as_deref() == Some(set)) {
            return Some(set.to_owned());
        }
        let title = format!("virtual_server {}: no real server belongs to the set {set}", self.name);
        self.out.tell(Code::UnknownName, setting.span, title, "all sets serve");
        None
    }

    pub(super) fn sorry_server(&mut self, keys: &[ServiceKey], family: AddressFamily) -> Option<SorryServer> {
        let sorry = self.written.sorry_server.as_ref()?;
        let method = sorry.method.or(self.written.method).map_or(Method::Nat, |m| m.value);
        if !family_fits(sorry.address, family, method) {
            let title = format!(
                "virtual_server {}: sorry_server {} is not an {family} address",
                self.name, sorry.address
            );
            self.out.tell(Code::BadValue, sorry.span, title, "there is no sorry server");
            return None;
        }
        let port = self.port("sorry_server", sorry.span, sorry.port, method, keys);
        let endpoint = SocketAddr::new(sorry.address, port);
        self.translate(method, endpoint, sorry.span, keys);
        Some(SorryServer { endpoint, forwarding: forwarding(method), inhibit: sorry.inhibit })
    }
}

/// What a written method means.
pub(in crate::config) fn forwarding(method: Method) -> ForwardingMethod {
    let sum = |checksum| match checksum {
        Checksum::None => TunnelChecksum::None,
        Checksum::Full => TunnelChecksum::Full,
        Checksum::Remote => TunnelChecksum::Remote,
    };
    match method {
        Method::Nat | Method::FullNat(_) => ForwardingMethod::Masquerade,
        Method::Dr => ForwardingMethod::DirectRouting,
        Method::Tun(Tunnel::Ipip) => ForwardingMethod::Tunnel(TunnelKind::Ipip),
        Method::Tun(Tunnel::Gue { port, checksum }) => {
            ForwardingMethod::Tunnel(TunnelKind::Gue { port, checksum: sum(checksum) })
        }
        Method::Tun(Tunnel::Gre { checksum }) => {
            ForwardingMethod::Tunnel(TunnelKind::Gre { checksum: sum(checksum) })
        }
    }
}
