//! A network namespace per test, and somebody else who works in it.

use holdfast::net::IpCidr;
use holdfast::netlink::route::RouteSocket;
use holdfast::plan::vrrp::VirtualAddress;
use holdfast::vrrp::AddressOp;
use nix::sched::{CloneFlags, unshare};
use std::process::Command;
use std::time::{Duration, Instant};

/// Far more than any of this takes; a test that waits so long has failed.
const LIMIT: Duration = Duration::from_secs(20);

/// Run `test` in a fresh network namespace with `lo` up, and a veth pair va (index 10), vb (index 11), both up.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes network namespaces, which needs root");
        return;
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        ip("link set lo up");
        ip("link add va index 10 type veth peer name vb index 11");
        ip("link set va up");
        ip("link set vb up");
        receive_from_own_addresses("vb");
        wait_for_carrier(&["va", "vb"]);
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What is sent before the kernel has seen the carrier (linkwatch, up to a second later) is dropped.
pub fn wait_for_carrier(names: &[&str]) {
    let mut route = RouteSocket::open().expect("rtnetlink");
    wait_until("carrier", || {
        let links = route.links().expect("links");
        names.iter().all(|name| links.iter().any(|link| link.name == *name && link.running)).then_some(())
    });
}

/// Both ends are on this machine: without this the kernel takes its own address as the source for a forgery.
pub fn receive_from_own_addresses(interface: &str) {
    for (interface, name, value) in
        [(interface, "accept_local", "1"), (interface, "rp_filter", "0"), ("all", "rp_filter", "0")]
    {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/{name}"), value).expect("sysctl of IPv4");
    }
}

/// The `ip` program, in the calling thread's namespace: somebody else who changes things.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {text}");
}

pub fn ip_output(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn cidr(text: &str) -> IpCidr {
    let (address, prefix) = text.split_once('/').expect("address/prefix");
    IpCidr::new(address.parse().expect("address"), prefix.parse().expect("prefix")).expect("fits")
}

pub fn add(text: &str) -> AddressOp {
    AddressOp::add(10, &VirtualAddress::new(cidr(text)))
}

pub fn remove(text: &str) -> AddressOp {
    AddressOp::remove(10, &VirtualAddress::new(cidr(text)))
}

pub fn wait_until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(value) = ready() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{what}: not within {LIMIT:?}");
}
