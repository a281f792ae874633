//! sendmmsg and recvmmsg: many datagrams in one system call.
#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;

/// Datagrams per system call: enough that the call's own cost vanishes, small enough for the stack.
pub const BATCH: usize = 64;

/// Room for a socket address: sockaddr_in6 (28 octets) is the largest in use.
pub(super) const NAME_ROOM: usize = 32;

/// Room for the control messages received: pktinfo and hop limit of IPv6 take 40 + 24 octets.
pub(super) const CONTROL_ROOM: usize = 128;

/// Room for the control messages sent: pktinfo of IPv6 takes 40 octets, a hop limit 24.
pub(super) const SEND_CONTROL_ROOM: usize = 64;

/// A short octet string, aligned as the kernel wants addresses and control messages.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Small<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Small<ROOM> {
    pub(super) const EMPTY: Small<ROOM> = Small { bytes: [0; ROOM], length: 0 };

    /// From parts in order; panics if they do not fit, and all callers pass constant lengths that do.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut small = Self::EMPTY;
        for part in parts {
            let end = small.length + part.len();
            small.bytes[small.length..end].copy_from_slice(part);
            small.length = end;
        }
        small
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// A datagram to send.
pub(super) struct Message<'a> {
    pub(super) name: Small<NAME_ROOM>,
    pub(super) control: Small<SEND_CONTROL_ROOM>,
    pub(super) payload: &'a [u8],
}

/// Send every item, in order, as `encode` lays it out. Returns the positions of those that could not be encoded or
/// that the kernel refused, with the reason; the others are sent. Once the socket would block, all that is left is
/// reported as such.
pub(super) fn send_many<'a, T>(
    socket: &impl AsFd,
    items: &'a [T],
    encode: impl Fn(&'a T) -> io::Result<Message<'a>>,
) -> Vec<(usize, io::Error)> {
    let mut failures = Vec::new();
    let mut encoded = Vec::with_capacity(items.len().min(BATCH));
    for (start, chunk) in (0..items.len()).step_by(BATCH).zip(items.chunks(BATCH)) {
        encoded.clear();
        let mut positions = Vec::with_capacity(chunk.len());
        for (position, item) in (start..).zip(chunk) {
            match encode(item) {
                Ok(message) => {
                    encoded.push(message);
                    positions.push(position);
                }
                Err(error) => failures.push((position, error)),
            }
        }
        if !send_chunk(socket, &encoded, &positions, &mut failures) {
            let untried = start + chunk.len()..items.len();
            failures.extend(untried.map(|position| (position, io::ErrorKind::WouldBlock.into())));
            break;
        }
    }
    failures
}

/// Send at most [`BATCH`] messages, known outside by `positions`; false once the socket would block.
fn send_chunk(
    socket: &impl AsFd,
    messages: &[Message<'_>],
    positions: &[usize],
    failures: &mut Vec<(usize, io::Error)>,
) -> bool {
    let mut next = 0;
    while let Some(rest) = messages.get(next..)
        && let Some(position) = positions.get(next).copied()
    {
        match send_some(socket, rest) {
            Ok(sent) => next += sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let untried = positions.iter().skip(next);
                failures.extend(untried.map(|position| (*position, io::ErrorKind::WouldBlock.into())));
                return false;
            }
            Err(error) => {
                failures.push((position, error));
                next += 1;
            }
        }
    }
    true
}

