//! `holdfastctl ipvs`, and the same as a program called `ipvsadm`: the kernel's IPVS table, read and changed with
//! ipvsadm's command line, with or without a daemon.
//!
//! Under the name `ipvsadm` everything is as ipvsadm 1.31 does it: output, messages, statuses. As `holdfastctl ipvs` there
//! are a few words more: see [`Extras`].

mod connections;
mod grammar;
mod health;
mod help;
mod json;
mod listing;
mod names;
mod options;
mod perform;
mod popt;
mod refusal;
mod restore;
mod save;
mod sort;
mod undo;
mod values;
mod watch;

use super::text::complain;
use crate::netlink::ipvs_raw::RawIpvs;
use grammar::{Command, Fault, INVALID, REFUSED, parse};
use names::Names;
use perform::{Failure, Stage};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use watch::Live;

/// An exit status.
type Outcome = u8;

/// Status of `holdfastctl ipvs` where there is no IPVS; ipvsadm's is [`INVALID`].
const NO_IPVS: Outcome = 1;

/// What `holdfastctl ipvs` understands beyond ipvsadm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extras {
    /// `--json`: the listing as JSON.
    json: bool,
    /// `--partial`: a restore does the lines that make sense although others do not.
    partial: bool,
    /// `--watch`, `--health`: with what the daemon knows, once or again and again.
    live: Option<Live>,
}

/// Is the program called as ipvsadm?
pub fn called_as_ipvsadm(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == "ipvsadm")
}

/// The program `ipvsadm`; `words` are those after its name.
pub fn ipvsadm(program: &str, words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    ExitCode::from(run(program, &words, None))
}

/// `holdfastctl ipvs`.
pub(super) fn tool(words: &[OsString], socket: &Path) -> Outcome {
    let mut extras = Extras::default();
    let mut rest = Vec::new();
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    for word in watch::join(words) {
        match word.as_str() {
            "--json" => extras.json = true,
            "--partial" => extras.partial = true,
            _ => match Live::take(&mut extras.live, &word, socket) {
                None => rest.push(word),
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    complain(&format!("holdfastctl: {why}"));
                    return INVALID;
                }
            },
        }
    }
    if let Some(Live { every: None, times: Some(_), .. }) = extras.live {
        complain("holdfastctl: --times counts what --watch draws, and there is no --watch");
        return INVALID;
    }
    // Ways to list need no command before them.
    if !rest.is_empty() && listing_only(&rest) {
        rest.insert(0, "-L".to_owned());
    }
    run("holdfastctl ipvs", &rest, Some(&extras))
}

/// Does the line begin with an option that is no command?
fn listing_only(words: &[String]) -> bool {
    use options::Word;
    let first = popt::Reader::new(words).next();
    matches!(first, Some(Ok((word, _))) if !matches!(word, Word::Verb(_) | Word::Help | Word::Version))
}

/// Reads the line and does it. `extras`: as holdfastctl, otherwise as ipvsadm.
fn run(program: &str, words: &[String], extras: Option<&Extras>) -> Outcome {
    // As ipvsadm: without IPVS not even the command line is looked at.
    let mut ipvs = match RawIpvs::open().and_then(|mut ipvs| ipvs.info().map(|_| ipvs)) {
        Ok(ipvs) => ipvs,
        Err(error) if extras.is_some() => {
            if let Some(answer) = without_table(program, words) {
                crate::ctl::text::print(&answer);
                return 0;
            }
            let why = match error.errno {
                libc::ENOENT => "this kernel has no IPVS; load ip_vs".to_owned(),
                _ => error.to_string(),
            };
            complain(&format!("holdfastctl: the IPVS table cannot be read: {why}"));
            return NO_IPVS;
        }
        Err(error) => {
            let why = match error.errno {
                libc::ENOENT => refusal::general(libc::ENOPROTOOPT),
                errno => refusal::general(errno),
            };
            complain(&format!("Can't initialize ipvs: {why}"));
            complain("Are you sure that IP Virtual Server is built in the kernel or as module?");
            return INVALID;
        }
    };
    let names = Names::of_system();
    let command = match words {
        [] => Ok(Command::List(grammar::Subject::Everything, grammar::Format::default())),
        words => parse(words, &names, false),
    };
    let command = match command {
        Ok(command) => command,
        Err(error) => return fault(error, program),
    };
    let mut stage = Stage { ipvs: &mut ipvs, names: &names, program, whole: extras.is_some() };
    match (&command, extras) {
        (_, Some(Extras { json: true, live: Some(_), .. })) => {
            complain(
                "holdfastctl: --watch and --health are for people; holdfastctl status --json has the same",
            );
            INVALID
        }
        (_, Some(Extras { live: Some(live), .. })) => {
            let done = watch::run(&mut stage, &command, live);
            end(&command, done)
        }
        (Command::Restore, None) => restore::line_by_line(&mut stage),
        (Command::Restore, Some(extras)) => restore::checked(&mut stage, extras.partial),
        (Command::List(subject, format), Some(Extras { json: true, .. })) => {
            end(&command, json::list(&mut stage, subject, format))
        }
        (Command::Help | Command::Version, _) => end(&command, stage.perform(&command)),
        (_, Some(Extras { json: true, .. })) => {
            complain("holdfastctl: --json is for listings; nothing was done");
            INVALID
        }
        (_, Some(Extras { partial: true, .. })) => {
            complain("holdfastctl: --partial is for a restore (-R); nothing was done");
            INVALID
        }
        _ => end(&command, stage.perform(&command)),
    }
}

/// Help and version, which need no table.
fn without_table(program: &str, words: &[String]) -> Option<String> {
    match parse(words, &Names::default(), false) {
        Ok(command @ (Command::Help | Command::Version)) => {
            Some(help::answer(command == Command::Help, program, None, true))
        }
        _ => None,
    }
}

fn end(command: &Command, done: Result<(), Failure>) -> Outcome {
    match done {
        Ok(()) | Err(Failure::NoReader) => 0,
        Err(Failure::Refused(error, status)) => {
            complain(&Stage::explain(command, &error));
            status
        }
        Err(Failure::Said(line, status)) => {
            complain(&line);
            status
        }
    }
}

/// Says what is wrong with a command line.
fn fault(fault: Fault, program: &str) -> Outcome {
    match fault {
        Fault::Say(line, status) => {
            complain(&line);
            status
        }
        Fault::Hint => {
            complain(&format!("Try `{program} -h' or '{program} --help' for more information."));
            REFUSED
        }
        Fault::Bad(bad) => {
            complain(&format!("{}: {}", bad.word, bad.why));
            REFUSED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_version_need_no_table() {
        let answer = |word: &str| without_table("holdfastctl ipvs", &[word.to_owned()]);
        for word in ["--help", "-h"] {
            let help = answer(word).expect("there is help");
            assert!(
                help.contains("\n  holdfastctl ipvs -D SERVICE\n") && help.contains("--health"),
                "{help}"
            );
        }
        let version = answer("--version").expect("there is a version");
        assert!(version.ends_with("in its place)\n"), "{version}");
        assert_eq!(answer("-L"), None);
    }
}
