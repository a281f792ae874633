//! Where getopt_long and clap differ: a short option with an optional value takes the rest of its word
//! (`-t/tmp/log`, `-t=/tmp/log`), never the next word.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How many values an option takes.
enum Arity {
    None,
    Optional,
    Required,
}

/// Rewrites `-nt/tmp/log` to `-n --config-test=/tmp/log`, which clap understands. Words after `--` and values stay as they are.
pub fn attach_optional_values(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut rewritten = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rewritten.push(word);
            rewritten.extend(words);
            return rewritten;
        }
        let bytes = word.as_bytes();
        let takes_next = match bytes {
            [b'-', b'-', long @ ..] => long_takes_next(command, long),
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                if let Some((head, tail)) = split_cluster(command, cluster) {
                    rewritten.extend(head);
                    rewritten.push(tail);
                    continue;
                }
                cluster_takes_next(command, cluster)
            }
            _ => false,
        };
        rewritten.push(word);
        if takes_next {
            rewritten.extend(words.next());
        }
    }
    rewritten
}

/// A cluster that ends in an optional-value letter with something glued to it: the letters before, and the
/// long form with its value.
fn split_cluster(command: &Command, cluster: &[u8]) -> Option<(Option<OsString>, OsString)> {
    for (at, letter) in cluster.iter().enumerate() {
        let argument = find(command, *letter)?;
        match arity(argument) {
            Arity::None => continue,
            Arity::Required => return None,
            Arity::Optional => {}
        }
        let value = cluster.get(at + 1..).filter(|value| !value.is_empty())?;
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let mut long = OsString::from(format!("--{}=", argument.get_long()?));
        long.push(OsStr::from_bytes(value));
        let before = (at > 0).then(|| OsString::from_vec([b"-", &cluster[..at]].concat()));
        return Some((before, long));
    }
    None
}

/// Does the cluster end in a letter that takes the next word as its value?
fn cluster_takes_next(command: &Command, cluster: &[u8]) -> bool {
    let with_value = cluster.iter().position(|l| !matches!(find(command, *l).map(arity), Some(Arity::None)));
    let Some(at) = with_value else { return false };
    at + 1 == cluster.len() && matches!(find(command, cluster[at]).map(arity), Some(Arity::Required))
}

fn long_takes_next(command: &Command, long: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(long) else { return false };
    let mut candidates = command
        .get_arguments()
        .filter(|a| a.get_long().is_some_and(|l| !name.is_empty() && l.starts_with(name)));
    let exact = command.get_arguments().find(|a| a.get_long() == Some(name));
    let chosen = exact.or_else(|| candidates.next());
    matches!(chosen.map(arity), Some(Arity::Required))
}

fn find(command: &Command, letter: u8) -> Option<&Arg> {
    command.get_arguments().find(|argument| argument.get_short() == Some(char::from(letter)))
}

fn arity(argument: &Arg) -> Arity {
    if !argument.get_action().takes_values() {
        Arity::None
    } else if argument.get_num_args().is_some_and(|n| n.min_values() == 0) {
        Arity::Optional
    } else {
        Arity::Required
    }
}
