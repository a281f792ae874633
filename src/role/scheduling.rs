//! `vrrp_priority`, `bfd_rt_priority`, `checker_cpu_affinity` and the like: applied when a plan is adopted, put back
//! when it no longer asks. What is not permitted is one warning, and no reason not to run.

use crate::plan::process::{AutoPriority, ProcessPlan};
use crate::sys::process;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

/// What was asked of this process, and what it was before.
#[derive(Debug)]
pub struct Scheduling {
    plan: ProcessPlan,
    /// Its name in the log, and for ps where the configuration gives none.
    ident: &'static str,
    /// Is memory locked whatever the configuration says?
    always_locked: bool,
    nice: i32,
    processors: BTreeSet<u16>,
    /// Real-time priority that was reached by waking late.
    grown: u8,
}

impl Scheduling {
    /// Of a process as it was started. `always_locked`: it locks its memory of its own accord.
    pub fn new(ident: &'static str, always_locked: bool) -> Scheduling {
        Scheduling {
            plan: ProcessPlan::default(),
            ident,
            always_locked,
            nice: process::nice().unwrap_or_default(),
            processors: process::processors().unwrap_or_default(),
            grown: 0,
        }
    }

    /// Does as `plan` says, where it differs from what was asked before.
    pub fn adopt(&mut self, plan: ProcessPlan) {
        let ProcessPlan { nice, real_time, real_time_limit, no_swap, processors, name, automatic } = &plan;
        let old = &self.plan;
        if *nice != old.nice {
            let wanted = nice.map_or(self.nice, i32::from);
            self.say(&format!("nice value {wanted}"), process::set_nice(wanted));
        }
        if *processors != old.processors {
            let wanted = if processors.is_empty() {
                self.processors.clone()
            } else {
                processors.iter().copied().collect()
            };
            self.say(&format!("processors {wanted:?}"), process::set_processors(&wanted));
        }
        if *no_swap != old.no_swap && !self.always_locked {
            let done = if *no_swap { process::lock_memory() } else { process::unlock_memory() };
            self.say(if *no_swap { "locked memory" } else { "unlocked memory" }, done);
        }
        if *name != old.name {
            let wanted = name.as_deref().unwrap_or(self.ident);
            self.say(&format!("the name {wanted}"), process::set_name(wanted));
        }
        if (real_time, real_time_limit, automatic) != (&old.real_time, &old.real_time_limit, &old.automatic) {
            self.grown = 0;
            self.real_time(*real_time, *real_time_limit);
        }
        self.plan = plan;
    }

    fn real_time(&self, priority: Option<u8>, limit: Option<Duration>) {
        if let Some(limit) = limit.filter(|_| priority.is_some()) {
            let limited = process::limit_real_time(limit);
            self.say(&format!("a limit of {} us in real time", limit.as_micros()), limited);
        }
        let wanted = priority.map_or("normal scheduling".to_owned(), |n| format!("real-time priority {n}"));
        self.say(&wanted, process::set_real_time(priority));
    }

    fn say(&self, what: &str, done: io::Result<()>) {
        match done {
            Ok(()) => tracing::info!("this process has {what}"),
            Err(error) => tracing::warn!("{} does not get {what}: {error}; it runs on without", self.ident),
        }
    }

    /// The process woke this much late. `max_auto_priority` moves it into real time, and then up by one each time.
    pub fn woke(&mut self, late: Duration) {
        let Some(AutoPriority { most, delay }) = self.plan.automatic else { return };
        if late < delay || self.grown >= most {
            return;
        }
        self.grown += 1;
        if self.grown == 1 {
            let limit = self.plan.real_time_limit.unwrap_or(process::REAL_TIME_LIMIT);
            self.say("a limit in real time", process::limit_real_time(limit));
        }
        if let Err(error) = process::set_real_time(Some(self.grown)) {
            tracing::warn!("woke {} ms late, and gets no real-time priority: {error}", late.as_millis());
            self.grown = most;
        } else {
            tracing::warn!("woke {} ms late: real-time priority is now {}", late.as_millis(), self.grown);
        }
    }

    /// Says if the process was taken out of real time because it did not pause within its limit. Look now and then.
    pub fn look(&self) {
        if process::was_demoted() {
            tracing::error!(
                "{} did not pause within its limit of real time (rlimit_rttime) and has normal scheduling until the next reload",
                self.ident
            );
        }
    }
}
