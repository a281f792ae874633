//! `holdfastctl ipvs --health` and `--watch`: the listing joined with what the daemon knows, once or again and again.

use super::grammar::{Command, Format, Subject};
use super::health::Health;
use super::perform::{Failure, Stage};
use crate::ctl::EXIT_NO_DAEMON;
use crate::ctl::client::ask;
use crate::ctl::text::clean;
use crate::link::control::{Answer, Request};
use crate::report::CheckerStatus;
use crate::role::namespace::is_here;
use crate::sys::screen::screen_size;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two drawings, unless told otherwise. The kernel counts rates every two seconds.
const EVERY: Duration = Duration::from_secs(1);

/// What the words beyond ipvsadm's ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Draw again after this long.
    pub every: Option<Duration>,
    /// End after so many drawings.
    pub times: Option<u64>,
    /// Without the daemon there is nothing to show.
    pub health: bool,
    /// Where the daemon listens.
    pub socket: PathBuf,
}

impl Live {
    /// Takes `--watch[=SPAN]`, `--times=N` and `--health`; `None` for another word.
    pub fn take(live: &mut Option<Live>, word: &str, socket: &Path) -> Option<Result<(), String>> {
        let none = || Live { every: None, times: None, health: false, socket: socket.to_owned() };
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        match (name, value) {
            ("--health", None) => live.get_or_insert_with(none).health = true,
            ("--watch", None) => live.get_or_insert_with(none).every = Some(EVERY),
            ("--watch", Some(span)) => match crate::ctl::when::duration(span) {
                Ok(span) => live.get_or_insert_with(none).every = Some(span),
                Err(why) => return Some(Err(why)),
            },
            ("--times", Some(count)) => match count.parse() {
                Ok(count) => live.get_or_insert_with(none).times = Some(count),
                Err(_) => return Some(Err(format!("{count} is no number of times"))),
            },
            ("--times", None) => return Some(Err("--times needs a number".to_owned())),
            _ => return None,
        }
        Some(Ok(()))
    }
}

