//! The one table of keywords: it drives parsing, and docs/compat.md is printed from it.

mod check;
mod defaults;
mod global;
mod lvs;
mod routes;
mod shape;
mod vrrp;

pub use shape::Shape;

use std::sync::OnceLock;

/// A place where keywords may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `(lexical)`.
    Lexical,
    /// `(root)`.
    Root,
    /// `global_defs`.
    GlobalDefs,
    /// `global_defs/lvs_sync_daemon`.
    LvsSyncDaemon,
    /// `global_defs/lvs_timeouts`.
    LvsTimeouts,
    /// `global_defs/include_check`.
    IncludeCheck,
    /// `track_group`.
    TrackGroup,
    /// `vrrp_instance`.
    VrrpInstance,
    /// `vrrp_instance/authentication`.
    Authentication,
    /// `vrrp_instance/auth_hmac`.
    AuthHmac,
    /// `vrrp_instance/unicast_peer`.
    UnicastPeer,
    /// `vrrp_instance/use_vmac`.
    UseVmac,
    /// `vrrp_instance/use_ipvlan`.
    UseIpvlan,
    /// `vrrp_instance/virtual_ipaddress`.
    VirtualAddress,
    /// `vrrp_instance/virtual_ipaddress_excluded`.
    ExcludedAddress,
    /// `static_ipaddress`.
    StaticAddress,
    /// `vrrp_instance/track_interface`.
    TrackInterface,
    /// `vrrp_instance/track_script`.
    TrackScript,
    /// `vrrp_instance/track_file`.
    TrackFiles,
    /// `vrrp_instance/track_process`.
    TrackProcesses,
    /// `vrrp_instance/track_bfd`.
    TrackBfd,
    /// `vrrp_sync_group`.
    SyncGroup,
    /// `vrrp_sync_group/track_interface`.
    SyncTrackInterface,
    /// `vrrp_sync_group/track_script`.
    SyncTrackScript,
    /// `vrrp_sync_group/track_file`.
    SyncTrackFiles,
    /// `vrrp_sync_group/track_process`.
    SyncTrackProcesses,
    /// `vrrp_sync_group/track_bfd`.
    SyncTrackBfd,
    /// `garp_group`.
    GarpGroup,
    /// `linkbeat_interfaces`.
    LinkbeatInterfaces,
    /// `vrrp_script`.
    VrrpScript,
    /// `vrrp_track_process`.
    TrackProcess,
    /// `track_file`.
    TrackFile,
    /// `vrrp_track_file`.
    VrrpTrackFile,
    /// `bfd_instance`.
    BfdInstance,
    /// `vrrp_instance/virtual_routes`.
    VirtualRoutes,
    /// `static_routes`.
    StaticRoutes,
    /// `(route encap)`.
    RouteEncap,
    /// `vrrp_instance/virtual_rules`.
    VirtualRules,
    /// `static_rules`.
    StaticRules,
    /// `SSL`.
    Ssl,
    /// `virtual_server_group`.
    VirtualServerGroup,
    /// `virtual_server`.
    VirtualServer,
    /// `virtual_server/lvs_sched`.
    Scheduler,
    /// `virtual_server/lvs_method`.
    Method,
    /// `virtual_server/real_server`.
    RealServer,
    /// `virtual_server/real_server/TCP_CHECK`.
    TcpCheck,
    /// `virtual_server/real_server/PING_CHECK`.
    PingCheck,
    /// `virtual_server/real_server/UDP_CHECK`.
    UdpCheck,
    /// `virtual_server/real_server/SMTP_CHECK`.
    SmtpCheck,
    /// `virtual_server/real_server/HTTP_GET`.
    HttpGet,
    /// `virtual_server/real_server/SSL_GET`.
    SslGet,
    /// `virtual_server/real_server/DNS_CHECK`.
    DnsCheck,
    /// `virtual_server/real_server/MISC_CHECK`.
    MiscCheck,
    /// `virtual_server/real_server/SMTP_CHECK/host`.
    SmtpHost,
    /// `virtual_server/real_server/BFD_CHECK`.
    BfdCheck,
    /// `virtual_server/real_server/FILE_CHECK`.
    FileCheck,
    /// `virtual_server/real_server/HTTP_GET/url`.
    HttpUrl,
    /// `virtual_server/real_server/SSL_GET/url`.
    SslUrl,
    /// `virtual_server/real_server/(HTTP_GET|SSL_GET)/url/regex_options`.
    RegexOptions,
    /// `interface_up_down_delays`: lines of an interface and its delays.
    Delays,
    /// A block of plain words (names of instances, mail addresses). The last place: it counts them.
    Words,
}