/// One sendmmsg of at most [`BATCH`] messages. An error is the first message's.
fn send_some(socket: &impl AsFd, messages: &[Message<'_>]) -> io::Result<usize> {
    let count = messages.len().min(BATCH);
    // SAFETY: iovec and mmsghdr are plain C structures for which all zero is a valid value.
    let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    for ((header, vector), message) in headers.iter_mut().zip(&mut vectors).zip(messages) {
        vector.iov_base = message.payload.as_ptr().cast_mut().cast();
        vector.iov_len = message.payload.len();
        let header = &mut header.msg_hdr;
        header.msg_name = message.name.bytes.as_ptr().cast_mut().cast();
        header.msg_namelen = message.name.length as libc::socklen_t;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        if message.control.length > 0 {
            header.msg_control = message.control.bytes.as_ptr().cast_mut().cast();
            header.msg_controllen = message.control.length as _;
        }
    }
    // SAFETY: `headers` holds `count` initialised entries; the pointers in them lead into `vectors` and `messages`,
    // both alive and unmoved until the call returns, and the kernel only reads through them.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            count as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Memory for one batch of received datagrams.
pub(super) struct Slots {
    storage: Box<[u8]>,
    slot_size: usize,
    names: Box<[Small<NAME_ROOM>]>,
    controls: Box<[Small<CONTROL_ROOM>]>,
    lengths: [(usize, bool); BATCH],
    filled: usize,
}

/// A received datagram.
pub(super) struct Datagram<'a> {
    /// The sender's socket address.
    pub(super) name: &'a [u8],
    /// Control messages.
    pub(super) control: &'a [u8],
    /// The octets.
    pub(super) payload: &'a [u8],
    /// Payload or control messages did not fit.
    pub(super) truncated: bool,
}

impl Slots {
    /// [`BATCH`] slots for datagrams of at most `slot_size` octets. Memory is touched only when used.
    pub(super) fn new(slot_size: usize) -> Slots {
        Slots {
            storage: vec![0; slot_size * BATCH].into_boxed_slice(),
            slot_size,
            names: vec![Small::EMPTY; BATCH].into_boxed_slice(),
            controls: vec![Small::EMPTY; BATCH].into_boxed_slice(),
            lengths: [(0, false); BATCH],
            filled: 0,
        }
    }

    // On musl msg_controllen is a u32.
    #[allow(clippy::unnecessary_cast)]
    /// Fill from `socket`: the number of datagrams, 0 when there is none.
    pub(super) fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.filled = 0;
        // SAFETY: iovec and mmsghdr are plain C structures for which all zero is a valid value.
        let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let slots =
            self.storage.chunks_exact_mut(self.slot_size).zip(&mut self.names).zip(&mut self.controls);
        for ((header, vector), ((slot, name), control)) in headers.iter_mut().zip(&mut vectors).zip(slots) {
            vector.iov_base = slot.as_mut_ptr().cast();
            vector.iov_len = slot.len();
            let header = &mut header.msg_hdr;
            header.msg_name = name.bytes.as_mut_ptr().cast();
            header.msg_namelen = NAME_ROOM as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.bytes.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_ROOM as _;
        }
        // SAFETY: `headers` holds BATCH initialised entries; the pointers in them lead into `vectors` and into boxes
        // owned by `self`, which is borrowed mutably until the call returns, with the lengths given beside them.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        self.filled = count.min(BATCH);
        for (index, header) in headers.iter().take(self.filled).enumerate() {
            let flags = header.msg_hdr.msg_flags;
            let truncated = flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
            self.lengths[index] = ((header.msg_len as usize).min(self.slot_size), truncated);
            self.names[index].length = (header.msg_hdr.msg_namelen as usize).min(NAME_ROOM);
            self.controls[index].length = (header.msg_hdr.msg_controllen as usize).min(CONTROL_ROOM);
        }
        Ok(self.filled)
    }

    /// What the last [`Slots::receive`] brought, in order of arrival.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let described = self.names.iter().zip(&self.controls).zip(&self.lengths);
        let slots = self.storage.chunks_exact(self.slot_size).zip(described).take(self.filled);
        slots.map(|(slot, ((name, control), (length, truncated)))| Datagram {
            name: name.as_slice(),
            control: control.as_slice(),
            payload: slot.get(..*length).unwrap_or(slot),
            truncated: *truncated,
        })
    }
}

/// One control message as the kernel lays it out: cmsghdr, then the data padded to a machine word.
pub(super) fn control_message(
    level: libc::c_int,
    kind: libc::c_int,
    data: &[u8],
) -> Small<SEND_CONTROL_ROOM> {
    let length = CONTROL_HEADER + data.len();
    let padding = [0u8; WORD];
    let pad = padding.get(..length.next_multiple_of(WORD) - length).unwrap_or(&[]);
    Small::of(&[&length.to_ne_bytes(), &level.to_ne_bytes(), &kind.to_ne_bytes(), data, pad])
}

