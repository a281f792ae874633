//! The words of the command line, read as getopt_long(3) reads them: options and other words in any order, short
//! options in one word, long ones shortened as far as they stay one.

use crate::plan::check::HttpVersion;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub endpoint: SocketAddr,
    /// Request target.
    pub url: String,
    /// Value of the Host header; address and port without one.
    pub host: Option<String>,
    /// Form of the request.
    pub version: HttpVersion,
    /// Through TLS.
    pub tls: bool,
    /// The host is sent as server name, too.
    pub sni: bool,
    /// Show headers and body.
    pub verbose: bool,
    /// Packet mark, none when 0.
    pub fwmark: u32,
    /// Limit on the connect, on the sending and on each reading; none when `None`.
    pub timeout: Option<Duration>,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// All is there.
    Ask(Box<Asked>),
    /// Something is wrong: lines to be said before the usage, perhaps none.
    Refused(String),
}

/// Long name, letter, takes a value.
const OPTIONS: [(&str, char, bool); 11] = [
    ("use-ssl", 'S', false),
    ("use-sni", 'I', false),
    ("server", 's', true),
    ("port", 'p', true),
    ("url", 'u', true),
    ("use-virtualhost", 'V', true),
    ("verbose", 'v', false),
    ("help", 'h', false),
    ("fwmark", 'm', true),
    ("protocol", 'P', true),
    ("timeout", 't', true),
];

/// The text behind complaints, and of `-h`.
pub fn usage(name: &str) -> String {
    format!(
        "Usage: {name} COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use SSL connection to remote server.
   --use-sni         -I       Use SNI during SSL handshake (uses virtualhost setting; see -V).
   --server          -s       Use the specified remote server address.
   --port            -p       Use the specified remote server port.
   --url             -u       Use the specified remote server url.
   --use-virtualhost -V       Use the specified virtualhost in GET query.
   --verbose         -v       Use verbose mode output.
   --help            -h       Display this short inlined help screen.
   --fwmark          -m       Use the specified FW mark.
   --protocol        -P       Use the specified HTTP protocol - '1.0', 1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Timeout in seconds
"
    )
}

#[derive(Default)]
struct Reading {
    server: Option<IpAddr>,
    port: Option<u16>,
    url: Option<String>,
    host: Option<String>,
    version: Option<HttpVersion>,
    tls: bool,
    sni: bool,
    verbose: bool,
    fwmark: u32,
    timeout: Option<Duration>,
    refused: bool,
    /// A value was wrong: keepalived's looks no further.
    over: bool,
    complaints: String,
}

/// Reads the words after the program's name.
pub fn parse(words: &[OsString]) -> Parsed {
    let mut reading = Reading::default();
    // As keepalived: one word alone cannot be a request, so nothing is said of it.
    if words.len() < 2 {
        return Parsed::Refused(String::new());
    }
    let mut others: Vec<String> = Vec::new();
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        if word == "--" {
            others.extend(words.by_ref());
        } else if let Some(long) = word.strip_prefix("--") {
            reading.long(&word, long, &mut words);
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            reading.letters(letters, &mut words);
        } else {
            others.push(word);
        }
        if reading.over {
            return Parsed::Refused(reading.complaints);
        }
    }
    if !others.is_empty() {
        reading.complain(&format!("Unexpected argument(s): {}", others.join(" ")));
    }
    reading.end()
}

impl Reading {
    fn long(&mut self, word: &str, long: &str, words: &mut impl Iterator<Item = String>) {
        let (name, given) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let mut fitting = OPTIONS.iter().filter(|(whole, ..)| whole.starts_with(name));
        let exact = OPTIONS.iter().find(|(whole, ..)| *whole == name);
        let option = exact.or_else(|| fitting.next().filter(|_| fitting.next().is_none()));
        match (option, given) {
            (Some((_, letter, true)), Some(value)) => self.value(*letter, &value),
            (Some((_, letter, true)), None) => match words.next() {
                Some(value) => self.value(*letter, &value),
                None => self.complain(&format!("Missing parameter for option {word}")),
            },
            (Some((_, letter, false)), None) => self.flag(*letter),
            (Some((_, _, false)), Some(_)) | (None, _) => self.complain(&format!("Unknown option {word}")),
        }
    }

    fn letters(&mut self, letters: &str, words: &mut impl Iterator<Item = String>) {
        for (at, letter) in letters.char_indices() {
            match OPTIONS.iter().find(|(_, known, _)| *known == letter) {
                None => self.complain(&format!("Unknown option -{letter}")),
                Some((_, _, false)) => self.flag(letter),
                Some((_, _, true)) => {
                    let glued = &letters[at + letter.len_utf8()..]; // char_indices() are borders
                    match Some(glued.to_owned()).filter(|value| !value.is_empty()).or_else(|| words.next()) {
                        Some(value) => self.value(letter, &value),
                        None => self.complain(&format!("Missing parameter for option -{letter}")),
                    }
                    return;
                }
            }
        }
    }

