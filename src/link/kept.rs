//! Plans as the process that reads the configuration hands them over and the supervisor keeps them between reloads: virtual
//! routers, virtual servers and what SNMP shows of them packed, in the form in which they go to their roles, because nobody else looks at them but a
//! reload and a dump, and there may be thousands.

use super::frame::{FrameError, pack, packed_frame, unpacked};
use super::pack::{Packed, Torn};
use super::{Compiled, ToChecker, ToSnmp, ToVrrp};
use crate::plan::Generation;
use crate::plan::bfd::BfdPlan;
use crate::plan::lvs::{LvsPlan, SyncPlan};
use crate::plan::marks;
use crate::plan::scripts::ScriptsPlan;
use crate::plan::snmp::SnmpPlan;
use crate::plan::vrrp::VrrpPlan;
use crate::plan::{GlobalPlan, Plans};
use crate::vrrp::{handover_limit, patience};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As [`Plans`], with routers and virtual servers packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPlans {
    /// For the vrrp role.
    pub vrrp: KeptVrrp,
    /// For the checker role.
    pub lvs: KeptLvs,
    /// For the scripts role.
    pub scripts: ScriptsPlan,
    /// For the bfd role.
    pub bfd: BfdPlan,
    /// For the snmp role.
    pub snmp: KeptSnmp,
    /// Daemon-wide settings.
    pub global: GlobalPlan,
}

/// The vrrp role's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVrrp {
    message: Packed,
    generation: Generation,
    routers: usize,
    patience: Option<Duration>,
    handover: Duration,
}

/// The checker role's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLvs {
    message: Packed,
    generation: Generation,
    has_work: bool,
    virtual_servers: usize,
    sync: Option<SyncPlan>,
}

/// The snmp role's plan: as large as the checker role's, as far as it shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSnmp {
    message: Packed,
    has_work: bool,
    traps: bool,
}

impl KeptPlans {
    /// Keep `plans`.
    pub fn new(plans: Plans) -> Result<KeptPlans, FrameError> {
        let Plans { vrrp, lvs, scripts, bfd, snmp, global } = plans;
        let (routers, patience) = (vrrp.routers.len(), vrrp.routers.iter().map(patience).min());
        let handover = vrrp.routers.iter().map(handover_limit).max().filter(|_| vrrp.handover);
        let handover = handover.unwrap_or_default();
        let generation = vrrp.generation;
        let message = pack(&ToVrrp::Plan(vrrp))?;
        let vrrp = KeptVrrp { message, generation, routers, patience, handover };
        Ok(KeptPlans { vrrp, lvs: KeptLvs::new(lvs)?, scripts, bfd, snmp: KeptSnmp::new(snmp)?, global })
    }

    /// All of them as they were.
    pub fn whole(&self) -> Result<Plans, FrameError> {
        let KeptPlans { vrrp, lvs, scripts, bfd, snmp, global } = self;
        let (vrrp, lvs, snmp) = (vrrp.whole()?, lvs.whole()?, snmp.whole()?);
        let (scripts, bfd, global) = (scripts.clone(), bfd.clone(), global.clone());
        Ok(Plans { vrrp, lvs, scripts, bfd, snmp, global })
    }

    /// These and those in force, as they were, to compare them. Marks of groups that stay are made those in force first.
    pub fn following(&mut self, old: &KeptPlans) -> Result<(Plans, Plans), FrameError> {
        let (old, new) = (old.whole()?, self.whole()?);
        let Some(kept) = marks::kept(&old.lvs, &new) else { return Ok((old, new)) };
        *self = KeptPlans::new(kept.clone())?;
        Ok((old, kept))
    }

    /// The vrrp role's, as it was.
    pub fn vrrp_plan(&self) -> Result<VrrpPlan, FrameError> {
        self.vrrp.whole()
    }

    /// Which configuration they are.
    pub fn generation(&self) -> Generation {
        self.vrrp.generation.max(self.lvs.generation)
    }
}

impl KeptLvs {
    fn new(plan: LvsPlan) -> Result<KeptLvs, FrameError> {
        let (has_work, virtual_servers) = (plan.has_work(), plan.virtual_servers.len());
        let sync = plan.kernel.sync.clone();
        let generation = plan.generation;
        let message = pack(&ToChecker::Plan(plan))?;
        Ok(KeptLvs { message, generation, has_work, virtual_servers, sync })
    }

    /// What tells the checker role its plan.
    pub fn frame(&self) -> Vec<u8> {
        packed_frame(&self.message)
    }

