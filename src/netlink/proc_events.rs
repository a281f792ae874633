//! The kernel's news of processes (linux/cn_proc.h): fork, exec, a new name, exit. It speaks in the initial network
//! namespace only, and to those with CAP_NET_ADMIN.

use netlink_sys::constants::NETLINK_CONNECTOR;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// CN_IDX_PROC and CN_VAL_PROC.
const PROC: u32 = 1;
/// PROC_CN_MCAST_LISTEN.
const LISTEN: u32 = 1;

/// nlmsghdr, cn_msg.
const HEADERS: usize = 16 + 20;

/// what, cpu, timestamp of a proc_event.
const EVENT_HEADER: usize = 16;

const NONE: u32 = 0;
const FORK: u32 = 1;
const EXEC: u32 = 2;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;

/// The kernel answers while it takes the request; without an answer it does not speak to us.
const ANSWER: Duration = Duration::from_millis(200);

/// Room for events that wait, in octets: a fork storm of some thousands between two looks.
const RECEIVE_BUFFER: usize = 1 << 20;

/// One datagram holds one event.
const DATAGRAM: usize = 1024;

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcEvent {
    /// It is new, or has become another program, or has another name.
    Changed(i32),
    /// It has ended.
    Gone(i32),
    /// The kernel takes our wish to listen, or not: an errno.
    Answer(i32),
    /// Of no meaning here: threads, and what else there is.
    Other,
}

/// A socket on which the kernel speaks.
#[derive(Debug)]
pub struct ProcEvents {
    socket: Socket,
}

impl ProcEvents {
    /// Asks the kernel to speak. EPERM without CAP_NET_ADMIN; ECONNREFUSED or ENOTCONN where it does not speak at all.
    pub fn open() -> io::Result<ProcEvents> {
        let mut socket = Socket::new(NETLINK_CONNECTOR)?;
        socket.bind(&SocketAddr::new(0, PROC))?;
        socket.set_non_blocking(true)?;
        crate::sys::process::grow_receive_buffer(&socket, RECEIVE_BUFFER);
        socket.send_to(&listen_request(), &SocketAddr::new(0, 0), 0)?;
        let mut events = ProcEvents { socket };
        events.answer()?;
        Ok(events)
    }

    fn answer(&mut self) -> io::Result<()> {
        let begun = crate::sys::clock::monotonic_now();
        while crate::sys::clock::monotonic_now().saturating_duration_since(begun) < ANSWER {
            match self.next()? {
                Some(ProcEvent::Answer(0)) => return Ok(()),
                Some(ProcEvent::Answer(errno)) => return Err(io::Error::from_raw_os_error(errno)),
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// The next event; `None` when there is none now. ENOBUFS: some were lost.
    pub fn next(&mut self) -> io::Result<Option<ProcEvent>> {
        let mut buffer = Vec::with_capacity(DATAGRAM);
        match self.socket.recv_from(&mut buffer, 0) {
            // Only the kernel may tell.
            Ok((_, sender)) if sender.port_number() != 0 => Ok(Some(ProcEvent::Other)),
            Ok(_) => Ok(Some(decode(&buffer))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for ProcEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn listen_request() -> Vec<u8> {
    let length = (HEADERS + 4) as u32; // 40
    let mut octets = Vec::with_capacity(HEADERS + 4);
    octets.extend(length.to_ne_bytes());
    octets.extend(3_u16.to_ne_bytes()); // NLMSG_DONE, as the connector's own documentation has it
    octets.extend([0; 2 + 4]); // flags, sequence
    octets.extend(0_u32.to_ne_bytes()); // the kernel knows who we are
    octets.extend(PROC.to_ne_bytes());
    octets.extend(PROC.to_ne_bytes());
    octets.extend([0; 8]); // sequence, acknowledgement
    octets.extend(4_u16.to_ne_bytes()); // length of the data
    octets.extend([0; 2]);
    octets.extend(LISTEN.to_ne_bytes());
    octets
}

/// What a datagram says.
pub fn decode(octets: &[u8]) -> ProcEvent {
    let number = |at: usize| {
        let octets: Option<[u8; 4]> = octets.get(at..at + 4).and_then(|four| four.try_into().ok());
        octets.map(u32::from_ne_bytes)
    };
    let is_process = (number(16), number(20)) == (Some(PROC), Some(PROC));
    let Some(what) = number(HEADERS).filter(|_| is_process) else { return ProcEvent::Other };
    let data = HEADERS + EVENT_HEADER;
    // i32 holds every pid.
    let field = |index: usize| number(data + 4 * index).map(|value| value as i32);
    // A thread has another id than its group; only groups are processes.
    let leader = |pid: Option<i32>, group: Option<i32>| group.filter(|_| pid == group);
    let found = match what {
        NONE => field(0).map(ProcEvent::Answer),
        FORK => leader(field(2), field(3)).map(ProcEvent::Changed),
        EXEC => field(1).map(ProcEvent::Changed),
        COMM => leader(field(0), field(1)).map(ProcEvent::Changed),
        EXIT => leader(field(0), field(1)).map(ProcEvent::Gone),
        _ => None,
    };
    found.unwrap_or(ProcEvent::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: u32, fields: &[i32]) -> Vec<u8> {
        let mut octets = listen_request();
        octets.truncate(HEADERS);
        octets.extend(what.to_ne_bytes());
        octets.extend([0; 12]);
        fields.iter().for_each(|field| octets.extend(field.to_ne_bytes()));
        octets
    }

    #[test]
    fn processes_are_told_from_threads() {
        let table: [(u32, &[i32], ProcEvent); 9] = [
            (NONE, &[0], ProcEvent::Answer(0)),
            (FORK, &[1, 1, 7, 7], ProcEvent::Changed(7)),
            (FORK, &[1, 1, 7, 1], ProcEvent::Other),
            (EXEC, &[7, 7], ProcEvent::Changed(7)),
            (COMM, &[7, 7], ProcEvent::Changed(7)),
            (COMM, &[8, 7], ProcEvent::Other),
            (EXIT, &[7, 7, 0, 17], ProcEvent::Gone(7)),
            (EXIT, &[8, 7, 0, 17], ProcEvent::Other),
            (4, &[7, 7], ProcEvent::Other),
        ];
        for (what, fields, expected) in table {
            assert_eq!(decode(&event(what, fields)), expected, "{what:#x} {fields:?}");
        }
    }

    #[test]
    fn a_datagram_cut_short_says_nothing() {
        let whole = event(EXIT, &[7, 7, 0, 17]);
        for length in 0..HEADERS + EVENT_HEADER + 8 {
            assert_eq!(decode(&whole[..length]), ProcEvent::Other, "{length}");
        }
    }
}
