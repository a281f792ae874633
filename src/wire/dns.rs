//! A DNS question and the head of its answer (RFC 1035 section 4.1).

/// Octets of the header.
const HEADER: usize = 12;

/// Recursion desired.
const RD: u8 = 0x01;

/// This is a response.
const QR: u8 = 0x80;

/// Class IN.
const IN: u16 = 1;

/// The longest name on the wire (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// The longest label.
const MAX_LABEL: usize = 63;

/// The record types that `DNS_CHECK` knows.
const TYPES: [(&str, u16); 9] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("RRSIG", 46),
    ("DNSKEY", 48),
];

/// The number of a record type, in any case.
pub fn record_type(name: &str) -> Option<u16> {
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The name of such a number.
pub fn type_name(number: u16) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == number).map_or("unknown", |(name, _)| name)
}

/// The message that asks for records of `record_type` of `name` (`.` or nothing is the root); `None` when the name has
/// no form on the wire.
pub fn query(id: u16, name: &str, record_type: u16) -> Option<Vec<u8>> {
    let [high, low] = id.to_be_bytes();
    let mut message = vec![high, low, RD, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.is_empty() {
        for label in name.split('.') {
            let length =
                u8::try_from(label.len()).ok().filter(|n| (1..=MAX_LABEL).contains(&usize::from(*n)))?;
            message.push(length);
            message.extend_from_slice(label.as_bytes());
        }
    }
    message.push(0);
    if message.len() - HEADER > MAX_NAME {
        return None;
    }
    message.extend_from_slice(&record_type.to_be_bytes());
    message.extend_from_slice(&IN.to_be_bytes());
    Some(message)
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the question.
    pub id: u16,
    /// Is it an answer at all?
    pub is_response: bool,
    /// RCODE, 0 to 15.
    pub code: u8,
    /// Records in the answer section, as the header says.
    pub answers: u16,
}

impl Answer {
    /// Reads the header; `None` when there is less than one.
    pub fn decode(message: &[u8]) -> Option<Answer> {
        let [a, b, flags, more, _, _, high, low, ..] = message else { return None };
        (message.len() >= HEADER).then_some(Answer {
            id: u16::from_be_bytes([*a, *b]),
            is_response: flags & QR != 0,
            code: more & 0x0f,
            answers: u16::from_be_bytes([*high, *low]),
        })
    }
}

/// The name of an RCODE (RFC 1035 4.1.1, RFC 2136 2.2).
pub fn code_name(code: u8) -> &'static str {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
        "NOTAUTH", "NOTZONE",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("an unknown error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_one_of_rfc_1035() {
        let message = query(0x1234, "www.Example.org.", 28).expect("a name");
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07Example\x03org\0\0\x1c\0\x01";
        assert_eq!(message, expected);
        let root = query(0, ".", 6).expect("the root");
        assert_eq!(&root[12..], b"\0\0\x06\0\x01");
        assert_eq!(query(0, "", 6), query(0, ".", 6));
    }

    #[test]
    fn names_without_a_form_on_the_wire_are_refused() {
        let long = "a".repeat(64);
        let many = vec!["a".repeat(63); 4].join(".");
        for name in ["a..b", long.as_str(), many.as_str(), ".."] {
            assert_eq!(query(0, name, 1), None, "{name}");
        }
        assert!(query(0, &"a".repeat(63), 1).is_some());
    }

    #[test]
    fn an_answer_is_known_by_its_head() {
        let answer = |flags, code| [0x12, 0x34, flags, code, 0, 1, 0, 2, 0, 0, 0, 0];
        let read = Answer::decode(&answer(0x81, 0x83)).expect("a header");
        assert_eq!((read.id, read.is_response, read.code, read.answers), (0x1234, true, 3, 2));
        assert!(!Answer::decode(&answer(0x01, 0)).expect("a header").is_response);
        for length in 0..12 {
            assert_eq!(Answer::decode(&answer(0x81, 0)[..length]), None);
        }
        assert_eq!((code_name(2), code_name(15)), ("SERVFAIL", "an unknown error"));
    }
}
