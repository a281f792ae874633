//! Servers in octets: what they say, in any pieces, and what is made of it.

use super::*;
use crate::check::probe::http2::frames::MAX_OVERHEAD;
use crate::plan::check::{CheckKind, HttpCheck, HttpRequest, HttpUrl, HttpVersion, Schedule, Target};
use crate::plan::search::SearchPlan;

const LIMIT: Duration = Duration::from_secs(3600);

pub(in crate::role::probe_io) fn question(kind: CheckKind, endpoint: &str) -> Question {
    let schedule = Schedule { connect_timeout: LIMIT, ..Schedule::every(Duration::from_secs(6)) };
    Question::new(kind, Target::new(endpoint.parse().expect("an endpoint")), schedule)
}

fn web(url: HttpUrl) -> Question {
    let check = HttpCheck { version: HttpVersion::V2, urls: vec![url], tls: None, fast_recovery: false };
    question(CheckKind::Http(check), "192.0.2.1:80")
}

fn asked(question: &Question) -> Box<dyn Probe> {
    conversation(question, 0, None).expect("HTTP/2 carries it").expect("it can be written")
}

pub(in crate::role::probe_io) fn frame(kind: u8, flags: u8, stream: u8, body: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = (body.len() as u32).to_be_bytes();
    [&[l0, l1, l2, kind, flags, 0, 0, 0, stream][..], body].concat()
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Status 200 by HPACK's table; others as text.
fn status(code: &str) -> Vec<u8> {
    if code == "200" { vec![0x88] } else { [&[0x08, 3][..], code.as_bytes()].concat() }
}

fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn head(flags: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    frame(1, END_HEADERS | flags, 1, &fields.concat())
}

fn data(flags: u8, body: &[u8]) -> Vec<u8> {
    frame(0, flags, 1, body)
}

fn reset(code: u8) -> Vec<u8> {
    frame(3, 0, 1, &[0, 0, 0, code])
}

fn goodbye(last: u8, code: u8, words: &str) -> Vec<u8> {
    frame(7, 0, 0, &[&[0, 0, 0, last, 0, 0, 0, code][..], words.as_bytes()].concat())
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closes,
    Stays,
    Resets,
}

/// Lets the server say `answer` in pieces of `size` octets.
fn converse(question: &Question, answer: &[u8], size: usize, end: End) -> Outcome {
    let mut probe = asked(question);
    let last = match end {
        End::Closes => ProbeInput::Closed,
        End::Stays => ProbeInput::TimedOut(LIMIT),
        End::Resets => ProbeInput::Broken("connection reset by the server"),
    };
    let inputs = std::iter::once(ProbeInput::Connected)
        .chain(answer.chunks(size).map(ProbeInput::Data))
        .chain(std::iter::once(last));
    for input in inputs {
        if let ProbeStep::Done(outcome) = probe.step(input) {
            return outcome;
        }
    }
    panic!("the conversation did not end with its connection");
}

fn ok(words: &str) -> Outcome {
    Outcome::Success(words.into())
}

fn no(words: &str) -> Outcome {
    Outcome::Failure(words.into())
}

/// A name, what is asked, what the server says, how it ends, and what is made of it.
type Case<'a> = (&'a str, HttpUrl, Vec<Vec<u8>>, End, Outcome);

