//! What the tests on a real IPVS table share.

use holdfast::netlink::ipvs::Ipvs;
use holdfast::netlink::route::RouteSocket;
use nix::sched::{CloneFlags, unshare};

/// Index of `lo` in every network namespace.
pub const LOOPBACK: u32 = 1;

/// Runs `test` on the table of a network namespace of its own. Where that cannot be, it says why, or fails if
/// HOLDFAST_REQUIRE_IPVS is set.
pub fn in_namespace(test: impl FnOnce(Ipvs) + Send + 'static) {
    let required = std::env::var_os("HOLDFAST_REQUIRE_IPVS").is_some();
    if !nix::unistd::geteuid().is_root() {
        assert!(!required, "HOLDFAST_REQUIRE_IPVS is set, but this is not root");
        println!("skipped: this test makes a network namespace, which needs root");
        return;
    }
    run(required, test);
}

/// As [`in_namespace`], for root; without IPVS it fails if `required`.
pub fn run(required: bool, test: impl FnOnce(Ipvs) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        // IPVS refuses every destination in a namespace that never had an address.
        RouteSocket::open().and_then(|mut route| route.set_up(LOOPBACK, true)).expect("lo can be set up");
        match Ipvs::open() {
            Ok(ipvs) => test(ipvs),
            Err(error) if required => panic!("IPVS is required, but {error}"),
            Err(error) => println!("skipped: {error}"),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
