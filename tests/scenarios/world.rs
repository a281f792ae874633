//! One core with a kernel that obeys, driven by directives.

#[path = "plans.rs"]
mod plans;
#[path = "routing.rs"]
mod routing;

use holdfast::net::{AddressFamily, IpCidr, MacAddr, Priority, VirtualRouterId};
use holdfast::plan::Generation;
use holdfast::plan::track::Sample;
use holdfast::plan::vrrp::{AnnounceGap, Authentication, SyncGroupPlan, Version, VrrpPlan};
use holdfast::report::AtOddsStatus;
use holdfast::report::vrrp::snapshot;
use holdfast::time::{Instant, Interval};
use holdfast::vrrp::{
    Action, AddressOp, ClaimOrder, Command, Core, Event, Frame, InterfaceFacts, KernelError, LogLevel,
    Maintenance, News, OpId, Received, RouterId, Upkeep,
};
use holdfast::wire::ah::Sealed;
use holdfast::wire::vrrp::{Addresses, Advertisement, Expectation, HOP_LIMIT, Path, decode};
use plans::{items, router_plan, tracked, tracked_object, tracker_key};
use routing::Order;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Why a directive cannot be performed.
pub type Outcome<T> = Result<T, String>;

/// The core and everything around it.
pub struct World {
    core: Core,
    now: Instant,
    plan: VrrpPlan,
    interfaces: BTreeMap<String, InterfaceFacts>,
    refused: BTreeSet<IpCidr>,
    held: Option<Vec<(OpId, Order)>>,
    /// What becomes of a wish for silence; `None` for no answer.
    silences: Option<bool>,
    /// Claim scripts that run.
    claims: Vec<ClaimOrder>,
}

/// The words of a directive: `key=value` pairs and flags.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }

    fn flag(&self, flag: &str) -> bool {
        self.0.contains(&flag)
    }

    fn get<T: std::str::FromStr>(&self, key: &str) -> Outcome<Option<T>> {
        self.value(key).map(|text| parse(text)).transpose()
    }

    fn list<T: std::str::FromStr>(&self, key: &str) -> Outcome<Vec<T>> {
        self.value(key).into_iter().flat_map(|text| text.split(',')).map(parse).collect()
    }

    fn time(&self, key: &str) -> Outcome<Option<Duration>> {
        self.value(key).map(duration).transpose()
    }

    fn cidrs(&self, key: &str) -> Outcome<Vec<IpCidr>> {
        self.value(key).into_iter().flat_map(|text| text.split(',')).map(cidr).collect()
    }

    /// Every word must be known: a misspelt option would test nothing.
    fn only(&self, known: &[&str]) -> Outcome<()> {
        let stranger = self.0.iter().find(|word| !known.contains(&word.split('=').next().unwrap_or(word)));
        stranger.map_or(Ok(()), |word| Err(format!("unknown word `{word}`")))
    }
}

impl World {
    pub fn new() -> World {
        World {
            core: Core::new(),
            now: Instant(1_000_000_000_000),
            plan: VrrpPlan::default(),
            interfaces: BTreeMap::new(),
            refused: BTreeSet::new(),
            held: None,
            silences: Some(true),
            claims: Vec::new(),
        }
    }

