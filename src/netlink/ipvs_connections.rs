//! The kernel's list of balanced connections, /proc/net/ip_vs_conn: one line each, read as it comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Of the network namespace of the thread that reads.
const PATH: &str = "/proc/thread-self/net/ip_vs_conn";

/// One connection, or a persistence template (its client has port 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The kernel's word: `TCP`, `UDP`, `SCTP`; `IP` for the template of a mark, whose virtual address is the mark.
    pub protocol: String,
    /// Who connected.
    pub client: SocketAddr,
    /// To what.
    pub service: SocketAddr,
    /// Who serves it.
    pub destination: SocketAddr,
    /// The kernel's word, as `ESTABLISHED`.
    pub state: String,
    /// Seconds until it is forgotten.
    pub expires: u64,
    /// Persistence engine and what it goes by, as `sip` and a call id.
    pub engine: Option<(String, String)>,
}

/// The connections, read from the kernel while they are asked for. NotFound where there is no IPVS; lines that make
/// no sense are InvalidData.
pub fn connections() -> io::Result<impl Iterator<Item = io::Result<Connection>>> {
    let lines = BufReader::new(File::open(PATH)?).lines();
    // The first line has titles.
    Ok(lines.skip(1).map(|line| {
        line.and_then(|line| {
            let what = || io::Error::new(io::ErrorKind::InvalidData, format!("{PATH}: strange line: {line}"));
            parse(&line).ok_or_else(what)
        })
    }))
}

pub(super) fn parse(line: &str) -> Option<Connection> {
    let mut words = line.split_ascii_whitespace();
    let protocol = words.next()?.to_owned();
    let mut endpoint = || Some(SocketAddr::new(address(words.next()?)?, port(words.next()?)?));
    let (client, service, destination) = (endpoint()?, endpoint()?, endpoint()?);
    let state = words.next()?.to_owned();
    let expires = words.next()?.parse().ok()?;
    let engine = words.next().map(str::to_owned);
    let data = words.collect::<Vec<_>>().join(" ");
    let engine = engine.map(|engine| (engine, data));
    Some(Connection { protocol, client, service, destination, state, expires, engine })
}

/// Eight hexadecimal digits, or IPv6 with all its digits.
fn address(word: &str) -> Option<IpAddr> {
    if word.contains(':') {
        let bare = word.trim_start_matches('[').trim_end_matches(']');
        return bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    u32::from_str_radix(word, 16).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

fn port(word: &str) -> Option<u16> {
    u16::from_str_radix(word, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_families_are_read() {
        let line = "TCP C0A80164 D431 C0A8010A 0050 0A000001 1F90 ESTABLISHED     899";
        let found = parse(line).unwrap();
        assert_eq!(found.client, "192.168.1.100:54321".parse().unwrap());
        assert_eq!(found.service, "192.168.1.10:80".parse().unwrap());
        assert_eq!(found.destination, "10.0.0.1:8080".parse().unwrap());
        assert_eq!((&*found.state, found.expires, found.engine), ("ESTABLISHED", 899, None));
        let line = "UDP 2001:0db8:0000:0000:0000:0000:0000:0001 0000 2001:0db8:0000:0000:0000:0000:0000:0002 13C4 \
                    0A000001 13C4 UDP            60 sip a84b4c76e66710@pc";
        let found = parse(line).unwrap();
        assert_eq!(found.client, "[2001:db8::1]:0".parse().unwrap());
        assert_eq!(found.destination, "10.0.0.1:5060".parse().unwrap());
        assert_eq!(found.engine, Some(("sip".into(), "a84b4c76e66710@pc".into())));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let line = "TCP C0A80164 D431 C0A8010A 0050 0A000001 1F90 ESTABLISHED 899";
        let words: Vec<&str> = line.split(' ').collect();
        for count in 0..words.len() {
            assert_eq!(parse(&words[..count].join(" ")), None);
        }
        assert_eq!(parse("TCP G0A80164 D431 C0A8010A 0050 0A000001 1F90 NONE 1"), None);
    }
}
