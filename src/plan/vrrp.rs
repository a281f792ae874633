//! What the vrrp role must do.

use crate::net::{AddressFamily, IpCidr, Priority, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::route::Item;
pub use crate::plan::track::TrackedObject;
pub use crate::plan::transport::{HmacKey, HmacMode, HmacPolicy, OldChecksum, PeerLimits, Unfit, WirePolicy};
pub use crate::plan::vmac::{FilterSettings, VirtualLinkKind, VirtualLinkPlan};
use crate::time::Interval;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

pub use crate::wire::vrrp::{Authentication, ChecksumDialect, Version};

/// All virtual routers of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpPlan {
    /// Which configuration this is.
    pub generation: Generation,
    /// The routers, in the order of the configuration file; keys are unique.
    pub routers: Vec<RouterPlan>,
    /// Routers that change state together.
    pub groups: Vec<SyncGroupPlan>,
    /// How packets to addresses that are not accepted are dropped.
    pub filter: FilterSettings,
    /// `static_ipaddress`, `static_routes`, `static_rules`: in this order, each in the order of the file.
    pub statics: Vec<Item>,
    /// Hold every election this long after the start of the role.
    pub startup_delay: Duration,
    /// Say when an advertisement comes for a VRID that no router here has.
    pub log_unknown_vrids: bool,
    /// Least time between two announcements, by interface.
    pub announce_gaps: Vec<AnnounceGap>,
    /// Virtual addresses have a kernel lifetime that a Master renews (`vip_lease`).
    pub vip_lease: bool,
    /// A Master that stops in order keeps its addresses until its successor has announced them (not with `no_handover`).
    pub handover: bool,
    /// A vrrp role that was restarted begins a new election instead of going on as Master (`no_resume`).
    pub no_resume: bool,
    /// Interfaces whose going down or coming up counts only when it lasts.
    pub link_delays: Vec<LinkDelay>,
    /// Hold every election until the machine has run this long (`vrrp_delay_after_boot`).
    pub boot_delay: Duration,
    /// The kernel does not report link-local groups by IGMP meanwhile (`disable_local_igmp`).
    pub no_local_igmp: bool,
    /// Interfaces whose drivers are asked for the link each second; names are unique.
    pub polled_links: Vec<PolledLink>,
}

/// A line of `linkbeat_interfaces`, or an interface that `linkbeat_use_polling` concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolledLink {
    /// The interface's name.
    pub interface: String,
    /// How its driver is asked first; one that cannot say is asked in the other ways, in their order.
    pub first: PollMethod,
}

/// How a driver is asked for its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PollMethod {
    /// The register of its transceiver.
    Mii,
    /// As ethtool does.
    Ethtool,
    /// The interface's flags alone.
    Ioctl,
}

impl PollMethod {
    /// In the order in which keepalived tries them.
    pub const ALL: [PollMethod; 3] = [PollMethod::Mii, PollMethod::Ethtool, PollMethod::Ioctl];

    /// keepalived's word.
    pub const fn keyword(self) -> &'static str {
        match self {
            PollMethod::Mii => "MII",
            PollMethod::Ethtool => "ETHTOOL",
            PollMethod::Ioctl => "IOCTL",
        }
    }
}

/// A line of `interface_up_down_delays`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDelay {
    /// The interface's name.
    pub interface: String,
    /// It counts as down when it has been down for this long.
    pub down: Duration,
    /// It counts as up when it has been up for this long.
    pub up: Duration,
}

impl LinkDelay {
    /// The longest with which a router is in FAULT before its own Master_Down_Timer ends: one step of skew less than
    /// the advertisements that may be missed but one (keepalived 2.2.7: 1996094 us at 1 s).
    pub fn longest(down_timer_adverts: u8, interval: Interval) -> Duration {
        let interval = interval.duration();
        (interval * u32::from(down_timer_adverts.saturating_sub(1))).saturating_sub(interval / 256)
    }
}

