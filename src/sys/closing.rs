//! Descriptors that are done with, closed by few system calls.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// close_range(2), Linux 5.9; one number on every architecture.
const CLOSE_RANGE: libc::c_long = 436;

/// Closes them: those with numbers beside each other at once, where the kernel can.
pub fn close_all(mut descriptors: Vec<OwnedFd>) {
    descriptors.sort_unstable_by_key(AsRawFd::as_raw_fd);
    let mut row: Vec<RawFd> = Vec::new();
    for descriptor in descriptors {
        let number = descriptor.into_raw_fd();
        if row.last().is_some_and(|last| last + 1 != number) {
            close_row(&row);
            row.clear();
        }
        row.push(number);
    }
    close_row(&row);
}

/// Closes descriptors that this process has given up, with numbers one after the other.
fn close_row(row: &[RawFd]) {
    if let [first, .., last] = row {
        // SAFETY: every number from the first to the last belongs to a descriptor that its owner gave up for this, and is
        // nobody else's until it is closed.
        let result = unsafe { libc::syscall(CLOSE_RANGE, *first, *last, 0) };
        if result == 0 {
            return;
        }
    }
    for number in row {
        // SAFETY: the same; nothing of the row is closed yet.
        drop(unsafe { OwnedFd::from_raw_fd(*number) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn all_are_closed_and_those_between_them_are_not() {
        let mut far = Vec::new();
        let mut near = Vec::new();
        for _ in 0..20 {
            let (here, there) = UnixStream::pair().expect("a pair");
            near.push(here);
            far.push(there);
        }
        let stays = near.remove(7);
        let mut its_end = far.remove(7);
        close_all(near.into_iter().map(OwnedFd::from).collect());
        for mut end in far {
            assert_eq!(end.read(&mut [0; 1]).expect("the other end is closed"), 0);
        }
        its_end.set_nonblocking(true).expect("a socket");
        assert!(its_end.read(&mut [0; 1]).is_err(), "still open, and silent");
        drop(stays);
        close_all(Vec::new());
    }
}