    /// Do what the line says; the lines that tell what came out.
    pub fn perform(&mut self, line: &str) -> Outcome<Vec<String>> {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let words = Words(words.collect());
        let first = words.0.first().copied().unwrap_or_default();
        let mut said = Vec::new();
        match verb {
            "interface" => self.set_interface(first, &words, &mut said)?,
            "router" => self.set_router(first, &words)?,
            "static" => {
                words.only(&["addresses", "routes", "rules"])?;
                let addresses = words.value("addresses").into_iter().flat_map(|text| text.split(','));
                self.plan.statics = addresses.map(routing::address).collect::<Outcome<Vec<_>>>()?;
                self.plan.statics.extend(routing::items(words.value("routes"), words.value("rules"))?);
            }
            "unroute" => {
                let gone = self.unroute(first)?;
                self.feed(gone, &mut said);
            }
            "uncertain" => self.feed(Event::RoutingUncertain, &mut said),
            "forget" => self.plan.routers.retain(|router| router.name != first),
            "plan" => {
                self.plan.generation = Generation(self.plan.generation.0 + 1);
                self.feed(Event::Plan(self.plan.clone()), &mut said);
            }
            "advert" => {
                let packet = self.advertisement(&words)?;
                self.feed(Event::Advertisement(packet), &mut said);
            }
            "advance" => self.advance(duration(first)?, &mut said),
            "late" => {
                self.now += duration(first)?;
                let mut actions = Vec::new();
                self.core.handle_timeout(self.now, &mut actions);
                self.perform_actions(actions, &mut said);
            }
            "link" => {
                let facts = self.interfaces.get_mut(first).ok_or("no such interface")?;
                facts.up = words.flag("up");
                let facts = facts.clone();
                self.feed(Event::Interface(facts), &mut said);
            }
            "gone" => {
                let facts = self.interfaces.remove(first).ok_or("no such interface")?;
                self.feed(Event::InterfaceGone { index: facts.index }, &mut said);
            }
            "lost" => {
                let interface = words.0.get(1).copied().unwrap_or("eth0");
                let index = self.interfaces.get(interface).ok_or("no such interface")?.index;
                self.feed(Event::AddressRemoved { index, cidr: cidr(first)? }, &mut said);
            }
            "refuse" => {
                self.refused.insert(cidr(first)?);
            }
            "accept" => {
                self.refused.remove(&cidr(first)?);
            }
            "hold" => self.held = Some(Vec::new()),
            "release" => {
                for (op, order) in self.held.take().unwrap_or_default() {
                    self.answer(op, &order, &mut said);
                }
            }
            "stop" => {
                let release = words.flag("release");
                self.feed(Event::Command(Command::Stop { release }), &mut said);
            }
            "orphaned" => self.feed(Event::Command(Command::Orphaned), &mut said),
            "handover" => self.plan.handover = true,
            "silence" => {
                self.silences = match first {
                    "works" => Some(true),
                    "fails" => Some(false),
                    "hangs" => None,
                    other => return Err(format!("silence {other}: it works, fails or hangs")),
                };
            }
            "failover" => {
                words.only(&[first, "hold"])?;
                let routers = if first.contains('=') { Vec::new() } else { vec![first.to_owned()] };
                let hold = words.time("hold")?.ok_or("hold= is missing")?;
                self.feed(Event::Failover { routers, hold }, &mut said);
            }
            "maintenance" => {
                let upkeep = Upkeep { allow_last: words.flag("last") };
                let mut maintenance = Maintenance::default();
                match first {
                    "off" => {}
                    "all" => maintenance.all = Some(upkeep),
                    name => drop(maintenance.routers.insert(name.to_owned(), upkeep)),
                }
                self.feed(Event::Maintenance(maintenance), &mut said);
            }
            "startup_delay" => self.plan.startup_delay = duration(first)?,
            "delay" => self.plan.link_delays.push(routing::link_delay(&words.0)?),
            "log_unknown_vrids" => self.plan.log_unknown_vrids = true,
            "gap" => {
                words.only(&["arp", "ndp", "on"])?;
                let (arp, ndp) =
                    (words.time("arp")?.unwrap_or_default(), words.time("ndp")?.unwrap_or_default());
                self.plan.announce_gaps.push(AnnounceGap { interfaces: words.list("on")?, arp, ndp });
            }
            "group" => self.set_group(first, &words)?,
            "ungroup" => self.plan.groups.retain(|group| group.name != first),
            "sample" => {
                let sample = match words.0.get(1).copied().unwrap_or_default() {
                    "up" => Some(Sample::Up),
                    "down" => Some(Sample::Down),
                    "unknown" => None,
                    number => Some(Sample::Value(parse(number)?)),
                };
                let key = tracker_key(first)?;
                if let Some(because) = line.split_once(" because ") {
                    self.feed(Event::TrackerWords(key.clone(), because.1.to_owned()), &mut said);
                }
                self.feed(Event::Tracker(key, sample), &mut said);
            }
            "claimed" => {
                let at =
                    self.claims.iter().position(|order| order.name == first).ok_or("it claims nothing")?;
                let ClaimOrder { router, claim, .. } = self.claims.remove(at);
                let result = if words.flag("well") {
                    Ok(())
                } else {
                    Err(words.0.get(1..).unwrap_or_default().join(" "))
                };
                self.feed(Event::Claimed { router, claim, result }, &mut said);
            }
            "status" => self.status(&mut said),
            other => return Err(format!("unknown directive `{other}`")),
        }
        Ok(collapse(said))
    }

