//! RTM_NEWLINK and RTM_DELLINK.

use super::message::{Attribute, Malformed, attributes};
use crate::net::MacAddr;

/// Octets of struct ifinfomsg.
pub(super) const HEADER: usize = 16;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
pub(super) const IFLA_MASTER: u16 = 10;
const IFLA_WIRELESS: u16 = 11;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_MACVLAN_MODE: u16 = 1;
pub(super) const MACVLAN_MODE_PRIVATE: u32 = 1;
pub(super) const IFLA_IFALIAS: u16 = 20;
pub(super) const IFLA_AF_SPEC: u16 = 26;
pub(super) const IFLA_GROUP: u16 = 27;
const IFLA_INET6_CONF: u16 = 2;

const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// With carrier (IFF_RUNNING).
    pub running: bool,
    /// Hardware address; all zero when there is none of six octets.
    pub mac: MacAddr,
    /// MTU in octets.
    pub mtu: u32,
    /// Does the host forward IPv6 on it? The kernel tells with each message about the link, not when it changes.
    pub ipv6_forwarding: bool,
    /// What made it: "veth", "macvlan", "dummy" ...; none for hardware.
    pub kind: Option<String>,
    /// How it hangs together with others.
    pub ties: LinkTies,
}

/// What ties an interface to others; most of it absent for most interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkTies {
    /// The interface that it is made on (IFLA_LINK).
    pub base: Option<u32>,
    /// The bridge, bond or VRF that it belongs to (IFLA_MASTER).
    pub master: Option<u32>,
    /// Link group.
    pub group: u32,
    /// Is it a macvlan in private mode?
    pub private_macvlan: bool,
    /// The text that an operator or a program attached (IFLA_IFALIAS).
    pub alias: Option<String>,
}

/// Decode what follows the message header.
///
/// `None` for messages that are not about the interface itself: those of another family (a bridge port that leaves
/// its bridge is announced by an RTM_DELLINK of family AF_BRIDGE) and wireless events, which carry no state.
pub(super) fn decode(payload: &[u8]) -> Result<Option<Link>, Malformed> {
    let (header, rest) = payload.split_first_chunk::<HEADER>().ok_or(Malformed("link header cut short"))?;
    let [family, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, _, _, _, _] = *header;
    if libc::c_int::from(family) != libc::AF_UNSPEC {
        return Ok(None);
    }
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut link = Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: String::new(),
        up: flags & IFF_UP != 0,
        running: flags & IFF_RUNNING != 0,
        mac: MacAddr::default(),
        mtu: 0,
        ipv6_forwarding: false,
        kind: None,
        ties: LinkTies::default(),
    };
    for attribute in attributes(rest) {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_WIRELESS => return Ok(None),
            // Infiniband has 20 octets, tunnels have their endpoint: neither is an Ethernet address.
            IFLA_ADDRESS => link.mac = attribute.value.try_into().map(MacAddr).unwrap_or_default(),
            IFLA_IFNAME => link.name = attribute.text(),
            IFLA_MTU => link.mtu = attribute.u32()?,
            IFLA_LINK => link.ties.base = Some(attribute.u32()?),
            IFLA_MASTER => link.ties.master = Some(attribute.u32()?),
            IFLA_IFALIAS => link.ties.alias = Some(attribute.text()),
            IFLA_GROUP => link.ties.group = attribute.u32()?,
            IFLA_LINKINFO => link_info(&attribute, &mut link)?,
            IFLA_AF_SPEC => link.ipv6_forwarding = ipv6_forwarding(&attribute)?,
            _ => {}
        }
    }
    if link.index == 0 || link.name.is_empty() {
        return Err(Malformed("link without index or name"));
    }
    Ok(Some(link))
}

