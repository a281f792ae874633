//! Names of addresses and ports, as /etc/hosts and /etc/services have them.
//!
//! ipvsadm asks the resolver, and so DNS too. A listing here never asks DNS: the table is looked at when things are broken, and
//! then it must not wait seconds per line for a name server. Unnamed addresses stay numbers, as there. A name that somebody
//! types as an address is looked up wherever the system looks.

use crate::net::TransportProtocol;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// What is known by name. Empty for `-n`.
#[derive(Debug, Default)]
pub struct Names {
    hosts: HashMap<IpAddr, String>,
    services: HashMap<(u16, TransportProtocol), String>,
    ports: HashMap<(String, TransportProtocol), u16>,
}

impl Names {
    /// From the system's files; a missing one names nothing.
    pub fn of_system() -> Names {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Names::parse(&read("/etc/hosts"), &read("/etc/services"))
    }

    /// From the text of both files. The first name of an address or port counts.
    pub fn parse(hosts: &str, services: &str) -> Names {
        let mut names = Names::default();
        for (address, name) in hosts.lines().filter_map(two_words) {
            if let Ok(address) = address.parse() {
                names.hosts.entry(address).or_insert_with(|| name.to_owned());
            }
        }
        for line in services.lines() {
            let Some((name, port)) = two_words(line) else { continue };
            let Some(key) = port_and_protocol(port) else { continue };
            names.services.entry(key).or_insert_with(|| name.to_owned());
            let aliases = line.split('#').next().unwrap_or_default().split_whitespace().skip(2);
            for name in std::iter::once(name).chain(aliases) {
                names.ports.entry((name.to_owned(), key.1)).or_insert(key.0);
            }
        }
        names
    }

    /// The first IPv4 address of a host, by whatever way the system has.
    pub fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let found = (name, 0).to_socket_addrs().ok()?;
        found.into_iter().find_map(|address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// The port of a service by its name or an alias.
    pub fn port_of(&self, name: &str, protocol: TransportProtocol) -> Option<u16> {
        self.ports.get(&(name.to_owned(), protocol)).copied()
    }

    /// `ADDRESS:PORT` with names where there are some; IPv6 in brackets. `protocol` is that of the service.
    pub fn endpoint(&self, endpoint: SocketAddr, protocol: Option<TransportProtocol>) -> String {
        let address = endpoint.ip();
        let host = self.hosts.get(&address).cloned().unwrap_or_else(|| address.to_string());
        let service = protocol.and_then(|protocol| self.services.get(&(endpoint.port(), protocol)));
        let port = service.cloned().unwrap_or_else(|| endpoint.port().to_string());
        match address {
            IpAddr::V4(_) => format!("{host}:{port}"),
            IpAddr::V6(_) => format!("[{host}]:{port}"),
        }
    }
}

/// The first two words before a comment.
fn two_words(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split('#').next()?.split_whitespace();
    Some((words.next()?, words.next()?))
}

/// `80/tcp`.
fn port_and_protocol(word: &str) -> Option<(u16, TransportProtocol)> {
    let (port, protocol) = word.split_once('/')?;
    let protocol = match protocol {
        "tcp" => TransportProtocol::Tcp,
        "udp" => TransportProtocol::Udp,
        "sctp" => TransportProtocol::Sctp,
        _ => return None,
    };
    Some((port.parse().ok()?, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_counts_and_comments_do_not() {
        let hosts =
            "# 10.0.0.1 no\n10.0.0.1 web.example web # front\n10.0.0.1 later\n::1 ip6-localhost\nrubbish\n";
        let services = "http 80/tcp www # web\nhttp 80/udp\ndomain 53/udp\nbad port/tcp\nodd 70/ddp\n";
        let names = Names::parse(hosts, services);
        let name = |text: &str, protocol| names.endpoint(text.parse().expect("an endpoint"), protocol);
        assert_eq!(name("10.0.0.1:80", Some(TransportProtocol::Tcp)), "web.example:http");
        assert_eq!(name("[::1]:80", Some(TransportProtocol::Tcp)), "[ip6-localhost]:http");
        assert_eq!(name("10.0.0.2:53", Some(TransportProtocol::Sctp)), "10.0.0.2:53");
        assert_eq!(name("10.0.0.2:80", None), "10.0.0.2:80");
        assert_eq!(names.port_of("www", TransportProtocol::Tcp), Some(80));
        assert_eq!(names.port_of("domain", TransportProtocol::Tcp), None);
        let plain = Names::default().endpoint("[fd00::1]:80".parse().expect("one"), None);
        assert_eq!(plain, "[fd00::1]:80");
    }
}
