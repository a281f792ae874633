//! ipvsadm's command line to a command (ipvsadm 1.31). Pure but for names, which a [`Resolver`] looks up.
//!
//! The checks and their order are that program's, because scripts know its messages and statuses.

use super::options::{Opt, Rule, Verb, Word};
use super::popt::{Bad, Reader};
use super::values::{Resolver, host_address, leading_number, number, place};
use crate::net::{AddressFamily, TransportProtocol};
use crate::netlink::ipvs_codec::Stats;
use crate::netlink::ipvs_raw::{
    DIRECT, MASQUERADE, ONE_PACKET, PERSISTENT, RawDaemon, RawDestination, RawService, RawTimeouts, TUNNEL,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Status of a command line that makes no sense.
pub const INVALID: u8 = 2;

/// Status of what the kernel refuses, and of a word that is no option.
pub const REFUSED: u8 = 255;

/// Persistence without a number, in seconds. The manual says 300; the program does this.
const DEFAULT_PERSISTENCE: u32 = 360;

/// The longest timeout, in seconds: 31 days.
const MAX_TIMEOUT: i64 = 2_678_400;

/// Names of schedulers and engines end here, whatever was given (IP_VS_SCHEDNAME_MAXLEN less the NUL).
const MAX_NAME: usize = 15;

/// Names of interfaces end here (IP_VS_IFNAME_MAXLEN less the NUL).
const MAX_INTERFACE: usize = 15;

/// The longest synchronisation message: what fits in a UDP datagram.
const MAX_SYNC: i64 = 65_535 - 20 - 8;

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This line, and this status.
    Say(String, u8),
    /// The hint at the help, and status 255.
    Hint,
    /// A word that is no option where others were: like a refusal of the kernel, it does not end a restore.
    Bad(Bad),
}

fn invalid<T>(line: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Say(line.into(), INVALID))
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    AddService(RawService),
    EditService(RawService),
    DeleteService(RawService),
    Flush,
    List(Subject, Format),
    AddServer(RawService, RawDestination),
    EditServer(RawService, RawDestination),
    DeleteServer(RawService, RawDestination),
    SetTimeouts(RawTimeouts),
    StartDaemon(RawDaemon),
    StopDaemon(RawDaemon),
    Restore,
    Save(Format),
    Zero(Option<RawService>),
    Help,
    Version,
}

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Everything,
    Service(Box<RawService>),
    Connections,
    Timeouts,
    Daemons,
}

/// How to list it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    pub numeric: bool,
    pub exact: bool,
    pub unsorted: bool,
    pub stats: bool,
    pub rate: bool,
    pub thresholds: bool,
    pub persistent: bool,
    pub tunnels: bool,
}

/// Reads a command line without the program's name. `reading` says that it is a line of a restore.
pub fn parse(words: &[String], names: &dyn Resolver, reading: bool) -> Result<Command, Fault> {
    let mut reader = Reader::new(words);
    let (verb, value) = match reader.next() {
        Some(Ok((Word::Verb(verb), value))) => (verb, value),
        Some(Ok((Word::Help, _))) => return Ok(Command::Help),
        Some(Ok((Word::Version, _))) => return Ok(Command::Version),
        _ => return Err(Fault::Hint),
    };
    if reading && verb == Verb::Restore {
        return Err(Fault::Hint);
    }
    let mut entry = Entry::new(names);
    match verb {
        Verb::StartDaemon => entry.daemon.state = state(value, "illegal start-daemon parameter specified")?,
        Verb::StopDaemon => entry.daemon.state = state(value, "illegal start_daemon specified")?,
        _ => {}
    }
    while let Some(read) = reader.next() {
        match read {
            Ok((Word::Verb(_) | Word::Help | Word::Version, _)) => {
                return invalid(format!("invalid option `{}'", reader.current()));
            }
            Ok((word, value)) => entry.take(word, value)?,
            Err(bad) => return Err(Fault::Bad(bad)),
        }
    }
    if verb == Verb::Set {
        entry.timeouts(&mut reader)?;
    }
    if let Some(surplus) = reader.argument() {
        return invalid(format!("unexpected argument {surplus}"));
    }
    entry.take_flags()?;
    entry.check(verb)?;
    entry.finish(verb)
}