    fn flag(&mut self, letter: char) {
        match letter {
            'S' => self.tls = true,
            'I' => self.sni = true,
            'v' => self.verbose = true,
            // -h: the usage, and the status of a complaint.
            _ => self.refused = true,
        }
    }

    fn value(&mut self, letter: char, value: &str) {
        match letter {
            's' => match value.parse() {
                Ok(address) => self.server = Some(address),
                Err(_) => self.give_up(&format!("server should be an IP, not {value}")),
            },
            'p' => match number(value).and_then(|n| u16::try_from(n).ok()).filter(|port| *port > 0) {
                Some(port) => self.port = Some(port),
                None => self.give_up(&format!("invalid port number '{value}'")),
            },
            'u' => self.url = Some(value.to_owned()),
            'V' => self.host = Some(value.to_owned()),
            'm' => match number(value).and_then(|n| u32::try_from(n).ok()) {
                Some(mark) => self.fwmark = mark,
                None => self.give_up(&format!("invalid fwmark '{value}'")),
            },
            't' => match number(value) {
                Some(seconds) => self.timeout = Some(Duration::from_secs(seconds.min(LONGEST))),
                None => self.give_up(&format!("invalid timeout '{value}'")),
            },
            _ => match value.to_ascii_lowercase().as_str() {
                "1.0" => self.version = Some(HttpVersion::V1_0),
                "1.0c" => self.version = Some(HttpVersion::V1_0Close),
                "1.1" => self.version = Some(HttpVersion::V1_1),
                _ => self.give_up(&format!("invalid HTTP protocol version '{value}'")),
            },
        }
    }

    fn complain(&mut self, line: &str) {
        self.refused = true;
        self.complaints.push_str(line);
        self.complaints.push('\n');
    }

    fn give_up(&mut self, line: &str) {
        self.over = true;
        self.complain(line);
    }

    fn end(self) -> Parsed {
        match (self.server, self.port, self.url) {
            (Some(server), Some(port), Some(url)) if !self.refused => Parsed::Ask(Box::new(Asked {
                endpoint: SocketAddr::new(server, port),
                url,
                host: self.host,
                version: self.version.unwrap_or(HttpVersion::V1_0),
                tls: self.tls,
                sni: self.sni,
                verbose: self.verbose,
                fwmark: self.fwmark,
                timeout: self.timeout,
            })),
            _ => Parsed::Refused(self.complaints),
        }
    }
}

/// Seconds that are for ever.
const LONGEST: u64 = 100 * 365 * 86_400;

/// As strtoul(3) with nothing behind the number, but without a sign that makes it negative.
fn number(text: &str) -> Option<u64> {
    text.trim_start().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Parsed {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn words_come_in_any_form_and_order() {
        let wanted = read("-s 192.0.2.1 -p 80 -u /x -S -V w -t 3");
        assert!(
            matches!(&wanted, Parsed::Ask(asked) if asked.tls && asked.timeout == Some(Duration::from_secs(3)))
        );
        for line in [
            "--server=192.0.2.1 --port 80 --url=/x --use-ssl --use-virt w --timeout 3",
            "-St3 -u/x -s192.0.2.1 -p80 -Vw",
            "-s ::1 -s 192.0.2.1 --po 80 --u /y -u /x -S -V w -t +3",
        ] {
            let read = read(line);
            // `--u` could be three options.
            match line.contains("--u ") {
                true => {
                    assert!(matches!(read, Parsed::Refused(words) if words.starts_with("Unknown option --u")))
                }
                false => assert_eq!(read, wanted, "{line}"),
            }
        }
    }

    #[test]
    fn complaints_are_keepalived_s() {
        let whole = "-s 192.0.2.1 -p 80 -u /x ";
        let cases = [
            ("-Q", "Unknown option -Q\n"),
            ("-vQx", "Unknown option -Q\nUnknown option -x\n"),
            ("--verbose=3", "Unknown option --verbose=3\n"),
            ("-t", "Missing parameter for option -t\n"),
            ("-t -1", "invalid timeout '-1'\n"),
            ("-Q -p 0 -m 0x7 b", "Unknown option -Q\ninvalid port number '0'\n"),
            ("-m 0x7", "invalid fwmark '0x7'\n"),
            ("-P 2.0", "invalid HTTP protocol version '2.0'\n"),
            ("a -- -b", "Unexpected argument(s): a -b\n"),
            ("-s localhost", "server should be an IP, not localhost\n"),
            ("-h", ""),
        ];
        for (more, complaints) in cases {
            assert_eq!(read(&format!("{whole}{more}")), Parsed::Refused(complaints.into()), "{more}");
        }
        assert_eq!(read("-Q"), Parsed::Refused(String::new()));
        assert_eq!(read("-s 192.0.2.1 -u /x"), Parsed::Refused(String::new()));
    }
}
