//! Plain text for people: columns, spans of time, and no control characters from anywhere.

pub use crate::report::plural;
use std::io::Write;

/// Rows in columns as wide as their widest cell, two blanks apart; the last column is not padded.
pub fn columns(indent: usize, rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = " ".repeat(indent);
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Without control characters: words of others (a server's answer, a peer) must not drive the terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Several lines, each cleaned and indented.
pub fn block(indent: usize, text: &str) -> String {
    text.lines().map(|line| format!("{}{}\n", " ".repeat(indent), clean(line))).collect()
}

/// `12 s`, `3 min 4 s`, `5 h 12 min`, `3 d 4 h`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

/// Writes to standard output. A reader that went away (`| head`) is no error.
pub fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}

/// Writes a line to standard error.
pub fn complain(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_end_without_blanks() {
        let rows =
            [vec!["a", "bbb", "c"], vec!["aaaa", "b", ""]].map(|r| r.into_iter().map(String::from).collect());
        assert_eq!(columns(1, &rows), " a     bbb  c\n aaaa  b\n");
        assert_eq!(columns(0, &[]), "");
    }

    #[test]
    fn no_escape_sequence_reaches_the_terminal() {
        assert_eq!(columns(0, &[vec!["\x1b[31mred\n".to_owned()]]), "?[31mred?\n");
        assert_eq!(block(2, "a\tb\nc"), "  a?b\n  c\n");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [59, 60, 3661, 90_061].map(span);
        assert_eq!(spans, ["59 s", "1 min 0 s", "1 h 1 min", "1 d 1 h"]);
    }
}
