//! `-R`: one command per line of standard input.

use super::grammar::{Command, Fault, REFUSED, parse};
use super::names::Names;
use super::perform::{Failure, Stage};
use super::undo::Before;
use super::{Outcome, fault};
use crate::ctl::text::complain;
use crate::netlink::NetlinkError;
use std::io::{self, BufRead};

/// The longest line that is read, in octets: commands are short, and memory is finite.
const MAX_LINE: usize = 4096;

/// The most lines of a save file that is looked at whole before anything is done: 100,000 destinations, twenty times.
const MAX_LINES: usize = 2_000_000;

/// As ipvsadm does it: each line is done when it is read; the first that makes no sense ends the run, and what came
/// before stays. What the kernel refuses is said, and the run goes on; its status is that of the last line.
pub fn line_by_line(stage: &mut Stage<'_>) -> Outcome {
    let mut last = 0;
    for line in lines(io::stdin().lock()) {
        let line = match line {
            Ok(line) => String::from_utf8_lossy(&line).into_owned(),
            Err(error) => {
                complain(&format!("standard input cannot be read: {error}"));
                return REFUSED;
            }
        };
        let words = words(&line);
        if words.is_empty() {
            continue;
        }
        match parse(&words, stage.names, true) {
            Err(error @ Fault::Bad(_)) => last = fault(error, stage.program),
            Err(error) => return fault(error, stage.program),
            Ok(command) => match stage.perform(&command) {
                Ok(()) | Err(Failure::NoReader) => {
                    last = 0;
                    if matches!(command, Command::Help | Command::Version) {
                        return 0;
                    }
                }
                Err(Failure::Refused(error, status)) => {
                    complain(&Stage::explain(&command, &error));
                    if matches!(command, Command::List(..) | Command::Save(_)) {
                        return status;
                    }
                    last = status;
                }
                Err(Failure::Said(line, status)) => {
                    complain(&line);
                    return status;
                }
            },
        }
    }
    last
}

/// As it should be: everything is read first, and unless every line makes sense and the kernel takes it (or `partial` says
/// to do the others anyway) nothing is changed: what was done before a refusal is undone. Errors name their lines; the
/// status is 2 after lines that make no sense, 1 after refusals.
pub fn checked(stage: &mut Stage<'_>, partial: bool) -> Outcome {
    let (commands, senseless) = match read_all(io::stdin().lock(), stage.names) {
        Ok(read) => read,
        Err(why) => {
            complain(&format!("standard input cannot be restored: {why}; nothing was changed"));
            return 2;
        }
    };
    if senseless > 0 && !partial {
        complain(&format!(
            "{senseless} of {} lines make no sense: nothing was changed (--partial does the others)",
            commands.len() + senseless
        ));
        return 2;
    }
    let before = match (!partial).then(|| Before::of(stage.ipvs)).transpose() {
        Ok(before) => before,
        Err(error) => {
            complain(&format!("the table cannot be read, so nothing was changed: {error}"));
            return 1;
        }
    };
    let mut refused = 0;
    for (done, (number, command)) in commands.iter().enumerate() {
        if let Err(failure) = stage.perform(command) {
            refused += 1;
            let why = match &failure {
                Failure::Refused(error, _) => Stage::explain(command, error),
                Failure::Said(line, _) => line.clone(),
                Failure::NoReader => continue,
            };
            complain(&format!("line {number}: {why}"));
            if let Some(before) = &before {
                return undone(before.put_back(stage.ipvs, &commands[..done])); // `done` is a position in it
            }
        }
    }
    match (senseless, refused) {
        (0, 0) => 0,
        (0, _) => 1,
        _ => 2,
    }
}

/// A refused line ends the run.
fn undone(result: Result<(), NetlinkError>) -> Outcome {
    match result {
        Ok(()) => complain("nothing is changed: the lines before it are undone (--partial does what it can)"),
        Err(error) => complain(&format!("the lines before it could not be undone: {error}")),
    }
    1
}

/// Commands with their line numbers, and how many lines make no sense (each is complained of).
type Read = (Vec<(usize, Command)>, usize);

fn read_all(input: impl BufRead, names: &Names) -> Result<Read, String> {
    let mut commands = Vec::new();
    let mut senseless = 0;
    for (index, line) in lines(input).enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        if index >= MAX_LINES {
            return Err(format!("it has more than {MAX_LINES} lines"));
        }
        let octets = line.len();
        let (line, is_text) = match String::from_utf8(line) {
            Ok(line) => (line, true),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
        };
        let words = words(&line);
        // A comment is what ipvsadm stumbles over.
        if words.is_empty() || words.first().is_some_and(|word| word.starts_with('#')) {
            continue;
        }
        let why = if octets > MAX_LINE {
            format!("longer than {MAX_LINE} octets")
        } else if !is_text {
            "it is not UTF-8".to_owned()
        } else {
            match parse(&words, names, true) {
                Ok(command) if changes(&command) => {
                    commands.push((index + 1, command));
                    continue;
                }
                Ok(_) => "only commands that change the table can be restored".to_owned(),
                Err(Fault::Say(line, _)) => line.trim_end().to_owned(),
                Err(Fault::Hint) => format!("'{}' is no command", words[0]), // there is a word
                Err(Fault::Bad(bad)) => format!("{}: {}", bad.word, bad.why),
            }
        };
        senseless += 1;
        complain(&format!("line {}: {why}", index + 1));
    }
    Ok((commands, senseless))
}

fn changes(command: &Command) -> bool {
    !matches!(
        command,
        Command::List(..) | Command::Save(_) | Command::Restore | Command::Help | Command::Version
    )
}

/// Lines as they are: one that is no text does not end the input.
fn lines(input: impl BufRead) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    input.split(b'\n')
}

/// The words of a line, without the program's name in front.
fn words(line: &str) -> Vec<String> {
    let words = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
    words.skip_while(|word| *word == "ipvsadm").map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_text_makes_no_sense_and_hides_none_behind_it() {
        let file =
            b"-A -t 192.0.2.1:80 -s rr\n-A -t 192.0.2.\xff:80 -s rr\n\n# caf\xe9\n-A -t 192.0.2.2:80 -s rr";
        let (commands, senseless) = read_all(file.as_slice(), &Names::default()).expect("it can be read");
        let numbers: Vec<usize> = commands.iter().map(|(number, _)| *number).collect();
        assert_eq!((numbers, senseless), (vec![1, 5], 1));
        let all: Vec<Vec<u8>> = lines(file.as_slice()).collect::<io::Result<_>>().expect("octets");
        assert_eq!(all.len(), 5);
        // As ipvsadm, line by line: it is a word like any other, and the run ends with a complaint.
        let word = words(&String::from_utf8_lossy(&all[1]));
        assert!(parse(&word, &Names::default(), true).is_err(), "{word:?}");
    }
}
