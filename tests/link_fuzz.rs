//! Any octets whatever on the links between the processes and on the control socket's way back: no panic, a message or a
//! reason, the same in whatever pieces they come, and what was understood is said again the same.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --profile sim --test link_fuzz -- --nocapture
//!
//! runs for that long: see `tests/fuzz/`. Most frames are real messages, of which words and octets are changed.

#[path = "fuzz/mod.rs"]
mod fuzz;

use fuzz::Random;
use holdfast::link::control::{Answer, Request};
use holdfast::link::frame::{Decoder, FrameError, encode};
use holdfast::link::kept::CompileAnswer;
use holdfast::link::pack::{Packer, Unpacker};
use holdfast::link::{
    Compiled, FromBfd, FromChecker, FromScripts, FromSnmp, FromVrrp, MAX_FRAME, News, ToBfd, ToChecker,
    ToScripts, ToSnmp, ToVrrp,
};
use holdfast::net::{AddressFamily, Priority, VirtualRouterId};
use holdfast::plan::lvs::ServiceKey;
use holdfast::plan::track::{Sample, TrackerKey, TrackerKind};
use holdfast::plan::vrrp::RouterKey;
use holdfast::plan::{Generation, Plans};
use holdfast::report::{BfdStatus, CheckerStatus, ScriptsStatus, SnmpStatus, VrrpStatus};
use holdfast::time::Instant;
use holdfast::vrrp::{Maintenance, RouterId, State, Transition, TransitionCause, Upkeep};
use keepalived_compat::{Options, Reader};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::time::Duration;

/// Cases of an ordinary run.
const CASES: u64 = 1500;

/// What is put in place of numbers, words and the like.
const WORDS: [&[u8]; 22] = [
    b"0",
    b"-1",
    b"255",
    b"256",
    b"65536",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e400",
    b"0.5",
    b"null",
    b"true",
    b"\"\"",
    b"\"\\u0000\\ud800\"",
    b"\"\xff\"",
    b"[]",
    b"{}",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\"10.0.0.1/33\"",
    b"\"::\"",
    b"\"Stop\"",
];

struct OneFile;

impl Reader for OneFile {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name);
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn exists(&mut self, name: &str) -> bool {
        self.read(name).is_ok()
    }

    fn variable(&mut self, _: &str) -> Option<String> {
        None
    }
}

fn plans() -> Plans {
    let options = Options { config_id: "", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut OneFile, "pair.conf", options);
    holdfast::config::lower(&parsed.config, Generation(1)).plans
}

/// Bodies of real messages, of every link.
fn bodies() -> Vec<Vec<u8>> {
    let plans = plans();
    let tracker = TrackerKey { kind: TrackerKind::Script, name: "chk".to_owned() };
    let vrid = VirtualRouterId::new(51).expect("not 0");
    let transition = Transition {
        router: RouterId(0),
        key: RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid),
        name: "WEB".to_owned(),
        from: State::Backup,
        to: State::Master,
        cause: TransitionCause::MasterDown { last: Some([10, 0, 0, 2].into()), silence_ms: 3609 },
        at: Instant(7),
        priority: Priority(100),
    };
    let service = ServiceKey::FwMark { family: AddressFamily::V6, mark: 7 };
    let quorum_lost =
        News::VirtualServer { service, up: false, gone: false, cause: "live weight 0".to_owned() };
    let mut maintenance = Maintenance::default();
    maintenance.routers.insert("WEB".to_owned(), Upkeep { allow_last: true });
    let failover = ToVrrp::Failover { routers: vec!["WEB".to_owned()], hold: Duration::from_secs(600) };
    let compiled = Compiled {
        plans: Some(plans.clone()),
        status: 0,
        diagnostics: vec!["HF0001".to_owned()],
        errors: 0,
        cannot_run: 0,
    };
    let answer = CompileAnswer::try_from(compiled).expect("it is short");
    let mut bodies = Vec::new();
    let mut add = |frame: Result<Vec<u8>, FrameError>| bodies.push(frame.expect("it is short")[4..].to_vec());
    add(encode(&ToVrrp::Plan(plans.vrrp)));
    add(encode(&ToVrrp::Tracker(tracker.clone(), Some(Sample::Value(-7)))));
    add(encode(&ToVrrp::Maintenance(maintenance)));
    add(encode(&failover));
    add(encode(&ToVrrp::Stop { release: true }));
    add(encode(&FromVrrp::Snapshot(1, VrrpStatus::default())));
    add(encode(&FromVrrp::Transition(transition)));
    add(encode(&ToChecker::Plan(plans.lvs)));
    add(encode(&ToChecker::Master(true)));
    add(encode(&FromChecker::Snapshot(1, CheckerStatus::default())));
    add(encode(&FromChecker::Traffic(2, Err("no such server".to_owned()))));
    add(encode(&ToScripts::Plan(plans.scripts)));
    add(encode(&ToScripts::Held(vec![(tracker.clone(), Sample::Up)])));
    add(encode(&FromScripts::TrackerWords(tracker.clone(), "exit status 1".to_owned())));
    add(encode(&FromScripts::Tracker(tracker, None)));
    add(encode(&FromScripts::Snapshot(3, ScriptsStatus::default())));
    add(encode(&ToBfd::Plan(plans.bfd)));
    add(encode(&FromBfd::Snapshot(4, BfdStatus::default())));
    add(encode(&ToSnmp::Plan(plans.snmp)));
    add(encode(&ToSnmp::Servers(Some(Vec::default()))));
    add(encode(&ToSnmp::News(quorum_lost)));
    add(encode(&FromSnmp::Servers));
    add(encode(&FromSnmp::Snapshot(5, SnmpStatus::default())));
    add(encode(&answer));
    add(encode(&Request::Failover { instances: vec!["WEB".to_owned()], hold_seconds: 600 }));
    add(encode(&Answer::Begun(vec!["WEB".to_owned()])));
    add(encode(&Answer::Refused("no".to_owned())));
    bodies
}