impl Place {
    /// As the documentation writes it: the blocks from the outside in.
    pub const fn path(self) -> &'static str {
        match self {
            Place::Lexical => "(lexical)",
            Place::Root => "(root)",
            Place::GlobalDefs => "global_defs",
            Place::LvsSyncDaemon => "global_defs/lvs_sync_daemon",
            Place::LvsTimeouts => "global_defs/lvs_timeouts",
            Place::IncludeCheck => "global_defs/include_check",
            Place::TrackGroup => "track_group",
            Place::VrrpInstance => "vrrp_instance",
            Place::Authentication => "vrrp_instance/authentication",
            Place::AuthHmac => "vrrp_instance/auth_hmac",
            Place::UnicastPeer => "vrrp_instance/unicast_peer",
            Place::UseVmac => "vrrp_instance/use_vmac",
            Place::UseIpvlan => "vrrp_instance/use_ipvlan",
            Place::VirtualAddress => "vrrp_instance/virtual_ipaddress",
            Place::ExcludedAddress => "vrrp_instance/virtual_ipaddress_excluded",
            Place::StaticAddress => "static_ipaddress",
            Place::TrackInterface => "vrrp_instance/track_interface",
            Place::TrackScript => "vrrp_instance/track_script",
            Place::TrackFiles => "vrrp_instance/track_file",
            Place::TrackProcesses => "vrrp_instance/track_process",
            Place::TrackBfd => "vrrp_instance/track_bfd",
            Place::SyncGroup => "vrrp_sync_group",
            Place::SyncTrackInterface => "vrrp_sync_group/track_interface",
            Place::SyncTrackScript => "vrrp_sync_group/track_script",
            Place::SyncTrackFiles => "vrrp_sync_group/track_file",
            Place::SyncTrackProcesses => "vrrp_sync_group/track_process",
            Place::SyncTrackBfd => "vrrp_sync_group/track_bfd",
            Place::GarpGroup => "garp_group",
            Place::LinkbeatInterfaces => "linkbeat_interfaces",
            Place::VrrpScript => "vrrp_script",
            Place::TrackProcess => "vrrp_track_process",
            Place::TrackFile => "track_file",
            Place::VrrpTrackFile => "vrrp_track_file",
            Place::BfdInstance => "bfd_instance",
            Place::VirtualRoutes => "vrrp_instance/virtual_routes",
            Place::StaticRoutes => "static_routes",
            Place::RouteEncap => "(route encap)",
            Place::VirtualRules => "vrrp_instance/virtual_rules",
            Place::StaticRules => "static_rules",
            Place::Ssl => "SSL",
            Place::VirtualServerGroup => "virtual_server_group",
            Place::VirtualServer => "virtual_server",
            Place::Scheduler => "virtual_server/lvs_sched",
            Place::Method => "virtual_server/lvs_method",
            Place::RealServer => "virtual_server/real_server",
            Place::TcpCheck => "virtual_server/real_server/TCP_CHECK",
            Place::PingCheck => "virtual_server/real_server/PING_CHECK",
            Place::UdpCheck => "virtual_server/real_server/UDP_CHECK",
            Place::SmtpCheck => "virtual_server/real_server/SMTP_CHECK",
            Place::HttpGet => "virtual_server/real_server/HTTP_GET",
            Place::SslGet => "virtual_server/real_server/SSL_GET",
            Place::DnsCheck => "virtual_server/real_server/DNS_CHECK",
            Place::MiscCheck => "virtual_server/real_server/MISC_CHECK",
            Place::SmtpHost => "virtual_server/real_server/SMTP_CHECK/host",
            Place::BfdCheck => "virtual_server/real_server/BFD_CHECK",
            Place::FileCheck => "virtual_server/real_server/FILE_CHECK",
            Place::HttpUrl => "virtual_server/real_server/HTTP_GET/url",
            Place::SslUrl => "virtual_server/real_server/SSL_GET/url",
            Place::RegexOptions => "virtual_server/real_server/(HTTP_GET|SSL_GET)/url/regex_options",
            Place::Delays => "interface_up_down_delays",
            Place::Words => "(words)",
        }
    }
}

