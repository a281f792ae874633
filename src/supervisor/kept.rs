//! The plans in force, as the supervisor keeps them between reloads: the virtual routers packed, because nobody looks
//! at them but a vrrp role that starts, a reload and a dump, and there may be thousands.

use crate::link::ToVrrp;
use crate::link::frame::{Decoder, FrameError, encode};
use crate::link::pack::Packed;
use crate::plan::bfd::BfdPlan;
use crate::plan::lvs::LvsPlan;
use crate::plan::scripts::ScriptsPlan;
use crate::plan::{GlobalPlan, Plans};
use crate::vrrp::patience;
use std::time::Duration;

/// As [`Plans`], with the routers packed.
#[derive(Debug)]
pub struct KeptPlans {
    /// For the vrrp role.
    pub vrrp: KeptVrrp,
    /// For the checker role.
    pub lvs: LvsPlan,
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
}

impl KeptPlans {
    /// Keep `plans`.
    pub fn new(plans: Plans) -> Result<KeptPlans, FrameError> {
        let Plans { vrrp, lvs, scripts, bfd, global } = plans;
        let (routers, patience) = (vrrp.routers.len(), vrrp.routers.iter().map(patience).min());
        let frame = Packed::new(&encode(&ToVrrp::Plan(vrrp))?);
        Ok(KeptPlans { vrrp: KeptVrrp { frame, routers, patience }, lvs, scripts, bfd, global })
    }

    /// All of them as they were.
    pub fn whole(&self) -> Plans {
        let KeptPlans { vrrp, lvs, scripts, bfd, global } = self;
        let mut decoder = Decoder::default();
        decoder.push(&vrrp.frame());
        let vrrp = match decoder.message() {
            Ok(Some(ToVrrp::Plan(plan))) => plan,
            // It was encoded by `new`.
            other => unreachable!("a kept plan reads back, not as {other:?}"),
        };
        let (lvs, scripts, bfd, global) = (lvs.clone(), scripts.clone(), bfd.clone(), global.clone());
        Plans { vrrp, lvs, scripts, bfd, global }
    }
}

impl KeptVrrp {
    /// What tells the vrrp role its plan.
    pub fn frame(&self) -> Vec<u8> {
        self.frame.unpack()
    }

    /// No virtual router?
    pub fn is_empty(&self) -> bool {
        self.routers == 0
    }

    /// How long the most impatient peer of the routers listens to silence; `None` without routers.
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }
}
