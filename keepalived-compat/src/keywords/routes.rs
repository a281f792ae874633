//! Words of route and rule lines.

use super::shape::Shape::*;
use super::shape::{I32, U32};
use super::{Keyword, Place, accepted, works};

/// The places of this file and their keywords.
pub(super) const PLACES: &[(Place, &[Keyword])] = &[
    (Place::VirtualRoutes, VIRTUAL_ROUTES),
    (Place::StaticRoutes, STATIC_ROUTES),
    (Place::RouteEncap, ROUTE_ENCAP),
    (Place::VirtualRules, VIRTUAL_RULES),
    (Place::StaticRules, STATIC_RULES),
];

/// `base` and one more at its end; `LENGTH` is their number.
const fn plus<const LENGTH: usize>(base: &[Keyword], last: Keyword) -> [Keyword; LENGTH] {
    let mut all = [last; LENGTH];
    let mut index = 0;
    while index < base.len() {
        all[index] = base[index];
        index += 1;
    }
    all
}

#[rustfmt::skip]
const VIRTUAL_ROUTES: &[Keyword] = &[
    works("(destination)", 0, "[to] [TYPE] PREFIX|default|any|all").takes(Rest),
    works("to", 1, "before destination"),
    works("unicast", 1, "route type"),
    works("local", 1, "route type"),
    works("broadcast", 1, "route type"),
    works("brd", 1, "route type"),
    works("anycast", 1, "route type"),
    works("multicast", 1, "route type"),
    works("blackhole", 1, "route type"),
    works("unreachable", 1, "route type"),
    works("prohibit", 1, "route type"),
    works("throw", 1, "route type"),
    works("nat", 1, "route type"),
    works("xresolve", 1, "route type"),
    works("inet", 0, ""),
    works("inet6", 0, ""),
    works("src", 1, "ADDR").takes(Address),
    accepted("as", 1, "[to] ADDR", "keepalived reads it and does nothing with it; so do we").takes(Gateway),
    works("via", 1, "[inet|inet6] ADDR").takes(Gateway),
    works("gw", 1, "ADDR").takes(Address),
    works("from", 1, "PREFIX").takes(Prefix),
    works("tos", 1, "NAME|HEX").takes(Named(255)),
    works("dsfield", 1, "NAME|HEX").takes(Named(255)),
    works("table", 1, "NAME|NUMBER").takes(Named(U32)),
    works("protocol", 1, "NAME|0..255").takes(Named(255)),
    works("scope", 1, "NAME|NUMBER").takes(Named(255)),
    works("metric", 1, "UINT32").takes(Number(0, U32)),
    works("priority", 1, "UINT32").takes(Number(0, U32)),
    works("preference", 1, "UINT32").takes(Number(0, U32)),
    works("dev", 1, "IFNAME").takes(Interface),
    works("oif", 1, "IFNAME").takes(Interface),
    works("onlink", 0, ""),
    works("encap", 1, "ip|ip6|mpls|ila ...").takes(Rest),
    works("expires", 1, "SECS").takes(Number(0, U32)),
    works("mtu", 1, "[lock] N").takes(Locked),
    works("hoplimit", 1, "0..255").takes(Number(0, 255)),
    works("advmss", 1, "[lock] N").takes(Locked),
    works("rtt", 1, "[lock] TIME 200ms..120s, raw unit 1/8 ms").takes(Locked),
    works("rttvar", 1, "[lock] TIME, raw unit 1/4 ms").takes(Locked),
    works("reordering", 1, "[lock] N").takes(Locked),
    works("window", 1, "N").takes(Number(0, U32)),
    works("cwnd", 1, "[lock] N").takes(Locked),
    works("ssthresh", 1, "[lock] N").takes(Locked),
    works("realms", 1, "[FROM/]TO").takes(Realms),
    works("rto_min", 1, "[lock] TIME ms").takes(Locked),
    works("initcwnd", 1, "N").takes(Number(0, U32)),
    works("initrwnd", 1, "N").takes(Number(0, U32)),
    works("features", 1, "ecn").takes(OneOf(&["ecn"])),
    works("quickack", 1, "0|1").takes(OneOf(&["0", "1"])),
    works("congctl", 1, "[lock] NAME").takes(Locked),
    works("pref", 1, "low|medium|high|0..255").takes(Text),
    works("ttl-propagate", 1, "enabled|disabled").takes(OneOf(&["enabled", "disabled"])),
    works("fastopen_no_cookie", 1, "0|1").takes(OneOf(&["0", "1"])),
    works("add", 0, ""),
    works("prepend", 0, ""),
    works("append", 0, ""),
    works("or", 1, "ADDR").takes(Address),
    works("nexthop", 1, "via.. dev.. weight 1..256 onlink encap.. realms.. (repeat, last on line)").takes(Rest),
    works("no_track", 0, ""),
    works("vrf", 1, "VRF_IFNAME").takes(Interface),
];

