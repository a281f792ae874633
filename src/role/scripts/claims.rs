//! Claim scripts: run for the vrrp role, whose Masters wait for their end before they ask for their addresses.

use super::runner::{self, Push};
use crate::link::Claimed;
use crate::plan::notify::NotifyPlan;
use crate::plan::scripts::CommandPlan;
use crate::track::scripts::Ending;
use crate::vrrp::{ClaimId, ClaimOrder};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

/// Claim scripts that run at once: a node full of routers that become Master together asks its cloud no faster.
const MAX_RUNNING: usize = 64;

/// How long a script may take to end after SIGTERM.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Octets of what a failing script prints that are told on: its first line says what matters.
const TOLD: usize = 200;

/// The attempts of all instances: one at a time for each.
pub struct Claims {
    commands: BTreeMap<String, CommandPlan>,
    /// At most one for each instance.
    waiting: VecDeque<ClaimOrder>,
    /// By the instance's name.
    running: BTreeMap<String, Attempt>,
    on_done: mpsc::Sender<Done>,
    done: mpsc::Receiver<Done>,
    answers: Vec<Claimed>,
    runs: u64,
    failures: u64,
}

struct Attempt {
    order: ClaimOrder,
    /// Dropped, it ends the script; `None` once that was done.
    wanted: Option<oneshot::Sender<()>>,
}

/// An instance's script is gone.
type Done = (String, Result<(), String>);

impl Default for Claims {
    fn default() -> Self {
        let (on_done, done) = mpsc::channel(MAX_RUNNING);
        let (commands, waiting, running) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        Claims { commands, waiting, running, on_done, done, answers: Vec::new(), runs: 0, failures: 0 }
    }
}

impl Claims {
    /// Takes the scripts of another plan; those that run go on.
    pub fn plan(&mut self, plan: &NotifyPlan) {
        let command =
            |hooks: &crate::plan::notify::InstanceHooks| Some((hooks.name.clone(), hooks.claim.clone()?));
        self.commands = plan.instances.iter().filter_map(command).collect();
    }

    /// Runs an instance's script, after an earlier one of that instance has ended.
    pub fn claim(&mut self, order: ClaimOrder) {
        self.waiting.retain(|earlier| earlier.name != order.name);
        if let Some(earlier) = self.running.get_mut(&order.name) {
            earlier.wanted = None;
        }
        self.waiting.push_back(order);
        self.begin();
    }

    /// Nobody waits for that attempt any more, or for any.
    pub fn unclaim(&mut self, claim: Option<ClaimId>) {
        let given_up = |order: &ClaimOrder| claim.is_none_or(|claim| order.claim == claim);
        self.waiting.retain(|order| !given_up(order));
        for attempt in self.running.values_mut().filter(|attempt| given_up(&attempt.order)) {
            if attempt.wanted.take().is_some() {
                info!("({}) notify_claim is ended: it is no longer MASTER", attempt.order.name);
            }
        }
    }

    /// Waits until a script has ended, and takes note of it. Dropping the future loses nothing.
    pub async fn turn(&mut self) {
        if let Some((name, result)) = self.done.recv().await {
            self.ended(&name, result);
        }
    }