/// Each answer in pieces of several sizes: the same outcome.
fn table(cases: Vec<Case<'_>>) {
    let mut faults = Vec::new();
    for (name, url, answer, end, expected) in cases {
        for size in [1, 7, 4096] {
            let outcome = converse(&web(url.clone()), &answer.concat(), size, end);
            if outcome != expected {
                faults.push(format!("{name}, in pieces of {size}: {outcome}; wanted {expected}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn answers_and_what_they_mean() {
    let url = || HttpUrl::new("/");
    let ping = || frame(6, 0, 0, &[7; 8]);
    let window = || frame(8, 0, 0, &[0, 0, 1, 0]);
    let padded = frame(0, 8 | END_STREAM, 1, b"\x03hello\0\0\0");
    let searching = HttpUrl { search: Some(SearchPlan::literal("hello")), ..url() };
    let extra = HttpRequest { method: "HEAD".into(), headers: vec![], body: vec![] };
    let bodiless = HttpUrl { request: Some(Box::new(extra)), ..url() };
    let length = |n: &str| field("content-length", n);
    #[rustfmt::skip]
    table(vec![
        ("plain", url(), vec![settings(), head(0, &[status("200")]), data(END_STREAM, b"hello")], End::Stays, ok("status 200, HTTP/2")),
        ("no body", url(), vec![settings(), head(END_STREAM, &[status("204")])], End::Stays, ok("status 204, HTTP/2")),
        ("early hints first", url(), vec![settings(), head(0, &[status("103")]), head(END_STREAM, &[status("200")])], End::Stays, ok("status 200, HTTP/2")),
        ("trailers", url(), vec![settings(), head(0, &[status("200")]), data(0, b"hello"), head(END_STREAM, &[field("x", "y")])], End::Stays, ok("status 200, HTTP/2")),
        ("padding", searching.clone(), vec![settings(), head(0, &[status("200")]), padded], End::Stays, ok("status 200, HTTP/2")),
        ("frames of other kinds", searching, vec![settings(), window(), ping(), frame(99, 0, 0, b"x"), head(0, &[status("200")]), data(0, b"hel"), ping(), data(END_STREAM, b"lo")], End::Stays, ok("status 200, HTTP/2")),
        ("headers in two frames", url(), vec![settings(), frame(1, END_STREAM, 1, &status("200")), frame(9, END_HEADERS, 1, &field("a", "b"))], End::Stays, ok("status 200, HTTP/2")),
        ("closes with its answer", url(), vec![settings(), head(END_STREAM, &[status("200")])], End::Closes, ok("status 200, HTTP/2")),
        ("unwanted status", url(), vec![settings(), head(0, &[status("503")])], End::Stays, no("status 503, wanted 200-299")),
        ("HEAD", bodiless, vec![settings(), head(END_STREAM, &[status("200"), length("500")])], End::Stays, ok("status 200, HTTP/2")),
        ("goodbye after the answer", url(), vec![settings(), head(END_STREAM, &[status("200")]), goodbye(1, 0, "")], End::Closes, ok("status 200, HTTP/2")),
        ("goodbye before the answer, which comes", url(), vec![settings(), goodbye(1, 0, ""), head(END_STREAM, &[status("200")])], End::Closes, ok("status 200, HTTP/2")),
    ]);
}

#[test]
fn servers_that_break_off_are_told_apart() {
    let url = || HttpUrl::new("/");
    let length = |n: &str| field("content-length", n);
    let rules = "the answer breaks the rules of HTTP/2, or its headers are over 64 KiB (PROTOCOL_ERROR)";
    let http_1 = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec();
    #[rustfmt::skip]
    table(vec![
        ("closes at once", url(), vec![], End::Closes, no("closed without an answer")),
        ("says nothing", url(), vec![], End::Stays, no("no answer within 3600 s")),
        ("resets", url(), vec![], End::Resets, no("connection reset by the server")),
        ("settings only", url(), vec![settings()], End::Stays, no("no answer within 3600 s")),
        ("closes after its settings", url(), vec![settings()], End::Closes, no("closed without an answer")),
        ("breaks off in a frame", url(), vec![settings(), vec![0, 0, 9, 1]], End::Closes, no("closed without an answer")),
        ("stalls in the body", url(), vec![settings(), head(0, &[status("200")]), data(0, b"hello")], End::Stays, no("silent for 3600 s after 5 octets of body")),
        ("closes in the body", url(), vec![settings(), head(0, &[status("200")]), data(0, b"hello")], End::Closes, no("closed after 5 octets of body, before the answer ended")),
        ("HTTP/1", url(), vec![http_1], End::Closes, no("the server does not speak HTTP/2: it answers with HTTP/1")),
        ("another protocol", url(), vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()], End::Closes, no("what the server says is not HTTP/2")),
        ("refuses the request", url(), vec![settings(), reset(7)], End::Stays, no("the server ended the request: RST_STREAM REFUSED_STREAM")),
        ("wants HTTP/1.1", url(), vec![settings(), reset(13)], End::Stays, no("the server wants HTTP/1.1 for this url")),
        ("resets in the body", url(), vec![settings(), head(0, &[status("200")]), reset(2)], End::Stays, no("the server ended the request: RST_STREAM INTERNAL_ERROR")),
        ("a frame that is too large", url(), vec![settings(), frame(0, 0, 1, &[0; 16_385])], End::Stays, no("the answer breaks the rules of HTTP/2 (FRAME_SIZE_ERROR)")),
        ("an unknown reason", url(), vec![settings(), reset(99)], End::Stays, no("the server ended the request: RST_STREAM Reason(63)")),
        ("says goodbye", url(), vec![settings(), goodbye(0, 0, "")], End::Stays, no("the server ended the connection: GOAWAY NO_ERROR")),
        ("says goodbye, and why", url(), vec![settings(), goodbye(0, 11, "too\nmuch")], End::Stays, no("the server ended the connection: GOAWAY ENHANCE_YOUR_CALM (b\"too\\nmuch\")")),
        ("a body shorter than promised", url(), vec![settings(), head(0, &[status("200"), length("9")]), data(END_STREAM, b"hello")], End::Stays, no(rules)),
        ("no status", url(), vec![settings(), head(END_STREAM, &[field("a", "b")])], End::Stays, no(rules)),
        ("a field in capitals", url(), vec![settings(), head(END_STREAM, &[status("200"), field("A", "b")])], End::Stays, no(rules)),
        ("an answer to nobody", url(), vec![settings(), frame(0, 0, 3, b"hello")], End::Stays, no(rules)),
        ("a push", url(), vec![settings(), frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])], End::Stays, no(rules)),
        ("header compression that is none", url(), vec![settings(), head(END_STREAM, &[vec![0xff, 0xff, 0xff]])], End::Stays, no(rules)),
    ]);
}

/// Says `piece` for ever; the outcome, and how many octets it took.
fn endless(begin: &[Vec<u8>], piece: &[u8]) -> (Outcome, usize) {
    let mut probe = asked(&web(HttpUrl::new("/")));
    assert!(matches!(probe.step(ProbeInput::Connected), ProbeStep::Send(_)));
    assert!(!matches!(probe.step(ProbeInput::Data(&begin.concat())), ProbeStep::Done(_)));
    let many = piece.repeat((16 << 10) / piece.len() + 1);
    let mut said = 0;
    loop {
        said += many.len();
        assert!(said < 100 << 20, "no end");
        match probe.step(ProbeInput::Data(&many)) {
            ProbeStep::Done(outcome) => return (outcome, said),
            ProbeStep::Send(octets) => assert!(octets.len() <= 4 * many.len(), "answers grow"),
            ProbeStep::Wait => {}
        }
    }
}

/// A name, what the server says first, what for ever, and what may be made of it.
type Flood<'a> = (&'a str, Vec<Vec<u8>>, Vec<u8>, &'a [&'a str]);

