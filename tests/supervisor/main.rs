//! The supervisor, whole and in processes of its own, with roles that do what a test wants of them.
//!
//! One program in three parts: without special words it runs the tests; as `daemon` it is the supervisor; with
//! `--role` it is a role that obeys the test (see `fake.rs`).

mod dumps;
mod fake;
mod lab;

mod faults;
mod life;
mod relay;
mod reload;
mod traffic;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test: its name is the behaviour.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("daemon") => lab::be_daemon(&words[1..]),
        Some("--role") => fake::be_role(&words),
        _ => run_tests(&words),
    }
}

fn run_tests(words: &[String]) -> ExitCode {
    let tests: Vec<Test> =
        [life::TESTS, reload::TESTS, faults::TESTS, relay::TESTS, dumps::TESTS, traffic::TESTS].concat();
    if words.iter().any(|word| word == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen: Vec<&Test> = tests
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str())))
        .collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (name, test) in &chosen {
        let passed = catch_unwind(test).is_ok();
        failed += usize::from(!passed);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    let (word, passed, out) =
        (if failed == 0 { "ok" } else { "FAILED" }, chosen.len() - failed, tests.len() - chosen.len());
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {out} filtered out\n"
    );
    ExitCode::from(u8::from(failed > 0))
}
