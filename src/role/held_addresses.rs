//! Which addresses this node has, as the kernel tells it: for virtual servers that are checked only where their address is.

use crate::netlink::NetlinkError;
use crate::netlink::monitor::{Monitor, MonitorEvent};
use crate::netlink::route::RouteSocket;
use crate::sys::readable::Readable;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// The addresses on all interfaces, kept up to date.
pub struct HeldAddresses {
    monitor: Monitor,
    readable: Readable,
    route: RouteSocket,
    /// With the index of their interface: one address may be on several.
    held: BTreeSet<(u32, IpAddr)>,
}

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
        self.held.iter().map(|(_, address)| *address).collect()
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
                self.held.insert((address.interface, address.cidr.address()));
            }
            MonitorEvent::AddressRemoved { interface, cidr } => {
                self.held.remove(&(interface, cidr.address()));
            }
            // The kernel may be silent about the addresses of an interface that goes.
            MonitorEvent::LinkGone { index } => self.held.retain(|(interface, _)| *interface != index),
            MonitorEvent::Overrun => self.look()?,
            MonitorEvent::LinkChanged(_) | MonitorEvent::RoutingGone(_) => {}
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), NetlinkError> {
        let found = self.route.addresses()?;
        self.held = found.into_iter().map(|address| (address.interface, address.cidr.address())).collect();
        Ok(())
    }
}

fn broken(error: &io::Error) -> NetlinkError {
    NetlinkError {
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        message: error.to_string(),
        context: "cannot watch the addresses of this node".into(),
    }
}
