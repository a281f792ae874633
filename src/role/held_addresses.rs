//! Which addresses this node has, as the kernel tells it: for virtual servers that are checked only where their address is.

use crate::net::IpCidr;
use crate::netlink::monitor::{Monitor, MonitorEvent};
use crate::netlink::route::RouteSocket;
use crate::netlink::{Address, NetlinkError};
use crate::sys::readable::Readable;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The addresses on all interfaces, kept up to date.
pub struct HeldAddresses {
    monitor: Monitor,
    readable: Readable,
    route: RouteSocket,
    held: BTreeSet<Place>,
}

/// The index of its interface, and what else an address may be there with more than once: its prefix length and its peer.
type Place = (u32, IpCidr, Option<Ipv4Addr>);

impl HeldAddresses {
    /// Begins to watch the network namespace of the calling thread.
    pub fn open() -> Result<HeldAddresses, NetlinkError> {
        // The watch first, so that nothing happens unseen between it and the look.
        let monitor = Monitor::open()?;
        let readable = Readable::new(&monitor).map_err(|error| broken(&error))?;
        let mut held =
            HeldAddresses { monitor, readable, route: RouteSocket::open()?, held: BTreeSet::new() };
        held.look()?;
        Ok(held)
    }

    /// The addresses now.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        self.held.iter().map(|(_, cidr, _)| cidr.address()).collect()
    }

    /// Waits until they change. May be dropped and called again at any time.
    pub async fn changed(&mut self) -> Result<(), NetlinkError> {
        loop {
            self.readable.wait().await.map_err(|error| broken(&error))?;
            let mut events = Vec::new();
            // One read may leave something, and it is not said again that there is something.
            loop {
                let count = events.len();
                self.monitor.read(&mut events)?;
                if events.len() == count {
                    break;
                }
            }
            let before = self.held.clone();
            for event in events {
                self.take(event)?;
            }
            if before != self.held {
                return Ok(());
            }
        }
    }

    fn take(&mut self, event: MonitorEvent) -> Result<(), NetlinkError> {
        match event {
            MonitorEvent::AddressAdded(address) => {
                self.held.insert(place(&address));
            }
            MonitorEvent::AddressRemoved { interface, cidr, peer } => {
                self.held.remove(&(interface, cidr, peer));
            }
            // The kernel may be silent about the addresses of an interface that goes.
            MonitorEvent::LinkGone { index } => self.held.retain(|(interface, ..)| *interface != index),
            MonitorEvent::Overrun => self.look()?,
            MonitorEvent::LinkChanged(_) | MonitorEvent::RoutingGone(_) | MonitorEvent::Answers { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), NetlinkError> {
        let found = self.route.addresses()?;
        self.held = found.iter().map(place).collect();
        Ok(())
    }
}

fn place(address: &Address) -> Place {
    (address.interface, address.cidr, address.peer)
}

fn broken(error: &io::Error) -> NetlinkError {
    NetlinkError {
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        message: error.to_string(),
        context: "cannot watch the addresses of this node".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_held_while_it_is_there_with_any_prefix_length_or_peer() {
        let mut held = HeldAddresses::open().expect("the kernel tells everybody of addresses");
        let ip = IpAddr::from([203, 0, 113, 77]);
        let peer = Some(Ipv4Addr::new(203, 0, 113, 78));
        let places = [(24, None), (32, None), (32, peer)];
        let cidr = |prefix| IpCidr::new(ip, prefix).expect("short enough");
        for (prefix, peer) in places {
            let address = Address {
                interface: 1,
                cidr: cidr(prefix),
                peer,
                flags: 0,
                scope: 0,
                protocol: None,
                label: None,
                valid: None,
            };
            held.take(MonitorEvent::AddressAdded(address)).expect("no look");
        }
        for (prefix, peer) in places {
            assert!(held.addresses().contains(&ip));
            let gone = MonitorEvent::AddressRemoved { interface: 1, cidr: cidr(prefix), peer };
            held.take(gone).expect("no look");
        }
        assert!(!held.addresses().contains(&ip));
    }
}
