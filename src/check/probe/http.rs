//! HTTP_GET and SSL_GET by HTTP/1: one url. The request as keepalived words it; the response read to its end, as keepalived
//! reads it.

use super::answer::{self, Body, Wanted};
use super::{Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::{HttpCheck, HttpRequest, HttpUrl, HttpVersion};
use std::net::SocketAddr;
use std::time::Duration;

pub use super::answer::{MAX_BODY, MAX_HEAD};

/// The most header lines.
pub const MAX_HEADERS: usize = 256;

/// One request and its response.
#[derive(Debug)]
pub struct Http {
    request: Vec<u8>,
    wanted: Wanted,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Collecting octets until a blank line.
    Head(Vec<u8>),
    Body(Body),
}

impl Http {
    /// The conversation about url number `part` (the last one past the end) with `endpoint`.
    pub fn new(check: &HttpCheck, part: usize, endpoint: SocketAddr) -> Http {
        Http {
            request: request(check.version, answer::url(check, part), endpoint),
            wanted: Wanted::new(check, part),
            phase: Phase::Head(Vec::new()),
        }
    }

    fn done(&self, result: Result<String, String>) -> ProbeStep {
        ProbeStep::Done(self.wanted.outcome(result))
    }

    fn data(&mut self, octets: &[u8]) -> ProbeStep {
        let step = match &mut self.phase {
            Phase::Body(body) => body.take(octets),
            Phase::Head(head) => match collect(head, octets) {
                Ok(None) => Ok(true),
                Ok(Some(end)) => self.head_ended(end),
                Err(words) => Err(words),
            },
        };
        let judged = match (step, &mut self.phase) {
            (Ok(false), Phase::Body(body)) => self.wanted.judge_part(body),
            (Ok(_), _) => return ProbeStep::Wait,
            (Err(words), _) => Err(words),
        };
        self.done(judged)
    }

    /// The head is the first `end` octets collected; the rest is body. `Ok(false)` when enough body was read.
    fn head_ended(&mut self, end: usize) -> Result<bool, String> {
        let Phase::Head(octets) = &self.phase else { return Ok(true) };
        let (head, rest) = octets.split_at(end); // collect() found the end inside
        let (status, promised) = parse_head(head)?;
        let mut body = self.wanted.begin(status, promised)?;
        let more = body.take(rest);
        self.phase = Phase::Body(body);
        more
    }

    /// The verdict on a response that has ended.
    fn judge(&mut self) -> Result<String, String> {
        match &mut self.phase {
            Phase::Head(head) if head.is_empty() => Err("closed without an answer".into()),
            Phase::Head(head) => Err(format!("closed after {} octets of headers", head.len())),
            Phase::Body(body) => self.wanted.judge(body, ""),
        }
    }

    fn timed_out(&self, limit: Duration) -> String {
        let limit = words(limit);
        match &self.phase {
            Phase::Head(head) if head.is_empty() => format!("no answer within {limit}"),
            Phase::Head(head) => format!("silent for {limit} after {} octets of headers", head.len()),
            Phase::Body(body) if body.is_whole() => {
                format!("the whole answer came but the server did not close within {limit}")
            }
            Phase::Body(body) => format!("silent for {limit} after {} octets of body", body.received()),
        }
    }
}

impl Probe for Http {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        match input {
            ProbeInput::Connected => ProbeStep::Send(self.request.clone()),
            ProbeInput::Data(octets) => self.data(octets),
            ProbeInput::Closed => {
                let judged = self.judge();
                self.done(judged)
            }
            ProbeInput::Broken(how) => self.done(Err(how.into())),
            ProbeInput::TimedOut(limit) => self.done(Err(self.timed_out(limit))),
        }
    }
}

