//! An answer, piece by piece: its headers, the MD5 of its body, and what is shown of both.

use md5::{Digest, Md5};

/// Octets of headers there is room for, and the most that is read at once: keepalived's buffer less the octet that ends
/// it. Seen in the dump of a long body; longer headers count as an end without data.
pub const ROOM: usize = 4095;

/// How the conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server closed, or there was no room.
    Closed,
    /// Not at all well: the line that is said in place of a hash.
    Broken(&'static str),
}

/// What has come so far.
pub struct Page {
    verbose: bool,
    /// Until they end.
    head: Vec<u8>,
    has_body: bool,
    /// Octets of body that still count.
    left: u64,
    hash: Md5,
    out: Vec<u8>,
}

impl Page {
    /// Nothing has come.
    pub fn new(verbose: bool) -> Page {
        Page { verbose, head: Vec::new(), has_body: false, left: u64::MAX, hash: Md5::new(), out: Vec::new() }
    }

    /// How much may be read next; 0 where headers do not fit.
    pub fn room(&self) -> usize {
        if self.has_body { ROOM } else { ROOM.saturating_sub(self.head.len()) }
    }

    /// Takes what was read at once.
    pub fn take(&mut self, octets: &[u8]) {
        if self.has_body {
            return self.body(octets);
        }
        self.say("-----------------------[    HTTP Header Buffer    ]-----------------------\n");
        self.head.extend_from_slice(octets);
        let Some(blank) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else { return };
        let rest = self.head.split_off(blank + 4); // windows() lie within
        let head = std::mem::take(&mut self.head);
        self.dump(&head);
        self.say("-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n");
        if self.verbose {
            self.out.extend_from_slice(&head);
        }
        self.say("\n");
        self.has_body = true;
        self.left = content_length(&head).unwrap_or(u64::MAX);
        if !rest.is_empty() && self.left > 0 {
            self.say("-----------------------[        HTML Buffer        ]-----------------------\n");
            self.body(&rest);
        }
    }

    fn body(&mut self, octets: &[u8]) {
        let counts = usize::try_from(self.left).map_or(octets.len(), |left| left.min(octets.len()));
        let octets = &octets[..counts]; // at most its length
        self.left -= counts as u64; // at most `left`
        if !octets.is_empty() {
            self.hash.update(octets);
            self.dump(octets);
        }
    }

    /// What to print, and what to complain of.
    pub fn end(mut self, ended: Ended) -> (Vec<u8>, &'static str) {
        if let Ended::Broken(line) = ended {
            self.out.extend_from_slice(format!("{line}\n").as_bytes());
            return (self.out, "");
        }
        let hash: [u8; 16] = std::mem::take(&mut self.hash).finalize().into();
        self.say("\n-----------------------[    HTML hash resulting    ]-----------------------\n");
        self.dump(&hash);
        self.say("-----------------------[ HTML hash final resulting ]-----------------------\n");
        if !self.has_body {
            return (self.out, "no data received from remote webserver\n");
        }
        let digits: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
        self.out.extend_from_slice(format!("{digits}\n").as_bytes());
        (self.out, "")
    }

    fn say(&mut self, line: &str) {
        if self.verbose {
            self.out.extend_from_slice(line.as_bytes());
        }
    }

    /// Sixteen octets a line: offset, hexadecimal digits, characters.
    fn dump(&mut self, octets: &[u8]) {
        if !self.verbose {
            return;
        }
        for (number, line) in octets.chunks(16).enumerate() {
            let mut digits = String::new();
            for at in 0..16 {
                if at == 8 {
                    digits.push_str("- ");
                }
                digits.push_str(&line.get(at).map_or("   ".into(), |octet| format!("{octet:02x} ")));
            }
            let shown = |octet: &u8| if (b' '..=b'~').contains(octet) { char::from(*octet) } else { '.' };
            let characters: String = line.iter().map(shown).collect();
            let text = format!("{:04}  {digits}  {characters:16}\n", number * 16);
            self.out.extend_from_slice(text.as_bytes());
        }
    }
}

/// As keepalived finds it: the first place where these letters stand, whatever header they end; a number and nothing else.
fn content_length(head: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"Content-Length:";
    let at = head.windows(NAME.len()).position(|words| *words == *NAME)?;
    let value = head.get(at + NAME.len()..)?;
    let value = value.get(..value.windows(2).position(|two| two == b"\r\n")?)?;
    std::str::from_utf8(value).ok()?.trim_start().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: &str = "-----------------------[    HTTP Header Buffer    ]-----------------------\n";

    fn hash_of(pieces: &[&[u8]]) -> (String, &'static str) {
        let mut page = Page::new(false);
        pieces.iter().for_each(|piece| page.take(piece));
        let (out, complaint) = page.end(Ended::Closed);
        (String::from_utf8(out).expect("hexadecimal digits").trim_end().to_owned(), complaint)
    }

    #[test]
    fn only_the_promised_octets_are_summed() {
        let (abc, abcdef) = ("900150983cd24fb0d6963f7d28e17f72", "e80b5017098950fc58aad83c8c14978e");
        let cases: [(&[&[u8]], &str); 8] = [
            (&[b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabcdef"], abcdef),
            (&[b"HTTP/1.0 200 OK\r\n\r\nabcdef"], abcdef),
            (&[b"HTTP/1.0 200 OK\r\n\r", b"\nabc", b"def"], abcdef),
            (&[b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nab", b"cdef", b"gh"], abc),
            (&[b"HTTP/1.0 200 OK\r\nX-Content-Length: 3\r\n\r\nabcdef"], abc),
            (&[b"HTTP/1.0 200 OK\r\nContent-Length: 3x\r\n\r\nabcdef"], abcdef),
            (&[b"HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\nabcdef"], abcdef),
            (&[b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\nabcdef"], "d41d8cd98f00b204e9800998ecf8427e"),
        ];
        for (pieces, wanted) in cases {
            assert_eq!(hash_of(pieces), (wanted.into(), ""), "{pieces:?}");
        }
        let nothing = (String::new(), "no data received from remote webserver\n");
        assert_eq!(hash_of(&[]), nothing);
        assert_eq!(hash_of(&[b"HTTP/1.0 200 OK\n\nabc"]), nothing);
    }

    #[test]
    fn octets_are_shown_as_keepalived_shows_them() {
        let mut page = Page::new(true);
        page.take(b"HTTP/1.0 200 OK\r\n\r\n");
        page.take(b"ab\x00");
        let (out, _) = page.end(Ended::Broken("Read error with"));
        let wanted = format!(
            "{TITLE}0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.
0016  0a 0d 0a                -                           ...             
-----------------------[ HTTP Header Ascii Buffer ]-----------------------
HTTP/1.0 200 OK\r\n\r\n
0000  61 62 00                -                           ab.             
Read error with\n"
        );
        assert_eq!(String::from_utf8(out).expect("text"), wanted);
    }

    #[test]
    fn headers_have_a_limit() {
        let mut page = Page::new(false);
        page.take(&[b'x'; ROOM]);
        assert_eq!(page.room(), 0);
    }
}
