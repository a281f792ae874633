//! A checker role's table where there is no kernel to program.

use holdfast::lvs::sync::SyncDaemon;
use holdfast::lvs::table::{Table, TableOp};
use holdfast::plan::lvs::{ServiceRules, SyncRole, Timeouts};
use holdfast::role::ipvs_worker::{Standing, StoreError, TableStore};

/// A table that takes everything and shows nothing.
pub struct Nowhere;

impl TableStore for Nowhere {
    fn dump(&mut self) -> Result<Table, StoreError> {
        Ok(Table::default())
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        ops.iter().map(|_| Ok(())).collect()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        Ok(Timeouts::default())
    }

    fn set_timeouts(&mut self, _timeouts: &Timeouts) -> Result<(), StoreError> {
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(Vec::new())
    }

    fn start_daemon(&mut self, _daemon: &SyncDaemon) -> Result<(), StoreError> {
        Ok(())
    }

    fn stop_daemon(&mut self, _role: SyncRole) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<bool, StoreError> {
        Ok(true)
    }
}
