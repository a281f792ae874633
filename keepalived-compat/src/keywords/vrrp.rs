//! Keywords of virtual routers and what they track.

use super::shape::Shape::*;
use super::shape::{EVER, SECOND, U32};
use super::{Keyword, Place, accepted, works};

/// The places of this file and their keywords.
pub(super) const PLACES: &[(Place, &[Keyword])] = &[
    (Place::TrackGroup, TRACK_GROUP),
    (Place::VrrpInstance, VRRP_INSTANCE),
    (Place::Authentication, AUTHENTICATION),
    (Place::AuthHmac, AUTH_HMAC),
    (Place::UnicastPeer, UNICAST_PEER),
    (Place::UseVmac, USE_VMAC),
    (Place::UseIpvlan, USE_IPVLAN),
    (Place::VirtualAddress, VIRTUAL_ADDRESS),
    (Place::ExcludedAddress, VIRTUAL_ADDRESS),
    (Place::StaticAddress, STATIC_ADDRESS),
    (Place::TrackInterface, TRACK_INTERFACE),
    (Place::TrackScript, TRACK_SCRIPT),
    (Place::TrackFiles, TRACK_FILES),
    (Place::TrackProcesses, TRACK_FILES),
    (Place::TrackBfd, TRACK_BFD),
    (Place::SyncGroup, SYNC_GROUP),
    (Place::SyncTrackInterface, SYNC_TRACK_INTERFACE),
    (Place::SyncTrackScript, TRACK_SCRIPT),
    (Place::SyncTrackFiles, TRACK_FILES),
    (Place::SyncTrackProcesses, TRACK_FILES),
    (Place::SyncTrackBfd, TRACK_BFD),
    (Place::GarpGroup, GARP_GROUP),
    (Place::LinkbeatInterfaces, LINKBEAT_INTERFACES),
    (Place::VrrpScript, VRRP_SCRIPT),
    (Place::TrackProcess, TRACK_PROCESS),
    (Place::TrackFile, TRACK_FILE),
    (Place::VrrpTrackFile, TRACK_FILE),
    (Place::BfdInstance, BFD_INSTANCE),
];

#[rustfmt::skip]
const TRACK_GROUP: &[Keyword] = &[
    works("group", 0, "{ INSTANCE ... }").list(Place::Words),
];

