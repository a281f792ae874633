//! Any text whatever through lexer, preprocessor, typed configuration, lowering, lints and printing: no panic, no
//! hang, nothing on the terminal that does not belong there.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --test config_fuzz -- --nocapture
//!
//! runs for that long and prints the seed of each failure: see `tests/fuzz/`. A text that once failed is kept in tests/configs/fuzz/ and tried by every run.

#[path = "fuzz/mod.rs"]
mod fuzz;

use fuzz::Random;
use holdfast::plan::Generation;
use keepalived_compat::lint::Facts;
use keepalived_compat::{MAX_DIAGNOSTICS, Options, Reader, diagnostics, keywords};
use proptest::prelude::*;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

/// Three files that include each other as they like: `main`, `a`, `b`.
struct Memory([Vec<u8>; 3]);

const NAMES: [&str; 3] = ["main", "a", "b"];

impl Reader for Memory {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        match pattern {
            "*" => Ok(NAMES.map(str::to_owned).to_vec()),
            "[" => Err("this pattern is not one".to_owned()),
            name => Ok(vec![name.to_owned()]),
        }
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let index = NAMES.iter().position(|n| *n == name).ok_or("no such file")?;
        Ok(self.0[index].clone())
    }

    fn exists(&mut self, name: &str) -> bool {
        NAMES.contains(&name)
    }

    fn variable(&mut self, _: &str) -> Option<String> {
        Some("x $A } ${_ENV X}\n{".to_owned())
    }
}

struct Networks;

impl Facts for Networks {
    fn networks(&self, _: &str) -> Option<Vec<(IpAddr, u8)>> {
        Some(vec![([192, 0, 2, 1].into(), 24), ([10, 0, 0, 1].into(), 0)])
    }
}

/// All layers once; panics when a promise is broken.
fn survives(files: [Vec<u8>; 3]) {
    let options = Options { config_id: "low", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse_and_lint(&mut Memory(files.clone()), "main", options, &Networks);
    let lowered = holdfast::config::lower(&parsed.config, Generation(1));
    assert!(parsed.diagnostics.len() <= MAX_DIAGNOSTICS + 200, "diagnostics are capped");
    let all: Vec<_> = parsed.diagnostics.iter().chain(&lowered.diagnostics).cloned().collect();
    let (shown, _) = diagnostics::worst(&all, 40);
    for diagnostic in shown {
        assert!(!diagnostic.title.is_empty() && !diagnostic.now.is_empty(), "{diagnostic:?}");
        let text = diagnostic.render(&parsed.sources);
        assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text:?}");
        assert!(text.len() < 20_000, "a diagnostic is as long as a file: {}", text.len());
        diagnostic.render_coloured(&parsed.sources);
        diagnostic.line(&parsed.sources);
        diagnostic.chain(&parsed.sources);
    }
    for (one, limited) in [(true, false), (false, true)] {
        let options = Options { config_id: "", vrrp: one, checker: limited };
        keepalived_compat::parse(&mut Memory(files.clone()), "*", options);
    }
}

/// What the language is made of besides its keywords.
const PIECES: &[&str] = &[
    "\n",
    "\n",
    "\n",
    " ",
    " ",
    "\t",
    "{",
    "{\n",
    "}",
    "}\n",
    "\"",
    "'",
    "\\",
    "\\\n",
    "\r\n",
    "\0",
    "#",
    "!",
    "\\#",
    "$A",
    "$A=",
    "$B",
    "${A}",
    "${B}",
    "$A=$B\n",
    "$B= \\\n",
    "${",
    "}",
    "$",
    "=",
    "@low ",
    "@^low ",
    "@",
    "~SEQ(A, 1, 3) ",
    "~SEQx(B, 2) ",
    "~LST(A, x, y) ",
    "~LST({A,B}, {1, 2}, {3}) ",
    "~SEQ(",
    ")",
    "include a\n",
    "include b\n",
    "includea {a,b}\n",
    "include *\n",
    "include_check\n",
    "${_RANDOM}",
    "${_RANDOM 1 9}",
    "${_ENV X}",
    "${_PWD}",
    "${_HASH}",
    "random_seed 4\n",
    "0",
    "1",
    "-1",
    "255",
    "256",
    "99999999999999999999",
    "0.5",
    "1.0000001",
    "192.0.2.1",
    "192.0.2.1/24",
    "192.0.2.1-9",
    "2001:db8::1",
    "2001:db8::1/129",
    "eth0",
    "dev eth0",
    "weight 5",
    "on",
    "off",
    "MASTER",
    "x",
    "\u{e4}",
    "\u{10f0ff}",
    "\u{202e}",
    "\u{1b}[2J",
];

