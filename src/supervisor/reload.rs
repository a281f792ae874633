//! Reload: compile in a throw-away process, hand new plans to the roles, wait until all have them. If anything is
//! wrong with the configuration, nothing changes.
//!
//! keepalived runs a configuration in spite of most errors, leaving out what it does not understand; at start so do we,
//! or few files would run. A reload is different: there is a configuration that works, and a slip of the keyboard must not take
//! an address away. So a reload may have as many errors as the configuration in force, and not more.

use super::child::End;
use super::compiler::compile;
use super::difference::difference;
use super::marker::Marker;
use super::run::Supervisor;
use super::settings::Limits;
use super::slot::Slot;
use super::worker::Worker;
use crate::link::control::{Answer, ReloadOutcome};
use crate::link::kept::CompileAnswer;
use crate::link::kept::KeptPlans;
use crate::plan::Generation;
use crate::report::plural;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A reload under way.
#[derive(Debug)]
pub struct Reload {
    callers: Vec<oneshot::Sender<Answer>>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Compiling(JoinHandle<()>),
    Applying { until: Instant, outcome: ReloadOutcome, changes: String },
}

/// Wishes for a reload that came during another.
#[derive(Debug, Default)]
pub struct QueuedReload {
    /// One of them was a SIGHUP, which cannot be taken back.
    by_signal: bool,
    callers: Vec<oneshot::Sender<Answer>>,
}

impl Reload {
    /// When patience with the roles ends.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Compiling(_) => None,
            Phase::Applying { until, .. } => Some(*until),
        }
    }
}

impl Supervisor {
    /// Reloads now, or after the reload that is under way; any number of such wishes make one reload.
    pub(super) fn ask_reload(&mut self, caller: Option<oneshot::Sender<Answer>>) {
        if self.reload.is_some() {
            tracing::info!("reload asked for; it follows the one under way");
            let queued = self.queued_reload.get_or_insert_default();
            queued.by_signal |= caller.is_none();
            return queued.callers.extend(caller);
        }
        self.begin_reload(caller.into_iter().collect());
    }

    fn begin_reload(&mut self, callers: Vec<oneshot::Sender<Answer>>) {
        tracing::info!("reloading {}", self.settings.configuration.display());
        let (settings, answer) = (self.settings.clone(), self.compiled.clone());
        let next = Generation(self.generation.0 + 1);
        let marker = Marker::set(self.plans.global.daemon.reload_marker.as_ref(), &self.settings);
        let task = tokio::spawn(async move {
            let compiled = compile(&settings, next).await;
            drop(marker);
            // Closed only when the supervisor ends.
            answer.send(compiled).await.ok();
        });
        self.reload = Some(Reload { callers, phase: Phase::Compiling(task) });
    }

    /// The compile process has answered, or failed.
    pub(super) fn on_compiled(&mut self, answer: Result<CompileAnswer, String>) {
        let Some(mut reload) = self.reload.take() else { return };
        match answer {
            Ok(CompileAnswer { plans: Some(mut plans), diagnostics, errors, cannot_run, .. }) => {
                if let Some(reason) = self.worse(&plans, errors) {
                    log_diagnostics(&diagnostics);
                    tracing::error!("{reason}");
                    self.refused_reload = Some(format!("{reason}\n{}", diagnostics.join("\n")));
                    return self.refuse(reload, diagnostics, errors, vec![reason]);
                }
                let changes = match plans.following(&self.plans) {
                    Ok((old, new)) => difference(&old, &new),
                    Err(error) => {
                        let reason = format!("its plans cannot be read: {error}");
                        self.refused_reload = Some(reason.clone());
                        return self.refuse(reload, diagnostics, errors, vec![reason]);
                    }
                };
                self.accept(plans, &diagnostics, errors);
                let (accepted, generation, trouble) = (true, self.generation, Vec::new());
                let outcome =
                    ReloadOutcome { accepted, generation, diagnostics, errors, cannot_run, trouble };
                let until = Instant::now() + self.settings.limits.apply;
                reload.phase = Phase::Applying { until, outcome, changes };
                self.reload = Some(reload);
            }
            Ok(CompileAnswer { plans: None, diagnostics, errors, .. }) => {
                log_diagnostics(&diagnostics);
                self.refused_reload = Some(diagnostics.join("\n"));
                self.refuse(reload, diagnostics, errors, Vec::new());
            }
            Err(reason) => {
                self.refused_reload = Some(reason.clone());
                tracing::error!("{reason}");
                self.refuse(reload, Vec::new(), 0, vec![reason]);
            }
        }
    }

    /// Why a configuration that could be run is not taken in place of the one in force (docs/decisions/0005).
    fn worse(&self, plans: &KeptPlans, errors: usize) -> Option<String> {
        if errors > self.errors {
            let (new, old) = (count(errors), count(self.errors));
            return Some(format!(
                "it has {new}, the configuration in force has {old}: mend it, or restart holdfast to run it as it is"
            ));
        }
        if let Some(keyword) = plans.global.daemon.fixed_difference(&self.plans.global.daemon) {
            return Some(format!("{keyword} differs, which only a restart can change (as in keepalived)"));
        }
        let asks_nothing = plans.vrrp.is_empty() && plans.lvs.is_empty();
        let asked_nothing = self.plans.vrrp.is_empty() && self.plans.lvs.is_empty();
        (asks_nothing && !asked_nothing).then(|| {
            "it has no vrrp_instance and no virtual_server that could be run, the configuration in force has: a file \
             cut short? To give everything up, stop holdfast"
                .to_owned()
        })
    }