#[rustfmt::skip]
const VRRP_INSTANCE: &[Keyword] = &[
    works("use_vmac", 0, "[[name] IFNAME] [MAC 5 or 6 octets] [netlink_notify_msg] [group G]").takes(Vmac),
    works("use_vmac_addr", 0, ""),
    works("vmac_xmit_base", 0, ""),
    works("use_ipvlan", 0, "[[name] IFNAME] [ADDR] [bridge|private|vepa] [group G]").takes(Ipvlan),
    works("unicast_peer", 0, "{ ADDR [min_ttl N] [max_ttl N] ... }").list(Place::UnicastPeer),
    works("unicast_fault_no_peer", 0, ""),
    works("check_unicast_src", 0, ""),
    works("old_unicast_checksum", 0, "[never]").takes(MaybeOneOf(&["never"])),
    works("native_ipv6", 0, ""),
    works("state", 1, "MASTER|BACKUP").takes(OneOf(&["MASTER", "BACKUP"])),
    works("interface", 1, "IFNAME (not loopback)").takes(Interface),
    works("vrf", 1, "VRF_IFNAME").takes(Interface),
    works("dont_track_primary", 0, ""),
    works("track_interface", 0, "{ IFNAME [weight N [reverse]] ... }").list(Place::TrackInterface),
    works("track_script", 0, "{ SCRIPT [weight N [reverse|noreverse]] ... }").list(Place::TrackScript),
    works("track_file", 0, "{ NAME [weight N [reverse|noreverse]] ... }").list(Place::TrackFiles),
    works("track_process", 0, "{ NAME [weight N [reverse|noreverse]] ... }").list(Place::TrackProcesses),
    works("track_bfd", 0, "{ NAME [weight N [reverse|noreverse]] ... }").list(Place::TrackBfd),
    works("mcast_src_ip", 1, "ADDR").takes(Address),
    works("unicast_src_ip", 1, "ADDR").takes(Address),
    works("mcast_dst_ip", 1, "multicast ADDR (IPv6 link-local scope)").takes(Address),
    works("track_src_ip", 0, ""),
    works("virtual_router_id", 1, "1..255").takes(Number(1, 255)),
    works("unicast_ttl", 1, "0..255").takes(Number(0, 255)),
    works("version", 1, "2|3 (IPv6: 3 in any case)").takes(OneOf(&["2", "3"])),
    works("priority", 1, "1..255").takes(Number(1, 255)),
    works("advert_int", 1, "SECS 0.01..255; v2 whole seconds, v3 to 40.95").takes(Decimal(10_000, 255 * SECOND)),
    works("virtual_ipaddress", 0, "{ address lines }").list(Place::VirtualAddress),
    works("virtual_ipaddress_excluded", 0, "{ address lines }").list(Place::ExcludedAddress),
    works("no_virtual_ipaddress", 0, ""),
    works("promote_secondaries", 0, ""),
    works("linkbeat_use_polling", 0, ""),
    works("v3_checksum_as_v2", 0, "[BOOL]").takes(Bool),
    works("virtual_routes", 0, "{ route lines }").list(Place::VirtualRoutes),
    works("virtual_rules", 0, "{ rule lines }").list(Place::VirtualRules),
    works("accept", 0, ""),
    works("no_accept", 0, ""),
    accepted("skip_check_adv_addr", 0, "[BOOL] (any valid value sets it)", "a different address list never rejects an advertisement, as in keepalived 2.3.3 and later").takes(Bool),
    works("strict_mode", 0, "[BOOL]").takes(Bool),
    works("preempt", 0, ""),
    works("nopreempt", 0, ""),
    works("preempt_delay", 1, "SECS 0..1000 decimal").takes(Decimal(0, 1000 * SECOND)),
    accepted("debug", 1, "0..4", "keepalived ignores it too").takes(Number(0, 4)),
    works("notify_backup", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_master", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_fault", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_stop", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_deleted", 0, "[\"CMD args\" [USER [[:]GROUP]]]").takes(MaybeCommand),
    works("notify", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_master_rx_lower_pri", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_claim", 1, "\"CMD args\" [USER [[:]GROUP]] (a keyword of holdfast)").takes(Command),
    works("claim_timeout", 1, "SECS 1..600 (a keyword of holdfast)").takes(Seconds(1, 600)),
    works("smtp_alert", 0, "[BOOL]").takes(Bool),
    works("notify_priority_changes", 0, "[BOOL]").takes(Bool),
    works("lvs_sync_daemon_interface", 1, "IFNAME").takes(Interface),
    works("garp_master_delay", 1, "SECS integer").takes(Seconds(0, 4294)),
    works("garp_master_refresh", 1, "SECS integer").takes(Seconds(0, u32::MAX)),
    works("garp_master_repeat", 1, "COUNT (0 treated as 1)").takes(Number(0, U32)),
    works("garp_master_refresh_repeat", 1, "COUNT (0 treated as 1)").takes(Number(0, U32)),
    works("garp_lower_prio_delay", 1, "SECS integer").takes(Seconds(0, 4294)),
    works("garp_lower_prio_repeat", 1, "COUNT 0..").takes(Number(0, U32)),
    works("down_timer_adverts", 1, "1..100").takes(Number(1, 100)),
    works("timer_expired_backup", 0, "[1..254]").takes(MaybeNumber(1, 254)),
    works("thread_timer_expired", 0, "[1..254]").takes(MaybeNumber(1, 254)),
    works("garp_extra_if", 0, "[all] SECS 0..86400 (0 disables)").takes(ExtraInterface),
    works("vmac_garp_intvl", 0, "[all] SECS").takes(ExtraInterface),
    works("lower_prio_no_advert", 0, "[BOOL]").takes(Bool),
    works("higher_prio_send_advert", 0, "[BOOL]").takes(Bool),
    works("owner_ignore_adverts", 0, "[BOOL] (owner only; off is overridden to on)").takes(Bool),
    accepted("kernel_rx_buf_size", 1, "BYTES", "receive buffers have the size the system gives them").takes(Number(0, U32)).lenient(),
    works("authentication", 0, "{ block }").block(Place::Authentication),
    works("auth_hmac", 0, "{ block }").block(Place::AuthHmac),
];

#[rustfmt::skip]
const AUTHENTICATION: &[Keyword] = &[
    works("auth_type", 1, "PASS|AH").takes(OneOf(&["PASS", "AH"])),
    works("auth_pass", 1, "STRING (first 8 bytes used)").takes(Text),
];

#[rustfmt::skip]
const AUTH_HMAC: &[Keyword] = &[
    works("key", 1, "ID 1..255, VALUE 32..64 bytes: ASCII | hex:DIGITS | file:PATH").takes(HmacKey),
    works("active_key", 1, "1..255").takes(Number(1, 255)),
    works("time_window", 1, "SECS 1..300").takes(Seconds(1, 300)),
    works("anti_replay", 1, "time|monotonic").takes(OneOf(&["time", "monotonic"])),
    works("mode", 1, "enforce|permissive|receive-only").takes(OneOf(&["enforce", "permissive", "receive-only"])),
];

