//! `genhash`: prints the MD5 of a page, as `digest` of an HTTP_GET wants it. Options, output and exit statuses are those
//! of keepalived 2.2.7's tool (`tests/genhash.rs` compares them where that is installed).

mod connection;
mod options;
mod page;

use options::{Asked, Parsed};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// The tool. `name` is what the usage calls it; `words` are the arguments after that.
pub fn main(name: &str, words: Vec<OsString>) -> ExitCode {
    match options::parse(&words) {
        Parsed::Ask(asked) => {
            ask(&asked);
            // As keepalived's: whatever became of it, it was tried.
            ExitCode::SUCCESS
        }
        Parsed::Refused(complaints) => {
            complain(&format!("{complaints}{}", options::usage(name)));
            ExitCode::FAILURE
        }
    }
}

fn ask(asked: &Asked) {
    let started = std::time::Instant::now();
    let mut page = page::Page::new(asked.verbose);
    let ended = connection::fetch(asked, &mut page);
    let (mut out, complaint) = page.end(ended);
    if asked.verbose {
        let micros = started.elapsed().as_micros();
        out.extend(format!("\nGlobal response time for [{}] = {micros} usecs\n", asked.url).into_bytes());
    }
    complain(complaint);
    // Nobody may be there to read it.
    std::io::stdout().write_all(&out).ok();
}

fn complain(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}