/// `--watch 5s` and `--times 3` as one word each.
pub fn join(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut() {
            Some(last)
                if matches!(last.as_str(), "--watch" | "--times")
                    && word.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                *last = format!("{last}={word}");
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// Lists as `command` says, until told to end.
pub fn run(stage: &mut Stage<'_>, command: &Command, live: &Live) -> Result<(), Failure> {
    let Command::List(subject @ (Subject::Everything | Subject::Service(_)), format) = command else {
        return Err(Failure::Said("--watch and --health are for listings of services".to_owned(), 2));
    };
    let Some(every) = live.every else {
        let status = health(live)?;
        return draw(stage, subject, format, status.as_ref().ok(), &mut io::stdout().lock());
    };
    // Who watches wants to see what moves, unless he says what.
    let named = Format { numeric: false, exact: false, unsorted: false, ..*format } != Format::default();
    let format = if named { *format } else { Format { rate: true, ..*format } };
    let screen = io::stdout().is_terminal();
    for round in 1_u64.. {
        let status = health(live)?;
        let mut page = Vec::new();
        if let Err(why) = &status {
            page.extend_from_slice(format!("without health: {why}\n").as_bytes());
        }
        draw(stage, subject, &format, status.as_ref().ok(), &mut page)?;
        let page = String::from_utf8_lossy(&page);
        match screen {
            true => show(&cut(&page, screen_size()))?,
            false => show(&format!("{page}\n"))?,
        }
        if live.times.is_some_and(|times| round >= times) {
            break;
        }
        std::thread::sleep(every);
    }
    Ok(())
}

/// On a screen each drawing covers the one before (see [`cut`]); elsewhere an empty line is between them.
fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What covers a screen of these rows and columns: what is longer or wider is cut, and the last line says how much is
/// missing, so that nothing scrolls. The last row and column are the cursor's. A size of 0 is not known.
fn cut(page: &str, (rows, columns): (usize, usize)) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let room = if rows == 0 { lines.len() } else { rows.saturating_sub(1).max(1) };
    let width = if columns == 0 { usize::MAX } else { columns.saturating_sub(1) };
    let shown = if lines.len() <= room { lines.len() } else { room - 1 };
    let missing = lines.len() - shown;
    let last =
        (missing > 0).then(|| format!("... {missing} more lines: name a service, or use a larger screen"));
    let all = lines.iter().take(shown).copied().chain(last.as_deref());
    let drawn = all.map(|line| line.chars().take(width).chain("\x1b[K\n".chars()).collect::<String>());
    format!("\x1b[H{}\x1b[J", drawn.collect::<String>())
}

fn draw(
    stage: &mut Stage<'_>,
    subject: &Subject,
    format: &Format,
    status: Option<&CheckerStatus>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let health = status.map(Health::of);
    stage.list_to(subject, format, health.as_ref(), out)
}

/// What the daemon knows; why nothing is known where that may be missing and is.
fn health(live: &Live) -> Result<Result<CheckerStatus, String>, Failure> {
    let failed = |why: String, status| match live.health {
        true => Err(Failure::Said(format!("holdfastctl: {}", clean(&why)), status)),
        false => Ok(Err(clean(&why))),
    };
    match ask(&live.socket, Request::Status) {
        Ok(Answer::Status(status)) => match status.checker {
            Some(CheckerStatus { table: Some(home), .. }) if !is_here(&home) => {
                failed(format!("the daemon's table is in another network namespace, {}", home.path), 1)
            }
            Some(checker) => Ok(Ok(checker)),
            None => failed("the checker role says nothing (holdfastctl status says why)".to_owned(), 1),
        },
        Ok(_) => failed("the daemon is not understood".to_owned(), 1),
        Err(error) => failed(error.to_string(), EXIT_NO_DAEMON),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_ipvsadm_are_taken_and_others_left() {
        let socket = Path::new("/run/x.sock");
        let mut live = None;
        assert_eq!(Live::take(&mut live, "-Ln", socket), None);
        assert_eq!(live, None);
        for word in ["--health", "--watch=5s", "--times=3"] {
            assert_eq!(Live::take(&mut live, word, socket), Some(Ok(())), "{word}");
        }
        let wanted = Live {
            every: Some(Duration::from_secs(5)),
            times: Some(3),
            health: true,
            socket: socket.to_owned(),
        };
        assert_eq!(live, Some(wanted));
        for word in ["--watch=x", "--times=-1", "--times"] {
            assert!(matches!(Live::take(&mut live, word, socket), Some(Err(_))), "{word}");
        }
        assert_eq!(Live::take(&mut live, "--stats", socket), None);
    }

    #[test]
    fn a_page_never_scrolls_its_screen() {
        let page = "one\ntwo\nthree\nfour\n";
        let whole = "\x1b[Hone\x1b[K\ntwo\x1b[K\nthree\x1b[K\nfour\x1b[K\n\x1b[J";
        assert_eq!(cut(page, (0, 0)), whole);
        assert_eq!(cut(page, (5, 80)), whole);
        assert_eq!(cut(page, (4, 6)), "\x1b[Hone\x1b[K\ntwo\x1b[K\n... 2\x1b[K\n\x1b[J");
        assert_eq!(cut(page, (1, 6)), "\x1b[H... 4\x1b[K\n\x1b[J");
    }

    #[test]
    fn a_value_may_be_a_word_of_its_own() {
        let join = |line: &str| join(line.split(' ').map(String::from).collect()).join(" ");
        assert_eq!(join("-Ln --watch 5s --times 3"), "-Ln --watch=5s --times=3");
        assert_eq!(join("--watch -t 192.0.2.1:80"), "--watch -t 192.0.2.1:80");
        assert_eq!(join("--watch=5s 3"), "--watch=5s 3");
    }
}
