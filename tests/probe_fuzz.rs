//! Any octets whatever as answers to probes: no panic, an end, one verdict, words fit for a line of a log, and the same
//! verdict however a web answer is cut into pieces.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --test probe_fuzz -- --nocapture
//!
//! runs for that long and names the seed of each failure: see `tests/fuzz/`.

#[path = "fuzz/mod.rs"]
mod fuzz;

use fuzz::Random;
use holdfast::check::probe::{Mark, Outcome, Probe, ProbeInput, ProbeStep, conversation};
use holdfast::plan::check::{
    CheckKind, DnsCheck, GrpcCheck, HttpCheck, HttpRequest, HttpUrl, HttpVersion, Question, Schedule,
    SmtpCheck, TalkCheck, Target, UdpCheck,
};
use holdfast::plan::search::SearchPlan;
use holdfast::role::http2_probe;
use holdfast::wire::icmp::Echo;
use holdfast::wire::{dns, x509};
use std::mem::discriminant;
use std::time::Duration;

/// Seeds of an ordinary run, for each kind of probe.
const SEEDS: u64 = 3000;

/// The longest sentence: a status line of the configuration, numbers and what a server said, cut.
const LONGEST_WORDS: usize = 600;

/// Answers, and pieces of answers, from which others are made.
const WEB: [&[u8]; 22] = [
    b"HTTP/1.0 200 OK\r\n\r\nhealthy\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhealthy\n",
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n",
    b"HTTP/1.1 ",
    b"200",
    b" ",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"Content-Length: ",
    b"18446744073709551615",
    b"99999999999999999999999999",
    b"-1",
    b"Transfer-Encoding: chunked\r\n",
    b"X: \xff\xfe\x00\x1b[2J\r\n",
    b" folded\r\n",
    b":",
    b"healthy",
    b"\xe2\x82",
    b"HTTP/9.9 999 ",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];
const MAIL: [&[u8]; 9] = [
    b"220 mail ESMTP\r\n",
    b"250 hello\r\n",
    b"221 bye\r\n",
    b"220-more\r\n",
    b"220",
    b"250",
    b"\n",
    b"\x1b]0;x\x07",
    b"421 ",
];
const NAMES: [&[u8]; 5] = [
    b"\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00",
    b"\x03www\x07example\x00\x00\x01\x00\x01",
    b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\xc0\x00\x02\x01",
    b"\xff",
    b"\x00",
];
/// Frames of HTTP/2 (RFC 9113 4.1) and pieces of them.
const FRAMES: [&[u8]; 28] = [
    b"\0\0\x20\x01\x04\0\0\0\x01\x88\0\x0ccontent-type\x10application/grpc",
    b"\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01",
    b"\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010",
    b"\0\0\x20\x01\x05\0\0\0\x01\0\x0bgrpc-status\x0212\0\x0cgrpc-message\x01%",
    b"\0\0\0\x04\0\0\0\0\0",
    b"\0\0\x06\x04\0\0\0\0\0\0\x01\0\0\0\0",
    b"\0\0\0\x04\x01\0\0\0\0",
    b"\0\0\x01\x01\x04\0\0\0\x01\x88",
    b"\0\0\x01\x01\x05\0\0\0\x01\x88",
    b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03103",
    b"\0\0\x08\x01\x04\0\0\0\x01\x88\0\x01a\x03bcd",
    b"\0\0\x01\x01\0\0\0\0\x01\x88",
    b"\0\0\x07\x09\x04\0\0\0\x01\0\x01a\x03bcd",
    b"\0\0\x08\0\0\0\0\0\x01healthy\n",
    b"\0\0\x08\0\x01\0\0\0\x01healthy\n",
    b"\0\0\0\0\x01\0\0\0\x01",
    b"\0\0\x04\0\x09\0\0\0\x01\x02a\0\0",
    b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10",
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    b"\0\0\x05\x05\x04\0\0\0\x01\0\0\0\x02\x82",
    b"\0\0\x08\x06\0\0\0\0\0pingpong",
    b"\0\0\x0a\x07\0\0\0\0\0\0\0\0\x01\0\0\0\x02\x1b[",
    b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\xff\xff",
    b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\0",
    b"\0\0\x03\xfa\0\0\0\0\0abc",
    b"\x40\x01a\x7f\x81\x1ebbbbbbbbbb\xbe\xbe\xbe\xbe",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\xff\xff\xff",
];
const ECHO: [&[u8]; 4] =
    [b"\x00\x00\xff\xff\x00\x07\x00\x01", b"\x81\x00\x00\x00\x00\x07\x00\x01", b"\x08", b"\x03\x01"];
