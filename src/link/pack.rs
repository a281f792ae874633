//! Long text that repeats itself, kept small: the plan of four thousand routers is four megabytes of JSON in which
//! one router differs from the next in its name, number and addresses.
//!
//! The packed form is a row of pieces. An octet below 128: so many octets less one, as they are. 128 to 254: so many
//! less 124 octets that were there before. 255: the same with the number in two octets. After the number of a repetition, how far
//! back it is in three octets. All numbers are big-endian. Before the first piece: how long the text is, in four octets.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Shortest repetition: below, the piece is longer than what it stands for.
const SHORTEST: usize = 6;

/// Most that the short form of a repetition can say.
const SHORT_FORM: usize = 254 - 124;

/// Most that the long form can say.
const LONGEST: usize = u16::MAX as usize;

/// How far back a repetition may be: a plan of 10,000 routers in another order than the last.
const FARTHEST: usize = (1 << 24) - 1;

/// Places of earlier octets that are remembered.
const PLACES: usize = 1 << 14;

/// Room that is made at once for what unpacks, as a multiple of what is packed: a short text that claims to be long gets
/// more as it grows.
const FIRST_ROOM: usize = 64;

/// Packed octets; base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

/// What should unpack is not what was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed octets do not unpack")]
pub struct Torn;

impl Packed {
    /// Pack `octets`, less than 4 GiB.
    pub fn new(octets: &[u8]) -> Packed {
        let mut out = u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        let mut places = vec![usize::MAX; PLACES];
        let (mut at, mut plain_from) = (0, 0);
        while let Some(next) = octets.get(at..at + SHORTEST) {
            let Some(place) = places.get_mut(place_of(next)) else { break };
            let before = std::mem::replace(place, at);
            let length = if at.checked_sub(before).is_some_and(|back| back <= FARTHEST) {
                common(octets, before, at)
            } else {
                0
            };
            if length < SHORTEST {
                at += 1;
                continue;
            }
            put_plain(&mut out, octets.get(plain_from..at).unwrap_or_default());
            put_repetition(&mut out, length, at - before);
            at += length;
            plain_from = at;
        }
        put_plain(&mut out, octets.get(plain_from..).unwrap_or_default());
        Packed(out.into_boxed_slice())
    }

    /// The octets that were packed, `limit` at most.
    pub fn unpack(&self, limit: usize) -> Result<Vec<u8>, Torn> {
        unpack(&self.0, limit)
    }

