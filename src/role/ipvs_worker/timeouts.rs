//! `lvs_timeouts`: what was there before is put back when a reload or the end takes ours away, as keepalived does.

use super::{StoreError, TableStore};
use crate::plan::lvs::Timeouts;

/// What we have set, and what was there.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// In force by us; 0: not ours.
    ours: Timeouts,
    /// What stood in their place.
    before: Timeouts,
}

impl Exchange {
    /// Is there something to put back?
    pub(super) fn holds(&self) -> bool {
        self.ours != Timeouts::default()
    }

    /// Makes the kernel as `wanted`. One that somebody else has changed since is not put back.
    pub(super) fn set(&mut self, wanted: &Timeouts, store: &mut dyn TableStore) -> Result<(), StoreError> {
        let now = store.timeouts()?;
        let of = |field: fn(&Timeouts) -> u32| {
            exchange(field(wanted), field(&now), field(&self.ours), field(&self.before))
        };
        let (tcp, tcp_fin, udp) = (of(|it| it.tcp), of(|it| it.tcp_fin), of(|it| it.udp));
        store.set_timeouts(&Timeouts { tcp: tcp.0, tcp_fin: tcp_fin.0, udp: udp.0 })?;
        self.before = Timeouts { tcp: tcp.1, tcp_fin: tcp_fin.1, udp: udp.1 };
        self.ours = *wanted;
        Ok(())
    }
}

/// What to set, where 0 leaves what is there, and what to remember.
fn exchange(wanted: u32, now: u32, ours: u32, before: u32) -> (u32, u32) {
    let still_ours = now == ours;
    match (wanted, ours) {
        (0, 0) => (0, 0),
        (0, _) => (if still_ours { before } else { 0 }, 0),
        // It was set once; another's word since then stays.
        (_, _) if wanted == ours => (0, before),
        (_, _) => (wanted, if still_ours { before } else { now }),
    }
}
