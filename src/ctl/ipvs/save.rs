//! The table as commands that `-R` reads (ipvsadm 1.31, `-S`). Pure.

use super::listing::{mask, protocol, scheduler_flags};
use super::names::Names;
use crate::net::{AddressFamily, TransportProtocol};
use crate::netlink::ipvs_raw::{MASQUERADE, ONE_PACKET, PERSISTENT, RawDestination, RawService, TUNNEL};
use std::net::SocketAddr;

/// The line that adds a service. `whole`: such that it can be read again; ipvsadm writes large marks as negative numbers,
/// which it does not read.
pub fn service_line(service: &RawService, names: &Names, whole: bool) -> String {
    let mut line = format!("-A {} -s {}", name(service, names, whole), service.scheduler);
    if service.flags & PERSISTENT != 0 {
        line += &format!(" -p {}", service.timeout);
        if let Some(mask) = mask(service) {
            line += &format!(" -M {mask}");
        }
    }
    if !service.engine.is_empty() {
        line += &format!(" --pe {}", service.engine);
    }
    if service.flags & ONE_PACKET != 0 {
        line += " -o";
    }
    let flags = scheduler_flags(service);
    if !flags.is_empty() {
        line += &format!(" -b {}", flags.join(","));
    }
    line + "\n"
}

/// The line that adds a destination. `whole`: as above, and with thresholds, which ipvsadm forgets.
pub fn destination_line(
    destination: &RawDestination,
    service: &RawService,
    names: &Names,
    whole: bool,
) -> String {
    let endpoint = names.endpoint(SocketAddr::new(destination.address, destination.port), protocol(service));
    let method = match destination.forwarding {
        MASQUERADE => "-m",
        TUNNEL => "-i",
        _ => "-g",
    };
    let weight = signed(destination.weight);
    let mut line = format!("-a {} -r {endpoint} {method} -w {weight}", name(service, names, whole));
    if whole && (destination.upper_threshold, destination.lower_threshold) != (0, 0) {
        line += &format!(" -x {} -y {}", destination.upper_threshold, destination.lower_threshold);
    }
    if destination.forwarding == TUNNEL {
        let checksum = match destination.tunnel_flags {
            flags if flags & 2 != 0 => "--tun-remcsum",
            flags if flags & 1 != 0 => "--tun-csum",
            _ => "--tun-nocsum",
        };
        line += &match destination.tunnel_kind {
            1 => format!(" --tun-type gue --tun-port {} {checksum}", destination.tunnel_port),
            2 => format!(" --tun-type gre {checksum}"),
            _ => " --tun-type ipip".to_owned(),
        };
    }
    line + "\n"
}

/// As ipvsadm prints it: with `%d`.
fn signed(number: u32) -> i32 {
    i32::from_ne_bytes(number.to_ne_bytes())
}

fn name(service: &RawService, names: &Names, whole: bool) -> String {
    if service.mark != 0 {
        let mark = if whole { i64::from(service.mark) } else { i64::from(signed(service.mark)) };
        return match service.family {
            AddressFamily::V4 => format!("-f {mark}"),
            AddressFamily::V6 => format!("-f {mark} -6"),
        };
    }
    let protocol = protocol(service);
    let option = match protocol {
        Some(TransportProtocol::Udp) => "-u",
        Some(TransportProtocol::Sctp) => "--sctp-service",
        _ => "-t",
    };
    format!("{option} {}", names.endpoint(SocketAddr::new(service.address, service.port), protocol))
}

#[cfg(test)]
mod tests {
    use super::super::grammar::{Command, parse};
    use super::*;
    use crate::ctl::ipvs::names::Names;

    /// What a command says comes back as the same command, thresholds aside.
    #[test]
    fn what_is_saved_is_what_was_said() {
        let names = Names::default();
        for line in [
            "-A -t 192.0.2.1:80 -s rr",
            "-A -u 192.0.2.1:80 -s sh -p 60 -M 255.255.0.0 --pe sip -o -b sh-fallback,sh-port",
            "-A --sctp-service [2001:db8::1]:80 -s mh -p 360 -M 64 -b mh-port",
            "-A -f 7 -6 -s wlc",
            "-a -t 192.0.2.1:80 -r 192.0.2.9:81 -m -w 0",
            "-a -f 7 -6 -r 192.0.2.9:0 -i -w 3 --tun-type gue --tun-port 6080 --tun-remcsum",
            "-a -f 7 -r 192.0.2.9:0 -i -w 3 --tun-type gre --tun-csum",
            "-a -t 192.0.2.1:80 -r 192.0.2.9:80 -i -w 3 --tun-type ipip",
            "-a -t 192.0.2.1:80 -r 192.0.2.9:80 -g -w 2147483647",
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let written = match parse(&words, &names, true) {
                Ok(Command::AddService(service)) => service_line(&service, &names, false),
                Ok(Command::AddServer(service, server)) => destination_line(&server, &service, &names, false),
                other => panic!("{line}: {other:?}"),
            };
            assert_eq!(written, format!("{line}\n"));
        }
    }

    #[test]
    fn a_large_mark_is_ipvsadms_or_one_that_can_be_read() {
        let names = Names::default();
        let words: Vec<String> = "-A -f 4000000000 -s rr".split(' ').map(String::from).collect();
        let Ok(Command::AddService(service)) = parse(&words, &names, true) else { panic!("it is one") };
        assert_eq!(service_line(&service, &names, false), "-A -f -294967296 -s rr\n");
        assert_eq!(service_line(&service, &names, true), "-A -f 4000000000 -s rr\n");
    }
}