/// Begin and end of something between two marks of the language, nearly a value.
fn span(random: &mut Random, body: &[u8]) -> (usize, usize) {
    let is_mark = |octet: &u8| b"{}[]:,".contains(octet);
    let from = random.below(body.len());
    let begin = body[from..].iter().position(is_mark).map_or(from, |at| from + at + 1);
    let end = body[begin..].iter().position(is_mark).map_or(body.len(), |at| begin + at);
    (begin, end)
}

fn change(random: &mut Random, body: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        if body.is_empty() {
            return;
        }
        let (begin, end) = span(random, body);
        match random.below(5) {
            0 | 1 => drop(body.splice(begin..end, random.one(&WORDS).iter().copied())),
            2 => drop(body.drain(begin..end)),
            3 => {
                let part = body[begin..end].to_vec();
                body.splice(begin..begin, part);
            }
            _ => drop(body.splice(begin..end, random.number().to_string().into_bytes())),
        }
    }
    if random.once_in(3) {
        random.harm(body, 3);
    }
}

/// One to three frames, the last with a length that may lie.
fn stream(random: &mut Random, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..1 + random.below(3) {
        let mut body = if random.once_in(10) { random.octets(50) } else { random.of(bodies).clone() };
        change(random, &mut body);
        let mut packed = 0;
        if random.once_in(6) {
            body = packed_octets(&body);
            packed = 1 << 31;
            if random.once_in(3) {
                random.harm(&mut body, 3);
            }
        }
        let length = if random.once_in(12) { random.number() as u32 } else { body.len() as u32 | packed };
        stream.extend(length.to_be_bytes());
        stream.extend(body);
    }
    stream
}

fn packed_octets(octets: &[u8]) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.write_all(octets).expect("there is room");
    packer.finish().expect("there is room").octets().to_vec()
}

/// Every message until the first that is none, with the reason; in pieces of this length.
fn messages<T: DeserializeOwned>(stream: &[u8], largest: usize) -> (Vec<T>, Option<String>) {
    let mut decoder = Decoder::default();
    let mut heard = Vec::new();
    for piece in stream.chunks(largest) {
        decoder.push(piece);
        loop {
            match decoder.message() {
                Ok(Some(message)) => heard.push(message),
                Ok(None) => break,
                Err(error) => return (heard, Some(error.to_string())),
            }
        }
    }
    (heard, None)
}

fn read_as<T: Serialize + DeserializeOwned + PartialEq + Debug>(stream: &[u8], size: usize) -> usize {
    let whole = messages::<T>(stream, usize::MAX);
    assert_eq!(messages::<T>(stream, size), whole, "pieces of {size} change what is heard");
    let (heard, _) = whole;
    for message in &heard {
        let again = encode(message).expect("what was heard can be said");
        assert!(again.len() <= MAX_FRAME, "{} octets", again.len());
        let (read, trouble) = messages::<T>(&again, usize::MAX);
        assert_eq!((read.as_slice(), trouble), (std::slice::from_ref(message), None));
    }
    heard.len()
}

/// How many messages were understood.
fn survives(seed: u64, bodies: &[Vec<u8>]) -> usize {
    let mut random = Random(seed);
    let stream = stream(&mut random, bodies);
    let size = *random.of(&[1, 2, 7, 1000]);
    let understood = read_as::<ToVrrp>(&stream, size)
        + read_as::<FromVrrp>(&stream, size)
        + read_as::<ToChecker>(&stream, size)
        + read_as::<FromChecker>(&stream, size)
        + read_as::<ToScripts>(&stream, size)
        + read_as::<FromScripts>(&stream, size)
        + read_as::<ToBfd>(&stream, size)
        + read_as::<FromBfd>(&stream, size)
        + read_as::<ToSnmp>(&stream, size)
        + read_as::<FromSnmp>(&stream, size)
        + read_as::<Request>(&stream, size)
        + read_as::<Answer>(&stream, size)
        + read_as::<CompileAnswer>(&stream, size);
    let (packed, mut unpacked) = (packed_octets(&stream), Vec::new());
    Unpacker::new(&packed, stream.len()).read_to_end(&mut unpacked).expect("it was packed");
    assert_eq!(unpacked, stream, "what is packed comes out again");
    understood
}

#[test]
fn any_octets_are_a_message_or_a_reason() {
    let bodies = bodies();
    fuzz::run("links", CASES, |seed| {
        survives(seed, &bodies);
    });
}

#[test]
fn many_changed_messages_are_understood() {
    let bodies = bodies();
    let understood: usize = (1..1000).map(|seed| survives(seed, &bodies)).sum();
    assert!(understood > 300, "a fuzzer that is always refused finds nothing: {understood} of 1000");
}