fn link_info(attribute: &Attribute<'_>, link: &mut Link) -> Result<(), Malformed> {
    for info in attribute.nested() {
        let info = info?;
        match info.kind {
            IFLA_INFO_KIND => link.kind = Some(info.text()),
            IFLA_INFO_DATA if link.kind.as_deref() == Some("macvlan") => {
                for data in info.nested() {
                    let data = data?;
                    if data.kind == IFLA_MACVLAN_MODE {
                        link.ties.private_macvlan = data.u32()? == MACVLAN_MODE_PRIVATE;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The first of the interface's IPv6 settings (IFLA_AF_SPEC, AF_INET6, IFLA_INET6_CONF) is `forwarding`.
fn ipv6_forwarding(spec: &Attribute<'_>) -> Result<bool, Malformed> {
    for family in spec.nested() {
        let family = family?;
        if libc::c_int::from(family.kind) != libc::AF_INET6 {
            continue;
        }
        for setting in family.nested() {
            let setting = setting?;
            if setting.kind == IFLA_INET6_CONF {
                return Ok(setting.u32()? != 0);
            }
        }
    }
    Ok(false)
}

/// Name and table of a VRF interface; `None` for others.
pub(super) fn vrf_table(payload: &[u8]) -> Result<Option<(String, u32)>, Malformed> {
    const IFLA_VRF_TABLE: u16 = 1;
    let Some(link) = decode(payload)?.filter(|link| link.kind.as_deref() == Some("vrf")) else {
        return Ok(None);
    };
    for attribute in attributes(payload.get(HEADER..).unwrap_or_default()) {
        let attribute = attribute?;
        if attribute.kind != IFLA_LINKINFO {
            continue;
        }
        for data in attribute.nested() {
            let data = data?;
            if data.kind != IFLA_INFO_DATA {
                continue;
            }
            for part in data.nested() {
                let part = part?;
                if part.kind == IFLA_VRF_TABLE {
                    return part.u32().map(|table| Some((link.name, table)));
                }
            }
        }
    }
    Ok(None)
}

/// struct ifinfomsg for `index`, with the IFF_UP bit to be set or cleared when `up` is given.
pub(super) fn header(index: u32, up: Option<bool>) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(up) = up {
        header[8..12].copy_from_slice(&(if up { IFF_UP } else { 0 }).to_ne_bytes());
        header[12..].copy_from_slice(&IFF_UP.to_ne_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    fn message(family: u8, flags: u32, fill: impl FnOnce(&mut Request)) -> Vec<u8> {
        let mut header = header(3, None);
        header[0] = family;
        header[8..12].copy_from_slice(&flags.to_ne_bytes());
        let mut request = Request::new(16, 0, &header);
        fill(&mut request);
        request.payload().to_vec()
    }

    #[test]
    fn a_veth_that_runs() {
        let payload = message(0, 0x1 | 0x40 | 0x1000, |request| {
            request.text(IFLA_IFNAME, "eth0").attribute(IFLA_MTU, &1500u32.to_ne_bytes());
            request.attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]).nest(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "veth");
            });
            request.nest(IFLA_AF_SPEC, |spec| {
                spec.nest(libc::AF_INET6 as u16, |inet6| {
                    inet6.attribute(IFLA_INET6_CONF, &[1, 0, 0, 0, 64, 0, 0, 0]);
                });
            });
        });
        let expected = Link {
            index: 3,
            name: "eth0".into(),
            up: true,
            running: true,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            ipv6_forwarding: true,
            kind: Some("veth".into()),
            ties: LinkTies::default(),
        };
        assert_eq!(decode(&payload), Ok(Some(expected)));
    }

    #[test]
    fn a_macvlan_says_what_it_is_made_on() {
        let payload = message(0, 0x1, |request| {
            request.text(IFLA_IFNAME, "vrrp.51").attribute(IFLA_LINK, &2u32.to_ne_bytes());
            request.text(IFLA_IFALIAS, "ours").attribute(IFLA_GROUP, &7u32.to_ne_bytes());
            request.nest(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "macvlan").nest(IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_MACVLAN_MODE, &MACVLAN_MODE_PRIVATE.to_ne_bytes());
                });
            });
        });
        let expected = LinkTies {
            base: Some(2),
            master: None,
            group: 7,
            private_macvlan: true,
            alias: Some("ours".into()),
        };
        assert_eq!(decode(&payload).unwrap().map(|link| link.ties), Some(expected));
    }

    #[test]
    fn up_without_carrier_is_not_running() {
        let payload = message(0, 0x1, |request| {
            request.text(IFLA_IFNAME, "eth0");
        });
        let link = decode(&payload).unwrap().unwrap();
        assert!(link.up && !link.running);
    }

    #[test]
    fn bridge_and_wireless_messages_say_nothing_about_the_link() {
        let fill = |request: &mut Request| {
            request.text(IFLA_IFNAME, "eth0");
        };
        assert_eq!(decode(&message(libc::AF_BRIDGE as u8, 0x41, fill)), Ok(None));
        let wireless = message(0, 0x41, |request| {
            request.text(IFLA_IFNAME, "wlan0").attribute(IFLA_WIRELESS, &[0; 8]);
        });
        assert_eq!(decode(&wireless), Ok(None));
    }

    #[test]
    fn a_link_without_a_name_or_cut_short_is_malformed() {
        assert!(decode(&message(0, 0x41, |_| {})).is_err());
        assert!(decode(&[0; HEADER - 1]).is_err());
    }
}
