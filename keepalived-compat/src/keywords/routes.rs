//! Words of route and rule lines.

use super::shape::Shape::*;
use super::shape::{I32, U32};
use super::{Keyword, Place, inner};

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
    inner("(destination)", 0, "[to] [TYPE] PREFIX|default|any|all").takes(Rest),
    inner("to", 1, "before destination"),
    inner("unicast", 1, "route type"),
    inner("local", 1, "route type"),
    inner("broadcast", 1, "route type"),
    inner("brd", 1, "route type"),
    inner("anycast", 1, "route type"),
    inner("multicast", 1, "route type"),
    inner("blackhole", 1, "route type"),
    inner("unreachable", 1, "route type"),
    inner("prohibit", 1, "route type"),
    inner("throw", 1, "route type"),
    inner("nat", 1, "route type"),
    inner("xresolve", 1, "route type"),
    inner("inet", 0, ""),
    inner("inet6", 0, ""),
    inner("src", 1, "ADDR").takes(Address),
    inner("as", 1, "[to] ADDR").takes(Gateway),
    inner("via", 1, "[inet|inet6] ADDR").takes(Gateway),
    inner("gw", 1, "ADDR").takes(Address),
    inner("from", 1, "PREFIX").takes(Prefix),
    inner("tos", 1, "NAME|HEX").takes(Named(255)),
    inner("dsfield", 1, "NAME|HEX").takes(Named(255)),
    inner("table", 1, "NAME|NUMBER").takes(Named(U32)),
    inner("protocol", 1, "NAME|0..255").takes(Named(255)),
    inner("scope", 1, "NAME|NUMBER").takes(Named(255)),
    inner("metric", 1, "UINT32").takes(Number(0, U32)),
    inner("priority", 1, "UINT32").takes(Number(0, U32)),
    inner("preference", 1, "UINT32").takes(Number(0, U32)),
    inner("dev", 1, "IFNAME").takes(Interface),
    inner("oif", 1, "IFNAME").takes(Interface),
    inner("onlink", 0, ""),
    inner("encap", 1, "ip|ip6|mpls|ila ...").takes(Rest),
    inner("expires", 1, "SECS").takes(Number(0, U32)),
    inner("mtu", 1, "[lock] N").takes(Locked),
    inner("hoplimit", 1, "0..255").takes(Number(0, 255)),
    inner("advmss", 1, "[lock] N").takes(Locked),
    inner("rtt", 1, "[lock] TIME 200ms..120s, raw unit 1/8 ms").takes(Locked),
    inner("rttvar", 1, "[lock] TIME, raw unit 1/4 ms").takes(Locked),
    inner("reordering", 1, "[lock] N").takes(Locked),
    inner("window", 1, "N").takes(Number(0, U32)),
    inner("cwnd", 1, "[lock] N").takes(Locked),
    inner("ssthresh", 1, "[lock] N").takes(Locked),
    inner("realms", 1, "[FROM/]TO").takes(Realms),
    inner("rto_min", 1, "[lock] TIME ms").takes(Locked),
    inner("initcwnd", 1, "N").takes(Number(0, U32)),
    inner("initrwnd", 1, "N").takes(Number(0, U32)),
    inner("features", 1, "ecn").takes(OneOf(&["ecn"])),
    inner("quickack", 1, "0|1").takes(OneOf(&["0", "1"])),
    inner("congctl", 1, "[lock] NAME").takes(Locked),
    inner("pref", 1, "low|medium|high|0..255").takes(Text),
    inner("ttl-propagate", 1, "enabled|disabled").takes(OneOf(&["enabled", "disabled"])),
    inner("fastopen_no_cookie", 1, "0|1").takes(OneOf(&["0", "1"])),
    inner("add", 0, ""),
    inner("prepend", 0, ""),
    inner("append", 0, ""),
    inner("or", 1, "ADDR").takes(Address),
    inner("nexthop", 1, "via.. dev.. weight 1..256 onlink encap.. realms.. (repeat, last on line)").takes(Rest),
    inner("no_track", 0, ""),
    inner("vrf", 1, "VRF_IFNAME").takes(Interface),
];

/// As the virtual ones, but they may belong to a group.
const STATIC_ROUTES: &[Keyword] = &plus::<{ VIRTUAL_ROUTES.len() + 1 }>(
    VIRTUAL_ROUTES,
    inner("track_group", 1, "NAME (needs dev)").takes(Text),
);

#[rustfmt::skip]
const ROUTE_ENCAP: &[Keyword] = &[
    inner("ip", 1, "id N, dst ADDR, src ADDR, tos V, ttl N, flags N (needs dst or id)").takes(Words),
    inner("ip6", 1, "id N, dst ADDR, src ADDR, tc V, hoplimit N, flags N (needs dst or id)").takes(Words),
    inner("mpls", 1, "LABEL[/LABEL...]").takes(Words),
    inner("ila", 1, "LOCATOR (64-bit)").takes(Text),
];

#[rustfmt::skip]
const VIRTUAL_RULES: &[Keyword] = &[
    inner("inet", 0, ""),
    inner("inet6", 0, ""),
    inner("from", 1, "PREFIX|default|any|all").takes(Prefix),
    inner("to", 1, "PREFIX|default|any|all").takes(Prefix),
    inner("table", 1, "NAME|NUMBER (not 0)").takes(Named(U32)),
    inner("lookup", 1, "NAME|NUMBER").takes(Named(U32)),
    inner("not", 0, ""),
    inner("preference", 1, "UINT32 any base").takes(AnyBase(0, U32)),
    inner("order", 1, "UINT32").takes(AnyBase(0, U32)),
    inner("priority", 1, "UINT32").takes(AnyBase(0, U32)),
    inner("tos", 1, "NAME|HEX").takes(Named(255)),
    inner("dsfield", 1, "NAME|HEX").takes(Named(255)),
    inner("fwmark", 1, "N[/MASK] any base").takes(Mark),
    inner("realms", 1, "[FROM/]TO").takes(Realms),
    inner("suppress_prefixlength", 1, "0..2147483647").takes(Number(0, I32)),
    inner("sup_pl", 1, "N").takes(Number(0, U32)),
    inner("suppress_ifgroup", 1, "NAME|NUMBER").takes(Named(U32)),
    inner("sup_group", 1, "NAME|NUMBER").takes(Named(U32)),
    inner("dev", 1, "IFNAME").takes(Interface),
    inner("iif", 1, "IFNAME").takes(Interface),
    inner("oif", 1, "IFNAME").takes(Interface),
    inner("tunnel-id", 1, "UINT64").takes(Number(0, i64::MAX)),
    inner("uidrange", 1, "START-END").takes(Span),
    inner("l3mdev", 0, ""),
    inner("protocol", 1, "0..255").takes(Number(0, 255)),
    inner("ipproto", 1, "NAME|0..255").takes(Named(255)),
    inner("sport", 1, "START-END (single port is rejected)").takes(Span),
    inner("dport", 1, "START-END (single port is rejected)").takes(Span),
    inner("no_track", 0, ""),
    inner("type", 1, "before an action word"),
    inner("goto", 1, "PREF (must exceed own preference)").takes(AnyBase(0, U32)),
    inner("nop", 0, ""),
    inner("blackhole", 0, ""),
    inner("unreachable", 0, ""),
    inner("prohibit", 0, ""),
];

/// As the virtual ones, but they may belong to a group.
const STATIC_RULES: &[Keyword] = &plus::<{ VIRTUAL_RULES.len() + 1 }>(
    VIRTUAL_RULES,
    inner("track_group", 1, "NAME (needs dev/iif)").takes(Text),
);
