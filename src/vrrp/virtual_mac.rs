//! A router that speaks through an interface of its own (`use_vmac`): the source address is the base's, frames
//! leave and enter by the virtual interface, and the addresses are held there.

use super::context::Context;
use super::interfaces::Interface;
use super::kept::KeptPlan;
use super::resume::is_patient;
use super::router::Router;
use super::state::Phase;
use crate::time::Instant;

/// Why the router cannot speak; nothing for a router that speaks through its own interface, which is looked at
/// elsewhere, and nothing while that one is what is missing: a virtual interface lives on it.
//= RFC9568 7.2 M-26
pub(super) fn link_fault(plan: &KeptPlan, link: Option<&Interface>) -> Option<String> {
    let name = plan.advert_link.as_ref()?;
    match link {
        None => Some(format!("virtual interface {name} does not exist")),
        Some(link) if plan.track_primary && !link.up => Some(format!("virtual interface {name} is down")),
        Some(_) => None,
    }
}

impl Router {
    /// It fails for these reasons. A Master that nothing is wrong with but its virtual interface could not even resign: it
    /// may go on when that is made again before its peers have missed it. keepalived begins anew, and is silent for its
    /// down interval (3.4 s). A member of a sync group resigns by the others' interfaces: it begins anew too.
    pub(super) fn note_cut_off(&mut self, faults: &[String], ctx: &Context) {
        let link = ctx.interfaces.get(self.plan.advert_interface());
        let alone = self.shared.group.is_none() && !self.can_send(ctx);
        let only_that = alone && link_fault(&self.plan, link).is_some_and(|fault| *faults == [fault]);
        match &self.phase {
            Phase::Master(master) if only_that && !master.unspoken => {
                let interval = self.own_interval().duration();
                let spoke_at = master.next_advertisement.before(interval);
                self.rare().cut_off_at = Some(spoke_at);
            }
            Phase::Fault if only_that => {}
            _ => self.forget_cut_off(),
        }
    }

    pub(super) fn forget_cut_off(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.cut_off_at = None;
        }
    }

    /// For how many milliseconds nothing was heard of a Master that was cut off, if its peers still wait.
    pub(super) fn was_cut_off_for(&mut self, now: Instant) -> Option<u64> {
        let spoke_at = self.rare.as_deref_mut()?.cut_off_at.take()?;
        let silence = now.saturating_duration_since(spoke_at);
        let patient = is_patient(silence, self.own_interval().duration(), self.plan.least_patience());
        patient.then(|| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, router_plan};
    use super::super::{Action, Core, Event, Frame, InterfaceFacts, State};
    use crate::net::MacAddr;
    use crate::plan::Generation;
    use crate::plan::vrrp::{RouterPlan, VrrpPlan};
    use crate::time::Instant;
    use std::time::Duration;

    const VIRTUAL: u32 = 77;

    fn plan() -> RouterPlan {
        let mut plan = router_plan(100);
        plan.advert_link = Some("vrrp.51".to_owned());
        for address in &mut plan.addresses {
            address.interface = plan.advert_link.clone();
        }
        plan
    }

    fn virtual_link(up: bool) -> InterfaceFacts {
        InterfaceFacts {
            index: VIRTUAL,
            name: "vrrp.51".to_owned(),
            mac: MacAddr([0, 0, 0x5e, 0, 1, 51]),
            ipv4: Vec::new(),
            ipv6_link_local: Vec::new(),
            ..facts(up)
        }
    }

    fn start(core: &mut Core, actions: &mut Vec<Action>) {
        let now = Instant::ZERO;
        let plan = VrrpPlan { generation: Generation(1), routers: vec![plan()], ..VrrpPlan::default() };
        core.handle(Event::Interface(facts(true)), now, actions);
        core.handle(Event::Plan(plan), now, actions);
    }

    fn state(core: &Core) -> State {
        core.routers().next().expect("one router").state()
    }

    #[test]
    fn adverts_leave_by_the_virtual_interface_with_the_bases_address() {
        let (mut core, mut actions) = (Core::new(), Vec::new());
        core.handle(Event::Interface(virtual_link(true)), Instant::ZERO, &mut actions);
        start(&mut core, &mut actions);
        assert_eq!(state(&core), State::Backup);
        let later = Instant::ZERO + Duration::from_secs(4);
        core.handle_timeout(later, &mut actions);
        assert_eq!(state(&core), State::Master);
        let sent = actions.iter().find_map(|action| match action {
            Action::Transmit(_, Frame::Advertisement { interface, source, .. }) => {
                Some((*interface, *source))
            }
            _ => None,
        });
        assert_eq!(sent, Some((VIRTUAL, facts(true).ipv4[0].into())));
        let held = actions.iter().any(|action| match action {
            Action::Kernel(_, super::super::AddressOp::Add { interface, .. }) => *interface == VIRTUAL,
            _ => false,
        });
        assert!(held, "the address goes to the virtual interface");
    }

    #[test]
    fn without_its_virtual_interface_a_router_is_in_fault() {
        let (mut core, mut actions) = (Core::new(), Vec::new());
        start(&mut core, &mut actions);
        assert_eq!(state(&core), State::Fault);
        core.handle(Event::Interface(virtual_link(false)), Instant::ZERO, &mut actions);
        assert_eq!(state(&core), State::Fault);
        core.handle(Event::Interface(virtual_link(true)), Instant::ZERO, &mut actions);
        assert_eq!(state(&core), State::Backup);
        core.handle(Event::InterfaceGone { index: VIRTUAL }, Instant::ZERO, &mut actions);
        assert_eq!(state(&core), State::Fault);
    }
}
