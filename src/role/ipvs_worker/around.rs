//! What belongs to IPVS beside its table: timeouts, synchronisation daemons, the packet filter's part.

use super::timeouts::Exchange;
use super::{Standing, StoreError, TableStore};
use crate::lvs::sync::{self, SyncDaemon, SyncOp};
use crate::plan::lvs::{KernelSettings, ServiceRules, Timeouts};
use tracing::{error, info, warn};

/// What it means that timeouts or synchronisation are not as wanted.
const NOT_AFFECTED: &str = "the services are not affected";

/// What it means that the packet filter's part is not as wanted.
fn without(rules: &ServiceRules) -> &'static str {
    match (rules.marked.is_empty(), rules.translated.is_empty()) {
        (true, true) => "what it did goes on",
        (false, true) => "the addresses of groups (nftables_ipvs) lead nowhere until it is there",
        (true, false) => {
            "FULLNAT does not work until it is there: servers see the client, and answers get lost"
        }
        (false, false) => {
            "until it is there FULLNAT does not work, and the addresses of groups (nftables_ipvs) lead nowhere"
        }
    }
}

/// What is wanted, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Around {
    settings: KernelSettings,
    /// Is the instance that `lvs_sync_daemon` names master?
    master: bool,
    timeouts: Exchange,
    timeouts_due: bool,
    /// The daemons are ours to see to: some are wanted, or were.
    syncs: bool,
    /// The interface of their messages, and its index when they were started or found.
    interface: Option<(String, u32)>,
    /// The packet filter's part is to be made anew.
    rules_due: bool,
    /// A plan has come: what an earlier run left in the packet filter has been seen to.
    planned: bool,
    /// What the packet filter has of us.
    standing: Standing,
    /// Why it is not as it should be.
    pub(super) trouble: Option<String>,
}

impl Around {
    pub(super) fn plan(&mut self, settings: KernelSettings) {
        self.timeouts_due |= settings.timeouts != self.settings.timeouts;
        self.syncs |= settings.sync.is_some();
        self.rules_due |= settings.rules != self.settings.rules || !self.planned;
        self.planned = true;
        self.settings = settings;
    }

    pub(super) fn master(&mut self, master: bool) {
        self.master = master;
    }

    /// Is there anything to see to?
    pub(super) fn has_work(&self) -> bool {
        self.timeouts_due || self.syncs || self.rules_due || !self.settings.rules.is_empty()
    }

    /// Is there anything to take away at the end?
    pub(super) fn holds(&self) -> bool {
        self.has_work() || self.timeouts.holds()
    }

    pub(super) fn flushes_at_stop(&self) -> bool {
        self.settings.flush_at_stop
    }

    /// Makes the kernel as wanted. True when the trouble changed.
    pub(super) fn settle(&mut self, store: &mut dyn TableStore) -> bool {
        let mut wrong = Vec::new();
        if self.timeouts_due {
            match self.timeouts.set(&self.settings.timeouts, store) {
                Ok(()) => self.timeouts_due = false,
                Err(StoreError(why)) => wrong.push(format!("{why}; {NOT_AFFECTED}")),
            }
        }
        if self.syncs
            && let Err(why) = self.synchronise(store)
        {
            wrong.extend(why.into_iter().map(|why| format!("{why}; {NOT_AFFECTED}")));
        }
        if let Err(StoreError(why)) = self.filter(store) {
            wrong.push(format!("{why}; {}", without(&self.settings.rules)));
        }
        self.say((!wrong.is_empty()).then(|| wrong.join("; ")))
    }

    /// At the end: the daemons stop, and timeouts are what they were.
    pub(super) fn release(&mut self, store: &mut dyn TableStore) {
        self.settings.sync = None;
        self.settings.timeouts = Timeouts::default();
        self.timeouts_due = self.timeouts.holds();
        self.rules_due |= !self.settings.rules.is_empty();
        let table = std::mem::take(&mut self.settings.rules).table;
        self.settings.rules.table = table;
        self.settle(store);
    }

    /// The packet filter's part: as planned, and again when somebody emptied the packet filter.
    fn filter(&mut self, store: &mut dyn TableStore) -> Result<(), StoreError> {
        let rules = &self.settings.rules;
        if !self.rules_due {
            if rules.is_empty() || store.has_rules(rules, &mut self.standing)? {
                return Ok(());
            }
            warn!("the nftables table {} was changed by somebody else; repairing", rules.table);
        }
        // Not done until it is.
        self.rules_due = true;
        let before = self.standing.table.clone();
        store.set_rules(rules, &mut self.standing)?;
        self.rules_due = false;
        self.standing.table = (!rules.is_empty()).then(|| rules.table.clone());
        if self.standing.table != before || self.standing.table.is_some() {
            let ServiceRules { marked, translated, table, .. } = rules;
            info!(
                "nftables table {table}: {} addresses marked, {} servers behind FULLNAT",
                marked.len(),
                translated.len()
            );
        }
        Ok(())
    }

    fn synchronise(&mut self, store: &mut dyn TableStore) -> Result<(), Vec<String>> {
        let wanted = self.settings.sync.as_ref().map(|plan| sync::wanted(plan, self.master));
        let wanted = wanted.unwrap_or_default();
        let mut running = store.daemons().map_err(|StoreError(why)| vec![why])?;
        if let Some(daemon) = wanted.first() {
            self.stop_the_deaf(&daemon.settings.interface, &mut running, store);
        }
        let mut wrong = Vec::new();
        for op in sync::plan(&running, &wanted) {
            let result = match &op {
                SyncOp::Start(daemon) => store.start_daemon(daemon),
                SyncOp::Stop(role) => store.stop_daemon(*role),
            };
            match (result, op) {
                (Ok(()), SyncOp::Start(daemon)) => info!(
                    "connections are synchronised: {} on {}, id {}",
                    daemon.role, daemon.settings.interface, daemon.settings.sync_id
                ),
                (Ok(()), SyncOp::Stop(role)) => info!("the {role} of connection synchronisation stops"),
                (Err(StoreError(why)), _) => wrong.push(why),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.syncs = self.settings.sync.is_some();
        Ok(())
    }

    /// A daemon keeps to the interface that it was started on: where another one has its name now, it is listed, and neither
    /// tells nor hears anything.
    fn stop_the_deaf(&mut self, name: &str, running: &mut Vec<SyncDaemon>, store: &mut dyn TableStore) {
        let Some(index) = store.interface(name) else { return };
        let is_known = self.interface.as_ref().is_some_and(|(known, _)| known == name);
        if is_known && self.interface.as_ref().is_some_and(|(_, known)| *known != index) {
            let before = running.len();
            running.retain(|daemon| {
                daemon.settings.interface != name || store.stop_daemon(daemon.role).is_err()
            });
            if running.len() < before {
                warn!("{name} was made anew: connection synchronisation on the old one is stopped");
            }
            if running.iter().any(|daemon| daemon.settings.interface == name) {
                return; // to be tried again
            }
        }
        self.interface = Some((name.to_owned(), index));
    }

    fn say(&mut self, trouble: Option<String>) -> bool {
        if self.trouble == trouble {
            return false;
        }
        match &trouble {
            Some(why) => error!("IPVS: {why}; trying again"),
            None => info!("IPVS: timeouts, synchronisation and nftables are as they should be again"),
        }
        self.trouble = trouble;
        true
    }
}
