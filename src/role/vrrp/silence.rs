//! While a successor holds our addresses too, this node must not say that they are here.

use crate::netlink::NetlinkError;
use crate::netlink::nftables::silence::Silence;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Keeps the kernel from answering.
#[derive(Debug, Default)]
pub struct Silencer {
    held: Option<Silence>,
    complained: bool,
}

impl Silencer {
    /// Answer no questions for these addresses, and again for all others. False if that cannot be, which is said once:
    /// the successor's own announcements decide then.
    pub fn silence(&mut self, addresses: &BTreeSet<IpAddr>) -> bool {
        if addresses.is_empty() {
            self.held = None; // the tables go with their socket
            return true;
        }
        let kept = self.keep(addresses);
        if let Err(error) = &kept
            && !self.complained
        {
            self.complained = true;
            tracing::warn!(
                "{error}: until the addresses are gone here too, this node may answer for them beside its successor"
            );
        }
        kept.is_ok()
    }

    fn keep(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), NetlinkError> {
        let silence = match &mut self.held {
            Some(silence) => silence,
            none => none.insert(Silence::open()?),
        };
        silence.keep(addresses)
    }
}
