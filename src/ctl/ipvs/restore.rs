//! `-R`: one command per line of standard input.

use super::grammar::{Command, Fault, parse};
use super::names::Names;
use super::perform::{Failure, Stage};
use super::{Outcome, fault};
use crate::ctl::text::complain;
use std::io::{self, BufRead};

/// The longest line that is read, in octets: commands are short, and memory is finite.
const MAX_LINE: usize = 4096;

/// The most lines of a save file that is looked at whole before anything is done: 100,000 destinations, twenty times.
const MAX_LINES: usize = 2_000_000;

/// As ipvsadm does it: each line is done when it is read; the first that makes no sense ends the run, and what came
/// before stays. What the kernel refuses is said, and the run goes on; its status is 0 in spite of that.
pub fn line_by_line(stage: &mut Stage<'_>) -> Outcome {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let words = words(&line);
        if words.is_empty() {
            continue;
        }
        match parse(&words, stage.names, true) {
            Err(Fault::Bad(bad)) => complain(&format!("{}: {}", bad.word, bad.why)),
            Err(error) => return fault(error, stage.program),
            Ok(command) => match stage.perform(&command) {
                Ok(()) | Err(Failure::NoReader) => {
                    if matches!(command, Command::Help | Command::Version) {
                        return 0;
                    }
                }
                Err(Failure::Refused(error, status)) => {
                    complain(&Stage::explain(&command, &error));
                    if matches!(command, Command::List(..) | Command::Save(_)) {
                        return status;
                    }
                }
                Err(Failure::Said(line, status)) => {
                    complain(&line);
                    return status;
                }
            },
        }
    }
    0
}

/// As it should be: everything is read first, and unless every line makes sense (or `partial` says to do the others
/// anyway) nothing is done. Errors name their lines; the status is 2 after lines that make no sense, 1 after refusals.
pub fn checked(stage: &mut Stage<'_>, partial: bool) -> Outcome {
    let (commands, senseless) = match read_all(stage.names) {
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
    let mut refused = 0;
    for (number, command) in &commands {
        if let Err(failure) = stage.perform(command) {
            refused += 1;
            let why = match &failure {
                Failure::Refused(error, _) => Stage::explain(command, error),
                Failure::Said(line, _) => line.clone(),
                Failure::NoReader => continue,
            };
            complain(&format!("line {number}: {why}"));
        }
    }
    match (senseless, refused) {
        (0, 0) => 0,
        (0, _) => 1,
        _ => 2,
    }
}

/// Commands with their line numbers, and how many lines make no sense (each is complained of).
type Read = (Vec<(usize, Command)>, usize);

fn read_all(names: &Names) -> Result<Read, String> {
    let mut commands = Vec::new();
    let mut senseless = 0;
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        if index >= MAX_LINES {
            return Err(format!("it has more than {MAX_LINES} lines"));
        }
        let words = words(&line);
        // A comment is what ipvsadm stumbles over.
        if words.is_empty() || words.first().is_some_and(|word| word.starts_with('#')) {
            continue;
        }
        let why = if line.len() > MAX_LINE {
            format!("longer than {MAX_LINE} octets")
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

/// The words of a line, without the program's name in front.
fn words(line: &str) -> Vec<String> {
    let words = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
    words.skip_while(|word| *word == "ipvsadm").map(String::from).collect()
}
