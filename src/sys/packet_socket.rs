//! Sends whole Ethernet frames: gratuitous ARP and unsolicited neighbour advertisements.

use super::mmsg::{self, Message, NAME_ROOM, Small};
use super::option::grow_send_buffer;
use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Five announcements for each of a thousand addresses at once.
const SEND_BUFFER: usize = 8 << 20;

/// Destination, source and type: what every frame starts with.
const ETHERNET_HEADER: usize = 14;

/// An AF_PACKET socket with protocol 0: it sends on any interface and never queues what arrives. Non-blocking.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
}

impl PacketSocket {
    /// Needs CAP_NET_RAW.
    pub fn open() -> io::Result<PacketSocket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        grow_send_buffer(&socket, SEND_BUFFER);
        Ok(PacketSocket { socket })
    }

    /// Send `frame`, from the destination MAC on, through the interface with this index.
    /// ENETDOWN if it is down, ENXIO if it is gone, InvalidInput if the frame is shorter than an Ethernet header.
    pub fn send(&self, interface: u32, frame: &[u8]) -> io::Result<()> {
        match self.send_batch(&[(interface, frame)]).pop() {
            None => Ok(()),
            Some((_, error)) => Err(error),
        }
    }

    /// Send frames in order, 64 per system call. Returns the positions of those that failed, with the reason; the
    /// others are sent. WouldBlock means the send queue is full: nothing after that position was tried.
    pub fn send_batch(&self, frames: &[(u32, &[u8])]) -> Vec<(usize, io::Error)> {
        mmsg::send_many(&self.socket, frames, |(interface, frame)| match name(*interface, frame) {
            Some(name) => Ok(Message { name, control: Small::EMPTY, payload: frame }),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "frame without an Ethernet header")),
        })
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// sockaddr_ll: family, EtherType, interface, (hardware type, packet type), address length, destination.
fn name(interface: u32, frame: &[u8]) -> Option<Small<NAME_ROOM>> {
    let header = frame.first_chunk::<ETHERNET_HEADER>()?;
    let family = libc::AF_PACKET as libc::sa_family_t;
    Some(Small::of(&[
        &family.to_ne_bytes(),
        &header[12..],
        &interface.to_ne_bytes(),
        &[0; 3],
        &[6],
        &header[..6],
        &[0; 2],
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_address_is_a_sockaddr_ll() {
        let mut frame = [0xff; ETHERNET_HEADER];
        frame[12..].copy_from_slice(&[0x08, 0x06]);
        let name = name(7, &frame).unwrap();
        assert_eq!(name.as_slice().len(), size_of::<libc::sockaddr_ll>());
        assert_eq!(name.as_slice()[..2], 17u16.to_ne_bytes());
        assert_eq!(name.as_slice()[2..4], [0x08, 0x06]);
        assert_eq!(name.as_slice()[4..8], 7u32.to_ne_bytes());
        assert_eq!(name.as_slice()[11..18], [6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn a_frame_without_a_header_has_no_address() {
        assert!(name(1, &[0; ETHERNET_HEADER - 1]).is_none());
    }
}