/// A text of words that belong to the language, in no order, or a real one with changes.
fn text(random: &mut Random, words: &[&str], bases: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    if random.below(2) == 0 || bases.is_empty() {
        for _ in 0..random.below(120) {
            let piece = if random.below(3) == 0 { random.of(words) } else { random.of(PIECES) };
            text.extend_from_slice(piece.as_bytes());
            if random.below(2) == 0 {
                text.push(b' ');
            }
        }
        return text;
    }
    text.clone_from(random.of(bases));
    for _ in 0..=random.below(12) {
        let at = random.below(text.len() + 1);
        match random.below(5) {
            0 if at < text.len() => text[at] = u8::try_from(random.below(256)).expect("a byte"),
            1 => text.truncate(at),
            2 => {
                let end = (at + random.below(60)).min(text.len());
                let part = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            3 => {
                let end = (at + random.below(40)).min(text.len());
                text.drain(at..end);
            }
            _ => {
                let piece = if random.below(2) == 0 { random.of(words) } else { random.of(PIECES) };
                text.splice(at..at, piece.bytes());
            }
        }
    }
    text
}

fn words() -> Vec<&'static str> {
    let named = keywords::places().flat_map(|(_, list)| list.iter().map(|k| k.name));
    named.filter(|name| !name.starts_with('(')).collect()
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name)
}

fn texts(directory: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = files.map(|f| f.path()).filter(|p| p.is_file()).collect();
    files.sort();
    files.iter().filter_map(|f| std::fs::read(f).ok()).filter(|text| text.len() < 16_384).collect()
}

/// The texts that are changed: ours, and the public ones where they are.
fn bases() -> Vec<Vec<u8>> {
    let mut bases = texts(&own("codes"));
    bases.extend(texts(&own("generators")));
    bases.extend(texts(&own("")));
    bases.extend(
        std::env::var_os("HOLDFAST_SHARED").into_iter().flat_map(|s| texts(&Path::new(&s).join("corpus"))),
    );
    bases
}

fn of_seed(seed: u64, words: &[&str], bases: &[Vec<u8>]) -> [Vec<u8>; 3] {
    let mut random = Random(seed);
    let mut one = || text(&mut random, words, bases);
    [one(), one(), one()]
}

#[test]
fn a_long_run_finds_nothing() {
    let (words, bases) = (words(), bases());
    fuzz::run("configurations", 60, |seed| {
        let files = of_seed(seed, &words, &bases);
        let failed = catch_unwind(AssertUnwindSafe(|| survives(files.clone())));
        if let Err(why) = failed {
            for (name, text) in NAMES.iter().zip(&files) {
                println!("seed {seed}, {name}: {:?}", String::from_utf8_lossy(text));
            }
            resume_unwind(why);
        }
    });
}

#[test]
fn what_once_failed_works() {
    for text in texts(&own("fuzz")) {
        survives([text, b"$A=1\n".to_vec(), b"}\n".to_vec()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(main in proptest::collection::vec(any::<u8>(), 0..400), a in "\\PC{0,80}") {
        survives([main, a.into_bytes(), Vec::new()]);
    }

    #[test]
    fn any_seed_is_survived(seed in any::<u64>()) {
        let words = words();
        survives(of_seed(seed, &words, &[]));
    }
}
