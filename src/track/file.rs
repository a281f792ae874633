//! What a tracked file says.

/// Octets of a file that are looked at: a number is no longer.
pub const MAX_NUMBER: usize = 128;

/// The number at the start of a file, as strtol(3) with base 0 reads it: white space, a sign, decimal, `0x` or octal; what
/// follows does not count, and a file without a number says 0. Beyond i32 the nearest number counts.
pub fn parse(octets: &[u8]) -> i32 {
    let octets = octets.trim_ascii_start();
    let (negative, digits) = match octets {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, octets),
    };
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (16, rest),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let values = digits.iter().map_while(|digit| char::from(*digit).to_digit(base));
    let magnitude =
        values.fold(0_i64, |sum, digit| sum.saturating_mul(i64::from(base)).saturating_add(i64::from(digit)));
    let value = if negative { -magnitude } else { magnitude };
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32 // it was brought into the range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_keepalived_reads_them() {
        let table = [
            ("", 0),
            ("\n", 0),
            ("5", 5),
            ("5\n", 5),
            ("  -7 percent", -7),
            ("+3", 3),
            ("0x1F\n", 31),
            ("0X1f", 31),
            ("0x", 0),
            ("010", 8),
            ("089", 0),
            ("-0x10", -16),
            ("word", 0),
            ("12word", 12),
            ("99999999999999999999999999", i32::MAX),
            ("-99999999999999999999999999", i32::MIN),
            ("- 5", 0),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(parse(&[0xff, 0, b'5']), 0);
    }
}