/// A `vrrp_sync_group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroupPlan {
    /// Its name.
    pub name: String,
    /// Its members, in the order written; each is a router of the plan and in one group only.
    pub members: Vec<RouterKey>,
    /// Interfaces that count for every member that has no line of its own for them.
    pub track_interfaces: Vec<TrackedInterface>,
    /// Scripts, files, processes and BFD sessions that count for every member: all but the last only where the member has
    /// no line of its own for them.
    pub trackers: Vec<TrackedObject>,
}

/// What identifies a virtual router on this node, across reloads. Names may change, this may not.
//= RFC9568 1 M-98
//= RFC9568 1 M-99
//= RFC3768 5.3.3 M-100
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouterKey {
    /// The interface that carries the advertisements.
    pub interface: String,
    /// IPv4 and IPv6 routers of one VRID are independent (RFC 9568 section 1).
    pub family: AddressFamily,
    /// The identifier.
    pub vrid: VirtualRouterId,
    /// Tells a second router of that VRID, family and interface from the first, which has `None` here: a unicast peer
    /// or a multicast group of its own (keepalived allows both).
    pub among: Option<IpAddr>,
}

impl RouterKey {
    /// The only router of its VRID and family on the interface, or the first.
    pub fn new(interface: String, family: AddressFamily, vrid: VirtualRouterId) -> RouterKey {
        RouterKey { interface, family, vrid, among: None }
    }

    /// What stands for the interface of a unicast router that is wherever its source address is: `/ADDRESS[@VRF]`. No
    /// interface has such a name.
    pub fn place_for(source: IpAddr, vrf: Option<&str>) -> String {
        let vrf = vrf.map(|vrf| format!("@{vrf}")).unwrap_or_default();
        format!("/{source}{vrf}")
    }

    /// The address and VRF that such a name stands for.
    pub fn place_of(interface: &str) -> Option<(IpAddr, Option<&str>)> {
        let place = interface.strip_prefix('/')?;
        let (address, vrf) =
            place.split_once('@').map_or((place, None), |(address, vrf)| (address, Some(vrf)));
        Some((address.parse().ok()?, vrf))
    }

    /// The same for this key.
    pub fn place(&self) -> Option<(IpAddr, Option<&str>)> {
        RouterKey::place_of(&self.interface)
    }
}

/// One `vrrp_instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterPlan {
    /// The instance's name, for people.
    pub name: String,
    /// Identity.
    pub key: RouterKey,
    /// Protocol version; V2 only with an IPv4 key.
    pub version: Version,
    /// Base priority, 1 to 255; 255 is the owner.
    pub priority: Priority,
    /// Advertisement interval of this router as Master.
    pub interval: Interval,
    /// Does a Backup take over from a Master of lower priority?
    pub preempt: bool,
    /// Wait this long, from the first advertisement of lower priority, before preempting.
    pub preempt_delay: Duration,
    /// Advertisements that may be missed before a Backup takes over; 3 unless `down_timer_adverts` says else.
    pub down_timer_adverts: u8,
    /// Addresses carried in the advertisement, in order; the wire can carry 255.
    pub addresses: Vec<VirtualAddress>,
    /// Addresses that come and go with the others but are not advertised.
    pub excluded_addresses: Vec<VirtualAddress>,
    /// VRRPv2 authentication.
    pub authentication: Authentication,
    /// Multicast or a list of peers.
    pub transport: Transport,
    /// How VRRPv3 over IPv4 sums.
    pub checksum: ChecksumDialect,
    /// Gratuitous ARP and unsolicited neighbour advertisements.
    pub announce: AnnouncePolicy,
    /// Answer an advertisement of lower priority with one of our own (RFC 9568 6.4.3)? Default yes.
    pub answer_lower_priority: bool,
    /// Send one last advertisement before yielding to a higher priority? Default no.
    pub answer_higher_priority: bool,
    /// Is a failure of the router's own interface a fault? Default yes (`dont_track_primary` says no).
    pub track_primary: bool,
    /// Other interfaces to watch.
    pub track_interfaces: Vec<TrackedInterface>,
    /// Scripts, files, processes and BFD sessions to watch.
    pub trackers: Vec<TrackedObject>,
    /// Interfaces that are made for this router (`use_vmac`, `use_ipvlan`, `use_vmac_addr`). Addresses that they hold
    /// name them as their interface.
    pub virtual_links: Vec<VirtualLinkPlan>,
    /// The one of them that advertisements leave and enter by; the router's own interface when `None`.
    pub advert_link: Option<String>,
    /// Accept packets to the virtual addresses (RFC 9568 6.1, Accept_Mode)? Always true for an owner.
    pub accept: bool,
    /// Set `promote_secondaries` on the interface, so that a removed address takes no other with it.
    pub promote_secondaries: bool,
    /// How it speaks and what it believes.
    pub wire: WirePolicy,
    /// `virtual_routes`, then `virtual_rules`: there while it is Master. No addresses among them.
    pub routing: Vec<Item>,
    /// `notify_claim`: a script that must exit 0 before a Master asks for its addresses, routes and rules.
    pub claim: Option<ClaimPlan>,
    /// Is it a fault when no interface has the configured source address (`track_src_ip`)?
    pub track_source: bool,
    /// A Master that is held up for so long that a router of this priority would have taken over listens first
    /// (`timer_expired_backup`).
    pub listens_when_late: Option<Priority>,
}

