//! Membership in multicast groups without receiving what is sent to them.

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io;
use std::net::IpAddr;

/// As long as it lives, the kernel tells switches on this interface that this host wants the group.
#[derive(Debug)]
pub struct Membership {
    _socket: Socket,
}

impl Membership {
    /// Join `group` on the interface. The socket has no port, so nothing is ever delivered to it.
    pub fn join(interface: u32, group: IpAddr) -> io::Result<Membership> {
        let domain = Domain::for_address(std::net::SocketAddr::new(group, 0));
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        match group {
            IpAddr::V4(group) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface))?;
            }
            IpAddr::V6(group) => socket.join_multicast_v6(&group, interface)?,
        }
        Ok(Membership { _socket: socket })
    }
}