/// What holdfast does with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What keepalived does.
    Works,
    /// Nothing, and nothing is lost by that; the reason.
    Accepted(&'static str),
    /// Known to keepalived, not built yet.
    NotYet {
        /// What that means for the traffic, a sentence without its full stop.
        meaning: &'static str,
        /// How it is said.
        say: Say,
    },
}

/// How a keyword that is not built is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// A warning, once.
    Warning,
    /// An error, once: it may change who holds an address or which server is in service.
    Error,
}

/// What follows a keyword in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// Nothing.
    Nothing,
    /// Statements that begin with keywords.
    Block(Place),
    /// Lines that begin with an address or a name.
    List(Place),
}

/// A keyword at one place.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// The word.
    pub name: &'static str,
    /// Words that must follow.
    pub words: usize,
    /// When they do not: does keepalived leave the line out, instead of ending with status 2? (Tried with 2.2.7.)
    pub lenient: bool,
    /// What may follow, for people.
    pub arguments: &'static str,
    /// How what follows is read.
    pub shape: Shape,
    /// What holdfast does with it.
    pub status: Status,
    /// Its braces.
    pub opens: Opens,
}

impl Keyword {
    const fn new(name: &'static str, words: usize, arguments: &'static str, status: Status) -> Keyword {
        let shape = Shape::Flag;
        Keyword { name, words, lenient: false, arguments, shape, status, opens: Opens::Nothing }
    }

    const fn takes(mut self, shape: Shape) -> Keyword {
        self.shape = shape;
        self
    }

    const fn lenient(mut self) -> Keyword {
        self.lenient = true;
        self
    }

    const fn block(mut self, place: Place) -> Keyword {
        self.opens = Opens::Block(place);
        self
    }

    const fn list(mut self, place: Place) -> Keyword {
        self.opens = Opens::List(place);
        self
    }
}

const fn works(name: &'static str, words: usize, arguments: &'static str) -> Keyword {
    Keyword::new(name, words, arguments, Status::Works)
}

const fn accepted(
    name: &'static str,
    words: usize,
    arguments: &'static str,
    reason: &'static str,
) -> Keyword {
    Keyword::new(name, words, arguments, Status::Accepted(reason))
}

const fn later(name: &'static str, words: usize, arguments: &'static str, meaning: &'static str) -> Keyword {
    Keyword::new(name, words, arguments, Status::NotYet { meaning, say: Say::Warning })
}

/// All places with their keywords, in the order of the documentation.
pub fn places() -> impl Iterator<Item = (Place, &'static [Keyword])> {
    [global::PLACES, vrrp::PLACES, routes::PLACES, lvs::PLACES, check::PLACES].into_iter().flatten().copied()
}

/// The keywords of a place; none for a place of plain words.
pub fn at(place: Place) -> &'static [Keyword] {
    indexed(place).map_or(&[], |index| index.keywords)
}