/// A claim script, as far as the election knows it; what is run is in [`InstanceHooks`](super::notify::InstanceHooks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimPlan {
    /// `claim_timeout`: the script is ended after this time and has failed; not zero.
    pub timeout: Duration,
}

impl RouterPlan {
    /// A router with keepalived's defaults: without addresses, priority 100, adverts each second.
    pub fn new(name: String, key: RouterKey) -> RouterPlan {
        let version = if key.family == AddressFamily::V6 { Version::V3 } else { Version::V2 };
        RouterPlan {
            name,
            key,
            version,
            priority: Priority::DEFAULT,
            interval: Interval::ONE_SECOND,
            preempt: true,
            preempt_delay: Duration::ZERO,
            down_timer_adverts: 3,
            addresses: Vec::new(),
            excluded_addresses: Vec::new(),
            authentication: Authentication::None,
            transport: Transport::Multicast { source: None, group: None },
            checksum: ChecksumDialect::PseudoHeader,
            announce: AnnouncePolicy::default(),
            answer_lower_priority: true,
            answer_higher_priority: false,
            track_primary: true,
            track_interfaces: Vec::new(),
            trackers: Vec::new(),
            virtual_links: Vec::new(),
            advert_link: None,
            accept: true,
            promote_secondaries: false,
            wire: WirePolicy::default(),
            routing: Vec::new(),
            claim: None,
            track_source: false,
            listens_when_late: None,
        }
    }

    /// Give spare room back: a list that was read grew by doubling, from four places on.
    pub fn shrink(&mut self) {
        self.addresses.shrink_to_fit();
        self.excluded_addresses.shrink_to_fit();
    }

    /// The interface that advertisements leave and enter by.
    pub fn advert_interface(&self) -> &str {
        self.advert_link.as_deref().unwrap_or(&self.key.interface)
    }
}

/// A virtual address and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// Address and prefix length as configured (host prefix when none was given).
    pub cidr: IpCidr,
    /// Interface to hold it; the router's own when `None`.
    pub interface: Option<String>,
    /// Interface label (IPv4 only), at most 15 octets.
    pub label: Option<String>,
    /// Kernel scope number (0 global, 200 site, 253 link, 254 host).
    pub scope: Option<u8>,
    /// Broadcast address (IPv4 only).
    pub broadcast: Option<std::net::Ipv4Addr>,
    /// Its rarer options.
    pub options: AddressOptions,
    /// Does losing it matter (`no_track` says no)?
    pub tracked: bool,
}

