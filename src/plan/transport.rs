//! How a virtual router speaks and which packets it believes, beyond where its advertisements go.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The settings of one router; the default is keepalived's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePolicy {
    /// TTL or hop limit of unicast advertisements (`unicast_ttl`); multicast ones always have 255.
    pub unicast_hop_limit: u8,
    /// Only peers are believed (`check_unicast_src`).
    pub check_source: bool,
    /// `min_ttl` and `max_ttl`; with any of them the sender is checked too.
    pub peer_limits: Vec<PeerLimits>,
    /// Which multicast group was summed into unicast VRRPv3 adverts by keepalived before 1.3.7, and is it used?
    pub old_checksum: OldChecksum,
    /// The owner of the addresses does not listen (`owner_ignore_adverts`).
    pub owner_ignores: bool,
    /// FAULT for as long as the configuration says so, and why.
    pub unfit: Option<Unfit>,
    /// `auth_hmac`.
    pub hmac: Option<HmacPolicy>,
}

impl Default for WirePolicy {
    fn default() -> WirePolicy {
        WirePolicy {
            unicast_hop_limit: 255,
            check_source: false,
            peer_limits: Vec::new(),
            old_checksum: OldChecksum::Detect,
            owner_ignores: false,
            unfit: None,
            hmac: None,
        }
    }
}

/// What the configuration lacks, so that an instance stays in FAULT, and its sync group with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfit {
    /// `unicast_fault_no_peer` without a peer, as in keepalived.
    NoPeer,
    /// No line of `unicast_peer` can be used: nobody would hear it by multicast.
    NoUsablePeer,
    /// `use_ipvlan` without an address over IPv4, as in keepalived: it shares the MAC address of its base.
    NoAddress,
    /// `auth_hmac` cannot sign.
    NoKey,
}

impl Unfit {
    /// A sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Unfit::NoPeer => "no unicast peer is configured (unicast_fault_no_peer)",
            Unfit::NoUsablePeer => "no line of unicast_peer can be used",
            Unfit::NoAddress => "use_ipvlan has no address",
            Unfit::NoKey => "auth_hmac has no key to sign with",
        }
    }
}

/// The TTL that advertisements of one unicast peer must arrive with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLimits {
    /// The peer.
    pub peer: IpAddr,
    /// Smallest.
    pub least: u8,
    /// Largest.
    pub most: u8,
}

/// The checksum of unicast VRRPv3 over IPv4: with the real destination in the pseudo-header, or (keepalived before
/// 1.3.7) with the multicast group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldChecksum {
    /// The real one until a peer is heard that uses the old one.
    Detect,
    /// Always the old one (`old_unicast_checksum`).
    Always,
    /// Only the real one, sent and received (`old_unicast_checksum never`).
    Never,
}

/// `auth_hmac`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacPolicy {
    /// Keys that are accepted; identifiers are unique.
    pub keys: Vec<HmacKey>,
    /// Identifier of the one that signs; among `keys`.
    pub active: u8,
    /// Accepted difference of the clocks in seconds; `None` with `anti_replay monotonic`.
    pub window: Option<u16>,
    /// Who must sign.
    pub mode: HmacMode,
}

/// Who must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HmacMode {
    /// Signs, and demands it of others.
    Enforce,
    /// Signs, and believes others who do not.
    Permissive,
    /// Does not sign, and believes others who do not.
    ReceiveOnly,
}

/// A shared key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKey {
    /// Its number on the wire.
    pub id: u8,
    /// 32 to 64 octets.
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, hidden)", self.id)
    }
}

impl HmacPolicy {
    /// The key with that number.
    pub fn key(&self, id: u8) -> Option<&[u8]> {
        self.keys.iter().find(|key| key.id == id).map(|key| key.secret.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let policy = HmacPolicy {
            keys: vec![HmacKey { id: 7, secret: b"0123456789abcdef0123456789abcdef".to_vec() }],
            active: 7,
            window: Some(5),
            mode: HmacMode::Enforce,
        };
        let shown = format!("{policy:?}");
        assert!(shown.contains("HmacKey(7, hidden)") && !shown.contains("48, 49"), "{shown}");
        assert_eq!((policy.key(7).map(<[u8]>::len), policy.key(8)), (Some(32), None));
    }
}
