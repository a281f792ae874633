//! What happened, as lines: hashed whole, the end kept for people.

use std::collections::VecDeque;

/// Lines kept for a failing seed; enough for the last few seconds of a busy scenario.
const TAIL: usize = 120;

/// Hash of all lines and the last of them.
pub struct Trace {
    hash: u64,
    lines: u64,
    tail: VecDeque<String>,
}

impl Trace {
    pub fn new() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, tail: VecDeque::new() }
    }

    /// Appends a line that begins with the world's time in seconds.
    pub fn line(&mut self, at: u64, text: &str) {
        let line = format!("{:>4}.{:09} {text}", at / 1_000_000_000, at % 1_000_000_000);
        // FNV-1a, 64 bits: any difference in any byte shows.
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// Equal for two runs that did the same, byte for byte.
    pub fn fingerprint(&self) -> (u64, u64) {
        (self.lines, self.hash)
    }

    pub fn tail(&self) -> String {
        self.tail.iter().map(|line| format!("{line}\n")).collect()
    }
}
