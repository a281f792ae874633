//! Reads what packets are made of.

use super::{Malformed, Oid, Range};

/// What a prefix of an object identifier stands for (RFC 2741, 5.1).
const INTERNET: [u32; 4] = [1, 3, 6, 1];

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    network_order: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8], network_order: bool) -> Reader<'a> {
        Reader { rest, network_order }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        let octets = self.take()?;
        Ok(if self.network_order { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) })
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let octets = self.take()?;
        Ok(if self.network_order { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
    }

    /// An object identifier, and if it is included.
    fn oid(&mut self) -> Result<(Oid, bool), Malformed> {
        let [count, prefix, include, _] = self.take()?;
        let mut numbers = Vec::with_capacity(usize::from(count) + INTERNET.len() + 1);
        if prefix != 0 {
            numbers.extend(INTERNET);
            numbers.push(prefix.into());
        }
        for _ in 0..count {
            numbers.push(self.u32()?);
        }
        Ok((Oid(numbers), include != 0))
    }

    /// All that is left, as ranges.
    pub(super) fn ranges(&mut self) -> Result<Vec<Range>, Malformed> {
        let mut ranges = Vec::new();
        while !self.rest.is_empty() {
            let (start, include) = self.oid()?;
            let (end, _) = self.oid()?;
            ranges.push(Range { start, include, end });
        }
        Ok(ranges)
    }
}
