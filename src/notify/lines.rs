//! Lines on their way into a FIFO that is full.

use std::collections::VecDeque;

/// Octets that wait for a reader beyond the 64 KiB that the kernel's pipe holds: some ten thousand changes of state.
pub const MAX_WAITING: usize = 512 << 10;

/// Lines that wait. The oldest go when there are too many: what is true now counts more than what was.
#[derive(Debug, Default)]
pub struct Lines {
    lines: VecDeque<Vec<u8>>,
    octets: usize,
    dropped: u64,
}

impl Lines {
    /// Adds a line at the end.
    pub fn push(&mut self, line: Vec<u8>) {
        self.octets += line.len();
        self.lines.push_back(line);
        while self.octets > MAX_WAITING {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.octets -= oldest.len();
            self.dropped += 1;
        }
    }

    /// The line to write next.
    pub fn first(&self) -> Option<&[u8]> {
        self.lines.front().map(Vec::as_slice)
    }

    /// The first line has been written.
    pub fn written(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.octets -= line.len();
        }
    }

    /// Octets that wait.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Lines that nobody will read, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_the_others_counted() {
        let mut lines = Lines::default();
        let size = 1 << 10;
        for number in 0..(MAX_WAITING / size + 3) {
            lines.push(vec![number as u8; size]);
        }
        assert_eq!(lines.dropped(), 3);
        assert_eq!(lines.first().map(|line| line[0]), Some(3));
        lines.written();
        assert_eq!(lines.first().map(|line| line[0]), Some(4));
    }
}
