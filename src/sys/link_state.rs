//! Is there a link? Asked of an interface's driver, for those that do not tell the kernel when it comes and goes.
#![allow(unsafe_code)]

use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::AsRawFd;

const SIOCGIFFLAGS: libc::c_ulong = 0x8913;
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const SIOCGMIIPHY: libc::c_ulong = 0x8947;
const SIOCGMIIREG: libc::c_ulong = 0x8948;

/// `ethtool eth0`: "Link detected".
const ETHTOOL_GLINK: u32 = 0x0a;

/// IEEE 802.3 22.2.4.2: the basic status register, and its link bit, which remembers a loss until it is read.
const STATUS_REGISTER: u16 = 1;
const LINK_BIT: u16 = 0x0004;

/// struct ifreq: a name and whatever the request is about.
#[repr(C)]
struct Request<T: Plain> {
    name: [u8; libc::IFNAMSIZ],
    body: Body<T>,
}

/// The kernel copies a whole struct ifreq, whatever the request uses of it.
#[repr(C)]
union Body<T: Plain> {
    value: T,
    room: [u64; 3],
}

/// struct mii_ioctl_data.
#[derive(Clone, Copy)]
#[repr(C)]
struct Register {
    phy: u16,
    number: u16,
    written: u16,
    read: u16,
}

/// struct ethtool_value.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Any bit pattern is a value, and it fits the room.
trait Plain: Copy {}
impl Plain for libc::c_short {}
impl Plain for Register {}
impl Plain for *mut EthtoolValue {}

/// Asks in the network namespace in which it was opened.
#[derive(Debug)]
pub struct LinkProbe {
    socket: Socket,
}

impl LinkProbe {
    /// Any socket will do.
    pub fn open() -> io::Result<LinkProbe> {
        Ok(LinkProbe { socket: Socket::new(Domain::IPV4, Type::DGRAM, None)? })
    }

    /// The transceiver's own register. EOPNOTSUPP and the like where the driver has none; ENODEV without the interface.
    pub fn mii(&self, interface: &str) -> io::Result<bool> {
        let register = Register { phy: 0, number: 0, written: 0, read: 0 };
        let address = self.ask(interface, SIOCGMIIPHY, register)?;
        let status = self.ask(interface, SIOCGMIIREG, Register { number: STATUS_REGISTER, ..address })?;
        Ok(status.read & LINK_BIT != 0)
    }

    /// What the driver says to ethtool. Errors as for [`LinkProbe::mii`].
    pub fn ethtool(&self, interface: &str) -> io::Result<bool> {
        let mut value = EthtoolValue { command: ETHTOOL_GLINK, data: 0 };
        self.ask(interface, SIOCETHTOOL, &raw mut value)?;
        Ok(value.data != 0)
    }

    /// IFF_UP and IFF_RUNNING. Errors as for [`LinkProbe::mii`], but every interface has them.
    pub fn flags(&self, interface: &str) -> io::Result<bool> {
        let wanted = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        Ok(self.ask(interface, SIOCGIFFLAGS, 0 as libc::c_short)? & wanted == wanted)
    }

    fn ask<T: Plain>(&self, interface: &str, what: libc::c_ulong, value: T) -> io::Result<T> {
        let mut request = Request { name: [0; libc::IFNAMSIZ], body: Body { room: [0; 3] } };
        request.body.value = value;
        // The last octet stays zero: the name ends.
        let room =
            request.name.get_mut(..libc::IFNAMSIZ - 1).and_then(|room| room.get_mut(..interface.len()));
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(interface.as_bytes());
        // SAFETY: `request` lives through the call and is at least as large as struct ifreq (40 octets); a pointer
        // in it, if `T` is one, points to a structure that the caller keeps alive and that the request fills.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), what as _, &raw mut request) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was set above, the kernel writes octets only, and every bit pattern is a `T`.
        Ok(unsafe { request.body.value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_large_as_the_kernels() {
        assert_eq!(size_of::<Request<Register>>(), size_of::<libc::ifreq>());
        assert_eq!(size_of::<Request<*mut EthtoolValue>>(), size_of::<libc::ifreq>());
    }

    #[test]
    fn the_loopback_interface_has_flags_and_no_transceiver() {
        let probe = LinkProbe::open().expect("a socket");
        probe.flags("lo").expect("every interface has flags");
        probe.mii("lo").expect_err("lo has no transceiver");
        let absent = probe.flags("not there").expect_err("it does not exist");
        assert_eq!(absent.raw_os_error(), Some(libc::ENODEV));
        let endless = probe.flags("a name of 16 let").expect_err("the kernel has no such names");
        assert_eq!(endless.kind(), io::ErrorKind::InvalidInput);
    }
}
