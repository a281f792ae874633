//! Tells the world: runs notify scripts, writes FIFOs, sends mail, as the core `notify` decides.

mod fifo;
mod reader;
mod relay;

#[cfg(test)]
mod tests;

use super::quiet;
use crate::link::News;
use crate::notify::mail::{Outbox, Outcome, Remark, Stationery, date};
use crate::notify::runs::{MAX_ALIVE, RunId, Runs};
use crate::notify::{Notifier, Subject, Told};
use crate::plan::notify::{FifoPlan, Listens, MailPlan, NotifyPlan};
use crate::time::Instant;
use fifo::Fifo;
use reader::Reader;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// How long the last news may take to be told when the role ends: scripts, mail and readers of FIFOs together. The
/// supervisor gives a role ten seconds.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// How often it is looked whether a FIFO has been read, when the role ends.
const LOOK: Duration = Duration::from_millis(20);

/// What came to an end.
enum Done {
    Run { run: RunId, subject: Subject, command: String, result: Result<(), String> },
    Mail(Outcome),
}

/// See the module.
pub struct NotifyDriver {
    origin: std::time::Instant,
    notifier: Notifier,
    runs: Runs,
    outbox: Outbox,
    mail: Option<(MailPlan, Stationery)>,
    fifos: Vec<Fifo>,
    readers: Vec<Reader>,
    on_done: mpsc::Sender<Done>,
    done: mpsc::Receiver<Done>,
    news: u64,
    failures: u64,
}

impl Default for NotifyDriver {
    fn default() -> Self {
        let (on_done, done) = mpsc::channel(MAX_ALIVE);
        NotifyDriver {
            origin: std::time::Instant::now(),
            notifier: Notifier::default(),
            runs: Runs::default(),
            outbox: Outbox::default(),
            mail: None,
            fifos: Vec::new(),
            readers: Vec::new(),
            on_done,
            done,
            news: 0,
            failures: 0,
        }
    }
}

impl NotifyDriver {
    /// Takes another plan. FIFOs that stay are kept open, and their readers run on. Call it inside the runtime.
    pub fn plan(&mut self, mut plan: NotifyPlan) {
        for command in plan.commands_mut() {
            if let Some(why) = &command.cannot_run {
                error!("notify script {} will not be run: {why}", command.words.join(" "));
            }
        }
        let again = self.notifier.plan(&plan);
        self.take_fifos(plan.fifos);
        self.mail = plan.mail.map(|mail| {
            let stationery = relay::stationery(&mail, plan.router_id.as_deref());
            (mail, stationery)
        });
        for (kind, line) in again {
            self.write(kind, &line);
        }
    }

    /// Something happened. What is to be told begins at once.
    pub fn news(&mut self, news: &News) {
        self.news += 1;
        let Told { subject, commands, line, letter } = self.notifier.hear(news);
        if let Some((kind, line)) = line {
            self.write(kind, &line);
        }
        if let Some(letter) = letter {
            let title = letter.title.clone();
            if self.outbox.push(letter, unix_now()) {
                warn!("too many mails wait for the mail server: the one before `{title}` is not sent");
            }
        }
        if let Some(subject) = subject
            && self.runs.push(subject.clone(), commands) > 0
        {
            warn!(
                "{subject}: too many events wait for notify scripts that run: the oldest is not told to them"
            );
        }
        self.begin();
    }

