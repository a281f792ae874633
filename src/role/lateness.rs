//! Why a process woke late: what the kernel counted since the last look.

use crate::sys::clock::{monotonic_now, since_boot};
use std::fs;
use std::time::Duration;

/// Looks are this many heartbeats apart: /proc/stat is long on large machines.
const BEATS: u32 = 10;

/// What the kernel has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reading {
    /// When it was made, of the monotonic clock.
    at: Duration,
    /// Time that the process ran (its first thread; schedstat).
    ran: Duration,
    /// Time that it could have run and got no processor.
    waited: Duration,
    /// Time spent in suspend since boot.
    suspended: Duration,
    /// Ticks of all processors, and those of each that the host gave to others (proc_stat(5)).
    ticks: u64,
    stolen: Vec<u64>,
}

/// The last look.
#[derive(Debug, Default)]
pub struct Lateness {
    before: Reading,
    beats: u32,
}

impl Lateness {
    /// Called at each heartbeat; looks now and then, so that what is explained later is not the story of weeks.
    pub fn beat(&mut self) {
        if self.beats.is_multiple_of(BEATS) {
            self.before = read();
        }
        self.beats = self.beats.wrapping_add(1);
    }

    /// The most likely cause of a wake-up that was so late, a few words.
    pub fn explain(&mut self, late: Duration) -> String {
        let now = read();
        let before = std::mem::replace(&mut self.before, now.clone());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        cause(late, &before, &now, load.split(' ').next().unwrap_or("unknown"))
    }
}

fn read() -> Reading {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let numbers =
        |line: &str| -> Vec<u64> { line.split_whitespace().filter_map(|word| word.parse().ok()).collect() };
    let schedule = numbers(&text("/proc/self/schedstat"));
    let nanoseconds = |at: usize| Duration::from_nanos(schedule.get(at).copied().unwrap_or(0));
    // A line for all, one for each.
    let statistics = text("/proc/stat");
    let mut processors = statistics.lines().take_while(|line| line.starts_with("cpu")).map(numbers);
    let ticks = processors.next().unwrap_or_default();
    Reading {
        at: Duration::from_nanos(monotonic_now().0),
        ran: nanoseconds(0),
        waited: nanoseconds(1),
        suspended: Duration::from_nanos(since_boot().saturating_sub(monotonic_now().0)),
        // Guests' time, from the ninth number on, is in the others already.
        ticks: ticks.iter().take(8).sum(),
        stolen: processors.map(|ticks| ticks.get(7).copied().unwrap_or(0)).collect(),
    }
}

fn cause(late: Duration, before: &Reading, now: &Reading, load: &str) -> String {
    let half = late / 2;
    let waited = now.waited.saturating_sub(before.waited);
    let ticks = now.ticks.saturating_sub(before.ticks).max(1);
    // A processor that went away was the last of them.
    let of_each = || now.stolen.iter().zip(&before.stolen).map(|(now, before)| now.saturating_sub(*before));
    let stolen = of_each().sum::<u64>() * 100 / ticks;
    // Of the processor that lost most: where this process ran is not known.
    let most = of_each().max().unwrap_or(0) * now.stolen.len() as u64;
    let stolen_time = now.at.saturating_sub(before.at).mul_f64(most as f64 / ticks as f64);
    let steal = if stolen == 0 {
        String::new()
    } else {
        format!(", and the host gave {stolen} % of this machine's processors to others (steal)")
    };
    if now.suspended.saturating_sub(before.suspended) > Duration::from_millis(1) {
        "the machine was suspended".to_owned()
    } else if waited >= half {
        format!(
            "it waited {} ms for a processor: the machine is overloaded (load {load}){steal}",
            waited.as_millis()
        )
    } else if now.ran.saturating_sub(before.ran) >= half {
        let ran = now.ran.saturating_sub(before.ran).as_millis();
        format!("it was busy itself for {ran} ms{steal}")
    } else if stolen >= 10 && stolen_time >= half {
        format!("the host gave {stolen} % of this machine's processors to others (steal)")
    } else {
        let stopped = "it was stopped (SIGSTOP, a frozen control group, a paused virtual machine)";
        format!("{stopped} or waited in the kernel{steal}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_the_kernel_counted_names_the_cause() {
        let said = |change: fn(&mut Reading)| {
            let (at, ran, waited, suspended) = (SECOND, SECOND, SECOND, SECOND);
            let before = Reading { at, ticks: 1000, stolen: vec![50, 70], ran, waited, suspended };
            let mut now = Reading { at: at + SECOND * 2, ticks: 1400, ..before.clone() };
            change(&mut now);
            cause(SECOND, &before, &now, "17.3")
        };
        assert!(said(|_| {}).starts_with("it was stopped (SIGSTOP"));
        assert!(said(|now| now.suspended += SECOND).contains("suspended"));
        let overloaded = said(|now| now.waited += SECOND * 3 / 4);
        assert_eq!(overloaded, "it waited 750 ms for a processor: the machine is overloaded (load 17.3)");
        let stolen = said(|now| {
            now.waited += SECOND;
            now.stolen = vec![150, 170];
        });
        assert!(
            stolen.ends_with("the host gave 50 % of this machine's processors to others (steal)"),
            "{stolen}"
        );
        assert!(said(|now| now.stolen = vec![51, 120]).starts_with("the host gave 12 %"));
        // Each too little for a second.
        let stopped = said(|now| now.stolen = vec![85, 105]);
        assert!(stopped.starts_with("it was stopped (SIGSTOP"), "{stopped}");
        assert!(stopped.ends_with(
            "in the kernel, and the host gave 17 % of this machine's processors to others (steal)"
        ));
        assert!(said(|now| now.ran += SECOND).starts_with("it was busy itself for 1000 ms"));
    }

    #[test]
    fn this_machine_can_be_read() {
        let now = read();
        assert!(now.ticks > 0 && !now.stolen.is_empty(), "{now:?}");
    }
}