impl VirtualAddress {
    /// An address without options.
    pub fn new(cidr: IpCidr) -> VirtualAddress {
        VirtualAddress {
            cidr,
            interface: None,
            label: None,
            scope: None,
            broadcast: None,
            options: AddressOptions::default(),
            tracked: true,
        }
    }
}

/// What else the kernel is told about an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressOptions {
    /// Far end of a point-to-point pair; the address has a host prefix then.
    pub peer: Option<IpAddr>,
    /// `home` (IFA_F_HOMEADDRESS).
    pub home: bool,
    /// `-nodad`: duplicate address detection runs (IPv6). Virtual addresses have none otherwise.
    pub detect_duplicates: bool,
    /// `mngtmpaddr` (IFA_F_MANAGETEMPADDR).
    pub manage_temporary: bool,
    /// `noprefixroute` (IFA_F_NOPREFIXROUTE).
    pub no_prefix_route: bool,
    /// `autojoin` (IFA_F_MCAUTOJOIN).
    pub autojoin: bool,
    /// Seconds until it is deprecated, `u32::MAX` for never (IPv6). When `None`: at once for /128, else never.
    pub preferred_lifetime: Option<u32>,
}

/// Where advertisements go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// To 224.0.0.18 or ff02::12 (or `group`), from `source` or the interface's primary address.
    Multicast {
        /// Source address (`mcast_src_ip`).
        source: Option<IpAddr>,
        /// Another group than the standard one.
        group: Option<IpAddr>,
    },
    /// To each peer, from `source` or the interface's primary address.
    Unicast {
        /// Source address (`unicast_src_ip`).
        source: Option<IpAddr>,
        /// The peers; at least one.
        peers: Vec<IpAddr>,
    },
}

impl Transport {
    /// The multicast group, if another one than the standard one is given.
    pub fn group_given(&self) -> Option<IpAddr> {
        match self {
            Transport::Multicast { group, .. } => *group,
            Transport::Unicast { .. } => None,
        }
    }
}

/// When addresses are announced by gratuitous ARP or unsolicited neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncePolicy {
    /// Packets per address at once, and again after `delay`.
    pub repeat: u32,
    /// Time to the second burst; no second burst when zero.
    pub delay: Duration,
    /// Repeat for as long as Master.
    pub refresh: Option<Duration>,
    /// Packets per address at each refresh.
    pub refresh_repeat: u32,
    /// Packets per address after an advertisement of lower priority was heard as Master.
    pub lower_priority_repeat: u32,
    /// Time to the second burst after an advertisement of lower priority; no second burst when zero.
    pub lower_priority_delay: Duration,
    /// Announce addresses on other interfaces than the router's own this often, as Master.
    pub elsewhere: Option<Duration>,
    /// Only those on virtual interfaces.
    pub elsewhere_virtual: bool,
}

/// Least time between two gratuitous ARPs or unsolicited neighbour advertisements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceGap {
    /// Interfaces that share the gap; none: every interface that no other entry names has it for itself.
    pub interfaces: Vec<String>,
    /// Between two gratuitous ARPs; zero for none.
    pub arp: Duration,
    /// Between two neighbour advertisements; zero for none.
    pub ndp: Duration,
}

impl Default for AnnouncePolicy {
    fn default() -> Self {
        AnnouncePolicy {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: None,
            refresh_repeat: 1,
            lower_priority_repeat: 5,
            lower_priority_delay: Duration::from_secs(5),
            elsewhere: None,
            elsewhere_virtual: false,
        }
    }
}

/// An entry of `track_interface`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedInterface {
    /// The interface's name.
    pub interface: String,
    /// Added to the priority while up (positive) or while down (negative); 0 means fault when down.
    pub weight: i16,
    /// Up and down change places.
    pub reverse: bool,
}