    /// Waits until there is something to do, and does it. Dropping the future loses nothing.
    pub async fn turn(&mut self) {
        let due = [self.runs.next_timeout(), self.outbox.next_timeout()].into_iter().flatten();
        let due = due.chain(self.readers.iter().filter_map(Reader::next_timeout)).min();
        let wait = due.map(|due| due.saturating_duration_since(self.now()));
        tokio::select! {
            Some(done) = self.done.recv() => self.ended(done),
            () = room(&self.fifos) => {}
            () = reader::ended(&mut self.readers) => {}
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
        self.catch_up();
    }

    /// Lets what was told come to an end, for a few seconds at most, and takes FIFOs and their readers away.
    pub async fn stop(mut self) {
        let all_told = async {
            while self.runs.busy() || self.outbox.busy() {
                self.turn().await;
            }
            while self.readers.iter().any(|reader| {
                reader.runs() && self.fifos.iter().any(|fifo| reader.reads(fifo) && !fifo.is_read())
            }) {
                self.catch_up();
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, all_told).await.is_err() {
            let (scripts, mails) = (self.runs.alive() + self.runs.waiting(), self.outbox.waiting());
            warn!(
                "stopping before everybody was told: {scripts} notify scripts run or wait, {mails} mails wait"
            );
        }
        for reader in self.readers.drain(..) {
            reader.stop().await;
        }
        self.fifos.drain(..).for_each(Fifo::close);
    }

    /// Counters by name, since the role started.
    pub fn counters(&self) -> [(&'static str, u64); 8] {
        [
            ("news", self.news),
            ("notify_scripts_running", self.runs.alive() as u64),
            ("notify_scripts_waiting", self.runs.waiting() as u64),
            ("notify_script_failures", self.failures),
            (
                "notify_events_dropped",
                self.runs.dropped() + self.fifos.iter().map(Fifo::dropped).sum::<u64>(),
            ),
            ("mails_sent", self.outbox.sent()),
            ("mails_waiting", self.outbox.waiting() as u64),
            ("mails_lost", self.outbox.lost()),
        ]
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Does what is due.
    fn catch_up(&mut self) {
        let now = self.now();
        self.runs.handle_timeout(now);
        self.fifos.iter_mut().for_each(Fifo::write);
        self.readers.iter_mut().for_each(|reader| reader.handle_timeout(now));
        self.begin();
    }

    /// Starts the scripts and the mail that may start.
    fn begin(&mut self) {
        let now = self.now();
        while let Some(start) = self.runs.start(now) {
            if start.beside {
                warn!(
                    "{}: an earlier notify script still runs; the next one starts beside it",
                    start.subject
                );
            }
            let (run, subject, plan) = (start.run, start.subject, start.command);
            let on_done = self.on_done.clone();
            tokio::spawn(async move {
                let (_never, pushes) = mpsc::channel(1);
                let result = quiet::run(&plan, pushes).await;
                let command = plan.words.join(" ");
                // Closed only when the role ends.
                on_done.send(Done::Run { run, subject, command, result }).await.ok();
            });
        }
        let Some((plan, stationery)) = &self.mail else { return };
        if let Some((letter, when)) = self.outbox.start(now) {
            let envelope = stationery.envelope(&letter, &date(when));
            let (plan, on_done) = (plan.clone(), self.on_done.clone());
            tokio::spawn(async move {
                let outcome = relay::deliver(plan, envelope).await;
                on_done.send(Done::Mail(outcome)).await.ok();
            });
        }
    }

    fn ended(&mut self, done: Done) {
        match done {
            Done::Run { run, subject, command, result } => {
                self.runs.ended(run);
                if let Err(why) = result {
                    self.failures += 1;
                    warn!("{subject}: notify script {command}: {why}");
                }
            }
            Done::Mail(outcome) => match self.outbox.ended(outcome, self.now()) {
                Some(Remark::TriedAgain { title, why, after }) => {
                    warn!("mail `{title}` is not sent: {why}; it is tried again in {} s", after.as_secs());
                }
                Some(Remark::GivenUp { title, why }) => error!("mail `{title}` is given up: {why}"),
                None => {}
            },
        }
    }

    fn write(&mut self, kind: Listens, line: &[u8]) {
        for fifo in &mut self.fifos {
            if fifo.plan.listens == Listens::All || fifo.plan.listens == kind {
                fifo.tell(line.to_vec());
            }
        }
    }

    fn take_fifos(&mut self, plans: Vec<FifoPlan>) {
        let mut old = std::mem::take(&mut self.fifos);
        let mut old_readers = std::mem::take(&mut self.readers);
        let mut fresh = Vec::new();
        for plan in plans {
            let kept = old.iter().position(|fifo| fifo.plan == plan);
            match kept.map(|at| old.swap_remove(at)) {
                Some(fifo) => {
                    let kept = old_readers.iter().position(|reader| reader.reads(&fifo));
                    self.readers.extend(kept.map(|at| old_readers.swap_remove(at)));
                    self.fifos.push(fifo);
                }
                None => fresh.push(plan),
            }
        }
        old_readers.into_iter().for_each(Reader::dismiss);
        old.into_iter().for_each(Fifo::close);
        for plan in fresh {
            let (keyword, script) = (plan.listens.keyword(), plan.script.clone());
            if let Some(why) = &plan.no_owner {
                error!("{keyword} {}: {why}; the FIFO belongs to the daemon's own account", plan.path);
            }
            match Fifo::open(plan) {
                Ok(fifo) => {
                    self.readers.extend(script.map(|script| Reader::start(&fifo, script, self.origin)));
                    self.fifos.push(fifo);
                }
                Err(why) => error!("{keyword}: {why}; nothing is written there"),
            }
        }
        if !self.fifos.is_empty() {
            info!("notify FIFOs: {}", names(&self.fifos));
        }
    }
}

fn names(fifos: &[Fifo]) -> String {
    fifos.iter().map(|fifo| fifo.plan.path.as_str()).collect::<Vec<_>>().join(", ")
}

/// Returns when one of the FIFOs that are full may have room; never if none is. There are three at most.
async fn room(fifos: &[Fifo]) {
    let mut full = fifos.iter().filter(|fifo| fifo.waits());
    let [first, second, third] = [full.next(), full.next(), full.next()];
    let of = async |fifo: Option<&Fifo>| match fifo {
        Some(fifo) => fifo.room().await,
        None => std::future::pending().await,
    };
    tokio::select! {
        () = of(first) => {}
        () = of(second) => {}
        () = of(third) => {}
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