    fn whole(&self) -> Result<LvsPlan, FrameError> {
        match unpacked(&self.message)? {
            ToChecker::Plan(plan) => Ok(plan),
            _ => Err(FrameError::Torn(Torn)),
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

impl KeptSnmp {
    fn new(plan: SnmpPlan) -> Result<KeptSnmp, FrameError> {
        let (has_work, traps) = (plan.has_work(), plan.traps);
        Ok(KeptSnmp { message: pack(&ToSnmp::Plan(plan))?, has_work, traps })
    }

    /// What tells the snmp role its plan.
    pub fn frame(&self) -> Vec<u8> {
        packed_frame(&self.message)
    }

    fn whole(&self) -> Result<SnmpPlan, FrameError> {
        match unpacked(&self.message)? {
            ToSnmp::Plan(plan) => Ok(plan),
            _ => Err(FrameError::Torn(Torn)),
        }
    }

    /// Does it give the snmp role something to do?
    pub fn has_work(&self) -> bool {
        self.has_work
    }

    /// Are servers and quorums told of?
    pub fn traps(&self) -> bool {
        self.traps
    }
}

impl KeptVrrp {
    /// What tells the vrrp role its plan.
    pub fn frame(&self) -> Vec<u8> {
        packed_frame(&self.message)
    }

    fn whole(&self) -> Result<VrrpPlan, FrameError> {
        match unpacked(&self.message)? {
            ToVrrp::Plan(plan) => Ok(plan),
            _ => Err(FrameError::Torn(Torn)),
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

/// What a compile process answers, once, before it exits: as [`Compiled`], with plans that are ready for their roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileAnswer {
    /// The plans, when the configuration can be run.
    pub plans: Option<KeptPlans>,
    /// As [`Compiled::status`].
    pub status: u8,
    /// As [`Compiled::diagnostics`].
    pub diagnostics: Vec<String>,
    /// How many of them are errors.
    pub errors: usize,
    /// As [`Compiled::cannot_run`].
    pub cannot_run: usize,
}

impl TryFrom<Compiled> for CompileAnswer {
    type Error = FrameError;

    fn try_from(compiled: Compiled) -> Result<CompileAnswer, FrameError> {
        let Compiled { plans, status, diagnostics, errors, cannot_run } = compiled;
        let plans = plans.map(KeptPlans::new).transpose()?;
        Ok(CompileAnswer { plans, status, diagnostics, errors, cannot_run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::frame::{Decoder, encode};
    use crate::net::{AddressFamily, TransportProtocol};
    use crate::plan::lvs::{ServiceKey, VirtualServer};

    #[test]
    fn plans_come_back_and_reach_their_roles() {
        let mut plans = Plans::default();
        plans.lvs.generation = Generation(3);
        let plans_of = Some(plans.clone());
        let compiled =
            Compiled { plans: plans_of, status: 0, diagnostics: Vec::new(), errors: 0, cannot_run: 0 };
        let answer = CompileAnswer::try_from(compiled).expect("it is short");
        let mut decoder = Decoder::default();
        decoder.push(&encode(&answer).expect("it is short"));
        let heard = decoder.message::<CompileAnswer>().expect("well formed");
        assert_eq!(heard.as_ref(), Some(&answer));
        let kept = heard.and_then(|heard| heard.plans).expect("it has plans");
        assert_eq!(kept.generation(), Generation(3));
        assert_eq!(kept.whole().expect("it was packed"), plans);
        decoder.push(&kept.lvs.frame());
        assert_eq!(decoder.message::<ToChecker>().expect("well formed"), Some(ToChecker::Plan(plans.lvs)));
        decoder.push(&kept.snmp.frame());
        assert_eq!(decoder.message::<ToSnmp>().expect("well formed"), Some(ToSnmp::Plan(plans.snmp)));
        let swapped = KeptVrrp { message: kept.lvs.message.clone(), ..kept.vrrp };
        assert!(swapped.whole().is_err(), "it is of another role");
    }

    #[test]
    fn what_follows_keeps_the_marks_of_groups() {
        let marked = |mark| {
            let key = ServiceKey::FwMark { family: AddressFamily::V4, mark };
            let address = [192, 0, 2, 1].into();
            let endpoint = ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address, port: 80 };
            let mut server = VirtualServer::new("group WEB".to_owned(), vec![key], Vec::new());
            server.marked = vec![endpoint];
            let mut plans = Plans::default();
            plans.lvs.virtual_servers.push(server);
            plans
        };
        let old = KeptPlans::new(marked(1001)).expect("it is short");
        let mut new = KeptPlans::new(marked(1000)).expect("it is short");
        let (before, after) = new.following(&old).expect("they were packed");
        assert_eq!((before, after), (marked(1001), marked(1001)));
        assert_eq!(new, old);
    }
}
