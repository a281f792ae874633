//! A refusal of the kernel in ipvsadm's words. Pure.

use super::grammar::Command;
use crate::netlink::NetlinkError;

/// What the refusal of a command means. The same errno means different things for different commands.
pub fn words(command: &Command, error: &NetlinkError) -> String {
    use Command::{
        AddServer, AddService, DeleteServer, DeleteService, EditServer, EditService, List, StartDaemon,
        StopDaemon, Zero,
    };
    let meant = match (command, error.errno) {
        (AddService(_), libc::EEXIST) => "Service already exists",
        (AddService(_) | EditService(_), libc::ENOENT) => "Scheduler or persistence engine not found",
        (EditService(_) | DeleteService(_) | Zero(_) | List(..), libc::ESRCH) => "No such service",
        (AddServer(..) | EditServer(..) | DeleteServer(..), libc::ESRCH) => "Service not defined",
        (AddServer(..), libc::EEXIST) => "Destination already exists",
        (EditServer(..) | DeleteServer(..), libc::ENOENT) => "No such destination",
        (StartDaemon(_), libc::EEXIST) => "Daemon has already run",
        (StopDaemon(_), libc::ESRCH) => "No daemon is running",
        (_, errno) => return general(errno),
    };
    meant.to_owned()
}

/// What an errno means whatever was asked.
pub fn general(errno: i32) -> String {
    let words = match errno {
        libc::EPERM => "Permission denied (you must be root)",
        libc::EINVAL => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
        libc::ENOPROTOOPT => "Protocol not available",
        libc::ENOMEM => "Memory allocation problem",
        libc::EOPNOTSUPP => "Operation not supported with IPv6",
        libc::EAFNOSUPPORT => "Operation not supported with specified address family",
        libc::EMSGSIZE => "Module is wrong version",
        // What the C library says, without the number that std appends.
        errno => {
            let text = std::io::Error::from_raw_os_error(errno).to_string();
            return text.split(" (os error").next().unwrap_or_default().to_owned();
        }
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_without_words_of_its_own_has_the_c_librarys() {
        assert_eq!(general(libc::ERANGE), "Numerical result out of range");
        assert_eq!(general(libc::EPERM), "Permission denied (you must be root)");
    }
}