#[test]
fn floods_come_to_an_end() {
    const FLOODS: &str = "1024 KiB of frames beside the answer: the server floods";
    const SMALL: &str =
        "the server floods: too many frames, or headers that unpack to too much (ENHANCE_YOUR_CALM)";
    let begun = || vec![settings(), head(0, &[status("200")])];
    let open = || vec![settings(), frame(1, 0, 1, &status("200"))];
    let long = field("a", &"b".repeat(100));
    #[rustfmt::skip]
    let cases: [Flood<'_>; 9] = [
        ("pings", vec![settings()], frame(6, 0, 0, &[0; 8]), &[FLOODS]),
        ("settings", vec![settings()], settings(), &[FLOODS]),
        ("unknown frames", vec![settings()], frame(200, 0, 0, &[0; 100]), &[FLOODS]),
        ("room", vec![settings()], frame(8, 0, 0, &[0, 0, 0, 1]), &[FLOODS]),
        ("early hints", vec![settings()], head(0, &[status("103")]), &[FLOODS]),
        ("headers", open(), frame(9, 0, 1, &long.repeat(100)), &[SMALL, "headers over 64 KiB"]),
        ("empty headers", open(), frame(9, 0, 1, &[]), &[SMALL]),
        ("empty data", begun(), data(0, b""), &[SMALL, FLOODS]),
        ("data by the octet", begun(), data(0, b"x"), &[SMALL, FLOODS]),
    ];
    for (name, begin, piece, expected) in cases {
        let (outcome, said) = endless(&begin, &piece);
        assert!(expected.iter().any(|words| outcome == no(words)), "{name}: {outcome}");
        assert!(said as u64 <= 2 * MAX_OVERHEAD, "{name}: {said} octets");
    }
    let (outcome, _) = endless(&begun(), &data(0, &[b'x'; 16_000]));
    assert_eq!(outcome, ok("status 200, stopped reading after 64 MiB, HTTP/2"));
}