/// The request. A host of the configuration goes in as it is, without port; without one, address and port. Without
/// keywords of holdfast it is keepalived's to the octet.
pub fn request(version: HttpVersion, url: Option<&HttpUrl>, endpoint: SocketAddr) -> Vec<u8> {
    let (minor, close) = match version {
        HttpVersion::V1_0 => (0, ""),
        HttpVersion::V1_0Close => (0, "Connection: close\r\n"),
        // HTTP/2 is written by the driver; these are the words of what it stands for.
        HttpVersion::V1_1 | HttpVersion::V2 => (1, "Connection: close\r\n"),
    };
    let path = url.map_or("/", |url| url.path.as_str());
    let host = url.and_then(|url| url.host.clone()).unwrap_or_else(|| endpoint.to_string());
    let extra = url.and_then(|url| url.request.as_deref());
    let method = extra.map_or("GET", |extra| extra.method.as_str());
    let own_agent =
        |extra: &HttpRequest| extra.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
    let agent = if extra.is_some_and(own_agent) { "" } else { "User-Agent: KeepAliveClient\r\n" };
    let mut head = format!("{method} {path} HTTP/1.{minor}\r\n{agent}{close}Host: {host}\r\n");
    for (name, value) in extra.iter().flat_map(|extra| &extra.headers) {
        head += &format!("{name}: {value}\r\n");
    }
    let body = extra.map_or(&[][..], |extra| &extra.body);
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    [(head + "\r\n").as_bytes(), body].concat()
}

/// Adds octets to the head; the length of the head once its blank line is there.
fn collect(head: &mut Vec<u8>, octets: &[u8]) -> Result<Option<usize>, String> {
    // The blank line may straddle two pieces: look back over what could be its beginning.
    let from = head.len().saturating_sub(3);
    head.extend_from_slice(octets);
    let end = (from..head.len()).find_map(|at| match &head[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    });
    match end {
        Some(end) if end <= MAX_HEAD => Ok(Some(end)),
        None if head.len() <= MAX_HEAD => Ok(None),
        _ => Err(format!("headers over {} KiB", MAX_HEAD >> 10)),
    }
}

/// Status and Content-Length of a whole head.
fn parse_head(head: &[u8]) -> Result<(u16, Option<u64>), String> {
    let mut headers = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    // Lenient where a browser is: an odd header line does not make a server dead.
    let mut config = httparse::ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true);
    match config.parse_response(&mut response, head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("the headers break off".into()),
        Err(error) => return Err(format!("not an HTTP answer: {error}")),
    }
    let status = response.code.ok_or("no status in the answer")?;
    let promised = response
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("content-length"))
        .find_map(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    Ok((status, promised))
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    fn url(method: &str, headers: &[(&str, &str)], body: &str) -> HttpUrl {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let request = HttpRequest {
            method: method.into(),
            headers: headers.iter().map(own).collect(),
            body: body.as_bytes().to_vec(),
        };
        HttpUrl { request: Some(Box::new(request)), ..HttpUrl::new("/health") }
    }

    #[test]
    fn a_request_of_ones_own_is_written_as_configured() {
        let endpoint = ([192, 0, 2, 1], 80).into();
        let written = |url: &HttpUrl| {
            String::from_utf8(request(HttpVersion::V1_1, Some(url), endpoint)).expect("it is text")
        };
        assert_eq!(
            written(&url("POST", &[("X-Token", "a b"), ("Accept", "text/plain")], "ping")),
            "POST /health HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: 192.0.2.1:80\r\n\
             X-Token: a b\r\nAccept: text/plain\r\nContent-Length: 4\r\n\r\nping"
        );
        let own_agent = written(&url("GET", &[("user-agent", "x")], ""));
        assert_eq!(own_agent.matches("gent:").count(), 1, "{own_agent}");
        assert!(!own_agent.contains("Content-Length"));
    }

    #[test]
    fn the_answer_to_head_promises_a_body_that_does_not_come() {
        let urls = vec![url("HEAD", &[], "")];
        let check = HttpCheck { version: HttpVersion::V1_1, urls, tls: None, fast_recovery: false };
        let mut probe = Http::new(&check, 0, ([192, 0, 2, 1], 80).into());
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
        assert_eq!(probe.step(ProbeInput::Data(answer)), ProbeStep::Wait);
        let end = probe.step(ProbeInput::Closed);
        assert_eq!(end, ProbeStep::Done(Outcome::Success("status 200".into())), "nothing is missed");
    }
}