/// The keyword of that name at a place.
pub fn find(place: Place, name: &str) -> Option<&'static Keyword> {
    let index = indexed(place)?;
    let from = *index.of_length.get(name.len())?;
    let to = index.of_length.get(name.len() + 1).copied().unwrap_or(index.by_length.len());
    index.by_length.get(from..to)?.iter().find(|keyword| keyword.name == name).copied()
}

/// A place's keywords by the length of their names: every line of a configuration looks one up.
struct Index {
    keywords: &'static [Keyword],
    /// Shorter names first.
    by_length: Vec<&'static Keyword>,
    /// Where the names of each length begin in `by_length`, up to the longest.
    of_length: Vec<usize>,
}

impl Index {
    fn new(keywords: &'static [Keyword]) -> Index {
        let mut by_length: Vec<&Keyword> = keywords.iter().collect();
        by_length.sort_by_key(|k| k.name.len());
        let longest = by_length.last().map_or(0, |k| k.name.len());
        let of_length = (0..=longest).map(|n| by_length.partition_point(|k| k.name.len() < n)).collect();
        Index { keywords, by_length, of_length }
    }
}

fn indexed(place: Place) -> Option<&'static Index> {
    static INDEX: OnceLock<Vec<Option<Index>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: Vec<Option<Index>> = Vec::new();
        index.resize_with(Place::Words as usize + 1, || None);
        for (place, keywords) in places() {
            if let Some(slot) = index.get_mut(place as usize) {
                *slot = Some(Index::new(keywords));
            }
        }
        index
    });
    index.get(place as usize)?.as_ref()
}

/// Keywords of a place with what holds when they are not written, as it would be written. Not those whose default depends
/// on something else.
pub fn defaults(place: Place) -> &'static [(&'static str, &'static str)] {
    defaults::DEFAULTS.iter().find(|(at, _)| *at == place).map_or(&[], |(_, list)| list)
}

/// What holds when the keyword is not written at this place.
pub fn default(place: Place, name: &str) -> Option<&'static str> {
    defaults(place).iter().find(|(keyword, _)| *keyword == name).map(|(_, value)| *value)
}

/// Does the keyword begin a block that stands in no other block?
pub(crate) fn is_outermost(name: &str) -> bool {
    let opens = |keyword: &Keyword| !matches!(keyword.opens, Opens::Nothing);
    find(Place::Root, name).is_some_and(opens) && places_of(name).all(|place| place == Place::Root)
}

/// Every place that knows `name`, for hints about misplaced keywords.
pub fn places_of(name: &str) -> impl Iterator<Item = Place> {
    places().filter(move |(_, keywords)| keywords.iter().any(|k| k.name == name)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_place_lists_a_keyword_twice() {
        for (place, keywords) in places() {
            let names: BTreeSet<&str> = keywords.iter().map(|k| k.name).collect();
            // "ip", "ip6" and the like stand once each; "unicast" and "from" too.
            assert_eq!(names.len(), keywords.len(), "at {}", place.path());
        }
    }

    #[test]
    fn defaults_are_those_of_keywords_and_of_each_once() {
        for (place, list) in defaults::DEFAULTS {
            let names: BTreeSet<&str> = list.iter().map(|(name, _)| *name).collect();
            assert_eq!(names.len(), list.len(), "{}", place.path());
            assert_eq!(defaults(*place), *list, "{} stands there twice", place.path());
            for (name, _) in *list {
                assert!(find(*place, name).is_some(), "{} {name}", place.path());
            }
        }
    }

    #[test]
    fn every_place_that_a_keyword_opens_is_known() {
        for (place, keywords) in places() {
            for keyword in keywords {
                if let Opens::Block(inner) = keyword.opens {
                    assert!(!at(inner).is_empty(), "{} {} opens an empty place", place.path(), keyword.name);
                }
            }
        }
    }
}