#[rustfmt::skip]
const UNICAST_PEER: &[Keyword] = &[
    works("min_ttl", 1, "0..255").takes(Number(0, 255)),
    works("max_ttl", 1, "0..255").takes(Number(0, 255)),
];

#[rustfmt::skip]
const USE_VMAC: &[Keyword] = &[
    works("name", 1, "IFNAME").takes(Interface),
    accepted("netlink_notify_msg", 0, "", "the kernel announces the interface below by itself"),
    works("group", 1, "NAME|NUMBER").takes(Named(U32)),
];

#[rustfmt::skip]
const USE_IPVLAN: &[Keyword] = &[
    works("name", 1, "IFNAME").takes(Interface),
    works("bridge", 0, ""),
    works("private", 0, ""),
    works("vepa", 0, ""),
    works("group", 1, "NAME|NUMBER").takes(Named(U32)),
];

#[rustfmt::skip]
const VIRTUAL_ADDRESS: &[Keyword] = &[
    works("(address)", 0, "ADDR[/PREFIX]").takes(Rest),
    works("dev", 1, "IFNAME").takes(Interface),
    works("scope", 1, "NAME|NUMBER (global, site, link, host, nowhere)").takes(Text),
    works("broadcast", 1, "ADDR|+|-").takes(Text),
    works("brd", 1, "ADDR|+|-").takes(Text),
    works("label", 1, "NAME (<16 chars)").takes(Text),
    works("peer", 1, "ADDR").takes(Address),
    works("home", 0, ""),
    works("-nodad", 0, ""),
    works("mngtmpaddr", 0, ""),
    works("noprefixroute", 0, ""),
    works("autojoin", 0, ""),
    works("no_track", 0, ""),
    works("preferred_lft", 1, "SECS|forever").takes(Text),
    works("use_vmac", 0, ""),
];

#[rustfmt::skip]
const STATIC_ADDRESS: &[Keyword] = &[
    works("(address)", 0, "ADDR[/PREFIX]").takes(Rest),
    works("dev", 1, "IFNAME").takes(Interface),
    works("scope", 1, "NAME|NUMBER (global, site, link, host, nowhere)").takes(Text),
    works("broadcast", 1, "ADDR|+|-").takes(Text),
    works("brd", 1, "ADDR|+|-").takes(Text),
    works("label", 1, "NAME (<16 chars)").takes(Text),
    works("peer", 1, "ADDR").takes(Address),
    works("home", 0, ""),
    works("-nodad", 0, ""),
    works("mngtmpaddr", 0, ""),
    works("noprefixroute", 0, ""),
    works("autojoin", 0, ""),
    works("no_track", 0, ""),
    works("preferred_lft", 1, "SECS|forever").takes(Text),
    works("track_group", 1, "NAME").takes(Text),
];

#[rustfmt::skip]
const TRACK_INTERFACE: &[Keyword] = &[
    works("weight", 1, "-253..253 (+-254 cut to 253)").takes(Cut(253)),
    works("reverse", 0, "flag after weight"),
];

#[rustfmt::skip]
const TRACK_SCRIPT: &[Keyword] = &[
    works("weight", 1, "-253..253 (+-254 cut to 253)").takes(Cut(253)),
    works("reverse", 0, "flag after weight"),
    works("noreverse", 0, "flag after weight"),
];

#[rustfmt::skip]
const TRACK_FILES: &[Keyword] = &[
    works("weight", 1, "-254..254").takes(Number(-254, 254)),
    works("reverse", 0, "flag after weight"),
    works("noreverse", 0, "flag after weight"),
];

#[rustfmt::skip]
const TRACK_BFD: &[Keyword] = &[
    works("weight", 1, "-253..253").takes(Number(-253, 253)),
    works("reverse", 0, "flag after weight"),
    works("noreverse", 0, "flag after weight"),
];

