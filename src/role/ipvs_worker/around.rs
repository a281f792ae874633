//! What belongs to IPVS beside its table: timeouts and synchronisation daemons.

use super::{StoreError, TableStore};
use crate::lvs::sync::{self, SyncOp};
use crate::plan::lvs::{KernelSettings, Timeouts};
use tracing::{error, info};

/// What is wanted, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Around {
    settings: KernelSettings,
    /// Is the instance that `lvs_sync_daemon` names master?
    master: bool,
    timeouts_due: bool,
    /// The daemons are ours to see to: some are wanted, or were.
    syncs: bool,
    /// Why it is not as it should be.
    pub(super) trouble: Option<String>,
}

impl Around {
    pub(super) fn plan(&mut self, settings: KernelSettings) {
        self.timeouts_due |=
            settings.timeouts != self.settings.timeouts && settings.timeouts != Timeouts::default();
        self.syncs |= settings.sync.is_some();
        self.settings = settings;
    }

    pub(super) fn master(&mut self, master: bool) {
        self.master = master;
    }

    /// Is there anything to see to?
    pub(super) fn has_work(&self) -> bool {
        self.timeouts_due || self.syncs
    }

    pub(super) fn flushes_at_stop(&self) -> bool {
        self.settings.flush_at_stop
    }

    /// Makes the kernel as wanted. True when the trouble changed.
    pub(super) fn settle(&mut self, store: &mut dyn TableStore) -> bool {
        let mut wrong = Vec::new();
        if self.timeouts_due {
            match store.set_timeouts(&self.settings.timeouts) {
                Ok(()) => self.timeouts_due = false,
                Err(StoreError(why)) => wrong.push(why),
            }
        }
        if self.syncs
            && let Err(why) = self.synchronise(store)
        {
            wrong.extend(why);
        }
        self.say((!wrong.is_empty()).then(|| wrong.join("; ")))
    }

    /// At the end: the daemons stop.
    pub(super) fn release(&mut self, store: &mut dyn TableStore) {
        self.settings.sync = None;
        self.timeouts_due = false;
        self.settle(store);
    }

    fn synchronise(&mut self, store: &mut dyn TableStore) -> Result<(), Vec<String>> {
        let wanted = self.settings.sync.as_ref().map(|plan| sync::wanted(plan, self.master));
        let wanted = wanted.unwrap_or_default();
        let running = store.daemons().map_err(|StoreError(why)| vec![why])?;
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

    fn say(&mut self, trouble: Option<String>) -> bool {
        if self.trouble == trouble {
            return false;
        }
        match &trouble {
            Some(why) => error!("IPVS: {why}; the services are not affected, trying again"),
            None => info!("IPVS: timeouts and synchronisation are as they should be again"),
        }
        self.trouble = trouble;
        true
    }
}
