//! Each probe's conversation as a table: what the server says, what the probe says, how it ends.

use holdfast::check::probe::http::{MAX_BODY, MAX_HEAD};
use holdfast::check::probe::{Mark, Outcome, Probe, ProbeInput, ProbeStep, conversation};
use holdfast::plan::check::{
    CheckKind, DnsCheck, HttpCheck, HttpUrl, HttpVersion, Question, Schedule, SmtpCheck, Target, UdpCheck,
};
use holdfast::plan::search::SearchPlan;
use holdfast::wire::icmp::{Echo, EchoKind};
use md5::{Digest, Md5};
use proptest::prelude::*;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

fn question(kind: CheckKind, endpoint: &str) -> Question {
    let schedule = Schedule {
        connect_timeout: LIMIT,
        delay_before_retry: Duration::from_secs(3),
        ..Schedule::every(Duration::from_secs(6))
    };
    Question::new(kind, Target::new(endpoint.parse().expect("test endpoints parse")), schedule)
}

fn ask(question: &Question, part: usize, mark: Mark) -> Box<dyn Probe> {
    conversation(question, part, mark).expect("it is asked over the network")
}

fn url(path: &str) -> HttpUrl {
    HttpUrl::new(path)
}

fn check(version: HttpVersion, urls: Vec<HttpUrl>) -> HttpCheck {
    HttpCheck { version, urls, tls: None, fast_recovery: false }
}

fn web(urls: Vec<HttpUrl>) -> Box<dyn Probe> {
    let check = check(HttpVersion::V1_0, urls);
    ask(&question(CheckKind::Http(check), "192.0.2.1:80"), 0, Mark::default())
}

fn md5_of(body: &str) -> [u8; 16] {
    Md5::digest(body.as_bytes()).into()
}

/// How the server's side ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Closes,
    NeverCloses,
    Resets,
}

/// Lets the server say `answer` in pieces of `size` octets; what the probe sent and how it ended.
fn converse(mut probe: Box<dyn Probe>, answer: &[u8], size: usize, end: End) -> (Vec<u8>, Outcome) {
    let mut sent = Vec::new();
    let last = match end {
        End::Closes => ProbeInput::Closed,
        End::NeverCloses => ProbeInput::TimedOut(LIMIT),
        End::Resets => ProbeInput::Broken("connection reset by the server"),
    };
    let inputs = std::iter::once(ProbeInput::Connected)
        .chain(answer.chunks(size.max(1)).map(ProbeInput::Data))
        .chain(std::iter::once(last));
    for input in inputs {
        match probe.step(input) {
            ProbeStep::Send(octets) => sent.extend(octets),
            ProbeStep::Wait => {}
            ProbeStep::Done(outcome) => return (sent, outcome),
        }
    }
    panic!("the conversation did not end with its connection");
}

fn success(words: &str) -> Outcome {
    Outcome::Success(words.into())
}

fn failure(words: &str) -> Outcome {
    Outcome::Failure(words.into())
}

