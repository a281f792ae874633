//! HTTP/2 (RFC 9113) without I/O: what is asked, and what is made of the answer. Frames and header compression are the
//! driver's, which has a library for them.

pub mod frames;

use super::answer::{self, Body, Wanted};
use super::{Outcome, grpc, words};
use crate::plan::check::{CheckKind, HttpCheck, HttpUrl, HttpVersion, Question};
use std::net::SocketAddr;
use std::time::Duration;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `:method`, a token.
    pub method: String,
    /// `:scheme`.
    pub scheme: &'static str,
    /// `:authority`, as it is configured.
    pub authority: String,
    /// `:path`, only of octets that may stand there.
    pub path: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// None is sent when empty.
    pub body: Vec<u8>,
}

/// Name and value of a header field or trailer field; names are in lower case.
pub type Field<'a> = (&'a str, &'a [u8]);

/// What the server said, or what became of the connection. A head comes once, then data, then the end.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// Status and header fields.
    Head(u16, &'a [Field<'a>]),
    /// A piece of the body.
    Data(&'a [u8]),
    /// The answer is complete; its trailer fields.
    End(&'a [Field<'a>]),
    /// The server ended the connection before that.
    Closed,
    /// The request or the connection broke; the words say how.
    Broken(&'a str),
    /// Nothing that belongs to the answer came for this long.
    TimedOut(Duration),
}

/// What is made of one answer.
pub trait Call: Send {
    /// The verdict, as soon as there is one. Not called again after that.
    fn hear(&mut self, said: Said<'_>) -> Option<Outcome>;
}

/// The request about part `part` of `question`, and its judge; `None` where HTTP/2 carries nothing of it.
pub fn call(question: &Question, part: usize) -> Option<(Request, Box<dyn Call>)> {
    let endpoint = question.target.endpoint;
    match &question.kind {
        CheckKind::Http(check) if check.version == HttpVersion::V2 => {
            Some((request(check, part, endpoint), Box::new(Web::new(check, part))))
        }
        CheckKind::Grpc(check) => {
            let limit = question.schedule.connect_timeout;
            Some((grpc::request(check, endpoint, limit), Box::new(grpc::Health::new(check))))
        }
        _ => None,
    }
}

/// The answer to a HTTP_GET or SSL_GET.
#[derive(Debug)]
pub struct Web {
    wanted: Wanted,
    body: Option<Body>,
}

impl Web {
    /// About url number `part`, the last one past the end.
    pub fn new(check: &HttpCheck, part: usize) -> Web {
        Web { wanted: Wanted::new(check, part), body: None }
    }

    fn done(&self, result: Result<String, String>) -> Option<Outcome> {
        Some(self.wanted.outcome(result.map(|words| words + ", HTTP/2")))
    }
}

impl Call for Web {
    fn hear(&mut self, said: Said<'_>) -> Option<Outcome> {
        let result = match (said, &mut self.body) {
            (Said::Head(status, fields), _) => match self.wanted.begin(status, content_length(fields)) {
                Ok(body) => {
                    self.body = Some(body);
                    return None;
                }
                Err(words) => Err(words),
            },
            (Said::Data(octets), Some(body)) => match body.take(octets) {
                Ok(true) => return None,
                Ok(false) => self.wanted.judge_part(body),
                Err(words) => Err(words),
            },
            (Said::End(_), Some(body)) => self.wanted.judge(body, ""),
            (Said::Closed, Some(body)) => {
                Err(format!("closed after {} octets of body, before the answer ended", body.received()))
            }
            (Said::Data(_) | Said::End(_) | Said::Closed, None) => Err("closed without an answer".into()),
            (Said::Broken(how), _) => Err(how.into()),
            (Said::TimedOut(limit), None) => Err(format!("no answer within {}", words(limit))),
            (Said::TimedOut(limit), Some(body)) => {
                Err(format!("silent for {} after {} octets of body", words(limit), body.received()))
            }
        };
        self.done(result)
    }
}

/// The same request that HTTP/1 would write.
fn request(check: &HttpCheck, part: usize, endpoint: SocketAddr) -> Request {
    let url = answer::url(check, part);
    let extra = url.and_then(|url| url.request.as_deref());
    let mut headers = Vec::new();
    let written = extra.map_or(&[][..], |extra| &extra.headers);
    if !written.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        headers.push(("user-agent".to_owned(), "KeepAliveClient".to_owned()));
    }
    headers.extend(written.iter().cloned());
    let body = extra.map_or_else(Vec::new, |extra| extra.body.clone());
    if !body.is_empty() {
        headers.push(("content-length".to_owned(), body.len().to_string()));
    }
    Request {
        method: extra.map_or("GET", |extra| extra.method.as_str()).to_owned(),
        scheme: if check.tls.is_some() { "https" } else { "http" },
        authority: authority(url.and_then(|url: &HttpUrl| url.host.as_deref()), endpoint),
        path: target(url.map_or("/", |url| url.path.as_str())),
        headers,
        body,
    }
}

/// The host of the configuration as it is; without one, address and port.
pub(super) fn authority(host: Option<&str>, endpoint: SocketAddr) -> String {
    host.map_or_else(|| endpoint.to_string(), str::to_owned)
}

