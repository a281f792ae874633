//! Request and response: sequence numbers, dumps, batches, and errors in the kernel's own words.

use super::message::{Attribute, Malformed, Message, Request, attributes, messages};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::time::Duration;

/// The kernel answers while it takes the request, so an answer that is not there after this long will never come.
const ANSWER_LIMIT_SECONDS: i64 = 10;

/// The largest datagram: the kernel builds dumps of up to 32 KiB and grows no further than what the reader offers.
pub(super) const RECEIVE_ROOM: usize = 64 << 10;

/// Octets of acknowledgements that may wait: [`MAX_BATCH`] of them with all overhead fit five times.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Requests in one send. Their acknowledgements all queue up before the first is read, and must fit the default
/// receive buffer of a process that may not enlarge it (208 KiB, about 1 KiB each).
pub const MAX_BATCH: usize = 128;

/// Octets in one send, well below the default send buffer.
const MAX_BATCH_OCTETS: usize = 32 << 10;

/// A dump that is interrupted by a change is asked for again so often, with growing pauses.
const MAX_DUMP_TRIES: u32 = 10;

/// The longest of those pauses.
const LONGEST_DUMP_PAUSE: Duration = Duration::from_millis(50);

/// Messages in one dump; ten times the largest IPVS table or address list worth planning for.
const MAX_DUMP_MESSAGES: usize = 4 << 20;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Below this a type is control, not data.
const NLMSG_MIN_TYPE: u16 = 16;

const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLM_F_DUMP: u16 = 0x300;

const NLMSGERR_ATTR_MSG: u16 = 1;

/// A request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{context}: {message}")]
pub struct NetlinkError {
    /// The errno, positive.
    pub errno: i32,
    /// The kernel's own words (extended ACK) where it gave some, else what the errno means.
    pub message: String,
    /// What was being done, as "cannot add ...".
    pub context: String,
}

impl NetlinkError {
    pub(super) fn new(errno: i32, context: impl Into<String>) -> NetlinkError {
        NetlinkError { errno, message: explain(errno), context: context.into() }
    }

    pub(super) fn malformed(error: Malformed, context: &str) -> NetlinkError {
        NetlinkError { errno: libc::EBADMSG, message: error.to_string(), context: context.into() }
    }
}

/// A data message of an answer, copied out of the socket's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Message type.
    pub kind: u16,
    /// What follows the message header.
    pub payload: Vec<u8>,
}

/// A socket for requests. Blocking, but never for longer than ten seconds.
#[derive(Debug)]
pub struct NetlinkSocket {
    socket: netlink_sys::Socket,
    protocol: isize,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What ended an exchange: the request itself (the kernel's verdict), or the way to the kernel.
pub(super) enum Failure {
    Refused(i32, Option<String>),
    Transport(i32),
}

/// The kernel's judgement of a request: done, or an errno with its words.
pub(super) type Verdict = Result<(), (i32, Option<String>)>;

/// Which requests of a batch the kernel acknowledges when it has performed them. What it refuses, it always says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    Each,
    Last,
}

impl Acknowledged {
    /// What became of a request of which the kernel says nothing.
    fn unsaid(self) -> Verdict {
        match self {
            // The one verdict that it keeps to itself: the request was interrupted.
            Acknowledged::Each => Err((libc::EINTR, None)),
            Acknowledged::Last => Ok(()),
        }
    }
}

impl NetlinkSocket {
    /// Open for a netlink protocol (`libc::NETLINK_ROUTE`, `libc::NETLINK_GENERIC`).
    pub fn open(protocol: i32) -> Result<NetlinkSocket, NetlinkError> {
        let protocol = protocol as isize;
        let socket = open(protocol)
            .map_err(|error| NetlinkError::new(errno_of(&error), "cannot open a netlink socket"))?;
        Ok(NetlinkSocket { socket, protocol, sequence: 0, buffer: Vec::with_capacity(RECEIVE_ROOM) })
    }

