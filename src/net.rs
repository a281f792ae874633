//! Addresses and identifiers, valid by construction.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;

/// IPv4 or IPv6. A virtual router serves exactly one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl AddressFamily {
    /// 0.0.0.0 or ::.
    pub const fn unspecified(self) -> IpAddr {
        match self {
            AddressFamily::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            AddressFamily::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The family of `address`.
    pub const fn of(address: IpAddr) -> AddressFamily {
        match address {
            IpAddr::V4(_) => AddressFamily::V4,
            IpAddr::V6(_) => AddressFamily::V6,
        }
    }

    /// Prefix length of a host: 32 or 128.
    pub const fn host_prefix(self) -> u8 {
        match self {
            AddressFamily::V4 => 32,
            AddressFamily::V6 => 128,
        }
    }

    /// The group VRRP speaks to: 224.0.0.18 or ff02::12 (RFC 9568 5.1.1.2, 5.1.2.2).
    pub const fn vrrp_group(self) -> IpAddr {
        match self {
            //= RFC9568 5.1.1.2 M-02
            AddressFamily::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            //= RFC9568 5.1.2.2 M-06
            AddressFamily::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressFamily::V4 => "IPv4",
            AddressFamily::V6 => "IPv6",
        })
    }
}

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address with a prefix length that suits its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IpCidr {
    address: IpAddr,
    prefix: u8,
}

impl IpCidr {
    /// `None` if `prefix` is longer than the family's addresses.
    pub const fn new(address: IpAddr, prefix: u8) -> Option<IpCidr> {
        if prefix > AddressFamily::of(address).host_prefix() {
            None
        } else {
            Some(IpCidr { address, prefix })
        }
    }

    /// The address alone: /32 or /128.
    pub const fn host(address: IpAddr) -> IpCidr {
        IpCidr { address, prefix: AddressFamily::of(address).host_prefix() }
    }

    /// The address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The prefix length in bits.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The family of the address.
    pub const fn family(self) -> AddressFamily {
        AddressFamily::of(self.address)
    }
}

impl fmt::Display for IpCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A virtual router identifier, 1 to 255 (RFC 9568 5.2.3).
//= RFC9568 5.2.3 M-11
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VirtualRouterId(NonZeroU8);

impl VirtualRouterId {
    /// `None` for 0.
    pub const fn new(vrid: u8) -> Option<VirtualRouterId> {
        match NonZeroU8::new(vrid) {
            Some(id) => Some(VirtualRouterId(id)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The virtual router's MAC: 00-00-5E-00-01-VRID or 00-00-5E-00-02-VRID (RFC 9568 7.3).
    pub const fn virtual_mac(self, family: AddressFamily) -> MacAddr {
        let block = match family {
            AddressFamily::V4 => 1,
            AddressFamily::V6 => 2,
        };
        //= RFC9568 7.3 M-27
        MacAddr([0x00, 0x00, 0x5e, 0x00, block, self.0.get()])
    }
}

impl fmt::Display for VirtualRouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A VRRP priority as it travels: 0 resigns, 255 owns the addresses (RFC 9568 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Priority(pub u8);

impl Priority {
    /// "I stop being Master."
    pub const RESIGN: Priority = Priority(0);
    /// The default of a router that does not own the addresses.
    pub const DEFAULT: Priority = Priority(100);
    /// The address owner.
    pub const OWNER: Priority = Priority(255);

    /// Does the router own its addresses?
    pub const fn is_owner(self) -> bool {
        self.0 == 255
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The transport protocols that IPVS balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TransportProtocol {
    /// TCP, protocol 6.
    Tcp,
    /// UDP, protocol 17.
    Udp,
    /// SCTP, protocol 132.
    Sctp,
}

impl TransportProtocol {
    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            TransportProtocol::Tcp => 6,
            TransportProtocol::Udp => 17,
            TransportProtocol::Sctp => 132,
        }
    }

    /// From an IP protocol number; `None` for one that IPVS does not balance.
    pub const fn from_number(number: u8) -> Option<TransportProtocol> {
        match number {
            6 => Some(TransportProtocol::Tcp),
            17 => Some(TransportProtocol::Udp),
            132 => Some(TransportProtocol::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for TransportProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportProtocol::Tcp => "TCP",
            TransportProtocol::Udp => "UDP",
            TransportProtocol::Sctp => "SCTP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_never_exceeds_its_family() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(IpCidr::new(v4, 33), None);
        assert_eq!(IpCidr::host(v4).to_string(), "127.0.0.1/32");
        assert_eq!(IpCidr::host(IpAddr::V6(Ipv6Addr::LOCALHOST)).prefix(), 128);
    }

    #[test]
    fn vrid_zero_does_not_exist() {
        assert_eq!(VirtualRouterId::new(0), None);
    }

    #[test]
    fn the_virtual_mac_carries_family_and_vrid() {
        let vrid = VirtualRouterId::new(51).expect("51 is not 0");
        assert_eq!(vrid.virtual_mac(AddressFamily::V4).to_string(), "00:00:5e:00:01:33");
        assert_eq!(vrid.virtual_mac(AddressFamily::V6).to_string(), "00:00:5e:00:02:33");
    }
}
