//! The plans in force, as the supervisor keeps them between reloads: virtual routers and virtual servers packed, because
//! nobody looks at them but a role that starts, a reload and a dump, and there may be thousands.

use crate::link::frame::{Decoder, FrameError, encode};
use crate::link::pack::Packed;
use crate::link::{ToChecker, ToVrrp};
use crate::plan::bfd::BfdPlan;
use crate::plan::lvs::{LvsPlan, SyncPlan};
use crate::plan::scripts::ScriptsPlan;
use crate::plan::vrrp::VrrpPlan;
use crate::plan::{GlobalPlan, Plans};
use crate::vrrp::{handover_limit, patience};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// As [`Plans`], with routers and virtual servers packed.
#[derive(Debug)]
pub struct KeptPlans {
    /// For the vrrp role.
    pub vrrp: KeptVrrp,
    /// For the checker role.
    pub lvs: KeptLvs,
    /// For the scripts role.
    pub scripts: ScriptsPlan,
    /// For the bfd role.
    pub bfd: BfdPlan,
    /// Daemon-wide settings.
    pub global: GlobalPlan,
}

/// The vrrp role's plan.
#[derive(Debug)]
pub struct KeptVrrp {
    frame: Packed,
    routers: usize,
    patience: Option<Duration>,
    handover: Duration,
}

/// The checker role's plan.
#[derive(Debug)]
pub struct KeptLvs {
    frame: Packed,
    has_work: bool,
    virtual_servers: usize,
    sync: Option<SyncPlan>,
}

impl KeptPlans {
    /// Keep `plans`.
    pub fn new(plans: Plans) -> Result<KeptPlans, FrameError> {
        let Plans { vrrp, lvs, scripts, bfd, global } = plans;
        let (routers, patience) = (vrrp.routers.len(), vrrp.routers.iter().map(patience).min());
        let handover = vrrp.routers.iter().map(handover_limit).max().filter(|_| vrrp.handover);
        let handover = handover.unwrap_or_default();
        let frame = Packed::new(&encode(&ToVrrp::Plan(vrrp))?);
        let vrrp = KeptVrrp { frame, routers, patience, handover };
        Ok(KeptPlans { vrrp, lvs: KeptLvs::new(lvs)?, scripts, bfd, global })
    }

    /// All of them as they were.
    pub fn whole(&self) -> Plans {
        let KeptPlans { vrrp, lvs, scripts, bfd, global } = self;
        let (vrrp, lvs) = (vrrp.whole(), lvs.whole());
        let (scripts, bfd, global) = (scripts.clone(), bfd.clone(), global.clone());
        Plans { vrrp, lvs, scripts, bfd, global }
    }
}

impl KeptLvs {
    fn new(plan: LvsPlan) -> Result<KeptLvs, FrameError> {
        let (has_work, virtual_servers) = (plan.has_work(), plan.virtual_servers.len());
        let sync = plan.kernel.sync.clone();
        let frame = Packed::new(&encode(&ToChecker::Plan(plan))?);
        Ok(KeptLvs { frame, has_work, virtual_servers, sync })
    }

    /// What tells the checker role its plan.
    pub fn frame(&self) -> Vec<u8> {
        self.frame.unpack()
    }

    fn whole(&self) -> LvsPlan {
        match reread(&self.frame()) {
            ToChecker::Plan(plan) => plan,
            other => unreachable!("a kept plan reads back, not as {other:?}"),
        }
    }

    /// Does it give the checker role something to do?
    pub fn has_work(&self) -> bool {
        self.has_work
    }

    /// No virtual server?
    pub fn is_empty(&self) -> bool {
        self.virtual_servers == 0
    }

    /// The connection synchronisation.
    pub fn sync(&self) -> Option<&SyncPlan> {
        self.sync.as_ref()
    }
}

/// What was encoded by this process.
fn reread<T: DeserializeOwned>(frame: &[u8]) -> T {
    let mut decoder = Decoder::default();
    decoder.push(frame);
    decoder.message().ok().flatten().expect("it was encoded here, from the same type")
}

impl KeptVrrp {
    /// What tells the vrrp role its plan.
    pub fn frame(&self) -> Vec<u8> {
        self.frame.unpack()
    }

    fn whole(&self) -> VrrpPlan {
        match reread(&self.frame()) {
            ToVrrp::Plan(plan) => plan,
            other => unreachable!("a kept plan reads back, not as {other:?}"),
        }
    }

    /// No virtual router?
    pub fn is_empty(&self) -> bool {
        self.routers == 0
    }

    /// How long a Master may take to hand over at a stop; zero with `no_handover`.
    pub fn handover(&self) -> Duration {
        self.handover
    }

    /// How long the most impatient peer of the routers listens to silence; `None` without routers.
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }
}