fn state(value: Option<&str>, complaint: &str) -> Result<u32, Fault> {
    match value {
        Some("master") => Ok(1),
        Some("backup") => Ok(2),
        _ => invalid(complaint),
    }
}

/// What the options have said so far.
struct Entry<'a> {
    names: &'a dyn Resolver,
    given: BTreeSet<Opt>,
    service: RawService,
    protocol: Option<TransportProtocol>,
    server: RawDestination,
    daemon: RawDaemon,
    timeouts: RawTimeouts,
    scheduler_flags: String,
}

impl<'a> Entry<'a> {
    fn new(names: &'a dyn Resolver) -> Entry<'a> {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Entry {
            names,
            given: BTreeSet::new(),
            service: RawService {
                family: AddressFamily::V4,
                protocol: 0,
                address: nowhere,
                port: 0,
                mark: 0,
                scheduler: String::new(),
                engine: String::new(),
                flags: 0,
                timeout: 0,
                netmask: [255; 4],
                stats: Stats::default(),
            },
            protocol: None,
            server: RawDestination::nowhere(),
            daemon: RawDaemon::default(),
            timeouts: RawTimeouts::default(),
            scheduler_flags: String::new(),
        }
    }

    fn note(&mut self, opt: Opt) -> Result<(), Fault> {
        if self.given.insert(opt) { Ok(()) } else { invalid(format!("multiple '{opt}' options specified")) }
    }

    fn take(&mut self, word: Word, value: Option<&str>) -> Result<(), Fault> {
        let text = value.unwrap_or_default();
        match word {
            Word::Tcp => self.endpoint(TransportProtocol::Tcp, text),
            Word::Udp => self.endpoint(TransportProtocol::Udp, text),
            Word::Sctp => self.endpoint(TransportProtocol::Sctp, text),
            Word::FwMark => self.mark(text),
            Word::Masquerading => self.forward(MASQUERADE),
            Word::Ipip => self.forward(TUNNEL),
            Word::Gatewaying => self.forward(DIRECT),
            Word::Ipv6 => self.mark_of_ipv6(),
            Word::Option(opt) => {
                self.note(opt)?;
                match opt {
                    Opt::Scheduler
                    | Opt::Persistent
                    | Opt::Netmask
                    | Opt::Ops
                    | Opt::Engine
                    | Opt::SchedFlags => self.take_of_service(opt, value),
                    Opt::McastInterface
                    | Opt::SyncId
                    | Opt::McastGroup
                    | Opt::McastPort
                    | Opt::McastTtl
                    | Opt::MaxLen => self.take_of_daemon(opt, text),
                    _ => self.take_of_server(opt, text),
                }
            }
            // Sorting is what happens anyway; the others never come here.
            Word::Sort | Word::Verb(_) | Word::Help | Word::Version => Ok(()),
        }
    }

    fn endpoint(&mut self, protocol: TransportProtocol, text: &str) -> Result<(), Fault> {
        self.note(Opt::Service)?;
        self.protocol = Some(protocol);
        self.service.protocol = u16::from(protocol.number());
        let Some(place) = place(text, self.protocol, self.names) else {
            return invalid("illegal virtual server address[:port] specified");
        };
        self.service.address = place.address;
        self.service.port = place.port.unwrap_or(0);
        self.service.family = AddressFamily::of(place.address);
        if self.service.family == AddressFamily::V6 {
            self.service.netmask = 128_u32.to_ne_bytes();
        }
        Ok(())
    }

    fn mark(&mut self, text: &str) -> Result<(), Fault> {
        self.note(Opt::Service)?;
        let mark = number(text, 1, i64::from(u32::MAX)).and_then(|mark| u32::try_from(mark).ok());
        let Some(mark) = mark else { return invalid(format!("invalid fwmark value `{text}' specified")) };
        self.protocol = Some(TransportProtocol::Tcp);
        self.service.protocol = u16::from(TransportProtocol::Tcp.number());
        self.service.family = AddressFamily::V4;
        self.service.mark = mark;
        Ok(())
    }

    fn mark_of_ipv6(&mut self) -> Result<(), Fault> {
        if self.service.mark == 0 {
            // The empty line is theirs.
            return invalid("-6 used before -f\n");
        }
        self.service.family = AddressFamily::V6;
        self.service.address = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        self.service.netmask = 128_u32.to_ne_bytes();
        Ok(())
    }

    fn forward(&mut self, method: u32) -> Result<(), Fault> {
        self.note(Opt::Forward)?;
        self.server.forwarding = method;
        Ok(())
    }

    fn take_of_service(&mut self, opt: Opt, value: Option<&str>) -> Result<(), Fault> {
        let text = value.unwrap_or_default();
        match opt {
            Opt::Scheduler => self.service.scheduler = shortened(text, MAX_NAME),
            Opt::Engine => self.service.engine = shortened(text, MAX_NAME),
            Opt::SchedFlags => self.scheduler_flags = text.to_owned(),
            Opt::Ops => self.service.flags |= ONE_PACKET,
            Opt::Persistent => {
                self.service.flags |= PERSISTENT;
                self.service.timeout = match value {
                    Some(text) => timeout(text, 1)?,
                    None => DEFAULT_PERSISTENCE,
                };
            }
            _ => self.service.netmask = self.netmask(text)?,
        }
        Ok(())
    }

    fn netmask(&self, text: &str) -> Result<[u8; 4], Fault> {
        match self.service.family {
            AddressFamily::V4 => match host_address(text, self.names) {
                Some(mask) => Ok(mask.octets()),
                None => invalid("illegal virtual server persistent mask specified"),
            },
            AddressFamily::V6 => match u32::try_from(leading_number(text)) {
                Ok(bits @ 1..=128) => Ok(bits.to_ne_bytes()),
                _ => invalid("illegal ipv6 netmask specified"),
            },
        }
    }

    fn take_of_server(&mut self, opt: Opt, text: &str) -> Result<(), Fault> {
        let count = |complaint| match number(text, 0, i64::from(i32::MAX)).and_then(|n| u32::try_from(n).ok())
        {
            Some(count) => Ok(count),
            None => invalid(complaint),
        };
        match opt {
            Opt::Server => self.real_server(text)?,
            Opt::Weight => self.server.weight = count("illegal weight specified")?,
            Opt::Upper => self.server.upper_threshold = count("illegal u_threshold specified")?,
            Opt::Lower => self.server.lower_threshold = count("illegal l_threshold specified")?,
            Opt::TunType => {
                self.server.tunnel_kind = match text {
                    "ipip" => 0,
                    "gue" => 1,
                    "gre" => 2,
                    _ => return invalid("illegal tunnel type specified"),
                }
            }
            Opt::TunPort => {
                self.server.tunnel_port = within(text, 1, 65_535, "illegal tunnel port specified")?
            }
            Opt::TunNoCsum => self.server.tunnel_flags = 0,
            Opt::TunCsum => self.server.tunnel_flags = 1,
            Opt::TunRemCsum => self.server.tunnel_flags = 2,
            // The rest says how to list.
            _ => {}
        }
        Ok(())
    }

    /// A server without a port has the service's, if that was named before.
    fn real_server(&mut self, text: &str) -> Result<(), Fault> {
        let Some(place) = place(text, self.protocol, self.names) else {
            return invalid("illegal real server address[:port] specified");
        };
        self.server.address = place.address;
        self.server.port = place.port.unwrap_or(self.service.port);
        Ok(())
    }

    fn take_of_daemon(&mut self, opt: Opt, text: &str) -> Result<(), Fault> {
        match opt {
            Opt::McastInterface => self.daemon.interface = shortened(text, MAX_INTERFACE),
            Opt::SyncId => self.daemon.syncid = within(text, 0, 255, "illegal syncid specified")?,
            Opt::McastPort => self.daemon.port = within(text, 1, 65_535, "illegal mcast-port specified")?,
            Opt::McastTtl => self.daemon.ttl = within(text, 1, 255, "illegal mcast-ttl specified")?,
            Opt::MaxLen => self.daemon.maxlen = within(text, 1, MAX_SYNC, "illegal sync-maxlen specified")?,
            _ => self.daemon.group = Some(group(text)?),
        }
        Ok(())
    }

    fn timeouts(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let (Some(tcp), Some(tcp_fin), Some(udp)) = (reader.argument(), reader.argument(), reader.argument())
        else {
            return invalid("--set option requires 3 timeout values");
        };
        self.timeouts =
            RawTimeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? };
        Ok(())
    }

