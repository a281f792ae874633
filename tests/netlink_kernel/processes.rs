//! The kernel's news of processes. They come in the initial network namespace only, and from kernels that have them.

use holdfast::netlink::proc_events::{ProcEvent, ProcEvents};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Does the kernel say that it speaks here?
fn speaks() -> bool {
    fs::read_to_string("/proc/net/connector").is_ok_and(|list| list.contains("cn_proc"))
}

#[test]
fn the_kernel_tells_of_a_process_that_lives_for_a_moment() {
    if !speaks() || !nix::unistd::geteuid().is_root() {
        println!("skipped: the kernel gives no news of processes here");
        return;
    }
    let mut events = ProcEvents::open().expect("the kernel says that it speaks");
    let mut child = Command::new("/bin/true").spawn().expect("/bin/true");
    let pid = i32::try_from(child.id()).expect("a pid");
    child.wait().expect("it ends");
    let (begun, mut born) = (Instant::now(), false);
    loop {
        assert!(begun.elapsed() < LIMIT, "no end of {pid} was told of (birth: {born})");
        match events.take() {
            Ok(Some(ProcEvent::Changed(who))) if who == pid => born = true,
            Ok(Some(ProcEvent::Gone(who))) if who == pid => break,
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(born, "its end was told of, and no birth");
}