    /// What is to be told to the vrrp role.
    pub fn answers(&mut self) -> impl Iterator<Item = Claimed> + '_ {
        self.answers.drain(..)
    }

    /// Ends what runs.
    pub async fn stop(mut self) {
        self.waiting.clear();
        self.running.values_mut().for_each(|attempt| attempt.wanted = None);
        let all_ended = async {
            while !self.running.is_empty() {
                self.turn().await;
            }
        };
        if tokio::time::timeout(LAST_MOMENT * 2, all_ended).await.is_err() {
            warn!("a claim script does not end");
        }
    }

    /// Counters by name, since the role started.
    pub fn counters(&self) -> [(&'static str, u64); 3] {
        [
            ("claim_runs", self.runs),
            ("claim_failures", self.failures),
            ("claims_waiting", (self.waiting.len() + self.running.len()) as u64),
        ]
    }

    /// Starts what may start.
    fn begin(&mut self) {
        while self.running.len() < MAX_RUNNING
            && let Some(at) = self.waiting.iter().position(|order| !self.running.contains_key(&order.name))
            && let Some(order) = self.waiting.remove(at)
        {
            let command = match self.commands.get(&order.name) {
                None => Err("this instance has none in the configuration in force".to_owned()),
                Some(CommandPlan { cannot_run: Some(why), .. }) => Err(format!("it is not run: {why}")),
                Some(command) => Ok(with_arguments(command, &order)),
            };
            match command {
                Ok(command) => self.start(command, order),
                Err(why) => self.answer(&order, Err(why)),
            }
        }
    }

    fn start(&mut self, command: CommandPlan, order: ClaimOrder) {
        info!("({}) notify_claim runs: {}", order.name, command.words.join(" "));
        self.runs += 1;
        let (wanted, unwanted) = oneshot::channel();
        let (name, limit, on_done) = (order.name.clone(), order.timeout, self.on_done.clone());
        self.running.insert(order.name.clone(), Attempt { order, wanted: Some(wanted) });
        tokio::spawn(async move {
            let result = attempt(&command, limit, unwanted).await;
            // Closed only when the role ends.
            on_done.send((name, result)).await.ok();
        });
    }

    fn ended(&mut self, name: &str, result: Result<(), String>) {
        if let Some(Attempt { order, wanted: Some(_) }) = self.running.remove(name) {
            self.answer(&order, result);
        }
        self.begin();
    }

    fn answer(&mut self, order: &ClaimOrder, result: Result<(), String>) {
        self.failures += u64::from(result.is_err());
        self.answers.push(Claimed { router: order.router, claim: order.claim, result });
    }
}

/// As keepalived calls a generic notify script, then the addresses.
fn with_arguments(command: &CommandPlan, order: &ClaimOrder) -> CommandPlan {
    let mut command = command.clone();
    let ClaimOrder { name, priority, addresses, .. } = order;
    command.words.extend(["INSTANCE", name, "MASTER"].map(str::to_owned));
    command.words.push(priority.to_string());
    command.words.extend(addresses.iter().map(|address| address.to_string()));
    command
}

/// Runs until it ends by itself, its time is over or nobody wants it; its process is gone then.
async fn attempt(
    command: &CommandPlan,
    limit: Duration,
    unwanted: oneshot::Receiver<()>,
) -> Result<(), String> {
    let (pushes, orders) = mpsc::channel(2);
    let mut run = std::pin::pin!(runner::run(command, orders));
    let why = tokio::select! {
        (ending, output) = &mut run => return verdict(ending, &output),
        () = tokio::time::sleep(limit) => format!("no end within {} s", limit.as_secs_f32()),
        _ = unwanted => "nobody waits for it any more".to_owned(),
    };
    for push in [Push::Terminate, Push::Kill] {
        // There is room for both.
        pushes.try_send(push).ok();
        if tokio::time::timeout(LAST_MOMENT, &mut run).await.is_ok() {
            return Err(why);
        }
    }
    // Not even SIGKILL: it hangs in the kernel. Who waits is told so; the next attempt may find it there.
    Err(format!("{why}, and it cannot be killed"))
}

fn verdict(ending: Ending, output: &str) -> Result<(), String> {
    let how = match ending {
        Ending::Exited(0) => return Ok(()),
        Ending::Exited(code) => format!("exit status {code}"),
        Ending::Signalled(signal) => format!("ended by {signal}"),
        Ending::NotExecuted(why) => format!("it cannot be run: {why}"),
        Ending::NoProcess(why) => format!("no process could be made for it: {why}"),
    };
    let said: String = output.lines().next().unwrap_or_default().chars().take(TOLD).collect();
    Err(if said.is_empty() { how } else { format!("{how}, `{said}`") })
}
