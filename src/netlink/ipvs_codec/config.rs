//! What is not a table: timeouts and synchronisation daemons.

use super::decode::nested;
use super::encode::request;
use super::{DAEMON, TIMEOUT_TCP, TIMEOUT_TCP_FIN, TIMEOUT_UDP, address_octets, command, daemon, ip};
use crate::lvs::sync::SyncDaemon;
use crate::net::AddressFamily;
use crate::netlink::genl;
use crate::netlink::message::{Malformed, Request, attributes};
use crate::plan::lvs::{SyncRole, SyncSettings, Timeouts};
use std::net::IpAddr;

/// IP_VS_STATE_*.
const STATE_MASTER: u32 = 1;
const STATE_BACKUP: u32 = 2;

/// The request that sets the timeouts; what is 0 the kernel leaves as it is.
pub fn timeouts(family: u16, timeouts: &Timeouts) -> Request {
    let mut request = request(family, command::SET_CONFIG);
    request
        .attribute(TIMEOUT_TCP, &timeouts.tcp.to_ne_bytes())
        .attribute(TIMEOUT_TCP_FIN, &timeouts.tcp_fin.to_ne_bytes())
        .attribute(TIMEOUT_UDP, &timeouts.udp.to_ne_bytes());
    request
}

/// The answer to GET_CONFIG. A kernel that balances no TCP (or UDP) names none of its timeouts: 0.
/// `payload` begins with the generic netlink header.
pub fn decode_timeouts(payload: &[u8]) -> Result<Timeouts, Malformed> {
    let mut timeouts = Timeouts::default();
    for attribute in attributes(genl::body(payload)?) {
        let attribute = attribute?;
        match attribute.kind {
            TIMEOUT_TCP => timeouts.tcp = attribute.u32()?,
            TIMEOUT_TCP_FIN => timeouts.tcp_fin = attribute.u32()?,
            TIMEOUT_UDP => timeouts.udp = attribute.u32()?,
            _ => {}
        }
    }
    Ok(timeouts)
}

/// The request that starts a daemon.
pub fn start_daemon(family: u16, role: SyncRole, settings: &SyncSettings) -> Request {
    let mut request = request(family, command::NEW_DAEMON);
    request.nest(DAEMON, |nest| {
        nest.attribute(daemon::STATE, &state(role).to_ne_bytes())
            .text(daemon::MCAST_IFN, &settings.interface)
            .attribute(daemon::SYNC_ID, &u32::from(settings.sync_id).to_ne_bytes());
        if let Some(length) = settings.max_length {
            nest.attribute(daemon::SYNC_MAXLEN, &length.to_ne_bytes());
        }
        match settings.group {
            Some(IpAddr::V4(group)) => {
                nest.attribute(daemon::MCAST_GROUP, &group.octets());
            }
            Some(group @ IpAddr::V6(_)) => {
                nest.attribute(daemon::MCAST_GROUP6, &address_octets(group));
            }
            None => {}
        }
        // Unlike the ports of services, this one is in the machine's order.
        if let Some(port) = settings.port {
            nest.attribute(daemon::MCAST_PORT, &port.to_ne_bytes());
        }
        if let Some(ttl) = settings.ttl {
            nest.attribute(daemon::MCAST_TTL, &[ttl]);
        }
    });
    request
}

/// The request that stops a daemon.
pub fn stop_daemon(family: u16, role: SyncRole) -> Request {
    let mut request = request(family, command::DEL_DAEMON);
    request.nest(DAEMON, |nest| {
        nest.attribute(daemon::STATE, &state(role).to_ne_bytes());
    });
    request
}

/// A listed daemon. `payload` begins with the generic netlink header.
pub fn decode_daemon(payload: &[u8]) -> Result<SyncDaemon, Malformed> {
    let mut role = None;
    let mut settings = SyncSettings {
        interface: String::new(),
        sync_id: 0,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    for attribute in nested(payload, DAEMON)? {
        let attribute = attribute?;
        match attribute.kind {
            daemon::STATE => role = role_of(attribute.u32()?),
            daemon::MCAST_IFN => settings.interface = attribute.text(),
            // The kernel takes 32 bits and compares the 8 that fit its messages.
            daemon::SYNC_ID => settings.sync_id = attribute.u32()? as u8,
            daemon::SYNC_MAXLEN => settings.max_length = Some(attribute.u16()?),
            daemon::MCAST_GROUP => settings.group = Some(ip(AddressFamily::V4, attribute.value)?),
            daemon::MCAST_GROUP6 => settings.group = Some(ip(AddressFamily::V6, attribute.value)?),
            daemon::MCAST_PORT => settings.port = Some(attribute.u16()?),
            daemon::MCAST_TTL => settings.ttl = Some(attribute.u8()?),
            _ => {}
        }
    }
    let role = role.ok_or(Malformed("IPVS synchronisation daemon without a state"))?;
    Ok(SyncDaemon { role, settings })
}

fn state(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => STATE_MASTER,
        SyncRole::Backup => STATE_BACKUP,
    }
}

fn role_of(state: u32) -> Option<SyncRole> {
    [SyncRole::Master, SyncRole::Backup].into_iter().find(|role| self::state(*role) == state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> SyncSettings {
        SyncSettings {
            interface: "eth1".into(),
            sync_id: 51,
            max_length: Some(1400),
            group: Some([224, 0, 0, 82].into()),
            port: Some(9000),
            ttl: Some(3),
        }
    }

    #[test]
    fn a_daemon_comes_back_as_it_was_started() {
        let group: IpAddr = "ff02::81".parse().unwrap();
        for settings in [whole(), SyncSettings { group: Some(group), ..whole() }] {
            for role in [SyncRole::Master, SyncRole::Backup] {
                let request = start_daemon(1, role, &settings);
                let wanted = SyncDaemon { role, settings: settings.clone() };
                assert_eq!(decode_daemon(request.payload()), Ok(wanted));
            }
        }
    }

    #[test]
    fn what_is_not_set_is_not_sent_and_the_port_is_in_the_machines_order() {
        let settings = SyncSettings { max_length: None, group: None, ttl: None, ..whole() };
        let request = start_daemon(1, SyncRole::Backup, &settings);
        let found: Vec<_> = nested(request.payload(), DAEMON).unwrap().map(Result::unwrap).collect();
        let kinds: Vec<_> = found.iter().map(|attribute| attribute.kind).collect();
        assert_eq!(kinds, [daemon::STATE, daemon::MCAST_IFN, daemon::SYNC_ID, daemon::MCAST_PORT]);
        assert_eq!((found[0].u32(), found[3].u16()), (Ok(2), Ok(9000)));
        let stop = stop_daemon(1, SyncRole::Master);
        let found: Vec<_> = nested(stop.payload(), DAEMON).unwrap().map(Result::unwrap).collect();
        assert_eq!((found.len(), found[0].kind, found[0].u32()), (1, daemon::STATE, Ok(1)));
    }

    #[test]
    fn timeouts_come_back_and_a_daemon_without_a_state_is_malformed() {
        let set = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        assert_eq!(decode_timeouts(timeouts(1, &set).payload()), Ok(set));
        assert_eq!(decode_timeouts(request(1, 0).payload()), Ok(Timeouts::default()));
        let mut request = request(1, 0);
        request.nest(DAEMON, |nest| {
            nest.attribute(daemon::STATE, &7u32.to_ne_bytes());
        });
        assert!(decode_daemon(request.payload()).is_err());
    }
}