    /// Does the command go with the options?
    fn check(&self, verb: Verb) -> Result<(), Fault> {
        let mut first = None;
        for opt in Opt::ALL {
            let given = self.given.contains(&opt);
            match (verb.rule(opt), given, first) {
                (Rule::Must, false, _) => {
                    return invalid(format!(
                        "You need to supply the '{opt}' option for the '{verb}' command"
                    ));
                }
                (Rule::Never, true, _) => {
                    return invalid(format!("Illegal '{opt}' option with the '{verb}' command"));
                }
                (Rule::OneOf, true, None) => first = Some(opt),
                (Rule::OneOf, true, Some(first)) => {
                    return invalid(format!(
                        "The option '{opt}' conflicts with the '{first}' option in the '{verb}' command"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// As in ipvsadm: whatever the command.
    fn take_flags(&mut self) -> Result<(), Fault> {
        for flag in self.scheduler_flags.split(',').filter(|flag| !flag.is_empty()) {
            self.service.flags |= scheduler_flag(&self.service.scheduler, flag)?;
        }
        Ok(())
    }

    fn has(&self, opt: Opt) -> bool {
        self.given.contains(&opt)
    }

    fn finish(mut self, verb: Verb) -> Result<Command, Fault> {
        match verb {
            Verb::AddService | Verb::EditService => self.finish_service()?,
            Verb::AddServer | Verb::EditServer => self.finish_server(true)?,
            Verb::DeleteServer => self.finish_server(false)?,
            Verb::StartDaemon if self.daemon.interface.is_empty() => {
                self.daemon.interface = "eth0".to_owned()
            }
            _ => {}
        }
        let named = self.has(Opt::Service).then(|| self.service.clone());
        Ok(match verb {
            Verb::AddService => Command::AddService(self.service),
            Verb::EditService => Command::EditService(self.service),
            Verb::DeleteService => Command::DeleteService(self.service),
            Verb::Flush => Command::Flush,
            Verb::List => Command::List(self.subject(named)?, self.format()),
            Verb::AddServer => Command::AddServer(self.service, self.server),
            Verb::EditServer => Command::EditServer(self.service, self.server),
            Verb::DeleteServer => Command::DeleteServer(self.service, self.server),
            Verb::Set => Command::SetTimeouts(self.timeouts),
            Verb::StartDaemon => Command::StartDaemon(self.daemon),
            Verb::StopDaemon => Command::StopDaemon(self.daemon),
            Verb::Restore => Command::Restore,
            Verb::Save => Command::Save(self.format()),
            Verb::Zero => Command::Zero(named),
        })
    }

    fn finish_service(&mut self) -> Result<(), Fault> {
        let service = &mut self.service;
        if service.mark == 0 && service.port == 0 && service.flags & PERSISTENT == 0 {
            return invalid("Zero port specified for non-persistent service");
        }
        let udp = self.protocol == Some(TransportProtocol::Udp);
        if service.flags & ONE_PACKET != 0 && service.mark == 0 && !udp {
            return invalid("One-Packet Scheduling is only for UDP virtual services");
        }
        if service.scheduler.is_empty() {
            "wlc".clone_into(&mut service.scheduler);
        }
        Ok(())
    }

    fn finish_server(&mut self, settings: bool) -> Result<(), Fault> {
        let server = &mut self.server;
        if settings {
            if AddressFamily::of(server.address) != self.service.family && server.forwarding != TUNNEL {
                return invalid("Different address family is allowed only for tunneling servers");
            }
            if server.forwarding != TUNNEL && Opt::TUNNEL.iter().any(|opt| self.given.contains(opt)) {
                return invalid("Tunnel options conflict with forward method");
            }
            check_tunnel(server.tunnel_kind, &self.given)?;
        }
        // Only NAT can change the port. (A server to be deleted has the default method, so its port goes, too.)
        if self.service.mark == 0 && server.forwarding != MASQUERADE && settings {
            server.port = self.service.port;
        }
        Ok(())
    }

    fn subject(&self, named: Option<RawService>) -> Result<Subject, Fault> {
        let whole = [Opt::Stats, Opt::Rate, Opt::Thresholds].iter().any(|opt| self.has(*opt));
        let persistent = self.has(Opt::PersistentConn);
        let conflict = if self.has(Opt::Connection) {
            whole
        } else {
            (self.has(Opt::Timeout) || self.has(Opt::Daemon)) && (whole || persistent)
        };
        if conflict {
            return invalid("options conflicts in the list command");
        }
        Ok(if self.has(Opt::Connection) {
            Subject::Connections
        } else if let Some(service) = named {
            Subject::Service(Box::new(service))
        } else if self.has(Opt::Timeout) {
            Subject::Timeouts
        } else if self.has(Opt::Daemon) {
            Subject::Daemons
        } else {
            Subject::Everything
        })
    }

    fn format(&self) -> Format {
        Format {
            numeric: self.has(Opt::Numeric),
            exact: self.has(Opt::Exact),
            unsorted: self.has(Opt::NoSort),
            stats: self.has(Opt::Stats),
            rate: self.has(Opt::Rate),
            thresholds: self.has(Opt::Thresholds),
            persistent: self.has(Opt::PersistentConn),
            tunnels: self.has(Opt::TunInfo),
        }
    }
}

fn timeout(text: &str, least: i64) -> Result<u32, Fault> {
    let seconds = number(text, least, MAX_TIMEOUT).and_then(|seconds| u32::try_from(seconds).ok());
    seconds.map_or_else(|| invalid(format!("invalid timeout value `{text}' specified")), Ok)
}

fn within<T: TryFrom<i64>>(text: &str, least: i64, most: i64, complaint: &str) -> Result<T, Fault> {
    let value = number(text, least, most).and_then(|value| T::try_from(value).ok());
    value.map_or_else(|| invalid(complaint), Ok)
}

fn group(text: &str) -> Result<IpAddr, Fault> {
    if text.contains(':') {
        let group = text.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_multicast);
        return group.map_or_else(|| invalid(format!("invalid IPv6 mcast-group `{text}'")), |g| Ok(g.into()));
    }
    let group = text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast);
    group.map_or_else(|| invalid(format!("invalid IPv4 mcast-group `{text}'")), |g| Ok(g.into()))
}

fn shortened(text: &str, octets: usize) -> String {
    let mut end = octets.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned() // `end` is a boundary within the text
}

fn scheduler_flag(scheduler: &str, flag: &str) -> Result<u32, Fault> {
    let (bit, only_for) = match flag {
        "flag-1" => (0x08, None),
        "flag-2" => (0x10, None),
        "flag-3" => (0x20, None),
        "sh-fallback" => (0x08, Some("sh")),
        "sh-port" => (0x10, Some("sh")),
        "mh-fallback" => (0x08, Some("mh")),
        "mh-port" => (0x10, Some("mh")),
        _ => return invalid(format!("invalid scheduler flag `{flag}'")),
    };
    match only_for {
        Some(name) if name != scheduler => invalid(format!("incompatible scheduler flag `{flag}'")),
        _ => Ok(bit),
    }
}

/// Do the options go with the kind of tunnel?
fn check_tunnel(kind: u8, given: &BTreeSet<Opt>) -> Result<(), Fault> {
    let (name, rules) = match kind {
        0 => ("ipip", [Rule::Never; 4]),
        1 => ("gue", [Rule::Must, Rule::OneOf, Rule::OneOf, Rule::OneOf]),
        _ => ("gre", [Rule::Never, Rule::OneOf, Rule::OneOf, Rule::Never]),
    };
    let options = [Opt::TunPort, Opt::TunNoCsum, Opt::TunCsum, Opt::TunRemCsum];
    let mut first = None;
    for (opt, rule) in options.into_iter().zip(rules) {
        match (rule, given.contains(&opt), first) {
            (Rule::Must, false, _) => {
                return invalid(format!(
                    "You need to supply the '{opt}' option for the '{name}' tunnel type"
                ));
            }
            (Rule::Never, true, _) => {
                return invalid(format!("Illegal '{opt}' option with the '{name}' tunnel type"));
            }
            (Rule::OneOf, true, None) => first = Some(opt),
            (Rule::OneOf, true, Some(first)) => {
                return invalid(format!(
                    "The option '{opt}' conflicts with the '{first}' option in the '{name}' tunnel type"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