/// The control messages in `bytes`: level, kind, data. Stops at the first that does not fit.
pub(super) fn control_messages(mut bytes: &[u8]) -> impl Iterator<Item = (libc::c_int, libc::c_int, &[u8])> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<WORD>()?;
        let (level, rest) = rest.split_first_chunk::<4>()?;
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let length = usize::from_ne_bytes(*length);
        let data = bytes.get(CONTROL_HEADER..length)?;
        bytes = bytes.get(length.checked_next_multiple_of(WORD)?..).unwrap_or(&[]);
        Some((libc::c_int::from_ne_bytes(*level), libc::c_int::from_ne_bytes(*kind), data))
    })
}

const WORD: usize = size_of::<usize>();
/// cmsghdr: a length of one machine word, level and kind of four octets each.
const CONTROL_HEADER: usize = WORD + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn control_messages_are_laid_out_as_libc_says() {
        let message = control_message(41, 50, &[7; 20]);
        // SAFETY: both are pure arithmetic.
        let (space, length) = unsafe { (libc::CMSG_SPACE(20), libc::CMSG_LEN(20)) };
        assert_eq!(message.as_slice().len(), space as usize);
        assert_eq!(message.as_slice()[..WORD], (length as usize).to_ne_bytes());
        let read: Vec<_> = control_messages(message.as_slice()).collect();
        assert_eq!(read, [(41, 50, &[7u8; 20][..])]);
    }

    #[test]
    fn a_batch_larger_than_one_call_arrives_whole_and_in_order() {
        let (near, far) = UnixDatagram::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let texts: Vec<String> = (0..BATCH * 3 + 1).map(|n| n.to_string()).collect();
        let mut slots = Slots::new(64);
        let mut received = Vec::new();
        for part in texts.chunks(5) {
            let failures = send_many(&near, part, |text| Ok(plain(text.as_bytes())));
            assert!(failures.is_empty(), "{failures:?}");
            while slots.receive(&far).unwrap() > 0 {
                received.extend(slots.datagrams().map(|d| String::from_utf8(d.payload.to_vec()).unwrap()));
            }
        }
        assert_eq!(received, texts);
    }

    fn plain(payload: &[u8]) -> Message<'_> {
        Message { name: Small::EMPTY, control: Small::EMPTY, payload }
    }

    #[test]
    fn a_full_socket_and_an_item_without_a_form_are_reported_by_position() {
        let (near, far) = UnixDatagram::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let items: Vec<usize> = (0..5000).collect();
        let payload = [0; 512];
        let failures = send_many(&near, &items, |item| {
            if *item == 3 { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(plain(&payload)) }
        });
        assert_eq!((failures[0].0, failures[0].1.kind()), (3, io::ErrorKind::InvalidInput));
        let mut slots = Slots::new(512);
        let mut arrived = 0;
        while slots.receive(&far).unwrap() > 0 {
            arrived += slots.datagrams().count();
        }
        // One more than arrived went before the first that would have blocked: the one without a form.
        let blocked: Vec<usize> = (arrived + 1..5000).collect();
        let reported: Vec<usize> = failures[1..].iter().map(|(position, _)| *position).collect();
        assert_eq!(reported, blocked);
        assert!(failures[1..].iter().all(|(_, error)| error.kind() == io::ErrorKind::WouldBlock));
        assert!(arrived > 0 && !blocked.is_empty());
    }

    #[test]
    fn a_datagram_larger_than_its_slot_is_marked() {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.send(&[1; 100]).unwrap();
        let mut slots = Slots::new(64);
        assert_eq!(slots.receive(&far).unwrap(), 1);
        assert!(slots.datagrams().all(|d| d.truncated && d.payload.len() == 64));
        assert_eq!(slots.receive(&far).unwrap(), 0);
        assert_eq!(slots.datagrams().count(), 0);
    }

    proptest! {
        #[test]
        fn control_messages_end_on_any_input(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(control_messages(&bytes).count() <= bytes.len() / CONTROL_HEADER + 1);
        }
    }
}