const DER: [&[u8]; 8] = [
    b"\x30\x82\x01\x00",
    b"\x30\x80",
    b"\x02\x01\x01",
    b"\xa0\x03\x02\x01\x02",
    b"\x17\x0d250101000000Z",
    b"\x18\x0f20250101000000Z",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x00",
];

fn question(kind: CheckKind, endpoint: &str) -> Question {
    let schedule = Schedule::every(Duration::from_secs(6));
    Question::new(kind, Target::new(endpoint.parse().expect("an endpoint")), schedule)
}

fn web(random: &mut Random) -> Question {
    let mut url = HttpUrl::new("/");
    url.status = vec![200..=299, 503..=503];
    if random.below(3) == 0 {
        url.digest = Some([7; 16]);
    }
    if random.below(2) == 0 {
        url.search = Some(SearchPlan {
            pattern: random.one(&["hea.thy$", "^a+$", "(a|b)*c", "\\bX"]).to_owned(),
            negate: random.below(2) == 0,
            multiline: random.below(2) == 0,
            firstline: random.below(3) == 0,
            min_offset: random.below(20) as u64,
            max_offset: (random.below(2) == 0).then_some(random.below(30) as u64),
            ..SearchPlan::default()
        });
    }
    let method = random.one(&["HEAD", "POST"]).to_owned();
    let request = HttpRequest { method, headers: vec![("A".into(), "b".into())], body: b"ping".to_vec() };
    url.request = (random.below(3) == 0).then(|| Box::new(request));
    let check = HttpCheck { version: HttpVersion::V1_1, urls: vec![url], tls: None, fast_recovery: false };
    question(CheckKind::Http(check), "192.0.2.1:80")
}

/// Feeds the octets in pieces, then an end; the outcome. Each probe must come to one.
fn converse(
    random: &mut Random,
    mut probe: Box<dyn Probe>,
    answer: &[u8],
    largest: usize,
    end: usize,
) -> Outcome {
    let mut rest = answer;
    let mut step = probe.step(ProbeInput::Connected);
    loop {
        match step {
            ProbeStep::Done(outcome) => return outcome,
            ProbeStep::Send(_) | ProbeStep::Wait if !rest.is_empty() => {
                let (piece, later) = rest.split_at((1 + random.below(largest)).min(rest.len()));
                rest = later;
                step = probe.step(ProbeInput::Data(piece));
            }
            ProbeStep::Send(_) | ProbeStep::Wait => break,
        }
    }
    let last = match end {
        0 => ProbeInput::Closed,
        1 => ProbeInput::Broken("connection reset by the server"),
        _ => ProbeInput::TimedOut(Duration::from_secs(5)),
    };
    match probe.step(last) {
        ProbeStep::Done(outcome) => outcome,
        // Datagrams have no end of their own: the driver's deadline is it.
        _ => match probe.step(ProbeInput::TimedOut(Duration::from_secs(5))) {
            ProbeStep::Done(outcome) => outcome,
            more => panic!("goes on after its deadline: {more:?}"),
        },
    }
}

fn fit_for_a_log(outcome: &Outcome) {
    let words = outcome.to_string();
    assert!(!words.chars().any(char::is_control), "control characters: {words:?}");
    assert!(words.len() <= LONGEST_WORDS, "{} octets: {words:?}", words.len());
}

