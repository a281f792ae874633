//! What is known of things outside the role that trackers name: scripts, files, processes, BFD sessions.

use crate::plan::track::{Sample, TrackedObject, TrackerKey, TrackerKind};
use std::collections::BTreeMap;

/// Characters kept of the words about a tracked thing: a line of a log, not the output of a script.
const MAX_WORDS: usize = 200;

/// A tracker contributes no more than this to a priority, however large the number in its file (keepalived).
const MOST: i64 = 253;

/// A file that takes as much as this from the priority means FAULT (keepalived).
const FAULT: i64 = -254;

/// The latest sample of each tracked thing.
#[derive(Debug, Default)]
pub(super) struct Samples {
    known: BTreeMap<TrackerKey, Known>,
}

#[derive(Debug, Default)]
struct Known {
    sample: Option<Sample>,
    /// Why, in the words of the role that looks.
    words: Option<String>,
}

/// What one tracker means for a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nobody has looked yet.
    Unknown,
    /// This much is added to the priority.
    Adds(i32),
    /// The router cannot take part: a sentence.
    Fault(String),
}

impl Samples {
    /// Keep words for the sample that follows.
    pub fn note_words(&mut self, key: TrackerKey, mut words: String) {
        let end = words.char_indices().nth(MAX_WORDS).map_or(words.len(), |(at, _)| at);
        words.truncate(end);
        self.known.entry(key).or_default().words = Some(words);
    }

    /// Take in a sample; true if it is another one than before. While nobody can look (`None`), the last one stands: a
    /// role that restarts moves no address.
    pub fn update(&mut self, key: TrackerKey, sample: Option<Sample>) -> bool {
        let Some(sample) = sample else { return false };
        let known = self.known.entry(key).or_default();
        known.sample.replace(sample) != Some(sample)
    }

    /// Forget what is no longer tracked.
    pub fn forget(&mut self, key: &TrackerKey) {
        self.known.remove(key);
    }

    /// What it says, for people: `script chk fails (exit status 1)`.
    pub fn sentence(&self, key: &TrackerKey) -> String {
        let Some(Known { sample: Some(sample), words }) = self.known.get(key) else {
            return format!("{key} has no result yet");
        };
        let what = match (sample, key.kind) {
            (Sample::Value(number), _) => format!("{key} says {number}"),
            (Sample::Up, TrackerKind::Script) => format!("{key} succeeds"),
            (Sample::Down, TrackerKind::Script) => format!("{key} fails"),
            (Sample::Up, TrackerKind::Process) => format!("{key} runs as it should"),
            (Sample::Down, TrackerKind::Process) => format!("{key} does not run as it should"),
            (Sample::Up, _) => format!("{key} is up"),
            (Sample::Down, _) => format!("{key} is down"),
        };
        match words {
            Some(words) if !words.is_empty() => format!("{what} ({words})"),
            _ => what,
        }
    }

    /// keepalived's arithmetic. Up adds a positive weight, down a negative one; a file's number multiplies the
    /// weight; `reverse` negates what is added. Weight 0 is a condition: up, or the number 0.
    pub fn effect(&self, tracked: &TrackedObject) -> Effect {
        let Some(sample) = self.known.get(&tracked.tracker).and_then(|known| known.sample) else {
            return Effect::Unknown;
        };
        let weight = i64::from(tracked.weight);
        let good = match sample {
            Sample::Up => true,
            Sample::Down => false,
            Sample::Value(number) => number == 0,
        };
        if weight == 0 {
            return if good == tracked.reverse { self.fault(tracked) } else { Effect::Adds(0) };
        }
        let added = match sample {
            Sample::Value(number) => i64::from(number) * weight,
            Sample::Up => weight.max(0),
            Sample::Down => weight.min(0),
        };
        let added = if tracked.reverse { -added } else { added };
        if matches!(sample, Sample::Value(_)) && added <= FAULT {
            return self.fault(tracked);
        }
        Effect::Adds(i32::try_from(added.clamp(FAULT, MOST)).expect("it was brought into -254..=253"))
    }

