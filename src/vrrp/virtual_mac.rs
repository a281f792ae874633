//! A router that speaks through an interface of its own (`use_vmac`): the source address is the base's, frames
//! leave and enter by the virtual interface, and the addresses are held there.

use super::interfaces::Interface;
use super::kept::KeptPlan;

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
        let later = Instant::ZERO + Duration::from_secs(10);
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
