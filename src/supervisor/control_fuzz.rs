//! Any octets whatever on the control socket, in any pieces: one answer each, an order only where there is one, and the
//! next client is served.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --profile sim --lib control_fuzz -- --nocapture
//!
//! runs for that long: see `tests/fuzz/`.

use super::control::{Asked, ControlSocket};
use crate::fuzzing::{self, Random};
use crate::link::control::{Answer, MAX_REQUEST, Request};
use crate::link::frame::{Decoder, encode};
use crate::vrrp::Upkeep;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Cases of an ordinary run.
const CASES: u64 = 400;

/// Far more than an answer takes; the socket's own patience is shorter than twice this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What people and programs ask, and pieces of it.
const PIECES: [&[u8]; 16] = [
    b"\"Status\"",
    b"\"Reload\"",
    b"{\"Stop\":{\"keep\":true}}",
    b"{\"Upgrade\":{\"binary\":\"/bin/true\"}}",
    b"{\"Failover\":{\"instances\":[\"a\"],\"hold_seconds\":4294967295}}",
    b"{\"Maintenance\":{\"instance\":null,\"upkeep\":{\"allow_last\":true}}}",
    b"{\"Checks\":",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b"\\u0000",
    b"\"\xff\xfe\"",
    b"-1e999",
    b"18446744073709551616",
    b",",
    b"}",
    b"null",
];

fn sound(random: &mut Random) -> Request {
    match random.below(6) {
        0 => Request::Status,
        1 => Request::Reload,
        2 => Request::Stop { keep: random.once_in(2) },
        3 => Request::Upgrade { binary: "/usr/local/sbin/holdfast".into() },
        4 => Request::Failover { instances: vec!["VI_1".to_owned()], hold_seconds: random.number() as u32 },
        _ => Request::Maintenance { instance: None, upkeep: Some(Upkeep { allow_last: random.once_in(2) }) },
    }
}

/// What a client sends.
fn octets(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => random.octets(60),
        1 => {
            let body = random.puzzle(&PIECES);
            let length = if random.once_in(4) { random.number() as u32 } else { body.len() as u32 };
            [&length.to_be_bytes()[..], &body].concat()
        }
        _ => {
            let mut frame = encode(&sound(random)).expect("requests are short");
            random.harm(&mut frame, 4);
            frame
        }
    }
}

/// The order that these octets give, by the framing's definition.
fn meant(octets: &[u8]) -> Option<Request> {
    let (length, body) = octets.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let body = body.get(..length).filter(|_| length <= MAX_REQUEST)?;
    serde_json::from_slice(body).ok()
}

async fn converse(path: &std::path::Path, random: &mut Random, heard: &Mutex<Vec<Request>>) {
    let octets = octets(random);
    let client = UnixStream::connect(path).await.expect("the socket is served");
    let (mut reader, mut writer) = client.into_split();
    let largest = *random.of(&[1, 3, 100, 10_000]);
    let mut rest = &octets[..];
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((1 + random.below(largest)).min(rest.len()));
        rest = later;
        // The supervisor may have refused it by now.
        if writer.write_all(piece).await.is_err() {
            break;
        }
        if largest < 10 {
            tokio::task::yield_now().await;
        }
    }
    writer.shutdown().await.ok();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut answer)).await.expect("an end");
    let given = heard.lock().expect("nobody panics with it").pop();
    assert_eq!(given, meant(&octets), "{}", octets.escape_ascii());
    // Octets that nobody read make the kernel reset the connection: then the answer may be lost.
    let Ok(_) = read else { return };
    let mut decoder = Decoder::default();
    decoder.push(&answer);
    let answer = decoder.message::<Answer>().expect("an answer is well formed");
    let refused = matches!(&answer, Some(Answer::Refused(why)) if !why.is_empty());
    assert!(refused || given.is_some() && matches!(answer, Some(Answer::Begun(_))), "{answer:?}");
}

#[test]
fn any_octets_are_answered_and_only_orders_are_given() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control");
    let heard: Arc<Mutex<Vec<Request>>> = Arc::default();
    let (sender, mut asked) = mpsc::channel::<Asked>(4);
    let listener = runtime.block_on(async { ControlSocket::open(&path, sender) }).expect("it listens");
    let list = heard.clone();
    runtime.spawn(async move {
        while let Some((request, reply)) = asked.recv().await {
            list.lock().expect("nobody panics with it").push(request);
            reply.send(Answer::Begun(Vec::new())).ok();
        }
    });
    fuzzing::run("control socket", CASES, |seed| {
        let mut random = Random(seed);
        runtime.block_on(converse(&path, &mut random, &heard));
    });
    drop(listener);
}