/// As the virtual ones, but they may belong to a group.
const STATIC_ROUTES: &[Keyword] = &plus::<{ VIRTUAL_ROUTES.len() + 1 }>(
    VIRTUAL_ROUTES,
    works("track_group", 1, "NAME (needs dev)").takes(Text),
);

#[rustfmt::skip]
const ROUTE_ENCAP: &[Keyword] = &[
    works("ip", 1, "id N, dst ADDR, src ADDR, tos V, ttl N, flags N (needs dst or id)").takes(Words),
    works("ip6", 1, "id N, dst ADDR, src ADDR, tc V, hoplimit N, flags N (needs dst or id)").takes(Words),
    works("mpls", 1, "LABEL[/LABEL...]").takes(Words),
    works("ila", 1, "LOCATOR (64-bit)").takes(Text),
];

#[rustfmt::skip]
const VIRTUAL_RULES: &[Keyword] = &[
    works("inet", 0, ""),
    works("inet6", 0, ""),
    works("from", 1, "PREFIX|default|any|all").takes(Prefix),
    works("to", 1, "PREFIX|default|any|all").takes(Prefix),
    works("table", 1, "NAME|NUMBER (not 0)").takes(Named(U32)),
    works("lookup", 1, "NAME|NUMBER").takes(Named(U32)),
    works("not", 0, ""),
    works("preference", 1, "UINT32 any base").takes(AnyBase(0, U32)),
    works("order", 1, "UINT32").takes(AnyBase(0, U32)),
    works("priority", 1, "UINT32").takes(AnyBase(0, U32)),
    works("tos", 1, "NAME|HEX").takes(Named(255)),
    works("dsfield", 1, "NAME|HEX").takes(Named(255)),
    works("fwmark", 1, "N[/MASK] any base").takes(Mark),
    works("realms", 1, "[FROM/]TO").takes(Realms),
    works("suppress_prefixlength", 1, "0..2147483647").takes(Number(0, I32)),
    works("sup_pl", 1, "N").takes(Number(0, U32)),
    works("suppress_ifgroup", 1, "NAME|NUMBER").takes(Named(U32)),
    works("sup_group", 1, "NAME|NUMBER").takes(Named(U32)),
    works("dev", 1, "IFNAME").takes(Interface),
    works("iif", 1, "IFNAME").takes(Interface),
    works("oif", 1, "IFNAME").takes(Interface),
    works("tunnel-id", 1, "UINT64").takes(Number(0, i64::MAX)),
    works("uidrange", 1, "START-END").takes(Span),
    works("l3mdev", 0, ""),
    works("protocol", 1, "0..255").takes(Number(0, 255)),
    works("ipproto", 1, "NAME|0..255").takes(Named(255)),
    works("sport", 1, "START-END (single port is rejected)").takes(Span),
    works("dport", 1, "START-END (single port is rejected)").takes(Span),
    works("no_track", 0, ""),
    works("type", 1, "before an action word"),
    works("goto", 1, "PREF (must exceed own preference)").takes(AnyBase(0, U32)),
    works("nop", 0, ""),
    works("blackhole", 0, ""),
    works("unreachable", 0, ""),
    works("prohibit", 0, ""),
];

/// As the virtual ones, but they may belong to a group.
const STATIC_RULES: &[Keyword] = &plus::<{ VIRTUAL_RULES.len() + 1 }>(
    VIRTUAL_RULES,
    works("track_group", 1, "NAME (needs dev/iif)").takes(Text),
);