    /// Puts a new configuration in force: plans to the roles that run, roles started and stopped as it wants.
    fn accept(&mut self, plans: KeptPlans, diagnostics: &[String], errors: usize) {
        log_diagnostics(diagnostics);
        self.generation = Generation(self.generation.0 + 1);
        self.refused_reload = None;
        (self.plans, self.errors) = (plans, errors);
        super::life::adopt(&mut self.settings, &self.plans.global);
        if self.settings.want_vrrp {
            super::named::write_down(&self.settings.addresses_file(), &self.plans);
        }
        self.appointments.send_replace(self.plans.global.daemon.reload_time.clone());
        self.retrack();
        self.tell_master();
        for slot in &mut self.slots {
            if let Some(child) = slot.child.as_mut()
                && !child.send_plan(&self.plans)
            {
                tracing::error!("{} does not take its plan and is restarted", slot.worker.role().ident());
                child.kill();
            }
            // The new configuration may be the cure: a role that waits for its next start gets it at once.
            slot.hurry();
        }
        self.start_wanted();
    }

    fn refuse(&mut self, reload: Reload, diagnostics: Vec<String>, errors: usize, trouble: Vec<String>) {
        tracing::error!("reload refused: configuration {} goes on untouched", self.generation.0);
        let generation = self.generation;
        let (accepted, cannot_run) = (false, 0);
        let outcome = ReloadOutcome { accepted, generation, diagnostics, errors, cannot_run, trouble };
        answer(reload.callers, &outcome);
        self.begin_queued();
    }

    /// Answers once every role has the plan, or patience has ended.
    pub(super) fn finish_reload(&mut self, now: Instant) {
        let Some(Reload { phase: Phase::Applying { until, .. }, .. }) = &self.reload else { return };
        let late = *until <= now;
        let generation = self.generation;
        let limits = &self.settings.limits;
        let waiting: Vec<&Slot> = self.slots.iter().filter(|slot| !has_applied(slot, generation)).collect();
        // Nobody is kept waiting for a role that does not even answer.
        if waiting.iter().any(|slot| !slot.is_silent(limits)) && !late {
            return;
        }
        let trouble: Vec<String> =
            waiting.into_iter().map(|slot| lateness(slot, generation, limits)).collect();
        let Some(Reload { phase: Phase::Applying { mut outcome, changes, .. }, callers }) =
            self.reload.take()
        else {
            return;
        };
        for sentence in &trouble {
            tracing::error!("{sentence}");
        }
        tracing::info!("configuration {} is in force: {changes}", generation.0);
        outcome.trouble = trouble;
        answer(callers, &outcome);
        self.begin_queued();
    }

    /// A scripts role without work ends once the others do what the configuration says: what leaves with the old one is
    /// told by it.
    pub(super) fn dismiss_scripts(&mut self) {
        if self.stopping.is_some() {
            return; // see STOP_ORDER
        }
        let (generation, limits) = (self.generation, &self.settings.limits);
        let (scripts, others): (Vec<&mut Slot>, Vec<&mut Slot>) =
            self.slots.iter_mut().partition(|slot| slot.worker == Worker::Scripts);
        if others.iter().any(|slot| !has_applied(slot, generation) && !slot.is_silent(limits)) {
            return;
        }
        let runs = |slot: &&mut Slot| slot.child.as_ref().is_some_and(|child| child.end == End::No);
        for slot in scripts.into_iter().filter(|slot| !slot.wanted && runs(slot)) {
            slot.dismiss(limits);
        }
    }

    fn begin_queued(&mut self) {
        let Some(QueuedReload { by_signal, mut callers }) = self.queued_reload.take() else { return };
        callers.retain(|caller| !caller.is_closed());
        if by_signal || !callers.is_empty() {
            self.begin_reload(callers);
        } else {
            tracing::info!("the reload that waited is dropped: who asked for it has hung up");
        }
    }

    /// The daemon ends: callers are refused by their dropped reply.
    pub(super) fn abandon_reload(&mut self) {
        self.queued_reload = None;
        if let Some(Reload { phase: Phase::Compiling(task), .. }) = self.reload.take() {
            task.abort();
        }
    }
}

fn answer(callers: Vec<oneshot::Sender<Answer>>, outcome: &ReloadOutcome) {
    for caller in callers {
        // A caller that went away does not want to know.
        caller.send(Answer::Reload(outcome.clone())).ok();
    }
}

/// Does the role do what the configuration in force says?
fn has_applied(slot: &Slot, generation: Generation) -> bool {
    match (&slot.child, slot.wanted) {
        (Some(child), true) => child.generation == Some(generation),
        (None, true) => false,
        (child, false) => child.is_none(),
    }
}

fn lateness(slot: &Slot, generation: Generation, limits: &Limits) -> String {
    let name = slot.worker.role().name();
    let trouble = slot.trouble(limits).map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    match slot.wanted {
        true => format!("the {name} role has not reported configuration {} yet{trouble}", generation.0),
        false => format!("the {name} role has no work any more and has not ended yet{trouble}"),
    }
}

fn count(errors: usize) -> String {
    match errors {
        0 => "none".to_owned(),
        n => plural(n, "error"),
    }
}

/// Logs what the compiler said, as many lines as it took; at a start and at a reload alike.
pub fn log_diagnostics(diagnostics: &[String]) {
    for text in diagnostics {
        // Rendered diagnostics begin with how bad they are.
        let is_error = text.starts_with("error");
        for line in text.lines() {
            if is_error {
                tracing::error!("{line}");
            } else {
                tracing::warn!("{line}");
            }
        }
    }
}
