//! As much of a certificate (RFC 5280 section 4.1) as a health check shows: when it ends.

use std::time::Duration;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// notAfter of a DER certificate, since 1970; `None` for what is not one, or for an end before 1970.
pub fn not_after(certificate: &[u8]) -> Option<Duration> {
    let (certificate, _) = inside(certificate, SEQUENCE)?;
    let (mut body, _) = inside(certificate, SEQUENCE)?;
    if body.first() == Some(&VERSION) {
        (_, body) = inside(body, VERSION)?;
    }
    (_, body) = inside(body, INTEGER)?; // serialNumber
    (_, body) = inside(body, SEQUENCE)?; // signature
    (_, body) = inside(body, SEQUENCE)?; // issuer
    let (validity, _) = inside(body, SEQUENCE)?;
    let (_, _, rest) = element(validity)?; // notBefore
    let (tag, end, _) = element(rest)?;
    time(tag, end)
}

/// The content of the element of this tag at the front, and what follows it.
fn inside(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content and rest. Lengths of more than four octets are no certificate's.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                octets
                    .iter()
                    .try_fold(0usize, |sum, octet| Some(sum.checked_mul(256)? | usize::from(*octet)))?,
                rest,
            )
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<Duration> {
    let text = text.strip_suffix(b"Z")?;
    let number = |from: usize, length: usize| -> Option<u64> {
        let digits = text.get(from..from + length)?;
        digits.iter().try_fold(0u64, |n, d| d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0')))
    };
    let (year, at) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let short = number(0, 2)?;
            (if short < 50 { 2000 + short } else { 1900 + short }, 2)
        }
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at, 2)?, number(at + 2, 2)?);
    let (hour, minute, second) = (number(at + 4, 2)?, number(at + 6, 2)?, number(at + 8, 2)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    Some(Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

/// Days from 1970 to the first of this month.
fn days_before(year: u64, month: u64) -> u64 {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE.get(month.saturating_sub(1) as usize).copied().unwrap_or(0);
    years + before + u64::from(month > 2 && leap(year))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len() as u16;
        let mut out = vec![tag, 0x82, (length >> 8) as u8, length as u8];
        out.extend_from_slice(content);
        out
    }

    /// A certificate with nothing in it but its times.
    fn certificate(version: bool, end: &[u8]) -> Vec<u8> {
        let mut body = if version { tlv(VERSION, &tlv(INTEGER, &[2])) } else { Vec::new() };
        body.extend(tlv(INTEGER, &[1]));
        body.extend(tlv(SEQUENCE, &[]));
        body.extend(tlv(SEQUENCE, &[]));
        let validity = [tlv(UTC_TIME, b"200101000000Z"), end.to_vec()].concat();
        body.extend(tlv(SEQUENCE, &validity));
        tlv(SEQUENCE, &tlv(SEQUENCE, &body))
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        #[rustfmt::skip]
        let cases: [(u8, &[u8], Option<u64>); 7] = [
            (UTC_TIME, b"700101000000Z", Some(0)),
            (UTC_TIME, b"491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, b"20260228120000Z", Some(1_772_280_000)),
            (GENERALIZED_TIME, b"20240301000000Z", Some(1_709_251_200)),
            (GENERALIZED_TIME, b"99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, b"501301000000Z", None),
            (GENERALIZED_TIME, b"20260228120000", None),
        ];
        for (tag, text, expected) in cases {
            for version in [false, true] {
                let found = not_after(&certificate(version, &tlv(tag, text)));
                assert_eq!(found.map(|end| end.as_secs()), expected, "{}", String::from_utf8_lossy(text));
            }
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(
            mut octets in proptest::collection::vec(any::<u8>(), 0..80),
            at in any::<prop::sample::Index>(),
            value: u8,
        ) {
            let _any = not_after(&octets);
            octets = certificate(true, &tlv(UTC_TIME, b"491231235959Z"));
            let place = at.index(octets.len());
            octets[place] = value;
            let _changed = not_after(&octets);
            let _cut = not_after(&octets[..place]);
        }
    }
}