    fn fault(&self, tracked: &TrackedObject) -> Effect {
        let reverse = if tracked.reverse { " (tracked in reverse)" } else { "" };
        Effect::Fault(format!("{}{reverse}", self.sentence(&tracked.tracker)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(kind: TrackerKind, sample: Option<Sample>, weight: i16, reverse: bool) -> Effect {
        let tracker = TrackerKey { kind, name: "x".to_owned() };
        let mut samples = Samples::default();
        samples.update(tracker.clone(), sample);
        samples.effect(&TrackedObject { tracker, weight, reverse })
    }

    #[test]
    fn a_script_counts_on_the_side_of_its_weight() {
        let script = |sample, weight, reverse| effect(TrackerKind::Script, Some(sample), weight, reverse);
        assert_eq!(script(Sample::Up, 20, false), Effect::Adds(20));
        assert_eq!(script(Sample::Down, 20, false), Effect::Adds(0));
        assert_eq!(script(Sample::Down, -20, false), Effect::Adds(-20));
        assert_eq!(script(Sample::Up, -20, false), Effect::Adds(0));
        assert_eq!(script(Sample::Up, 20, true), Effect::Adds(-20));
        assert_eq!(script(Sample::Down, -20, true), Effect::Adds(20));
        assert_eq!(script(Sample::Up, 0, false), Effect::Adds(0));
        assert_eq!(script(Sample::Down, 0, true), Effect::Adds(0));
        assert_eq!(script(Sample::Down, 0, false), Effect::Fault("script x fails".to_owned()));
        let reversed = "script x succeeds (tracked in reverse)".to_owned();
        assert_eq!(script(Sample::Up, 0, true), Effect::Fault(reversed));
    }

    #[test]
    fn a_files_number_multiplies_the_weight_within_bounds() {
        let file = |n, weight, reverse| effect(TrackerKind::File, Some(Sample::Value(n)), weight, reverse);
        assert_eq!(file(3, 5, false), Effect::Adds(15));
        assert_eq!(file(-3, 5, false), Effect::Adds(-15));
        assert_eq!(file(3, 5, true), Effect::Adds(-15));
        assert_eq!(file(i32::MAX, 254, false), Effect::Adds(253));
        assert_eq!(file(-253, 1, false), Effect::Adds(-253));
        assert_eq!(file(-254, 1, false), Effect::Fault("file x says -254".to_owned()));
        assert_eq!(file(i32::MIN, 254, true), Effect::Adds(253));
        assert_eq!(file(0, 0, false), Effect::Adds(0));
        assert_eq!(file(1, 0, false), Effect::Fault("file x says 1".to_owned()));
        assert_eq!(file(0, 0, true), Effect::Fault("file x says 0 (tracked in reverse)".to_owned()));
    }

    #[test]
    fn what_is_known_stands_while_nobody_looks_and_comes_with_words() {
        let key = TrackerKey { kind: TrackerKind::Script, name: "chk".to_owned() };
        let mut samples = Samples::default();
        assert_eq!(samples.sentence(&key), "script chk has no result yet");
        samples.note_words(key.clone(), "exit status 1".to_owned());
        assert!(samples.update(key.clone(), Some(Sample::Down)));
        assert_eq!(samples.sentence(&key), "script chk fails (exit status 1)");
        assert!(!samples.update(key.clone(), None));
        assert!(!samples.update(key.clone(), Some(Sample::Down)));
        samples.note_words(key.clone(), "é".repeat(MAX_WORDS + 1));
        assert_eq!(samples.sentence(&key).chars().filter(|c| *c == 'é').count(), MAX_WORDS);
        samples.forget(&key);
        assert_eq!(effect(TrackerKind::Script, None, 0, false), Effect::Unknown);
    }
}
