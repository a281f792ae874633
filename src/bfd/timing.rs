//! The two intervals that a session advertises, those it uses meanwhile, and the poll that makes a change safe
//! (RFC 5880 6.5 and 6.8.3).

use std::time::Duration;

/// A Poll Sequence (RFC 5880 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    /// The neighbour has confirmed what is advertised, or there was nothing to confirm.
    Idle,
    /// Scheduled packets carry the P bit until a packet with F comes.
    Running {
        /// Something changed since: the answer may be to the earlier values.
        again: bool,
    },
    /// One packet without P goes before the next sequence, so that the answers can be told apart.
    Pause,
}

/// What this end advertises and what it uses.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    desired_min_tx: Duration,
    required_min_rx: Duration,
    /// What was in use before a change that the neighbour has not confirmed.
    held_tx: Option<Duration>,
    held_rx: Option<Duration>,
    poll: Poll,
}

impl Timing {
    pub(super) fn new(desired_min_tx: Duration, required_min_rx: Duration) -> Timing {
        Timing { desired_min_tx, required_min_rx, held_tx: None, held_rx: None, poll: Poll::Idle }
    }

    /// bfd.DesiredMinTxInterval.
    pub(super) fn desired_min_tx(&self) -> Duration {
        self.desired_min_tx
    }

    /// bfd.RequiredMinRxInterval.
    pub(super) fn required_min_rx(&self) -> Duration {
        self.required_min_rx
    }

    /// Never slower than before until the neighbour knows.
    pub(super) fn tx_in_use(&self) -> Duration {
        self.held_tx.map_or(self.desired_min_tx, |held| held.min(self.desired_min_tx))
    }

    /// Never more impatient than before until the neighbour knows.
    pub(super) fn rx_in_use(&self) -> Duration {
        self.held_rx.map_or(self.required_min_rx, |held| held.max(self.required_min_rx))
    }

    /// Advertises other values. With `up`, what is in use changes only to the safe side until the neighbour has
    /// confirmed; with `neighbor`, there is one to ask. True if anything changed.
    pub(super) fn change(&mut self, tx: Duration, rx: Duration, up: bool, neighbor: bool) -> bool {
        if tx == self.desired_min_tx && rx == self.required_min_rx {
            return false;
        }
        let (before_tx, before_rx) = (self.tx_in_use(), self.rx_in_use());
        self.desired_min_tx = tx;
        self.required_min_rx = rx;
        if !neighbor {
            self.forget();
            return true;
        }
        (self.held_tx, self.held_rx) = if up { (Some(before_tx), Some(before_rx)) } else { (None, None) };
        self.poll = match self.poll {
            Poll::Idle => Poll::Running { again: false },
            Poll::Running { .. } => Poll::Running { again: true },
            Poll::Pause => Poll::Pause,
        };
        true
    }

    /// The neighbour is not there any more: nobody to ask.
    pub(super) fn forget(&mut self) {
        self.held_tx = None;
        self.held_rx = None;
        self.poll = Poll::Idle;
    }

    /// Is an answer awaited, or about to be asked for?
    pub(super) fn is_polling(&self) -> bool {
        self.poll != Poll::Idle
    }

    /// The P bit of the packet that goes out now.
    pub(super) fn poll_bit(&mut self) -> bool {
        match self.poll {
            Poll::Idle => false,
            Poll::Running { .. } => true,
            Poll::Pause => {
                self.poll = Poll::Running { again: false };
                false
            }
        }
    }

    /// A packet with the F bit came. True if that ended a sequence and what is in use may have changed.
    pub(super) fn answered(&mut self) -> bool {
        match self.poll {
            Poll::Running { again: false } => {
                self.forget();
                true
            }
            Poll::Running { again: true } => {
                self.poll = Poll::Pause;
                false
            }
            Poll::Idle | Poll::Pause => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn slower_sending_waits_for_the_answer_and_faster_does_not() {
        let mut timing = Timing::new(ms(50), ms(50));
        assert!(timing.change(ms(100), ms(50), true, true));
        assert_eq!((timing.desired_min_tx(), timing.tx_in_use()), (ms(100), ms(50)));
        assert!(timing.poll_bit());
        assert!(timing.answered());
        assert_eq!(timing.tx_in_use(), ms(100));
        timing.change(ms(20), ms(50), true, true);
        assert_eq!(timing.tx_in_use(), ms(20), "at once");
    }

    #[test]
    fn less_patience_waits_for_the_answer_and_more_does_not() {
        let mut timing = Timing::new(ms(50), ms(50));
        timing.change(ms(50), ms(10), true, true);
        assert_eq!((timing.required_min_rx(), timing.rx_in_use()), (ms(10), ms(50)));
        timing.answered();
        assert_eq!(timing.rx_in_use(), ms(10));
        timing.change(ms(50), ms(200), true, true);
        assert_eq!(timing.rx_in_use(), ms(200), "at once");
    }

    #[test]
    fn a_change_during_a_poll_asks_again_after_a_packet_without_the_bit() {
        let mut timing = Timing::new(ms(50), ms(50));
        timing.change(ms(100), ms(50), true, true);
        assert!(timing.poll_bit());
        timing.change(ms(200), ms(50), true, true);
        assert!(timing.poll_bit());
        assert!(!timing.answered(), "the answer may be to the first question");
        assert_eq!(timing.tx_in_use(), ms(50));
        assert!(timing.is_polling());
        assert!(!timing.poll_bit());
        assert!(timing.poll_bit());
        assert!(timing.answered());
        assert_eq!(timing.tx_in_use(), ms(200));
        assert!(!timing.is_polling());
    }

    #[test]
    fn without_a_neighbor_nothing_is_asked_and_without_a_change_neither() {
        let mut timing = Timing::new(ms(50), ms(50));
        assert!(!timing.change(ms(50), ms(50), true, true));
        assert!(!timing.is_polling());
        assert!(timing.change(ms(100), ms(10), false, false));
        assert!(!timing.is_polling());
        assert_eq!((timing.tx_in_use(), timing.rx_in_use()), (ms(100), ms(10)));
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_nothing() {
        let mut timing = Timing::new(ms(50), ms(50));
        assert!(!timing.answered());
        assert!(!timing.poll_bit());
    }
}