    fn feed(&mut self, event: Event, said: &mut Vec<String>) {
        let mut actions = Vec::new();
        self.core.handle(event, self.now, &mut actions);
        self.perform_actions(actions, said);
    }

    fn advance(&mut self, by: Duration, said: &mut Vec<String>) {
        let end = self.now + by;
        while let Some(at) = self.core.next_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline lies in the past");
            self.now = at;
            let mut actions = Vec::new();
            self.core.handle_timeout(at, &mut actions);
            assert!(self.core.next_timeout().is_none_or(|next| next > at), "a deadline was not dealt with");
            self.perform_actions(actions, said);
        }
        self.now = end;
    }

    fn perform_actions(&mut self, actions: Vec<Action>, said: &mut Vec<String>) {
        let mut orders = Vec::new();
        let mut silenced = Vec::new();
        for action in actions {
            let what = match action {
                Action::Transmit(id, frame) => format!("{} {}", self.name(id), self.show_frame(id, &frame)),
                Action::Kernel(op, order) => {
                    let shown = self.show_order(&order);
                    orders.push((op, Order::Address(order)));
                    shown
                }
                Action::Routing(op, order) => {
                    let shown = routing::show(&order);
                    orders.push((op, Order::Routing(order)));
                    shown
                }
                Action::Notify(t) => {
                    format!("{} {} -> {} ({}): {}", t.name, t.from, t.to, t.priority, t.cause)
                }
                Action::News(news) => show_news(news),
                Action::Log(level, sentence) => format!("{}: {sentence}", show_level(level)),
                Action::Stopped => "stopped".to_owned(),
                Action::Claim(order) => {
                    let list: Vec<String> = order.addresses.iter().map(IpCidr::to_string).collect();
                    let shown =
                        format!("{} claims {} within {:?}", order.name, list.join(","), order.timeout);
                    self.claims.push(order);
                    shown
                }
                Action::Unclaim(claim) => {
                    let (ended, others): (Vec<_>, Vec<_>) =
                        std::mem::take(&mut self.claims).into_iter().partition(|order| order.claim == claim);
                    self.claims = others;
                    let names: Vec<String> = ended.into_iter().map(|order| order.name).collect();
                    format!("{} claims no longer", names.join(","))
                }
                Action::Silence { router, addresses } => {
                    let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                    let whom = if list.is_empty() {
                        "again".to_owned()
                    } else {
                        silenced.push(router);
                        format!("nobody about {}", list.join(","))
                    };
                    format!("{} answers {whom}", self.name(router))
                }
            };
            said.push(format!("{:>9} {what}", self.clock()));
        }
        for (op, order) in orders {
            match &mut self.held {
                Some(held) => held.push((op, order)),
                None => self.answer(op, &order, said),
            }
        }
        if let Some(done) = self.silences {
            for router in silenced {
                self.feed(Event::Silenced { router, done }, said);
            }
        }
    }

    fn answer(&mut self, op: OpId, order: &Order, said: &mut Vec<String>) {
        let result = if order.prefix().is_some_and(|prefix| self.refused.contains(&prefix)) {
            Err(KernelError { errno: 1, message: "not permitted".to_owned() })
        } else {
            Ok(())
        };
        self.feed(Event::KernelDone { op, result }, said);
    }

    fn clock(&self) -> String {
        format!("{:.3}", (self.now.0 - 1_000_000_000_000) as f64 / 1e9)
    }

    fn name(&self, id: RouterId) -> String {
        self.core.router(id).map_or_else(|| "(ended)".to_owned(), |router| router.plan().name.to_string())
    }

    fn interface_name(&self, index: u32) -> &str {
        self.interfaces.values().find(|facts| facts.index == index).map_or("(gone)", |facts| &facts.name)
    }

    fn show_order(&self, order: &AddressOp) -> String {
        match order {
            AddressOp::Add { interface, cidr, label, .. } => {
                let label = label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
                format!("kernel: add {cidr} to {}{label}", self.interface_name(*interface))
            }
            AddressOp::Remove { interface, cidr, .. } => {
                format!("kernel: remove {cidr} from {}", self.interface_name(*interface))
            }
        }
    }

    fn show_frame(&self, id: RouterId, frame: &Frame) -> String {
        match frame {
            Frame::Ethernet { interface, bytes } => {
                let mac = bytes[6..12].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
                let what = match bytes.len() {
                    42 => {
                        format!("GARP {}", IpAddr::from(<[u8; 4]>::try_from(&bytes[28..32]).expect("four")))
                    }
                    _ => {
                        format!("NA {}", IpAddr::from(<[u8; 16]>::try_from(&bytes[62..78]).expect("sixteen")))
                    }
                };
                format!("{what} is at {mac} on {}", self.interface_name(*interface))
            }
            Frame::Sealed { destination, packet, .. } => {
                let sealed = Sealed::parse(packet).expect("our own packet is right");
                format!(
                    "sealed advert priority {} number {} to {destination}",
                    sealed.message[2], sealed.sequence
                )
            }
            Frame::Advertisement { source, destination, bytes, .. } => {
                let Some(plan) = self.core.router(id).map(|router| router.plan()) else {
                    return format!("advert priority {} (last)", bytes[2]);
                };
                let path = Path { source: *source, destination: *destination, hop_limit: HOP_LIMIT };
                let expected = Expectation {
                    version: plan.version,
                    authentication: &plan.authentication,
                    interval: plan.interval,
                    checksum: plan.checksum,
                    hop_limit_255: true,
                    trailer: Ok(()),
                    header: Ok(()),
                };
                let advert = decode(bytes, path, expected).expect("our own advertisement is right");
                let list = match advert.addresses() {
                    Addresses::V4(list) => format!("{list:?}"),
                    Addresses::V6(list) => format!("{list:?}"),
                };
                let interval = advert.interval().duration();
                format!("advert priority {} every {interval:?} to {destination} {list}", advert.priority())
            }
        }
    }

    fn status(&self, said: &mut Vec<String>) {
        let status = snapshot(&self.core, self.now);
        for router in status.routers {
            let heard = router.master.map(|master| {
                format!(
                    "; listens to {} ({}), {} ms left",
                    master.address, master.priority, master.down_in_ms
                )
            });
            said.push(format!(
                "{} {} for {} s, priority {}: {}{}",
                router.name,
                router.state,
                router.since_seconds,
                router.priority,
                router.reason,
                heard.unwrap_or_default()
            ));
            for address in router.addresses {
                let state = match (address.installed, address.error) {
                    (_, Some(error)) => error,
                    (true, None) => "installed".to_owned(),
                    (false, None) => "absent".to_owned(),
                };
                said.push(format!("  {} on {}: {state}", address.address, address.interface));
            }
            if let Some(claim) = router.claim {
                said.push(format!("  claim: {}", claim.words));
            }
            for route in router.routing {
                let state = match (route.installed, route.error) {
                    (_, Some(error)) => error,
                    (true, None) => "installed".to_owned(),
                    (false, None) => "absent".to_owned(),
                };
                said.push(format!("  {}: {state}", route.what));
            }
            for (name, value) in router.counters.into_iter().filter(|(_, value)| *value > 0) {
                said.push(format!("  {name} {value}"));
            }
            for sender in router.at_odds {
                let AtOddsStatus { from, what, meaning, advice, times, for_seconds, .. } = sender;
                said.push(format!(
                    "  at odds: {from}, {times} in {for_seconds} s: {what}; {meaning}; {advice}"
                ));
            }
        }
        for (name, value) in status.counters.into_iter().filter(|(_, value)| *value > 0) {
            said.push(format!("{name} {value}"));
        }
    }

    fn set_interface(&mut self, name: &str, words: &Words, said: &mut Vec<String>) -> Outcome<()> {
        words.only(&[name, "index", "mac", "ipv4", "ipv6", "wide", "down", "forwarding"])?;
        let index = match (words.get("index")?, self.interfaces.get(name)) {
            (Some(index), _) => index,
            (None, Some(known)) => known.index,
            (None, None) => u32::try_from(self.interfaces.len()).expect("few") + 2,
        };
        let mac: u8 = words.get("mac")?.unwrap_or(1);
        let facts = InterfaceFacts {
            index,
            name: name.to_owned(),
            up: !words.flag("down"),
            mac: if mac == 0 { MacAddr::default() } else { MacAddr([2, 0, 0, 0, 0, mac]) },
            mtu: 1500,
            ipv6_forwarding: words.flag("forwarding"),
            ipv4: words.list("ipv4")?,
            ipv6_link_local: words.list("ipv6")?,
            ipv6_wide: words.list("wide")?,
        };
        self.interfaces.insert(name.to_owned(), facts.clone());
        self.feed(Event::Interface(facts), said);
        Ok(())
    }

    fn set_router(&mut self, name: &str, words: &Words) -> Outcome<()> {
        let plan = router_plan(name, words)?;
        match self.plan.routers.iter_mut().find(|router| router.name == name) {
            Some(known) => *known = plan,
            None => self.plan.routers.push(plan),
        }
        Ok(())
    }

    fn set_group(&mut self, name: &str, words: &Words) -> Outcome<()> {
        words.only(&[name, "members", "track", "trackers"])?;
        let members = words.list::<String>("members")?;
        let key = |member: &String| {
            let router = self.plan.routers.iter().find(|router| router.name == *member);
            router.map(|router| router.key.clone()).ok_or_else(|| format!("no router {member}"))
        };
        let plan = SyncGroupPlan {
            name: name.to_owned(),
            members: members.iter().map(key).collect::<Outcome<_>>()?,
            track_interfaces: items(words, "track", tracked)?,
            trackers: items(words, "trackers", tracked_object)?,
        };
        match self.plan.groups.iter_mut().find(|group| group.name == name) {
            Some(known) => *known = plan,
            None => self.plan.groups.push(plan),
        }
        Ok(())
    }

    /// A packet that suits the first router of the plan except where the words say otherwise.
    fn advertisement(&self, words: &Words) -> Outcome<Received> {
        words.only(&[
            "vrid", "prio", "from", "to", "vips", "version", "interval", "ttl", "iface", "password",
            "damaged",
        ])?;
        let vrid = words.get("vrid")?;
        let router =
            self.plan.routers.iter().find(|router| vrid.is_none_or(|id: u8| router.key.vrid.get() == id));
        let router = router.or(self.plan.routers.first()).ok_or("no router yet")?;
        let vrid = VirtualRouterId::new(vrid.unwrap_or(router.key.vrid.get())).ok_or("vrid 0")?;
        let source: IpAddr = words.get("from")?.ok_or("from=ADDRESS is needed")?;
        let destination = words.get("to")?.unwrap_or(AddressFamily::of(source).vrrp_group());
        let priority = Priority(words.get("prio")?.ok_or("prio=N is needed")?);
        let interval = words.time("interval")?.map(interval).transpose()?.unwrap_or(router.interval);
        let version = words.value("version").map_or(Ok(router.version), version)?;
        let vips = match words.value("vips") {
            Some(_) => words.cidrs("vips")?,
            None => router.addresses.iter().map(|address| address.cidr).collect(),
        };
        let advert = match (version, AddressFamily::of(source)) {
            (Version::V2, _) => {
                let authentication = authentication(words).unwrap_or(router.authentication.clone());
                Advertisement::v2(vrid, priority, interval, authentication, ipv4(&vips))
            }
            (Version::V3, AddressFamily::V4) => {
                Advertisement::v3(vrid, priority, interval, Addresses::V4(ipv4(&vips)))
            }
            (Version::V3, AddressFamily::V6) => {
                Advertisement::v3(vrid, priority, interval, Addresses::V6(ipv6(&vips)))
            }
        };
        let mut bytes = advert.map_err(|e| e.to_string())?.encode(source, destination, router.checksum);
        if words.flag("damaged") {
            bytes[6] ^= 0x10;
        }
        let interface = words.value("iface").unwrap_or(&router.key.interface);
        let interface = self.interfaces.get(interface).ok_or("no such interface")?.index;
        Ok(Received { interface, source, destination, hop_limit: words.get("ttl")?.unwrap_or(255), bytes })
    }
}

