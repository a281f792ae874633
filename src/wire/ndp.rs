//! Unsolicited Neighbour Advertisement (RFC 4861 4.4, 7.2.6) as a whole Ethernet frame.

use crate::net::MacAddr;
use crate::wire::checksum::Checksum;
use std::net::{IpAddr, Ipv6Addr};

/// Octets of the frame: Ethernet 14, IPv6 40, message 24, target link-layer option 8.
pub const NEIGHBOUR_ADVERTISEMENT_LEN: usize = 86;

/// Next header value of ICMPv6.
const ICMPV6: u8 = 58;
/// Octets before the ICMPv6 message.
const HEADERS: usize = 14 + 40;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ROUTER_FLAG: u8 = 0x80;
const OVERRIDE_FLAG: u8 = 0x20;

/// "`address` is at `mac`", from `address` to all nodes: S clear, O set (RFC 9568 6.4.2), R set if this node
/// forwards IPv6 on the interface (`router`; keepalived sets it by the same rule).
pub fn neighbour_advertisement(
    mac: MacAddr,
    address: Ipv6Addr,
    router: bool,
) -> [u8; NEIGHBOUR_ADVERTISEMENT_LEN] {
    let mut frame = [0; NEIGHBOUR_ADVERTISEMENT_LEN];
    frame[0..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]); // RFC 2464 section 7
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]); // EtherType IPv6
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&[0, 32]); // payload length
    frame[20] = ICMPV6;
    frame[21] = 255; // hop limit, checked by receivers (RFC 4861 7.1.2)
    frame[22..38].copy_from_slice(&address.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    frame[54] = 136; // neighbour advertisement
    frame[58] = OVERRIDE_FLAG | if router { ROUTER_FLAG } else { 0 };
    frame[62..78].copy_from_slice(&address.octets());
    frame[78..80].copy_from_slice(&[2, 1]); // target link-layer address, one unit of eight octets
    frame[80..86].copy_from_slice(&mac.0);
    let checksum = Checksum::new()
        .with_pseudo_header(IpAddr::V6(address), IpAddr::V6(ALL_NODES), ICMPV6, frame.len() - HEADERS)
        .with(&frame[HEADERS..])
        .finish();
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};

    const MAC: MacAddr = MacAddr([0x52, 0xb1, 0x64, 0xfc, 0x63, 0xe8]);

    #[test]
    fn the_frame_is_the_one_that_keepalived_sends() {
        let address: Ipv6Addr = "fe80::1:2:3".parse().expect("an address");
        let captured = "33330000000152b164fc63e886dd6000000000203afffe800000000000000000000100020003\
                        ff0200000000000000000000000000018800\
                        3dfc20000000fe800000000000000000000100020003020152b164fc63e8";
        let frame = neighbour_advertisement(MAC, address, false);
        assert_eq!(frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), captured);
    }

    #[test]
    fn an_independent_decoder_finds_the_flags_and_a_right_checksum() {
        let address: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        for router in [false, true] {
            let frame = neighbour_advertisement(MAC, address, router);
            let packet = SlicedPacket::from_ethernet(&frame).expect("a whole frame");
            let Some(NetSlice::Ipv6(ip)) = packet.net else { panic!("no IPv6") };
            let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else { panic!("no ICMPv6") };
            assert_eq!(ip.header().hop_limit(), 255);
            assert_eq!(ip.header().destination_addr(), ALL_NODES);
            assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()));
            let Icmpv6Type::NeighborAdvertisement(header) = icmp.icmp_type() else {
                panic!("not a neighbour advertisement: {:?}", icmp.icmp_type())
            };
            assert_eq!((header.router, header.solicited, header.r#override), (router, false, true));
        }
    }
}
