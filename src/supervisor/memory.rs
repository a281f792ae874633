//! What a supervisor knows and the one after it could ask nobody for a while: what trackers said, and what checks believe. A
//! daemon that becomes another image of itself, or leaves everything for the daemon that follows, leaves this as well.

use super::own_file;
use super::run::Supervisor;
use crate::check::held::HeldVerdict;
use crate::plan::track::{Sample, TrackerKey};
use crate::sys::clock::since_boot;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// Counts up with every change of what is left. What another build left is not read: it is missed, not needed.
const FORMAT: u32 = 2;

/// Who follows after longer than that asks for itself.
const FRESH: Duration = Duration::from_secs(30);

/// The largest file that is read, in octets: 100,000 checks take half of it.
const MOST: u64 = 32 << 20;

/// What is left. Bounded by the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    format: u32,
    /// When, in nanoseconds since boot.
    at: u64,
    trackers: Vec<(TrackerKey, Option<Sample>)>,
    words: Vec<(TrackerKey, String)>,
    /// None where no checker role had a plan in force, or gave it up.
    verdicts: Option<Vec<HeldVerdict>>,
}

/// What every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Supervisor {
    /// All that is known now.
    pub(super) fn memory(&self) -> Memory {
        let trackers = self.samples.iter().map(|(key, sample)| (key.clone(), *sample)).collect();
        let words = self.words.iter().map(|(key, words)| (key.clone(), words.clone())).collect();
        let verdicts = self.verdicts.as_ref().map(|verdicts| verdicts.values().cloned().collect());
        Memory { format: FORMAT, at: since_boot(), trackers, words, verdicts }
    }

    /// What a daemon that ends leaves to who follows: of servers only if they stay in the kernel's table, and nothing if it
    /// gives everything up.
    pub(super) fn left_at_end(&self) -> Option<Memory> {
        let (vrrp, ipvs) = (!self.settings.release_vrrp, !self.settings.release_ipvs);
        let mut memory = (vrrp || ipvs).then(|| self.memory())?;
        if !ipvs {
            memory.verdicts = None;
        }
        Some(memory)
    }

    /// Begin with what was known, as far as it concerns this configuration. Before roles are started.
    pub(super) fn recall(&mut self, memory: Memory) {
        let Memory { format: _, at: _, trackers, words, verdicts } = memory;
        self.samples.extend(trackers);
        self.words.extend(words);
        if let Some(verdicts) = verdicts {
            self.hold_verdicts(true, verdicts);
        }
        self.retrack();
    }
}

impl Memory {
    /// Leave it in that file, for the next daemon alone.
    pub fn leave(&self, path: &Path) {
        if let Err(error) = own_file::write(path, self) {
            tracing::warn!("what is known of trackers and servers is lost: {}: {error}", path.display());
        }
    }

    /// What was left there a moment ago; it is gone from there then. Nothing if nothing was.
    pub fn take(path: &Path) -> Memory {
        let read = Memory::read(path);
        if let Err(error) = own_file::remove(path) {
            tracing::warn!("{} cannot be removed: {error}", path.display());
        }
        match read {
            Ok(memory) if is_fresh(memory.at, since_boot()) => memory,
            Ok(_) => Memory::default(),
            Err(error) if error.kind() == ErrorKind::NotFound => Memory::default(),
            Err(error) => {
                tracing::warn!(
                    "what was known of trackers and servers cannot be read, so they are asked anew: {}: {error}",
                    path.display()
                );
                Memory::default()
            }
        }
    }

    fn read(path: &Path) -> io::Result<Memory> {
        let text = own_file::read(path, MOST)?;
        let Format { format } = serde_json::from_slice(&text)?;
        match format {
            FORMAT => Ok(serde_json::from_slice(&text)?),
            _ => Err(io::Error::other(format!("it is of format {format}, not {FORMAT}"))),
        }
    }
}

/// A moment after now is of another boot.
fn is_fresh(at: u64, now: u64) -> bool {
    now.checked_sub(at).is_some_and(|age| Duration::from_nanos(age) <= FRESH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check::WeightChange;
    use crate::plan::track::TrackerKind;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn memory() -> Memory {
        let key = TrackerKey { kind: TrackerKind::Script, name: "s".to_owned() };
        let down = Some("refused".to_owned());
        let verdict = HeldVerdict { question: 7, down, weight: WeightChange::By(0), since_boot: 5 };
        Memory {
            format: FORMAT,
            at: since_boot(),
            trackers: vec![(key.clone(), Some(Sample::Down))],
            words: vec![(key, "exited with 1".to_owned())],
            verdicts: Some(vec![verdict]),
        }
    }

    #[test]
    fn what_is_left_is_taken_once_by_its_own_format_and_soon() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("main.memory");
        assert_eq!(Memory::take(&path), Memory::default(), "nothing there");
        let memory = memory();
        own_file::write(&path, &memory).expect("there is room");
        own_file::write(&path, &memory).expect("over what was there");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(Memory::take(&path), memory);
        assert_eq!(Memory::take(&path), Memory::default(), "it was taken");
        own_file::write(&path, &Memory { format: FORMAT + 1, ..memory.clone() }).expect("there is room");
        assert_eq!(Memory::take(&path), Memory::default(), "of another build");
        fs::write(&path, "{\"format\":2").expect("there is room");
        assert_eq!(Memory::take(&path), Memory::default(), "torn");
        own_file::write(&path, &Memory { at: u64::MAX, ..memory }).expect("there is room");
        assert_eq!(Memory::take(&path), Memory::default(), "of another boot");
        assert!(!path.exists());
    }

    #[test]
    fn half_a_minute_is_soon() {
        let second = 1_000_000_000;
        assert!(is_fresh(70 * second, 100 * second) && !is_fresh(69 * second, 100 * second));
    }
}