/// HTTP/2 carries a path that begins with a slash, of the octets that RFC 3986 lets stand there (RFC 9113 8.3.1): others
/// are written as `%` and two digits, where HTTP/1 sends what the configuration says.
fn target(path: &str) -> String {
    let stays = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for octet in path.bytes() {
        match stays(octet) {
            true => target.push(char::from(octet)),
            false => target.push_str(&format!("%{octet:02X}")),
        }
    }
    target
}

/// The value of a field, when it is text.
pub(super) fn field<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(known, _)| *known == name)?;
    std::str::from_utf8(found.1).ok().map(str::trim)
}

fn content_length(fields: &[Field<'_>]) -> Option<u64> {
    field(fields, "content-length")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check::HttpRequest;
    use crate::plan::search::SearchPlan;

    fn check(urls: Vec<HttpUrl>) -> HttpCheck {
        HttpCheck { version: HttpVersion::V2, urls, tls: None, fast_recovery: false }
    }

    #[test]
    fn a_request_says_what_http_1_would_say() {
        let endpoint: SocketAddr = "[2001:db8::1]:80".parse().expect("an endpoint");
        let plain = request(&check(vec![HttpUrl::new("/a?b=c")]), 0, endpoint);
        let agent = ("user-agent".to_owned(), "KeepAliveClient".to_owned());
        let expected = Request {
            method: "GET".into(),
            scheme: "http",
            authority: "[2001:db8::1]:80".into(),
            path: "/a?b=c".into(),
            headers: vec![agent],
            body: vec![],
        };
        assert_eq!(plain, expected);
        let extra = HttpRequest {
            method: "POST".into(),
            headers: vec![("User-Agent".into(), "x".into()), ("X-A".into(), "b".into())],
            body: b"ping".to_vec(),
        };
        let url = HttpUrl {
            host: Some("www.example".into()),
            request: Some(Box::new(extra)),
            ..HttpUrl::new("health #1/ü")
        };
        let own = request(&check(vec![url]), 7, endpoint);
        let names: Vec<&str> = own.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["User-Agent", "X-A", "content-length"]);
        assert_eq!((own.method.as_str(), own.authority.as_str()), ("POST", "www.example"));
        assert_eq!(own.path, "/health%20%231/%C3%BC");
    }

    /// What is made of these, the last of which must end it.
    fn end(url: HttpUrl, said: &[Said<'_>]) -> Outcome {
        let mut call = Web::new(&check(vec![url]), 0);
        let mut ends: Vec<Option<Outcome>> = said.iter().map(|said| call.hear(*said)).collect();
        let last = ends.pop().flatten().expect("it ends");
        assert!(ends.iter().all(Option::is_none), "it ended early: {ends:?}");
        last
    }

    #[test]
    fn answers_and_what_they_mean() {
        let url = || HttpUrl::new("/");
        let limit = Duration::from_secs(5);
        let ok = |words: &str| Outcome::Success(words.into());
        let no = |words: &str| Outcome::Failure(words.into());
        let length: &[Field<'_>] = &[("content-length", b"10")];
        let head = Said::Head(200, &[]);
        let hello = Said::Data(b"hello");
        let searching = HttpUrl { search: Some(SearchPlan::literal("lo")), ..url() };
        let digest = HttpUrl { digest: Some([7; 16]), ..url() };
        let wrong = "MD5 5d41402abc4b2a76b9719d911017c592, wanted 07070707070707070707070707070707";
        let cases: Vec<(HttpUrl, Vec<Said<'_>>, Outcome)> = vec![
            (url(), vec![head, hello, Said::End(&[])], ok("status 200, HTTP/2")),
            (url(), vec![Said::Head(204, &[]), Said::End(&[])], ok("status 204, HTTP/2")),
            (url(), vec![Said::Head(503, &[])], no("status 503, wanted 200-299")),
            (
                searching.clone(),
                vec![head, Said::Data(b"hel"), Said::Data(b"lo"), Said::End(&[])],
                ok("status 200, HTTP/2"),
            ),
            (
                searching,
                vec![head, Said::Data(b"hel"), Said::End(&[])],
                no("status 200, but the body has no match of the regex"),
            ),
            (digest, vec![head, hello, Said::End(&[])], no(wrong)),
            (
                url(),
                vec![Said::Head(200, length), hello, Said::End(&[])],
                ok("status 200 (5 octets of body, Content-Length says 10), HTTP/2"),
            ),
            (url(), vec![Said::Closed], no("closed without an answer")),
            (
                url(),
                vec![head, hello, Said::Closed],
                no("closed after 5 octets of body, before the answer ended"),
            ),
            (url(), vec![Said::Broken("reset")], no("reset")),
            (url(), vec![Said::TimedOut(limit)], no("no answer within 5 s")),
            (url(), vec![head, hello, Said::TimedOut(limit)], no("silent for 5 s after 5 octets of body")),
        ];
        for (url, said, expected) in cases {
            assert_eq!(end(url, &said), expected, "{said:?}");
        }
    }

    #[test]
    fn an_endless_body_is_read_in_part_only() {
        let mut call = Web::new(&check(vec![HttpUrl::new("/")]), 0);
        assert_eq!(call.hear(Said::Head(200, &[])), None);
        let piece = vec![b'x'; 1 << 20];
        let pieces = (1..100).find_map(|n| call.hear(Said::Data(&piece)).map(|end| (n, end)));
        let end = Outcome::Success("status 200, stopped reading after 64 MiB, HTTP/2".into());
        assert_eq!(pieces, Some((65, end)));
    }
}