#[test]
fn web_answers_and_what_they_mean() {
    let digest = |body| HttpUrl { digest: Some(md5_of(body)), ..url("/") };
    let wanting = |status: Vec<std::ops::RangeInclusive<u16>>| HttpUrl { status, ..url("/") };
    let wrong_md5 = "MD5 7d793037a0760186574b0282f2f435e7, wanted 5d41402abc4b2a76b9719d911017c592";
    #[rustfmt::skip]
    let cases: Vec<(&str, HttpUrl, &str, End, Outcome)> = vec![
        ("plain", url("/"), "HTTP/1.0 200 OK\r\n\r\nhello", End::Closes, success("status 200")),
        ("no body", url("/"), "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", End::Closes, success("status 204")),
        ("no reason phrase", url("/"), "HTTP/1.1 200\r\n\r\n", End::Closes, success("status 200")),
        ("bare line feeds", url("/"), "HTTP/1.0 200 OK\nA: b\n\nhello", End::Closes, success("status 200")),
        ("odd header lines", url("/"), "HTTP/1.1 200 OK\r\nno colon\r\nSpaced : x\r\n folded\r\n\r\n", End::Closes, success("status 200")),
        ("unwanted status", url("/"), "HTTP/1.1 503 Busy\r\n\r\nsorry", End::Closes, failure("status 503, wanted 200-299")),
        ("unwanted status, never closes", url("/"), "HTTP/1.1 503 Busy\r\n\r\nsorry", End::NeverCloses, failure("status 503, wanted 200-299")),
        ("one of several statuses", wanting(vec![301..=302, 404..=404]), "HTTP/1.1 404 No\r\n\r\n", End::Closes, success("status 404")),
        ("none of several statuses", wanting(vec![301..=302, 404..=404]), "HTTP/1.1 200 OK\r\n\r\n", End::Closes, failure("status 200, wanted 301-302 or 404")),
        ("right digest", digest("hello"), "HTTP/1.0 200 OK\r\n\r\nhello", End::Closes, success("status 200")),
        ("wrong digest", digest("hello"), "HTTP/1.0 200 OK\r\n\r\nworld", End::Closes, failure(wrong_md5)),
        ("status is tested before the digest", digest("hello"), "HTTP/1.0 500 No\r\n\r\nworld", End::Closes, failure("status 500, wanted 200-299")),
        ("digest of an empty body", digest(""), "HTTP/1.0 200 OK\r\n\r\n", End::Closes, success("status 200")),
        ("body longer than promised: the digest covers what was promised", digest("hello"), "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello world", End::Closes,
            success("status 200 (11 octets of body, Content-Length says 5)")),
        ("body shorter than promised is only remarked", url("/"), "HTTP/1.0 200 OK\r\ncontent-length: 10\r\n\r\nhello", End::Closes,
            success("status 200 (5 octets of body, Content-Length says 10)")),
        ("Content-Length that is no number counts as none", digest("hello"), "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\nhello", End::Closes, success("status 200")),
        ("Content-Length past all numbers", digest("hello"), "HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello", End::Closes, success("status 200")),
        ("closes at once", url("/"), "", End::Closes, failure("closed without an answer")),
        ("says nothing", url("/"), "", End::NeverCloses, failure("no answer within 5 s")),
        ("resets", url("/"), "", End::Resets, failure("connection reset by the server")),
        ("breaks off in the headers", url("/"), "HTTP/1.1 200 OK\r\nServer", End::Closes, failure("closed after 23 octets of headers")),
        ("stalls in the headers", url("/"), "HTTP/1.1 200", End::NeverCloses, failure("silent for 5 s after 12 octets of headers")),
        ("stalls in the body", url("/"), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", End::NeverCloses, failure("silent for 5 s after 5 octets of body")),
        ("whole answer, never closes", url("/"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", End::NeverCloses, failure("the whole answer came but the server did not close within 5 s")),
        ("resets in the body", url("/"), "HTTP/1.1 200 OK\r\n\r\nhello", End::Resets, failure("connection reset by the server")),
        ("another protocol", url("/"), "SSH-2.0-OpenSSH_9.2\r\n\r\n", End::Closes, failure("not an HTTP answer: invalid HTTP version")),
    ];
    for (name, url, answer, end, expected) in cases {
        for size in [1, 2, 3, 7, 4096] {
            let (_, outcome) = converse(web(vec![url.clone()]), answer.as_bytes(), size, end);
            assert_eq!(outcome, expected, "{name}, in pieces of {size}");
        }
    }
}

#[test]
fn requests_are_worded_as_keepalived_words_them() {
    let host = |name: &str| HttpUrl { host: Some(name.into()), ..url("/a?b=c") };
    #[rustfmt::skip]
    let cases = [
        (HttpVersion::V1_0, url("/"), "192.0.2.1:8080", "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 192.0.2.1:8080\r\n\r\n"),
        (HttpVersion::V1_0, url("/"), "[2001:db8::1]:80", "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: [2001:db8::1]:80\r\n\r\n"),
        (HttpVersion::V1_0Close, host("www.example.org"), "192.0.2.1:80",
            "GET /a?b=c HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org\r\n\r\n"),
        (HttpVersion::V1_1, host("www.example.org:81"), "192.0.2.1:80",
            "GET /a?b=c HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org:81\r\n\r\n"),
    ];
    for (version, url, endpoint, expected) in cases {
        let question = question(CheckKind::Http(check(version, vec![url])), endpoint);
        let (sent, _) = converse(ask(&question, 0, Mark::default()), b"", 1, End::Closes);
        assert_eq!(String::from_utf8_lossy(&sent), expected);
    }
}

#[test]
fn each_part_asks_its_own_url_and_says_which() {
    let check = check(HttpVersion::V1_0, vec![url("/one"), url("/two")]);
    let question = question(CheckKind::Http(check), "192.0.2.1:80");
    for (part, path) in [(0, "/one"), (1, "/two")] {
        let probe = ask(&question, part, Mark::default());
        let (sent, outcome) = converse(probe, b"HTTP/1.0 500 No\r\n\r\n", 99, End::Closes);
        assert!(sent.starts_with(format!("GET {path} HTTP/1.0\r\n").as_bytes()));
        assert_eq!(outcome, failure(&format!("url {path}: status 500, wanted 200-299")));
    }
}

#[test]
fn endless_headers_are_cut_off() {
    let answer = format!("HTTP/1.0 200 OK\r\n{}", "X: y\r\n".repeat(1 << 18));
    for size in [997, 1 << 20] {
        let (_, outcome) = converse(web(vec![url("/")]), answer.as_bytes(), size, End::NeverCloses);
        assert_eq!(outcome, failure(&format!("headers over {} KiB", MAX_HEAD >> 10)));
    }
    let many = format!("HTTP/1.0 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let (_, outcome) = converse(web(vec![url("/")]), many.as_bytes(), 99, End::Closes);
    assert_eq!(outcome, failure("not an HTTP answer: too many headers"));
}

#[test]
fn an_endless_body_is_judged_by_what_is_known() {
    let mib = vec![b'x'; 1 << 20];
    let endless = |mut probe: Box<dyn Probe>, head: &str| {
        probe.step(ProbeInput::Connected);
        assert_eq!(probe.step(ProbeInput::Data(head.as_bytes())), ProbeStep::Wait);
        for _ in 0..(MAX_BODY >> 20) {
            assert_eq!(probe.step(ProbeInput::Data(&mib)), ProbeStep::Wait);
        }
        probe.step(ProbeInput::Data(&mib))
    };
    let wanting = |body| HttpUrl { digest: Some(md5_of(body)), ..url("/") };
    let head = "HTTP/1.0 200 OK\r\n\r\n";
    let step = endless(web(vec![url("/")]), head);
    assert_eq!(step, ProbeStep::Done(success("status 200, stopped reading after 64 MiB")));
    let step = endless(web(vec![wanting("hello")]), head);
    assert_eq!(step, ProbeStep::Done(failure("body over 64 MiB, too long to check its MD5")));
    // The promised part has been read: its digest stands.
    let step = endless(web(vec![wanting("xxx")]), "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert!(
        matches!(&step, ProbeStep::Done(Outcome::Success(words)) if words.starts_with("status 200 ")),
        "{step:?}"
    );
}

#[test]
fn a_tcp_check_ends_with_its_connection() {
    let end = |input| ask(&question(CheckKind::Tcp, "192.0.2.1:80"), 0, Mark::default()).step(input);
    assert_eq!(end(ProbeInput::Connected), ProbeStep::Done(success("connected")));
    assert_eq!(end(ProbeInput::TimedOut(LIMIT)), ProbeStep::Done(failure("no connection within 5 s")));
    assert_eq!(end(ProbeInput::Broken("connection refused")), ProbeStep::Done(failure("connection refused")));
}

fn ping(endpoint: &str) -> (Box<dyn Probe>, Vec<u8>) {
    let mark = Mark { identifier: 9, sequence: 300 };
    let mut probe = ask(&question(CheckKind::Ping, endpoint), 0, mark);
    let ProbeStep::Send(request) = probe.step(ProbeInput::Connected) else {
        panic!("a ping begins by sending")
    };
    (probe, request)
}

#[test]
fn a_ping_carries_128_octets_and_its_number() {
    let (_, request) = ping("192.0.2.1:0");
    let echo = Echo::decode_v4(&request).expect("a valid request");
    assert_eq!((echo.kind, echo.identifier, echo.sequence), (EchoKind::Request, 9, 300));
    assert_eq!(echo.payload.len(), 128);
    let (_, request) = ping("[2001:db8::1]:0");
    let echo = Echo::decode_v6(&request, None).expect("a valid request");
    assert_eq!((echo.kind, echo.sequence, echo.payload.len()), (EchoKind::Request, 300, 128));
}

#[test]
fn only_the_reply_with_our_number_counts() {
    let (mut probe, request) = ping("192.0.2.1:0");
    let echo = Echo::decode_v4(&request).expect("a valid request");
    let reply = |sequence| Echo { kind: EchoKind::Reply, sequence, ..echo.clone() }.encode_v4();
    for noise in [request.clone(), reply(299), vec![], vec![3; 40]] {
        assert_eq!(probe.step(ProbeInput::Data(&noise)), ProbeStep::Wait);
    }
    assert_eq!(probe.step(ProbeInput::Data(&reply(300))), ProbeStep::Done(success("echo reply")));
    let (mut probe, _) = ping("192.0.2.1:0");
    assert_eq!(probe.step(ProbeInput::TimedOut(LIMIT)), ProbeStep::Done(failure("no echo reply within 5 s")));
    let (mut probe, _) = ping("192.0.2.1:0");
    assert_eq!(probe.step(ProbeInput::Broken("no route")), ProbeStep::Done(failure("no route")));
}

#[test]
fn mail_servers_are_judged_line_by_line() {
    let check = || CheckKind::Smtp(SmtpCheck { helo: "me.example".into() });
    #[rustfmt::skip]
    let cases: &[(&[&str], End, &str, Outcome)] = &[
        (&["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"], End::Closes, "HELO me.example\r\nQUIT\r\n", success("greets, takes HELO and QUIT")),
        (&["220\r\n", "250\r\n", "500 what\r\n"], End::Closes, "HELO me.example\r\nQUIT\r\n", success("greets, takes HELO and QUIT")),
        (&["220-hi\r\n220 there\r\n"], End::Closes, "", failure("greeting: `220-hi`, wanted 220")),
        (&["554 no\r\n"], End::Closes, "", failure("greeting: `554 no`, wanted 220")),
        (&["220 hi\r\n", "502 no\r\n"], End::Closes, "HELO me.example\r\n", failure("answer to HELO: `502 no`, wanted 250")),
        (&["220 hi\r\n", "250 ok\r\n"], End::Closes, "HELO me.example\r\nQUIT\r\n", failure("answer to QUIT: closed instead")),
        (&[], End::NeverCloses, "", failure("greeting: none within 5 s")),
        (&[], End::Closes, "", failure("greeting: closed instead")),
        (&["2", "2", "0", " ", "h", "i", "\r", "\n", "2", "5", "0", "\n", "2", "2", "1", "\n"], End::NeverCloses, "HELO me.example\r\nQUIT\r\n",
            success("greets, takes HELO and QUIT")),
        (&["220 hi\r\n", "250 ok\r\n"], End::NeverCloses, "HELO me.example\r\nQUIT\r\n", failure("answer to QUIT: none within 5 s")),
        (&["220 hi\r\n", "250-ok\r\n250 HELP\r\n"], End::Closes, "HELO me.example\r\n", failure("answer to HELO: `250-ok`, wanted 250")),
        (&["HTTP/1.1 400 Bad Request\r\n\r\n"], End::Closes, "", failure("greeting: `HTTP/1.1 400 Bad Request`, wanted 220")),
        (&["22"], End::Resets, "", failure("greeting: connection reset by the server")),
    ];
    for (pieces, end, sent, expected) in cases {
        let mut probe = ask(&question(check(), "192.0.2.1:25"), 0, Mark::default());
        let last = match end {
            End::Closes => ProbeInput::Closed,
            End::NeverCloses => ProbeInput::TimedOut(LIMIT),
            End::Resets => ProbeInput::Broken("connection reset by the server"),
        };
        let inputs = pieces.iter().map(|piece| ProbeInput::Data(piece.as_bytes())).chain([last]);
        let (mut said, mut outcome) = (Vec::new(), None);
        assert_eq!(probe.step(ProbeInput::Connected), ProbeStep::Wait);
        for input in inputs {
            match probe.step(input) {
                ProbeStep::Send(octets) => said.extend(octets),
                ProbeStep::Wait => {}
                ProbeStep::Done(done) => {
                    outcome = Some(done);
                    break;
                }
            }
        }
        assert_eq!((String::from_utf8_lossy(&said).as_ref(), outcome.as_ref()), (*sent, Some(expected)));
    }
    let mut endless = ask(&question(check(), "192.0.2.1:25"), 0, Mark::default());
    let step = endless.step(ProbeInput::Data(&[b'x'; 2000]));
    assert_eq!(step, ProbeStep::Done(failure("greeting: a line over 1024 octets")));
}

#[test]
fn name_servers_are_judged_by_the_head_of_their_answer() {
    let kind = CheckKind::Dns(DnsCheck { record_type: 6, name: ".".into() });
    let begin = || {
        let mut probe = ask(&question(kind.clone(), "192.0.2.1:53"), 0, Mark { identifier: 7, sequence: 9 });
        let ProbeStep::Send(query) = probe.step(ProbeInput::Connected) else { panic!("it begins by asking") };
        (probe, query)
    };
    let answer = |flags: u8, code: u8| {
        let (mut probe, mut message) = begin();
        (message[2], message[3], message[7]) = (flags, code, 2);
        probe.step(ProbeInput::Data(&message))
    };
    assert_eq!(answer(0x81, 0x80), ProbeStep::Done(success("answered with 2 records")));
    assert_eq!(answer(0x81, 0x82), ProbeStep::Done(failure("answered SERVFAIL (2)")));
    assert_eq!(answer(0x01, 0), ProbeStep::Done(failure("a question instead of an answer")));
    let (mut probe, mut other) = begin();
    other[0] ^= 1;
    assert_eq!(probe.step(ProbeInput::Data(&other)), ProbeStep::Wait, "the answer to another question");
    assert_eq!(
        probe.step(ProbeInput::Data(b"x")),
        ProbeStep::Done(failure("1 octets that are no DNS answer"))
    );
    let (mut probe, _) = begin();
    assert_eq!(probe.step(ProbeInput::TimedOut(LIMIT)), ProbeStep::Done(failure("no answer within 5 s")));
    let (mut probe, _) = begin();
    let refused = ProbeInput::Broken("port unreachable");
    assert_eq!(probe.step(refused), ProbeStep::Done(failure("port unreachable")));
    // Records that are promised and not there, and far too many octets: only the head counts, as for keepalived.
    let (mut probe, mut long) = begin();
    (long[2], long[3], long[6], long[7]) = (0x81, 0x80, 0xff, 0xff);
    long.resize(60_000, 0xff);
    assert_eq!(probe.step(ProbeInput::Data(&long)), ProbeStep::Done(success("answered with 65535 records")));
}

#[test]
fn datagrams_are_judged_as_by_keepalived() {
    let judge = |reply: Option<Vec<(u8, u8)>>, input: ProbeInput<'_>| {
        let check = UdpCheck { payload: None, reply, reply_length: 2..=3 };
        let mut probe = ask(&question(CheckKind::Udp(check), "192.0.2.1:53"), 0, Mark::default());
        assert!(matches!(probe.step(ProbeInput::Connected), ProbeStep::Send(octets) if octets.len() == 32));
        match probe.step(input) {
            ProbeStep::Done(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    };
    let exact = || Some(vec![(0x0a, 0xff), (0xb0, 0xf0)]);
    assert_eq!(judge(None, ProbeInput::TimedOut(LIMIT)), success("not refused within 5 s"));
    assert_eq!(judge(None, ProbeInput::Broken("port unreachable")), failure("port unreachable"));
    assert_eq!(judge(Some(vec![]), ProbeInput::TimedOut(LIMIT)), failure("no answer within 5 s"));
    assert_eq!(judge(Some(vec![]), ProbeInput::Data(&[1; 99])), success("an answer of 99 octets"));
    assert_eq!(judge(Some(vec![]), ProbeInput::Data(&[])), success("an answer of 0 octets"));
    assert_eq!(judge(exact(), ProbeInput::Data(&[])), failure("an answer of 0 octets, wanted 2 to 3"));
    assert_eq!(judge(exact(), ProbeInput::TimedOut(LIMIT)), failure("no answer within 5 s"));
    assert_eq!(judge(exact(), ProbeInput::Broken("port unreachable")), failure("port unreachable"));
    assert_eq!(judge(exact(), ProbeInput::Data(&[0x0a, 0xb7])), success("the wanted answer, 2 octets"));
    assert_eq!(judge(exact(), ProbeInput::Data(&[0x0a])), failure("an answer of 1 octets, wanted 2 to 3"));
    assert_eq!(judge(exact(), ProbeInput::Data(&[0x0a; 4])), failure("an answer of 4 octets, wanted 2 to 3"));
    let wrong = judge(exact(), ProbeInput::Data(&[0x0b, 0xb7]));
    assert_eq!(wrong, failure("an answer that begins otherwise than wanted: 0bb7"));
}

#[test]
fn a_body_is_searched_after_its_status_and_digest() {
    let search = |negate| Some(SearchPlan { pattern: "UP|OK".into(), negate, ..SearchPlan::default() });
    let judged = |negate, answer: &str| {
        let url = HttpUrl { search: search(negate), ..url("/") };
        converse(web(vec![url]), answer.as_bytes(), 3, End::Closes).1
    };
    let head = "HTTP/1.0 200 OK\r\n\r\n";
    assert_eq!(judged(false, &format!("{head}is UP")), success("status 200"));
    let missed = failure("status 200, but the body has no match of the regex");
    assert_eq!(judged(false, &format!("{head}is down")), missed, "the head is not searched");
    assert_eq!(judged(true, &format!("{head}is down")), success("status 200"));
    let found = failure("status 200, but the body matches the regex");
    assert_eq!(judged(true, &format!("{head}is UP")), found);
}

proptest! {
    /// Fragmentation never changes an outcome, and no answer makes a probe panic.
    #[test]
    fn fragmentation_never_changes_an_outcome(
        answer in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "HTTP/1\\.[01] [0-9]{3}[ -~]{0,9}(\r?\n[A-Za-z-]{1,9}: ?[ -~]{0,9}){0,3}(\r?\n){0,2}[ -~]{0,20}"
                .prop_map(String::into_bytes),
        ],
        size in 1usize..20,
    ) {
        let url = HttpUrl { digest: Some(md5_of("hello")), status: vec![0..=999], ..url("/") };
        let whole = converse(web(vec![url.clone()]), &answer, usize::MAX, End::Closes);
        let pieces = converse(web(vec![url]), &answer, size, End::Closes);
        prop_assert_eq!(whole, pieces);
    }
}