fn authentication(words: &Words) -> Option<Authentication> {
    let word = words.value("password")?;
    let mut octets = [0; 8];
    octets.iter_mut().zip(word.bytes()).for_each(|(octet, byte)| *octet = byte);
    Some(if word == "none" { Authentication::None } else { Authentication::Password(octets) })
}

fn ipv4(cidrs: &[IpCidr]) -> Vec<Ipv4Addr> {
    cidrs.iter().filter_map(|c| if let IpAddr::V4(a) = c.address() { Some(a) } else { None }).collect()
}

fn ipv6(cidrs: &[IpCidr]) -> Vec<Ipv6Addr> {
    cidrs.iter().filter_map(|c| if let IpAddr::V6(a) = c.address() { Some(a) } else { None }).collect()
}

fn version(text: &str) -> Outcome<Version> {
    match text {
        "2" => Ok(Version::V2),
        "3" => Ok(Version::V3),
        other => Err(format!("version {other}")),
    }
}

fn interval(duration: Duration) -> Outcome<Interval> {
    let centiseconds = u16::try_from(duration.as_millis() / 10).map_err(|e| e.to_string())?;
    Interval::from_centiseconds(centiseconds).ok_or_else(|| "interval 0".to_owned())
}

/// `3.61s` or `250ms`.
fn duration(text: &str) -> Outcome<Duration> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1_000_000.0),
        (None, Some(number)) => (number, 1_000_000_000.0),
        (None, None) => return Err(format!("`{text}` needs a unit, s or ms")),
    };
    Ok(Duration::from_nanos((parse::<f64>(number)? * unit).round() as u64))
}

