//! What the words after a keyword mean: type, unit, range.

use super::Place;

/// How the words after a keyword are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing is read; more words are overlooked.
    Flag,
    /// A boolean; bare means yes.
    Bool,
    /// A decimal number from the first to the second.
    Number(i64, i64),
    /// As [`Shape::Number`], in any base as C writes them.
    AnyBase(i64, i64),
    /// As [`Shape::Number`], and may be absent.
    MaybeNumber(i64, i64),
    /// A number that is brought into the range when it is outside.
    Clamped(i64, i64),
    /// A number of this magnitude; one more is cut to it.
    Cut(i64),
    /// Whole seconds.
    Seconds(u32, u32),
    /// Decimal seconds; the range in microseconds.
    Decimal(u64, u64),
    /// Decimal milliseconds; the range in microseconds.
    Millis(u64, u64),
    /// `[all] SECONDS`.
    ExtraInterface,
    /// One word.
    Text,
    /// One word or none.
    MaybeText,
    /// All words of the line.
    Words,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, in any case.
    AnyCase(&'static [&'static str]),
    /// One of these words, or none.
    MaybeOneOf(&'static [&'static str]),
    /// An address.
    Address,
    /// An address with an optional prefix length, or `default`, `any`, `all`.
    Prefix,
    /// The name of an interface.
    Interface,
    /// A command, then the user and group that run it.
    Command,
    /// A regular expression: escapes are decoded as in a command.
    Pattern,
    /// As [`Shape::Command`], or nothing.
    MaybeCommand,
    /// A user, then a group.
    User,
    /// A number of this magnitude at most, then `reverse` or `noreverse`.
    Weight(i64),
    /// Bytes in hexadecimal, `X` for any digit where that is allowed.
    Hex,
    /// A name from iproute2's tables, or a number up to this.
    Named(i64),
    /// `[lock] N`.
    Locked,
    /// `[inet|inet6] ADDRESS`.
    Gateway,
    /// `START-END`.
    Span,
    /// `[FROM/]TO`, names or numbers up to 255.
    Realms,
    /// `N[/MASK]`.
    Mark,
    /// All words up to the end of the line.
    Rest,
    /// The options of a macvlan.
    Vmac,
    /// The options of an ipvlan.
    Ipvlan,
    /// The number of a key, then the key.
    HmacKey,
    /// The interface and the options of the IPVS synchronisation daemon.
    SyncDaemon,
    /// Timeouts of IPVS connections.
    Timeouts,
    /// Words with a sign before them.
    IncludeCheck,
    /// Words that the table lists at this place.
    Names(Place),
}

/// The largest values of C's types.
pub(super) const I32: i64 = i32::MAX as i64;
pub(super) const U32: i64 = u32::MAX as i64;
/// A second in microseconds.
pub(super) const SECOND: u64 = 1_000_000;
/// More than any time that a configuration means.
pub(super) const EVER: u64 = 4_294_967_295 * SECOND;