    /// As they lie.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// What [`Packed::octets`] were, `limit` at most.
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Torn> {
    let (length, mut rest) = packed.split_first_chunk::<4>().ok_or(Torn)?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > limit {
        return Err(Torn);
    }
    let mut out = Vec::with_capacity(length.min(packed.len().saturating_mul(FIRST_ROOM)));
    while !rest.is_empty() {
        rest = read_piece(rest, &mut out).filter(|_| out.len() <= length).ok_or(Torn)?;
    }
    if out.len() == length { Ok(out) } else { Err(Torn) }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&base64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Packed, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        from_base64(text.as_bytes()).map(Packed).ok_or_else(|| D::Error::custom("not base64"))
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 4, without padding.
fn base64(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for three in octets.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let digits = (0..=three.len()).map(|n| DIGITS[(bits >> (18 - 6 * n) & 63) as usize]); // six bits are below 64
        text.extend(digits.map(char::from));
    }
    text
}

fn from_base64(text: &[u8]) -> Option<Box<[u8]>> {
    let mut octets = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for four in text.chunks(4) {
        let mut bits = 0;
        for n in 0..4 {
            let value = match four.get(n) {
                Some(digit) => value_of(*digit)?,
                None => 0,
            };
            bits = bits << 6 | value;
        }
        let whole = four.len().checked_sub(1).filter(|whole| *whole > 0)?;
        octets.extend_from_slice(bits.to_be_bytes().get(1..1 + whole)?);
    }
    Some(octets.into_boxed_slice())
}

fn value_of(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

fn place_of(octets: &[u8]) -> usize {
    let sum = octets.iter().fold(0u64, |sum, octet| (sum << 8) | u64::from(*octet));
    usize::try_from(sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50).unwrap_or(0) % PLACES
}

/// How many octets from `before` on are the same as from `at` on.
fn common(octets: &[u8], before: usize, at: usize) -> usize {
    let (earlier, later) = (octets.iter().skip(before), octets.iter().skip(at));
    earlier.zip(later).take(LONGEST).take_while(|(a, b)| a == b).count()
}

fn put_plain(out: &mut Vec<u8>, octets: &[u8]) {
    for part in octets.chunks(128) {
        out.push(u8::try_from(part.len() - 1).expect("a part has 1 to 128 octets"));
        out.extend_from_slice(part);
    }
}

fn put_repetition(out: &mut Vec<u8>, length: usize, back: usize) {
    match u8::try_from(length + 124) {
        Ok(short) if length <= SHORT_FORM => out.push(short),
        _ => {
            out.push(255);
            out.extend(u16::try_from(length).expect("at most LONGEST").to_be_bytes());
        }
    }
    let back = u32::try_from(back).expect("at most FARTHEST").to_be_bytes();
    out.extend_from_slice(&back[1..]);
}

fn read_piece<'a>(packed: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (first, rest) = packed.split_first()?;
    if let 0..128 = *first {
        let (plain, rest) = rest.split_at_checked(usize::from(*first) + 1)?;
        out.extend_from_slice(plain);
        return Some(rest);
    }
    let (length, rest) = match *first {
        255 => {
            let (long, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*long)), rest)
        }
        short => (usize::from(short) - 124, rest),
    };
    let ([high, middle, low], rest) = rest.split_first_chunk::<3>()?;
    let back = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
    let from = out.len().checked_sub(back)?;
    if length <= back {
        out.extend_from_within(from..from + length);
        return Some(rest);
    }
    for at in from..from + length {
        // A repetition may reach into itself: where `back` is not 0, the octet is there.
        out.push(*out.get(at)?);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_of_almost_equal_things_becomes_a_twentieth() {
        let router = |n: u32| {
            format!(
                "{{\"name\":\"r{n}\",{},\"address\":\"10.1.{}.{}\"}}",
                "\"x\":null,".repeat(90),
                n >> 8,
                n & 255
            )
        };
        let text: String = (0..4000).map(router).collect();
        let packed = Packed::new(text.as_bytes());
        assert_eq!(packed.unpack(text.len()).expect("it was packed"), text.as_bytes());
        let size = packed.octets().len();
        assert!(size * 20 < text.len(), "{size} of {}", text.len());
        assert_eq!(packed.unpack(text.len() - 1), Err(Torn), "over the limit");
        assert_eq!(unpack(&packed.octets()[..size - 1], text.len()), Err(Torn), "cut short");
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (octets, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(octets.as_bytes()), text);
            assert_eq!(from_base64(text.as_bytes()).as_deref(), Some(octets.as_bytes()));
        }
        assert_eq!(from_base64(b"Z"), None);
    }

    #[test]
    fn repetitions_of_any_length_come_back() {
        for length in [0, 1, 5, 6, 7, 127, 128, 129, 130, 131, 132, 1000, 65_535, 65_536, 140_000] {
            let octets = [&b"0123456789"[..], &vec![7; length], b"0123456789"].concat();
            assert_eq!(Packed::new(&octets).unpack(octets.len()), Ok(octets), "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..8),
            order in proptest::collection::vec(0usize..8, 0..200),
        ) {
            let octets: Vec<u8> = order.iter().flat_map(|n| words[n % words.len()].clone()).collect();
            let packed = Packed::new(&octets);
            prop_assert_eq!(packed.unpack(octets.len()), Ok(octets));
            let text = serde_json::to_string(&packed).expect("a string");
            prop_assert_eq!(serde_json::from_str::<Packed>(&text).expect("base64"), packed);
        }

        #[test]
        fn any_octets_unpack_within_the_limit_or_not(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(unpacked) = unpack(&octets, 1000) {
                prop_assert!(unpacked.len() <= 1000);
            }
        }

        #[test]
        fn any_text_is_base64_or_not(text in "[A-Za-z0-9+/=]{0,20}") {
            if let Some(octets) = from_base64(text.as_bytes()) {
                prop_assert_eq!(from_base64(base64(&octets).as_bytes()), Some(octets));
            }
        }
    }
}