#[rustfmt::skip]
const SYNC_GROUP: &[Keyword] = &[
    works("group", 0, "{ INSTANCE ... }").list(Place::Words),
    works("track_interface", 0, "{ IFNAME [weight N [reverse]] ... }").list(Place::SyncTrackInterface),
    works("track_script", 0, "{ SCRIPT [weight N [reverse|noreverse]] ... }").list(Place::SyncTrackScript),
    works("track_file", 0, "{ NAME [weight N [reverse|noreverse]] ... }").list(Place::SyncTrackFiles),
    works("track_process", 0, "{ NAME [weight N [reverse|noreverse]] ... }").list(Place::SyncTrackProcesses),
    works("track_bfd", 0, "{ NAME [weight N [reverse|noreverse]] ... }").list(Place::SyncTrackBfd),
    works("notify_backup", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_master", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_fault", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_stop", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("smtp_alert", 0, "[BOOL]").takes(Bool),
    works("global_tracking", 0, ""),
    works("sync_group_tracking_weight", 0, ""),
    works("notify_priority_changes", 0, "[BOOL]").takes(Bool),
];

#[rustfmt::skip]
const SYNC_TRACK_INTERFACE: &[Keyword] = &[
    works("weight", 1, "-253..253 (+-254 cut to 253)").takes(Cut(253)),
    works("reverse", 0, "flag after weight"),
];

#[rustfmt::skip]
const GARP_GROUP: &[Keyword] = &[
    works("garp_interval", 1, "SECS decimal, usec resolution").takes(Decimal(0, U32 as u64)),
    works("gna_interval", 1, "SECS decimal, usec resolution").takes(Decimal(0, U32 as u64)),
    works("interface", 1, "IFNAME").takes(Interface),
    works("interfaces", 0, "{ IFNAME ... }").list(Place::Words),
];

#[rustfmt::skip]
const LINKBEAT_INTERFACES: &[Keyword] = &[
    works("MII", 0, "after IFNAME"),
    works("ETHTOOL", 0, "after IFNAME"),
    works("IOCTL", 0, "after IFNAME"),
];

#[rustfmt::skip]
const VRRP_SCRIPT: &[Keyword] = &[
    works("script", 1, "\"CMD args\"").takes(Command).lenient(),
    works("interval", 1, "SECS decimal, ms resolution (0 treated as 1)").takes(Decimal(0, EVER)),
    works("timeout", 1, "SECS decimal, ms resolution").takes(Decimal(0, EVER)),
    works("weight", 1, "-253..253 [reverse]").takes(Weight(253)),
    works("rise", 1, "1..").takes(Number(1, U32)),
    works("fall", 1, "1..").takes(Number(1, U32)),
    works("user", 1, "USER [[:]GROUP]").takes(User),
    works("init_fail", 0, "[rise] (rise: a word of holdfast)").takes(MaybeText),
];

#[rustfmt::skip]
const TRACK_PROCESS: &[Keyword] = &[
    works("process", 1, "NAME|\"NAME\" [PARAM ...]").takes(Words),
    works("param_match", 0, "[initial|partial]").takes(MaybeOneOf(&["initial", "partial"])),
    works("weight", 1, "-254..254 [reverse]").takes(Weight(254)).lenient(),
    works("quorum", 1, "1..65535").takes(Number(1, 65535)),
    works("quorum_max", 1, "0..65535").takes(Number(0, 65535)),
    works("delay", 1, "SECS 0.000001..3600").takes(Decimal(1, 3600 * SECOND)),
    works("terminate_delay", 1, "SECS 0.000001..3600").takes(Decimal(1, 3600 * SECOND)),
    works("fork_delay", 1, "SECS 0.000001..3600").takes(Decimal(1, 3600 * SECOND)),
    works("full_command", 0, ""),
];

#[rustfmt::skip]
const TRACK_FILE: &[Keyword] = &[
    works("file", 1, "PATH").takes(Text).lenient(),
    works("weight", 1, "-254..254 [reverse]").takes(Weight(254)).lenient(),
    works("init_file", 0, "[VALUE] [overwrite]").takes(Words),
];

#[rustfmt::skip]
const BFD_INSTANCE: &[Keyword] = &[
    works("source_ip", 1, "ADDR").takes(Address),
    works("neighbor_ip", 1, "ADDR").takes(Address).lenient(),
    works("neighbour_ip", 1, "ADDR").takes(Address).lenient(),
    works("min_rx", 1, "MS decimal 1..4294967").takes(Millis(1_000, U32 as u64)),
    works("min_tx", 1, "MS decimal 1..4294967").takes(Millis(1_000, U32 as u64)),
    works("idle_tx", 1, "MS decimal 1000..4294967").takes(Millis(SECOND, U32 as u64)),
    works("multiplier", 1, "1..255").takes(Number(1, 255)),
    works("passive", 0, ""),
    works("ttl", 1, "1..255").takes(Number(1, 255)),
    works("hoplimit", 1, "1..255").takes(Number(1, 255)),
    works("max_hops", 1, "-1..255").takes(Number(-1, 255)),
    works("multihop", 0, "[BOOL]").takes(Bool),
    works("weight", 1, "-253..253 [reverse]").takes(Weight(253)),
    works("vrrp", 0, ""),
    works("checker", 0, ""),
];
