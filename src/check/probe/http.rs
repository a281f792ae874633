//! HTTP_GET and SSL_GET: one url. The request as keepalived words it; the response read to its end, as keepalived reads it.
//!
//! Order of the tests as in keepalived: headers received, status, MD5 of the body, regular expression.

use super::search::Search;
use super::{Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::{HttpCheck, HttpRequest, HttpUrl, HttpVersion};
use crate::plan::search::SearchPlan;
use md5::{Digest, Md5};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The most octets of status line and headers; servers themselves refuse to send more than 8 to 32 KiB.
pub const MAX_HEAD: usize = 64 << 10;

/// The most header lines.
pub const MAX_HEADERS: usize = 256;

/// The most octets of body that are read. Past it the answer is judged by what is known.
pub const MAX_BODY: u64 = 64 << 20;

/// One request and its response.
#[derive(Debug)]
pub struct Http {
    request: Vec<u8>,
    /// Words before each result when the check has several urls.
    prefix: String,
    /// HEAD: what Content-Length promises does not come.
    bodiless: bool,
    status: Vec<RangeInclusive<u16>>,
    digest: Option<[u8; 16]>,
    search: Option<SearchPlan>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Collecting octets until a blank line.
    Head(Vec<u8>),
    Body(Body),
}

#[derive(Debug)]
struct Body {
    status: u16,
    promised: Option<u64>,
    received: u64,
    /// Only while a digest is wanted: hashing a large page costs.
    digest: Option<Md5>,
    search: Option<Box<Search>>,
}

impl Http {
    /// The conversation about url number `part` (the last one past the end) with `endpoint`.
    pub fn new(check: &HttpCheck, part: usize, endpoint: SocketAddr) -> Http {
        let last = check.urls.len().saturating_sub(1);
        let url = check.urls.get(part.min(last));
        let prefix = match url {
            Some(url) if last > 0 => format!("url {}: ", url.path),
            _ => String::new(),
        };
        Http {
            request: request(check.version, url, endpoint),
            prefix,
            bodiless: url.and_then(|url| url.request.as_ref()).is_some_and(|extra| extra.method == "HEAD"),
            status: url.map(|url| url.status.clone()).unwrap_or_default(),
            digest: url.and_then(|url| url.digest),
            search: url.and_then(|url| url.search.clone()),
            phase: Phase::Head(Vec::new()),
        }
    }

    fn done(&self, result: Result<String, String>) -> ProbeStep {
        ProbeStep::Done(match result {
            Ok(words) => Outcome::Success(format!("{}{words}", self.prefix)),
            Err(words) => Outcome::Failure(format!("{}{words}", self.prefix)),
        })
    }

    fn data(&mut self, octets: &[u8]) -> ProbeStep {
        let step = match &mut self.phase {
            Phase::Body(body) => body.take(octets),
            Phase::Head(head) => match collect(head, octets) {
                Ok(None) => Ok(true),
                Ok(Some(end)) => match self.head_ended(end) {
                    Ok(more) => Ok(more),
                    Err(words) => Err(words),
                },
                Err(words) => Err(words),
            },
        };
        match step {
            Ok(true) => ProbeStep::Wait,
            Ok(false) => {
                let judged = self.judge(&format!(", stopped reading after {} MiB", MAX_BODY >> 20));
                self.done(judged)
            }
            Err(words) => self.done(Err(words)),
        }
    }

    /// The head is the first `end` octets collected; the rest is body. `Ok(false)` when enough body was read.
    fn head_ended(&mut self, end: usize) -> Result<bool, String> {
        let Phase::Head(octets) = &self.phase else { return Ok(true) };
        let (head, rest) = octets.split_at(end); // collect() found the end inside
        let (status, promised) = parse_head(head)?;
        let promised = promised.filter(|_| !self.bodiless);
        if !self.status.iter().any(|range| range.contains(&status)) {
            return Err(format!("status {status}, wanted {}", ranges(&self.status)));
        }
        let search = self.search.as_ref().map(Search::new).transpose()?.map(Box::new);
        let digest = self.digest.map(|_| Md5::new());
        let mut body = Body { status, promised, received: 0, digest, search };
        let more = body.take(rest);
        self.phase = Phase::Body(body);
        more
    }

    /// The verdict on a response that has ended. `how` is appended when that is worth a remark.
    fn judge(&mut self, how: &str) -> Result<String, String> {
        let body = match &mut self.phase {
            Phase::Head(head) if head.is_empty() => return Err("closed without an answer".into()),
            Phase::Head(head) => return Err(format!("closed after {} octets of headers", head.len())),
            Phase::Body(body) => body,
        };
        if let (Some(wanted), Some(digest)) = (self.digest, &body.digest) {
            let found: [u8; 16] = digest.clone().finalize().into();
            if found != wanted {
                return Err(format!("MD5 {}, wanted {}{}{how}", hex(&found), hex(&wanted), body.remark()));
            }
        }
        let found = body.search.as_mut().map(|search| search.end()).transpose();
        let found =
            found.map_err(|why| format!("status {}, but {why}{}{how}", body.status, body.remark()))?;
        let negate = self.search.as_ref().is_some_and(|search| search.negate);
        match found {
            Some(false) if !negate => Err(format!(
                "status {}, but the body has no match of the regex{}{how}",
                body.status,
                body.remark()
            )),
            Some(true) if negate => {
                Err(format!("status {}, but the body matches the regex{}{how}", body.status, body.remark()))
            }
            _ => Ok(format!("status {}{}{how}", body.status, body.remark())),
        }
    }

    fn timed_out(&self, limit: Duration) -> String {
        let limit = words(limit);
        match &self.phase {
            Phase::Head(head) if head.is_empty() => format!("no answer within {limit}"),
            Phase::Head(head) => format!("silent for {limit} after {} octets of headers", head.len()),
            Phase::Body(body) if body.promised.is_some_and(|promised| body.received >= promised) => {
                format!("the whole answer came but the server did not close within {limit}")
            }
            Phase::Body(body) => format!("silent for {limit} after {} octets of body", body.received),
        }
    }
}

impl Probe for Http {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        match input {
            ProbeInput::Connected => ProbeStep::Send(self.request.clone()),
            ProbeInput::Data(octets) => self.data(octets),
            ProbeInput::Closed => {
                let judged = self.judge("");
                self.done(judged)
            }
            ProbeInput::Broken(how) => self.done(Err(how.into())),
            ProbeInput::TimedOut(limit) => self.done(Err(self.timed_out(limit))),
        }
    }
}