/// The same verdict, whatever the pieces. Of a server that breaks rules it may be another rule that is named: what is read
/// at once is judged at once.
fn over_http_2(random: &mut Random, question: &Question, end: usize) {
    let ask = || http2_probe(question, 0).expect("HTTP/2 carries it").expect("it can be written");
    let answer = random.puzzle(&FRAMES);
    let whole = converse(random, ask(), &answer, usize::MAX, end);
    fit_for_a_log(&whole);
    for largest in [1, 7, 4096] {
        let pieces = converse(random, ask(), &answer, largest, end);
        fit_for_a_log(&pieces);
        assert_eq!(
            discriminant(&pieces),
            discriminant(&whole),
            "pieces of {largest} change {whole:?} to {pieces:?} on {:?}",
            answer.escape_ascii().to_string()
        );
    }
}

/// One seed through each parser.
fn survives(seed: u64) {
    let mut random = Random(seed);
    let random = &mut random;
    let mark = Mark { identifier: 7, sequence: 1 };
    let ask = |question: &Question| conversation(question, 0, mark).expect("it is asked over the network");
    let end = random.below(3);

    let asked = web(random);
    let answer = random.puzzle(&WEB);
    let whole = converse(random, ask(&asked), &answer, usize::MAX, end);
    fit_for_a_log(&whole);
    for largest in [1, 7, 4096] {
        let pieces = converse(random, ask(&asked), &answer, largest, end);
        assert_eq!(
            pieces,
            whole,
            "pieces of {largest} change the verdict on {:?}",
            answer.escape_ascii().to_string()
        );
    }

    let CheckKind::Http(check) = asked.kind.clone() else { panic!("a web check") };
    let asked = question(CheckKind::Http(HttpCheck { version: HttpVersion::V2, ..check }), "192.0.2.1:80");
    over_http_2(random, &asked, end);
    let health = GrpcCheck { service: "a.B".into(), host: None, tls: None };
    over_http_2(random, &question(CheckKind::Grpc(Box::new(health)), "192.0.2.1:50051"), end);

    let mail = question(CheckKind::Smtp(SmtpCheck { helo: "lab".into() }), "192.0.2.1:25");
    let answer = random.puzzle(&MAIL);
    fit_for_a_log(&converse(random, ask(&mail), &answer, 30, end));

    let expect = random.one(&["220", "0-", "\r\n2", "aa"]).as_bytes().to_vec();
    let words = question(CheckKind::Talk(TalkCheck { send: b"NOOP\r\n".to_vec(), expect }), "192.0.2.1:25");
    let answer = random.puzzle(&MAIL);
    let whole = converse(random, ask(&words), &answer, usize::MAX, end);
    fit_for_a_log(&whole);
    for largest in [1, 7] {
        // Where the words were found is told, so only the verdict must be the same.
        let pieces = converse(random, ask(&words), &answer, largest, end);
        assert_eq!(discriminant(&pieces), discriminant(&whole), "pieces of {largest} change {whole:?}");
    }

    let names = CheckKind::Dns(DnsCheck { record_type: 1, name: "www.example".into() });
    let answer = random.puzzle(&NAMES);
    dns::Answer::decode(&answer);
    fit_for_a_log(&converse(random, ask(&question(names, "192.0.2.1:53")), &answer, usize::MAX, end));

    let reply = (random.below(2) == 0).then(|| vec![(0xc0, 0xf0), (0, 0)]);
    let udp = CheckKind::Udp(UdpCheck { payload: None, reply, reply_length: 0..=random.below(300) as u16 });
    fit_for_a_log(&converse(random, ask(&question(udp, "192.0.2.1:53")), &answer, usize::MAX, end));

    let answer = random.puzzle(&ECHO);
    let _any = (Echo::decode_v4(&answer), Echo::decode_v6(&answer, None));
    for endpoint in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        fit_for_a_log(&converse(random, ask(&question(CheckKind::Ping, endpoint)), &answer, usize::MAX, end));
    }

    x509::not_after(&random.puzzle(&DER));
}

#[test]
fn any_octets_are_an_answer() {
    fuzz::run("probe answers", SEEDS, survives);
}