#[test]
fn headers_that_grow_when_they_are_unpacked_are_refused() {
    // One long field enters the table; each octet after it stands for all of it.
    let name_and_value = [&[0x40, 1, b'a', 0x7f, 0x81, 0x1e][..], &[b'b'; 4000]].concat();
    let bomb = [status("200"), name_and_value, vec![0xbe; 8000]].concat();
    let answer = [settings(), frame(1, END_HEADERS | END_STREAM, 1, &bomb)].concat();
    let outcome = converse(&web(HttpUrl::new("/")), &answer, 4096, End::Closes);
    let words = "the server floods: too many frames, or headers that unpack to too much (ENHANCE_YOUR_CALM)";
    assert_eq!(outcome, no(words));
}

#[test]
fn pings_are_no_answer() {
    let mut asked = web(HttpUrl::new("/"));
    asked.manner_mut().schedule.connect_timeout = Duration::ZERO;
    let mut probe = self::asked(&asked);
    assert!(matches!(probe.step(ProbeInput::Connected), ProbeStep::Send(_)));
    let step = probe.step(ProbeInput::Data(&[settings(), frame(6, 0, 0, &[0; 8])].concat()));
    assert_eq!(step, ProbeStep::Done(no("no answer within 0.0 ms")), "the time is over");
}

#[test]
fn what_cannot_be_written_is_not_asked() {
    let url = HttpUrl { host: Some("no such/host".into()), ..HttpUrl::new("/") };
    let Some(Err(why)) = conversation(&web(url), 0, None) else { panic!("it is no authority") };
    assert_eq!(why, "virtualhost no such/host cannot be sent over HTTP/2");
    assert!(conversation(&question(CheckKind::Tcp, "192.0.2.1:80"), 0, None).is_none());
}

#[test]
fn a_conversation_is_written_down_in_words() {
    let extra = HttpRequest {
        method: "POST".into(),
        headers: vec![("X-A".into(), "b".into())],
        body: b"ping".to_vec(),
    };
    let url =
        HttpUrl { host: Some("www.example".into()), request: Some(Box::new(extra)), ..HttpUrl::new("/a") };
    let trace = Trace::begin();
    let mut probe = conversation(&web(url), 0, Some(trace.clone())).expect("HTTP/2").expect("written");
    let ProbeStep::Send(octets) = probe.step(ProbeInput::Connected) else { panic!("it asks") };
    assert!(octets.starts_with(PREFACE));
    let answer = [settings(), head(0, &[status("200"), field("server", "x")]), data(END_STREAM, b"pong")];
    assert_eq!(probe.step(ProbeInput::Data(&answer.concat())), ProbeStep::Done(ok("status 200, HTTP/2")));
    let steps: Vec<(String, String)> = trace.steps().into_iter().map(|step| (step.kind, step.text)).collect();
    let steps: Vec<(&str, &str)> = steps.iter().map(|(kind, text)| (kind.as_str(), text.as_str())).collect();
    let request = "POST http://www.example/a\nuser-agent: KeepAliveClient\nx-a: b\ncontent-length: 4\n";
    assert_eq!(
        steps,
        [
            ("note", "connected, HTTP/2 begins"),
            ("sent", request),
            ("sent", "ping"),
            ("note", "we send SETTINGS(18), WINDOW_UPDATE(4), HEADERS(41), DATA(4)"),
            ("note", "the server sends SETTINGS(0), HEADERS(11), DATA(4)"),
            ("received", "200\nserver: x\n"),
            ("received", "pong"),
            ("received", "the answer ends\n"),
        ]
    );
}
