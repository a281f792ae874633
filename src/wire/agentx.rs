//! AgentX (RFC 2741): what a subagent says to its master, and what it hears.
//!
//! Ours are in network byte order and the default context; the master's may be in either order.

mod oid;
mod reader;
mod writer;

pub use oid::Oid;
pub use writer::{close, notify, open, ping, register, respond};

use reader::Reader;
use serde::{Deserialize, Serialize};

/// Octets of a header (6.1).
pub const HEADER_LEN: usize = 20;

/// The largest payload that is taken: a master asks for a few variables at once.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Types of packets (6.1).
mod kind {
    pub const OPEN: u8 = 1;
    pub const CLOSE: u8 = 2;
    pub const REGISTER: u8 = 3;
    pub const GET: u8 = 5;
    pub const GET_NEXT: u8 = 6;
    pub const GET_BULK: u8 = 7;
    pub const TEST_SET: u8 = 8;
    pub const COMMIT_SET: u8 = 9;
    pub const UNDO_SET: u8 = 10;
    pub const CLEANUP_SET: u8 = 11;
    pub const NOTIFY: u8 = 12;
    pub const PING: u8 = 13;
    pub const RESPONSE: u8 = 18;
}

const VERSION: u8 = 1;
const NON_DEFAULT_CONTEXT: u8 = 0x08;
const NETWORK_BYTE_ORDER: u8 = 0x10;

/// What a response says went wrong (6.2.16, and SNMP's own, RFC 3416).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something else.
    General = 5,
    /// The variable cannot be changed.
    NotWritable = 17,
    /// No such context.
    UnsupportedContext = 262,
    /// The packet cannot be read.
    Parse = 266,
}

/// The value of a variable (5.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// INTEGER.
    Integer(i32),
    /// OCTET STRING.
    Octets(Vec<u8>),
    /// OBJECT IDENTIFIER.
    Oid(Oid),
    /// Counter32.
    Counter32(u32),
    /// Gauge32, and Unsigned32.
    Gauge32(u32),
    /// TimeTicks, in hundredths of a second.
    TimeTicks(u32),
    /// Counter64.
    Counter64(u64),
    /// There is no such object here.
    NoSuchObject,
    /// The object has no such instance.
    NoSuchInstance,
    /// There is nothing behind it.
    EndOfMibView,
}

impl Value {
    /// A text.
    pub fn text(text: &str) -> Value {
        Value::Octets(text.as_bytes().to_vec())
    }
}

/// A variable and its value.
pub type VarBind = (Oid, Value);

/// What a master asks for (5.2): with GetNext the first variable behind `start`, or from it on if it is included, and before
/// `end` if that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub start: Oid,
    /// May the answer be `start` itself?
    pub include: bool,
    /// Where it ends.
    pub end: Oid,
}

/// The head of every packet (6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    kind: u8,
    flags: u8,
    /// Which session.
    pub session: u32,
    /// Which request of a manager.
    pub transaction: u32,
    /// Which packet: an answer has the number of its question.
    pub packet: u32,
    /// Octets that follow.
    pub payload: usize,
}

/// Why a packet cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not version 1.
    #[error("AgentX version {0}")]
    Version(u8),
    /// It ends too early.
    #[error("a packet that ends too early")]
    Short,
    /// More than [`MAX_PAYLOAD`].
    #[error("a packet of {0} octets")]
    Long(usize),
}

impl Header {
    /// Reads one.
    pub fn decode(octets: &[u8; HEADER_LEN]) -> Result<Header, Malformed> {
        let [version, kind, flags, _, rest @ ..] = octets;
        if *version != VERSION {
            return Err(Malformed::Version(*version));
        }
        let mut reader = Reader::new(rest, flags & NETWORK_BYTE_ORDER != 0);
        let (session, transaction, packet) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let payload = reader.u32()? as usize;
        if payload > MAX_PAYLOAD {
            return Err(Malformed::Long(payload));
        }
        Ok(Header { kind: *kind, flags: *flags, session, transaction, packet, payload })
    }

    /// Does the master wait for an answer?
    pub const fn is_question(&self) -> bool {
        !matches!(self.kind, kind::RESPONSE | kind::CLOSE | kind::CLEANUP_SET)
    }
}

/// What a master says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer to a packet of ours: the error, 0 for none.
    Response(u16),
    /// The values of these.
    Get(Vec<Range>),
    /// What is next.
    GetNext(Vec<Range>),
    /// What is next, once for the first so many, then over and over.
    GetBulk {
        /// How many are asked for once.
        once: u16,
        /// How often the others.
        times: u16,
        /// All of them.
        ranges: Vec<Range>,
    },
    /// Could variables be changed?
    TestSet,
    /// Change them, or take it back.
    Set,
    /// The end of a change; not answered.
    CleanupSet,
    /// The master closes the session, for the reason of this number.
    Close(u8),
    /// It asks for a context, and there is but one.
    Context,
    /// A packet that no master sends.
    Other(u8),
}

impl Heard {
    /// What the payload behind `header` says.
    pub fn decode(header: &Header, payload: &[u8]) -> Result<Heard, Malformed> {
        let mut reader = Reader::new(payload, header.flags & NETWORK_BYTE_ORDER != 0);
        if header.flags & NON_DEFAULT_CONTEXT != 0 && header.kind != kind::RESPONSE {
            return Ok(Heard::Context);
        }
        Ok(match header.kind {
            kind::RESPONSE => {
                reader.u32()?; // sysUpTime
                Heard::Response(reader.u16()?)
            }
            kind::GET => Heard::Get(reader.ranges()?),
            kind::GET_NEXT => Heard::GetNext(reader.ranges()?),
            kind::GET_BULK => {
                let (once, times) = (reader.u16()?, reader.u16()?);
                Heard::GetBulk { once, times, ranges: reader.ranges()? }
            }
            kind::TEST_SET => Heard::TestSet,
            kind::COMMIT_SET | kind::UNDO_SET => Heard::Set,
            kind::CLEANUP_SET => Heard::CleanupSet,
            kind::CLOSE => Heard::Close(reader.u8()?),
            other => Heard::Other(other),
        })
    }
}

#[cfg(test)]
mod tests;
