//! Questions for a snapshot that wait for their answer.

use std::collections::VecDeque;

/// The supervisor has three rounds of questions: for the status, for state files, for the SNMP agent. Who does not read for longer than
/// that gets answers to the newest ones.
const MOST: usize = 6;

/// The numbers of those that were asked last.
#[derive(Debug, Default)]
pub struct Questions(VecDeque<u64>);

impl Questions {
    /// One more.
    pub fn ask(&mut self, number: u64) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(number);
    }

    /// The next one to answer.
    pub fn next(&mut self) -> Option<u64> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_is_answered_and_a_flood_of_them_takes_no_room() {
        let mut questions = Questions::default();
        questions.ask(7);
        questions.ask(1 << 48);
        assert_eq!((questions.next(), questions.next(), questions.next()), (Some(7), Some(1 << 48), None));
        (0..1000).for_each(|number| questions.ask(number));
        assert_eq!((questions.next(), questions.0.len()), (Some(994), MOST - 1));
    }
}
