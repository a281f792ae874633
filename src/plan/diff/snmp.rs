//! What a reload does to the SNMP agent.

use super::{Change, Weight, What};
use crate::plan::snmp::SnmpPlan;

/// Of an agent that stays.
pub(super) fn changes(old: &SnmpPlan, new: &SnmpPlan) -> impl Iterator<Item = Change> {
    let traps = if new.traps { "sends traps from then on" } else { "sends no traps any more" };
    let shown = |plan: &SnmpPlan| SnmpPlan {
        generation: old.generation,
        socket: None,
        traps: old.traps,
        ..plan.clone()
    };
    let happens = [
        (old.master() != new.master()).then_some("goes to another master"),
        (old.traps != new.traps).then_some(traps),
        (shown(old) != shown(new)).then_some("shows other values"),
    ];
    happens.into_iter().flatten().map(|happens| Change::new(Weight::Quiet, What::Snmp { happens }))
}

#[cfg(test)]
mod tests {
    use crate::plan::diff::diff;
    use crate::plan::snmp::SnmpGroup;
    use crate::plan::{Generation, Plans};

    #[test]
    fn whatever_a_manager_would_notice_is_told() {
        let mut old = Plans::default();
        old.snmp.checker = true;
        let told = |change: &dyn Fn(&mut Plans)| {
            let mut new = old.clone();
            new.snmp.generation = Generation(2);
            change(&mut new);
            diff(&old, &new).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(&|_| ()), [""; 0]);
        assert_eq!(
            told(&|new| new.snmp.socket = Some("unix:/var/agentx/master".to_owned())),
            [""; 0],
            "the default"
        );
        assert_eq!(
            told(&|new| new.snmp.socket = Some("/x".to_owned())),
            ["the SNMP agent goes to another master"]
        );
        assert_eq!(told(&|new| new.snmp.traps = true), ["the SNMP agent sends traps from then on"]);
        let group = SnmpGroup { name: "g".to_owned(), members: Vec::new() };
        assert_eq!(told(&|new| new.snmp.groups = vec![group.clone()]), ["the SNMP agent shows other values"]);
        assert_eq!(told(&|new| new.snmp.checker = false), ["the snmp role ends: it has no work any more"]);
    }
}