fn cidr(text: &str) -> Outcome<IpCidr> {
    let (address, prefix) = text.split_once('/').ok_or_else(|| format!("`{text}` needs a prefix length"))?;
    IpCidr::new(parse(address)?, parse(prefix)?).ok_or_else(|| format!("`{text}` is no prefix"))
}

fn parse<T: std::str::FromStr>(text: &str) -> Outcome<T> {
    text.parse().map_err(|_| format!("cannot read `{text}`"))
}

fn show_news(news: News) -> String {
    match news {
        News::Group(g) => {
            let quiet = if g.quiet { " (told to nobody)" } else { "" };
            format!("group {} {} -> {}: {}{quiet}", g.name, g.from, g.to, g.cause)
        }
        News::Priority(p) => format!("{} tells priority {} as {}", p.name, p.priority, p.state),
        News::WeakerHeard(w) => format!("{} tells of the weaker {} ({})", w.name, w.by, w.theirs),
    }
}

fn show_level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warning => "warning",
        LogLevel::Info => "info",
    }
}

/// Equal lines in a row become one with a count.
fn collapse(lines: Vec<String>) -> Vec<String> {
    let mut out: Vec<(String, u32)> = Vec::new();
    for line in lines {
        match out.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => out.push((line, 1)),
        }
    }
    out.into_iter().map(|(line, count)| if count == 1 { line } else { format!("{line}  x{count}") }).collect()
}