impl Body {
    /// Takes octets; false when the limit is reached.
    fn take(&mut self, octets: &[u8]) -> Result<bool, String> {
        if let Some(digest) = &mut self.digest {
            // Octets past Content-Length are read but not summed.
            let room = self.promised.unwrap_or(u64::MAX).saturating_sub(self.received);
            let summed = usize::try_from(room).map_or(octets.len(), |room| room.min(octets.len()));
            digest.update(&octets[..summed]);
        }
        if let Some(search) = &mut self.search {
            search.take(octets);
        }
        self.received = self.received.saturating_add(octets.len() as u64);
        if self.received <= MAX_BODY {
            return Ok(true);
        }
        // An MD5 over a part of the body would be a verdict invented by our own limit.
        let summed_all = self.promised.is_some_and(|promised| promised <= self.received);
        if self.digest.is_some() && !summed_all {
            return Err(format!("body over {} MiB, too long to check its MD5", MAX_BODY >> 20));
        }
        Ok(false)
    }

    /// A body of another length than promised is no failure for keepalived, but worth a word.
    fn remark(&self) -> String {
        match self.promised {
            Some(promised) if promised != self.received => {
                format!(" ({} octets of body, Content-Length says {promised})", self.received)
            }
            _ => String::new(),
        }
    }
}

/// The request. A host of the configuration goes in as it is, without port; without one, address and port. Without
/// keywords of holdfast it is keepalived's to the octet.
pub fn request(version: HttpVersion, url: Option<&HttpUrl>, endpoint: SocketAddr) -> Vec<u8> {
    let (minor, close) = match version {
        HttpVersion::V1_0 => (0, ""),
        HttpVersion::V1_0Close => (0, "Connection: close\r\n"),
        HttpVersion::V1_1 => (1, "Connection: close\r\n"),
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

fn ranges(ranges: &[RangeInclusive<u16>]) -> String {
    let one = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low}-{high}"),
    };
    match ranges {
        [] => "none".into(),
        ranges => ranges.iter().map(one).collect::<Vec<_>>().join(" or "),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
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
