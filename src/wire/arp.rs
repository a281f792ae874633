//! Gratuitous ARP (RFC 5227 section 3) as a whole Ethernet frame.

use crate::net::MacAddr;
use std::net::Ipv4Addr;

/// Octets of the frame; the driver or the hardware pads it to Ethernet's minimum.
pub const GRATUITOUS_ARP_LEN: usize = 42;

/// A broadcast ARP request for `address` from `address`, saying that `mac` holds it.
///
/// The target hardware field is all ones, as keepalived sends it (seen with 2.2.7); RFC 9568 6.4.2 wants
/// the virtual router's MAC there, and receivers must not look at it (RFC 826).
pub fn gratuitous_arp(mac: MacAddr, address: Ipv4Addr) -> [u8; GRATUITOUS_ARP_LEN] {
    let mut frame = [0; GRATUITOUS_ARP_LEN];
    frame[0..6].copy_from_slice(&MacAddr::BROADCAST.0);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&[0x08, 0x06]); // EtherType ARP
    frame[14..16].copy_from_slice(&[0x00, 0x01]); // hardware: Ethernet
    frame[16..18].copy_from_slice(&[0x08, 0x00]); // protocol: IPv4
    frame[18..20].copy_from_slice(&[6, 4]); // lengths of their addresses
    frame[20..22].copy_from_slice(&[0x00, 0x01]); // request
    frame[22..28].copy_from_slice(&mac.0);
    frame[28..32].copy_from_slice(&address.octets());
    frame[32..38].copy_from_slice(&MacAddr::BROADCAST.0);
    frame[38..42].copy_from_slice(&address.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{ArpOperation, NetSlice, SlicedPacket};

    #[test]
    fn the_frame_is_the_one_that_keepalived_sends() {
        let frame =
            gratuitous_arp(MacAddr([0x52, 0xb1, 0x64, 0xfc, 0x63, 0xe8]), Ipv4Addr::new(10, 77, 0, 100));
        let captured = "ffffffffffff52b164fc63e8080600010800060400\
                        0152b164fc63e80a4d0064ffffffffffff0a4d0064";
        assert_eq!(hex(&frame), captured);
    }

    #[test]
    fn an_independent_decoder_reads_a_request_for_the_own_address() {
        let mac = MacAddr([2, 0, 0, 0, 0, 7]);
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let frame = gratuitous_arp(mac, address);
        let packet = SlicedPacket::from_ethernet(&frame).expect("a whole frame");
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("no ARP in {packet:?}") };
        assert_eq!(arp.operation(), ArpOperation::REQUEST);
        assert_eq!(arp.sender_hw_addr(), mac.0);
        assert_eq!(arp.sender_protocol_addr(), address.octets());
        assert_eq!(arp.target_protocol_addr(), address.octets());
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
