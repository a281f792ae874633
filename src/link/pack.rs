//! Long text that repeats itself, kept small: the plan of four thousand routers is four megabytes of JSON in which
//! one router differs from the next in its name, number and addresses.
//!
//! The packed form is a row of pieces. An octet below 128: so many octets less one, as they are. 128 to 254: so many
//! less 124 octets that were there before. 255: the same with the number in two octets. After the number of a repetition, how far
//! back it is in three octets. All numbers are big-endian.

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

/// Packed octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Pack `octets`.
    pub fn new(octets: &[u8]) -> Packed {
        let mut out = Vec::new();
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

    /// The octets that were packed.
    pub fn unpack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = &*self.0;
        // What `new` wrote reads back; anything else ends early.
        while let Some(after) = read_piece(rest, &mut out) {
            rest = after;
        }
        out
    }

    /// Octets that it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
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
    for at in from..from + length {
        // A repetition may reach into itself: `back` is not 0, so the octet is there.
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
        assert_eq!(packed.unpack(), text.as_bytes());
        assert!(packed.size() * 20 < text.len(), "{} of {}", packed.size(), text.len());
    }

    #[test]
    fn repetitions_of_any_length_come_back() {
        for length in [0, 1, 5, 6, 7, 127, 128, 129, 130, 131, 132, 1000, 65_535, 65_536, 140_000] {
            let octets = [&b"0123456789"[..], &vec![7; length], b"0123456789"].concat();
            assert_eq!(Packed::new(&octets).unpack(), octets, "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..8),
            order in proptest::collection::vec(0usize..8, 0..200),
        ) {
            let octets: Vec<u8> = order.iter().flat_map(|n| words[n % words.len()].clone()).collect();
            prop_assert_eq!(Packed::new(&octets).unpack(), octets);
        }

        #[test]
        fn any_octets_unpack_to_something(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            Packed(octets.into_boxed_slice()).unpack();
        }
    }
}
