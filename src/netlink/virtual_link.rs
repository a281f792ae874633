//! Interfaces made on others: macvlan and ipvlan, over rtnetlink.

use super::link::{
    self, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_GROUP, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND,
    IFLA_LINK, IFLA_LINKINFO, IFLA_MACVLAN_MODE, IFLA_MASTER, MACVLAN_MODE_PRIVATE,
};
use super::message::Request;
use crate::plan::vmac::{IpvlanMode, VirtualLinkKind};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_SETLINK: u16 = 19;

const RTM_NEWROUTE: u16 = 24;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
/// The metric of routes that the kernel makes for its own IPv6 addresses.
const KERNEL_METRIC: u32 = 256;

const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IPVLAN_MODE_L2: u16 = 0;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

/// An interface to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink<'a> {
    /// Its name.
    pub name: &'a str,
    /// Index of the interface that it is made on.
    pub base: u32,
    /// Macvlan or ipvlan.
    pub kind: VirtualLinkKind,
    /// Link group.
    pub group: u32,
    /// The VRF that it joins, as its base has.
    pub vrf: Option<u32>,
}

/// A change to an existing interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange<'a> {
    /// Make no link-local IPv6 address when it comes up (addr_gen_mode none).
    NoAutomaticAddress,
    /// The text attached to it.
    Alias(&'a str),
    /// Administratively up.
    Up,
}

/// The request that makes the interface; it is down then.
pub(super) fn create(new: &NewLink<'_>) -> Request {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let mut request = Request::new(RTM_NEWLINK, flags, &link::header(0, None));
    request.text(IFLA_IFNAME, new.name).attribute(IFLA_LINK, &new.base.to_ne_bytes());
    request.attribute(IFLA_GROUP, &new.group.to_ne_bytes());
    if let Some(vrf) = new.vrf {
        request.attribute(IFLA_MASTER, &vrf.to_ne_bytes());
    }
    match new.kind {
        VirtualLinkKind::Macvlan { mac } => {
            request.attribute(IFLA_ADDRESS, &mac.0).nest(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "macvlan").nest(IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_MACVLAN_MODE, &MACVLAN_MODE_PRIVATE.to_ne_bytes());
                });
            })
        }
        VirtualLinkKind::Ipvlan { mode, .. } => request.nest(IFLA_LINKINFO, |info| {
            let flag: u16 = match mode {
                IpvlanMode::Bridge => 0,
                IpvlanMode::Private => 1,
                IpvlanMode::Vepa => 2,
            };
            info.text(IFLA_INFO_KIND, "ipvlan").nest(IFLA_INFO_DATA, |data| {
                data.attribute(IFLA_IPVLAN_MODE, &IPVLAN_MODE_L2.to_ne_bytes());
                data.attribute(IFLA_IPVLAN_FLAGS, &flag.to_ne_bytes());
            });
        }),
    };
    request
}

/// The request that changes an interface.
//= RFC9568 7.4 M-94
pub(super) fn change(index: u32, change: LinkChange<'_>) -> Request {
    let up = matches!(change, LinkChange::Up).then_some(true);
    let mut request = Request::new(RTM_SETLINK, 0, &link::header(index, up));
    match change {
        LinkChange::Up => {}
        LinkChange::Alias(text) => {
            request.attribute(IFLA_IFALIAS, text.as_bytes());
        }
        LinkChange::NoAutomaticAddress => {
            request.nest(IFLA_AF_SPEC, |spec| {
                spec.nest(libc::AF_INET6 as u16, |inet6| {
                    inet6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
                });
            });
        }
    }
    request
}

/// The request that adds fe80::/64 on an interface. Where the kernel makes no link-local address it makes no such route
/// either, and without it nothing that is sent to a link-local virtual address is answered.
pub(super) fn link_local_route(index: u32) -> Request {
    let header =
        [libc::AF_INET6 as u8, 64, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_KERNEL, 0, libc::RTN_UNICAST];
    let header = [&header[..], &[0; 4]].concat();
    // Not NLM_F_REPLACE: for IPv6 that would take the place of another interface's route to the same prefix.
    let mut request = Request::new(RTM_NEWROUTE, libc::NLM_F_CREATE as u16, &header);
    let prefix = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
    request.attribute(RTA_DST, &prefix.octets()).attribute(RTA_OIF, &index.to_ne_bytes());
    request.attribute(RTA_PRIORITY, &KERNEL_METRIC.to_ne_bytes());
    request
}

/// The request that removes an interface.
pub(super) fn delete(index: u32) -> Request {
    Request::new(RTM_DELLINK, 0, &link::header(index, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MacAddr;
    use crate::netlink::Link;

    /// What the kernel would say of an interface made so, but for what only it knows.
    fn read_back(new: &NewLink<'_>) -> Link {
        let mut payload = create(new).payload().to_vec();
        payload[4..8].copy_from_slice(&9u32.to_ne_bytes());
        link::decode(&payload).expect("well formed").expect("about a link")
    }

    #[test]
    fn a_macvlan_is_private_and_has_its_mac() {
        let mac = MacAddr([0, 0, 0x5e, 0, 1, 51]);
        let kind = VirtualLinkKind::Macvlan { mac };
        let new = NewLink { name: "vrrp.51", base: 2, kind, group: 7, vrf: Some(4) };
        let link = read_back(&new);
        assert_eq!((link.name.as_str(), link.mac, link.kind.as_deref()), ("vrrp.51", mac, Some("macvlan")));
        let ties = link.ties;
        assert!(ties.private_macvlan);
        assert_eq!((ties.base, ties.master, ties.group), (Some(2), Some(4), 7));
        assert!(!link.up);
    }

    #[test]
    fn an_ipvlan_has_no_mac_of_its_own() {
        let kind = VirtualLinkKind::Ipvlan { mode: IpvlanMode::Private, address: None };
        let link = read_back(&NewLink { name: "ipv.1", base: 2, kind, group: 0, vrf: None });
        assert_eq!((link.mac, link.kind.as_deref()), (MacAddr::default(), Some("ipvlan")));
        assert_eq!((link.ties.base, link.ties.private_macvlan), (Some(2), false));
    }
}
