//! Files that are not opened through a symbolic link (O_NOFOLLOW), in words that a person understands.

use nix::errno::Errno;
use std::io;

/// What the kernel calls too many levels of links is one link, in the place of the file.
pub fn in_words(error: io::Error) -> io::Error {
    if error.raw_os_error() != Some(Errno::ELOOP as i32) {
        return error;
    }
    io::Error::other("it is a symbolic link, which is not followed: remove it")
}
