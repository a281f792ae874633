//! Why a packet is not acted upon.

use serde::{Deserialize, Serialize};

/// A reason, with a counter of its own. In the order of keepalived's checks, except that the last two come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Discard {
    /// No authentication header where one is demanded, or one where none is.
    HeaderPresence,
    /// Too short, or not exactly as long as its count of addresses says.
    Length,
    /// TTL or hop limit is not 255.
    HopLimit,
    /// Another version than the router's.
    Version,
    /// `auth_hmac`: no trailer, and one is demanded.
    TrailerMissing,
    /// `auth_hmac`: a trailer of another type.
    TrailerMalformed,
    /// `auth_hmac`: signed with a key that is not configured.
    TrailerKey,
    /// `auth_hmac`: signed too long ago, or in the future.
    TrailerStale,
    /// `auth_hmac`: the HMAC does not fit.
    TrailerHmac,
    /// `auth_hmac`: not newer than what this sender has sent before.
    TrailerReplay,
    /// Version 2: another authentication type.
    AuthType,
    /// Version 2: another password.
    AuthMismatch,
    /// Authentication header: the security parameters index is not the sender.
    HeaderIndex,
    /// Authentication header: its sequence number was passed before.
    HeaderReplay,
    /// Authentication header: the integrity check value does not fit.
    HeaderValue,
    /// Version 2: another interval; version 3: an interval of zero.
    Interval,
    /// Not an advertisement.
    Type,
    /// Wrong checksum.
    Checksum,
    /// Unicast to a multicast router, multicast to a unicast one, or another group.
    Destination,
    /// The owner of the addresses does not listen (`owner_ignore_adverts`).
    Owner,
    /// Sent by this router itself.
    OwnPacket,
    /// Unicast: the sender is no peer (`check_unicast_src`).
    Sender,
    /// Unicast: the TTL is outside `min_ttl` to `max_ttl` of the peer.
    PeerHopLimit,
    /// The router does not take part (INIT or FAULT).
    NotListening,
    /// No router here has that interface, family and VRID.
    UnknownRouter,
}

impl Discard {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Discard; 25] = [
        Discard::HeaderPresence,
        Discard::Length,
        Discard::HopLimit,
        Discard::Version,
        Discard::TrailerMissing,
        Discard::TrailerMalformed,
        Discard::TrailerKey,
        Discard::TrailerStale,
        Discard::TrailerHmac,
        Discard::TrailerReplay,
        Discard::AuthType,
        Discard::AuthMismatch,
        Discard::HeaderIndex,
        Discard::HeaderReplay,
        Discard::HeaderValue,
        Discard::Interval,
        Discard::Type,
        Discard::Checksum,
        Discard::Destination,
        Discard::Owner,
        Discard::OwnPacket,
        Discard::Sender,
        Discard::PeerHopLimit,
        Discard::NotListening,
        Discard::UnknownRouter,
    ];

    /// Name of its counter.
    pub const fn counter(self) -> &'static str {
        match self {
            Discard::HeaderPresence => "discard_ah_presence",
            Discard::Length => "discard_length",
            Discard::HopLimit => "discard_hop_limit",
            Discard::Version => "discard_version",
            Discard::TrailerMissing => "discard_hmac_missing",
            Discard::TrailerMalformed => "discard_hmac_malformed",
            Discard::TrailerKey => "discard_hmac_unknown_key",
            Discard::TrailerStale => "discard_hmac_stale",
            Discard::TrailerHmac => "discard_hmac_invalid",
            Discard::TrailerReplay => "discard_hmac_replay",
            Discard::AuthType => "discard_auth_type",
            Discard::AuthMismatch => "discard_auth_mismatch",
            Discard::HeaderIndex => "discard_ah_spi",
            Discard::HeaderReplay => "discard_ah_replay",
            Discard::HeaderValue => "discard_ah_invalid",
            Discard::Interval => "discard_interval",
            Discard::Type => "discard_type",
            Discard::Checksum => "discard_checksum",
            Discard::Destination => "discard_destination",
            Discard::Owner => "discard_owner",
            Discard::OwnPacket => "discard_own_packet",
            Discard::Sender => "discard_sender",
            Discard::PeerHopLimit => "discard_peer_hop_limit",
            Discard::NotListening => "discard_not_listening",
            Discard::UnknownRouter => "discard_unknown_router",
        }
    }
}