    /// One request; its data messages, if any, once the kernel acknowledged it.
    pub fn call(&mut self, request: Request, context: &str) -> Result<Vec<Answer>, NetlinkError> {
        let sequence = self.next_sequence();
        let bytes = request.finish(sequence, NLM_F_REQUEST | NLM_F_ACK);
        let result = self.send(&bytes).and_then(|()| self.collect(sequence));
        self.conclude(result, context).map(|(answers, _)| answers)
    }

    /// A dump, asked for again while the kernel says that it changed underneath (NLM_F_DUMP_INTR).
    pub fn dump(&mut self, request: &Request, context: &str) -> Result<Vec<Answer>, NetlinkError> {
        self.dump_as(request, context, |kind, payload| Ok(Some(Answer { kind, payload: payload.to_vec() })))
    }

    /// A dump whose messages `decode` takes apart where they lie, given their type and what follows the header: a
    /// large table is in memory once. `None` leaves a message out.
    pub fn dump_as<T>(
        &mut self,
        request: &Request,
        context: &str,
        mut decode: impl FnMut(u16, &[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, NetlinkError> {
        for attempt in 0..MAX_DUMP_TRIES {
            let sequence = self.next_sequence();
            let bytes = request.clone().finish(sequence, NLM_F_REQUEST | NLM_F_DUMP);
            let (mut items, mut malformed) = (Vec::new(), None);
            let result = self.send(&bytes).and_then(|()| {
                self.collect_into(sequence, |kind, payload| match decode(kind, payload) {
                    Ok(item) => items.extend(item),
                    Err(error) => malformed = malformed.or(Some(error)),
                })
            });
            let interrupted = self.conclude(result, context)?;
            if let Some(error) = malformed {
                return Err(NetlinkError::malformed(error, context));
            }
            if !interrupted {
                return Ok(items);
            }
            std::thread::sleep(Duration::from_millis(1 << attempt).min(LONGEST_DUMP_PAUSE));
        }
        Err(NetlinkError {
            errno: libc::EAGAIN,
            message: format!("the table kept changing while it was read, {MAX_DUMP_TRIES} times"),
            context: context.into(),
        })
    }

    /// A dump handed over message by message as it arrives, so that a table need not be held twice. What changed
    /// meanwhile is not asked for again.
    pub fn dump_each(
        &mut self,
        request: &Request,
        context: &str,
        mut visit: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), NetlinkError> {
        let sequence = self.next_sequence();
        let bytes = request.clone().finish(sequence, NLM_F_REQUEST | NLM_F_DUMP);
        let result = self.send(&bytes).and_then(|()| self.hand_over(sequence, &mut visit));
        self.conclude(result, context)
    }

    /// Requests in few sends, performed by the kernel in order; one result each, in order. A refused request does
    /// not stop the others. `context` says what request number n was about. If the way to the kernel breaks, all
    /// requests without a result get that error: whether they were performed is unknown, so look (dump) again.
    pub fn batch(
        &mut self,
        requests: Vec<Request>,
        context: impl Fn(usize) -> String,
    ) -> Vec<Result<(), NetlinkError>> {
        self.batch_with(requests, Acknowledged::Each, context)
    }

    /// The same, for requests of which the kernel keeps no verdict to itself: it says which are refused, and of each send
    /// that the last is done. Each acknowledgement is a system call to read it, which costs as much as the change.
    pub fn batch_of_few_words(
        &mut self,
        requests: Vec<Request>,
        context: impl Fn(usize) -> String,
    ) -> Vec<Result<(), NetlinkError>> {
        self.batch_with(requests, Acknowledged::Last, context)
    }

    fn batch_with(
        &mut self,
        requests: Vec<Request>,
        acknowledged_are: Acknowledged,
        context: impl Fn(usize) -> String,
    ) -> Vec<Result<(), NetlinkError>> {
        let total = requests.len();
        let mut results = Vec::with_capacity(total);
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let first = self.sequence.wrapping_add(1);
            let mut bytes = Vec::new();
            let mut count = 0;
            while let Some(request) = requests.next() {
                count += 1;
                let full = count == MAX_BATCH || bytes.len() + request.size() >= MAX_BATCH_OCTETS;
                let last = full || requests.peek().is_none();
                let asks = last || acknowledged_are == Acknowledged::Each;
                let acknowledge = if asks { NLM_F_ACK } else { 0 };
                bytes.extend(request.finish(self.next_sequence(), NLM_F_REQUEST | acknowledge));
                if last {
                    break;
                }
            }
            let mut acknowledged = vec![None; count];
            let unsaid = acknowledged_are.unsaid();
            let outcome =
                self.send(&bytes).and_then(|()| self.acknowledgements(first, &unsaid, &mut acknowledged));
            for result in acknowledged {
                let index = results.len();
                results.push(match (result, &outcome) {
                    (Some(Ok(())), _) => Ok(()),
                    (Some(Err((errno, words))), _) => Err(refusal(errno, words, context(index))),
                    (None, Err(failure)) => Err(lost(failure, context(index))),
                    (None, Ok(())) => Err(lost(&Failure::Transport(libc::EBADMSG), context(index))),
                });
            }
            if let Err(failure) = outcome {
                results.extend((results.len()..total).map(|index| Err(lost(&failure, context(index)))));
                self.reopen();
                break;
            }
        }
        results
    }

    /// Requests that are performed together or not at all (nfnetlink's batches): `requests` begin and end with the
    /// messages that open and close the batch, only the one before the last is acknowledged. The first refusal is
    /// the result.
    pub fn transaction(&mut self, requests: Vec<Request>, context: &str) -> Result<(), NetlinkError> {
        let Some(judged) = requests.len().checked_sub(2) else { return Ok(()) };
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for (number, request) in requests.into_iter().enumerate() {
            let acknowledge = if number == judged { NLM_F_ACK } else { 0 };
            bytes.extend(request.finish(self.next_sequence(), NLM_F_REQUEST | acknowledge));
        }
        crate::sys::process::grow_send_buffer(&self.socket, bytes.len().saturating_mul(2));
        let last = first.wrapping_add(u32::try_from(judged).unwrap_or(u32::MAX));
        let result = self.send(&bytes).and_then(|()| self.judgement(first, last));
        self.conclude(result, context)
    }

    /// Read until the request `last` has its verdict, or the opening message `first` was refused.
    fn judgement(&mut self, first: u32, last: u32) -> Result<(), Failure> {
        let mut refusal = None;
        loop {
            self.receive()?;
            for message in messages(&self.buffer) {
                let message = message.map_err(|_| Failure::Transport(libc::EBADMSG))?;
                let ours = message.sequence.wrapping_sub(first) <= last.wrapping_sub(first);
                if message.kind != NLMSG_ERROR || !ours {
                    continue;
                }
                if let Err((errno, words)) = verdict(&message)? {
                    refusal.get_or_insert(Failure::Refused(errno, words));
                }
                let opening = message.sequence == first && refusal.is_some();
                if message.sequence == last || opening {
                    return refusal.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        loop {
            match self.socket.send_to(bytes, &netlink_sys::SocketAddr::new(0, 0), 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Transport(errno_of(&error))),
            }
        }
    }

    /// Read until the answer to `sequence` is complete: its data messages, and whether a dump was interrupted.
    fn collect(&mut self, sequence: u32) -> Result<(Vec<Answer>, bool), Failure> {
        let mut answers = Vec::new();
        let interrupted = self.collect_into(sequence, |kind, payload| {
            answers.push(Answer { kind, payload: payload.to_vec() });
        })?;
        Ok((answers, interrupted))
    }

    /// As [`NetlinkSocket::collect`], handing each data message to `take`.
    fn collect_into(&mut self, sequence: u32, mut take: impl FnMut(u16, &[u8])) -> Result<bool, Failure> {
        let mut count = 0;
        let mut interrupted = false;
        loop {
            self.receive()?;
            for message in messages(&self.buffer) {
                let message = message.map_err(|_| Failure::Transport(libc::EBADMSG))?;
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        return match verdict(&message)? {
                            Ok(()) => Ok(interrupted),
                            Err((errno, words)) => Err(Failure::Refused(errno, words)),
                        };
                    }
                    kind if kind >= NLMSG_MIN_TYPE => {
                        if count >= MAX_DUMP_MESSAGES {
                            return Err(Failure::Transport(libc::EMSGSIZE));
                        }
                        count += 1;
                        take(kind, message.payload);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Read until the dump `sequence` is complete.
    fn hand_over(
        &mut self,
        sequence: u32,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        loop {
            self.receive()?;
            for message in messages(&self.buffer) {
                let message = message.map_err(|_| Failure::Transport(libc::EBADMSG))?;
                if message.sequence != sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        return verdict(&message)?.map_err(|(errno, words)| Failure::Refused(errno, words));
                    }
                    kind if kind >= NLMSG_MIN_TYPE => {
                        visit(message.payload).map_err(|_| Failure::Transport(libc::EBADMSG))?;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Read until every request from `first` on has its verdict: `unsaid` where a later one has its own before.
    fn acknowledgements(
        &mut self,
        first: u32,
        unsaid: &Verdict,
        results: &mut [Option<Verdict>],
    ) -> Result<(), Failure> {
        let mut missing = results.len();
        while missing > 0 {
            self.receive()?;
            for message in messages(&self.buffer) {
                let message = message.map_err(|_| Failure::Transport(libc::EBADMSG))?;
                let index = message.sequence.wrapping_sub(first) as usize;
                if message.kind == NLMSG_ERROR
                    && let Some(slot @ None) = results.get_mut(index)
                {
                    *slot = Some(verdict(&message)?);
                    missing -= 1;
                    // Verdicts come in order.
                    for skipped in results.iter_mut().take(index).filter(|slot| slot.is_none()) {
                        *skipped = Some(unsaid.clone());
                        missing -= 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// The next datagram from the kernel, into the buffer.
    fn receive(&mut self) -> Result<(), Failure> {
        loop {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, libc::MSG_TRUNC) {
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok((length, _)) if length > self.buffer.len() => {
                    return Err(Failure::Transport(libc::EMSGSIZE));
                }
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Failure::Transport(libc::ETIMEDOUT));
                }
                Err(error) => return Err(Failure::Transport(errno_of(&error))),
            }
        }
    }

    fn conclude<T>(&mut self, result: Result<T, Failure>, context: &str) -> Result<T, NetlinkError> {
        result.map_err(|failure| match failure {
            Failure::Refused(errno, words) => refusal(errno, words, context.into()),
            Failure::Transport(_) => {
                self.reopen();
                lost(&failure, context.into())
            }
        })
    }

    /// After a broken exchange the old socket may still hold half an answer or an unfinished dump: start afresh.
    fn reopen(&mut self) {
        if let Ok(socket) = open(self.protocol) {
            self.socket = socket;
        }
    }
}

fn open(protocol: isize) -> io::Result<netlink_sys::Socket> {
    let mut socket = netlink_sys::Socket::new(protocol)?;
    socket.bind_auto()?;
    // Each of these only improves messages or checks; kernels without them (before 4.20) still answer.
    let _ = (socket.set_ext_ack(true), socket.set_cap_ack(true), socket.set_netlink_get_strict_chk(true));
    crate::sys::process::grow_receive_buffer(&socket, RECEIVE_BUFFER);
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(ANSWER_LIMIT_SECONDS))?;
    Ok(socket)
}

/// NLMSG_ERROR and NLMSG_DONE start with the negative errno; extended ACK attributes may follow.
pub(super) fn verdict(message: &Message<'_>) -> Result<Verdict, Failure> {
    let Some((code, rest)) = message.payload.split_first_chunk::<4>() else {
        // Old kernels end a dump with an empty NLMSG_DONE.
        return if message.kind == NLMSG_DONE { Ok(Ok(())) } else { Err(Failure::Transport(libc::EBADMSG)) };
    };
    let errno = i32::from_ne_bytes(*code).saturating_neg();
    if errno <= 0 {
        return Ok(Ok(()));
    }
    let words = (message.flags & NLM_F_ACK_TLVS != 0).then(|| extended_ack(message, rest)).flatten();
    Ok(Err((errno, words)))
}

/// The text of an extended ACK. It follows the header of the request, or the whole request if that is not capped.
fn extended_ack(message: &Message<'_>, rest: &[u8]) -> Option<String> {
    let skipped = if message.kind == NLMSG_DONE {
        0
    } else {
        let request_length = u32::from_ne_bytes(*rest.first_chunk::<4>()?) as usize;
        let capped = message.flags & NLM_F_CAPPED != 0;
        if capped { super::message::HEADER } else { request_length.checked_next_multiple_of(4)? }
    };
    let is_text = |attribute: &Attribute<'_>| attribute.kind == NLMSGERR_ATTR_MSG;
    attributes(rest.get(skipped..)?).flatten().find(is_text).map(|attribute| attribute.text())
}

fn refusal(errno: i32, words: Option<String>, context: String) -> NetlinkError {
    NetlinkError { errno, message: words.unwrap_or_else(|| explain(errno)), context }
}

fn lost(failure: &Failure, context: String) -> NetlinkError {
    match failure {
        Failure::Refused(errno, words) => refusal(*errno, words.clone(), context),
        Failure::Transport(errno) => {
            let why = explain(*errno);
            let message =
                format!("the kernel's answer did not arrive ({why}); it is not known what was done");
            NetlinkError { errno: *errno, message, context }
        }
    }
}

/// What an errno means, with the usual remedy.
fn explain(errno: i32) -> String {
    let text = Errno::from_raw(errno).desc();
    match errno {
        libc::EPERM | libc::EACCES => format!("{text} (this needs CAP_NET_ADMIN in the network namespace)"),
        libc::EAFNOSUPPORT => format!("{text} (is the address family disabled in this kernel?)"),
        _ => text.into(),
    }
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(flags: u16, parts: &[&[u8]]) -> Option<(i32, Option<String>)> {
        let payload = parts.concat();
        let message = Message { kind: NLMSG_ERROR, flags, sequence: 1, payload: &payload };
        match verdict(&message) {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(refusal),
            Err(_) => panic!("transport failure"),
        }
    }

    /// NLMSGERR_ATTR_MSG "no such thing", after an NLMSGERR_ATTR_OFFS.
    fn words() -> Vec<u8> {
        let mut request = Request::new(0, 0, &[]);
        request.attribute(2, &[0; 4]).text(NLMSGERR_ATTR_MSG, "no such thing");
        request.payload().to_vec()
    }

    #[test]
    fn a_zero_code_is_an_acknowledgement() {
        assert_eq!(refused(0, &[&0i32.to_ne_bytes(), &[0; 16]]), None);
    }

    #[test]
    fn the_kernels_words_are_found_behind_a_capped_and_an_uncapped_request() {
        let code = (-libc::EINVAL).to_ne_bytes();
        let expected = Some((libc::EINVAL, Some("no such thing".to_string())));
        assert_eq!(refused(NLM_F_ACK_TLVS | NLM_F_CAPPED, &[&code, &[0xff; 16], &words()]), expected);
        let request = [&21u32.to_ne_bytes()[..], &[0; 20]].concat();
        assert_eq!(refused(NLM_F_ACK_TLVS, &[&code, &request, &words()]), expected);
    }

    #[test]
    fn an_error_without_words_or_with_broken_ones_still_has_its_errno() {
        let code = (-libc::EPERM).to_ne_bytes();
        assert_eq!(refused(0, &[&code, &[0; 16]]), Some((libc::EPERM, None)));
        assert_eq!(refused(NLM_F_ACK_TLVS, &[&code]), Some((libc::EPERM, None)));
        assert_eq!(refused(NLM_F_ACK_TLVS, &[&code, &[0xff; 30]]), Some((libc::EPERM, None)));
        assert!(refused(0, &[&i32::MIN.to_ne_bytes()]).is_some());
    }

    #[test]
    fn an_error_message_reads_as_a_sentence() {
        let error = NetlinkError::new(libc::EPERM, "cannot add 192.0.2.1/24 to interface 3");
        assert_eq!(
            error.to_string(),
            "cannot add 192.0.2.1/24 to interface 3: Operation not permitted \
             (this needs CAP_NET_ADMIN in the network namespace)"
        );
    }
}
