//! BFD sessions: the rules of `bfd/mod.rs` (`take_plan`) and `bfd/session.rs` in words.

use super::{Change, Weight, What};
use crate::plan::bfd::{BfdPlan, BfdSessionPlan};

pub(super) fn compare(old: &BfdPlan, new: &BfdPlan, changes: &mut Vec<Change>) {
    let mut say = |weight, session: &str, meaning: String| {
        changes.push(Change::new(weight, What::BfdSession { session: session.to_owned(), meaning }));
    };
    for before in &old.sessions {
        match new.sessions.iter().find(|after| after.neighbor == before.neighbor) {
            Some(after) => session(before, after, &mut say),
            None => {
                let meaning =
                    format!("it ends, and {} is told that this was an operator's decision", before.neighbor);
                say(Weight::Quiet, &before.name, meaning);
            }
        }
    }
    for added in &new.sessions {
        if old.sessions.iter().all(|before| before.neighbor != added.neighbor) {
            let meaning =
                format!("it starts; trackers hear of {} once it is up or had time for it", added.neighbor);
            say(Weight::Quiet, &added.name, meaning);
        }
    }
}

fn session(before: &BfdSessionPlan, after: &BfdSessionPlan, say: &mut impl FnMut(Weight, &str, String)) {
    let BfdSessionPlan {
        name,
        neighbor: _,
        source,
        min_rx,
        min_tx,
        idle_tx,
        multiplier,
        passive,
        ttl,
        least_ttl,
        multihop,
        to_vrrp,
        to_checker,
    } = before;
    if (source, multihop) != (&after.source, &after.multihop) {
        let meaning = "it begins anew with other addresses or ports; until it is up or had time for it, what is known holds";
        return say(Weight::MayFailOver, &after.name, meaning.to_owned());
    }
    let timing = (min_rx, min_tx, idle_tx, multiplier, passive)
        == (&after.min_rx, &after.min_tx, &after.idle_tx, &after.multiplier, &after.passive);
    if !timing {
        say(Weight::Quiet, &after.name, "its timing changes in place, agreed with the neighbour".to_owned());
    }
    if (ttl, least_ttl) != (&after.ttl, &after.least_ttl) {
        let meaning =
            format!("packets leave with TTL {}, those below {} are not heard", after.ttl, after.least_ttl);
        say(Weight::MayFailOver, &after.name, meaning);
    }
    if (name, to_vrrp, to_checker) != (&after.name, &after.to_vrrp, &after.to_checker) {
        say(Weight::Quiet, &after.name, "its name or those who hear of it change; it goes on".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn plan(sessions: &[BfdSessionPlan]) -> BfdPlan {
        BfdPlan { sessions: sessions.to_vec(), ..BfdPlan::default() }
    }

    fn said(old: &[BfdSessionPlan], new: &[BfdSessionPlan]) -> Vec<String> {
        let mut changes = Vec::new();
        compare(&plan(old), &plan(new), &mut changes);
        changes.iter().map(|change| format!("{} {change}", change.weight)).collect()
    }

    #[test]
    fn each_consequence_is_said_once() {
        let a = BfdSessionPlan::new("a".into(), [192, 0, 2, 1].into());
        let b = BfdSessionPlan::new("b".into(), [192, 0, 2, 2].into());
        assert_eq!(said(std::slice::from_ref(&a), std::slice::from_ref(&a)), [""; 0]);
        let moved = said(std::slice::from_ref(&a), std::slice::from_ref(&b));
        assert!(moved[0].starts_with("quiet bfd_instance a: it ends, and 192.0.2.1 is told"), "{moved:?}");
        assert!(moved[1].starts_with("quiet bfd_instance b: it starts"), "{moved:?}");
        let slower = BfdSessionPlan { min_tx: Duration::from_millis(100), ..a.clone() };
        let near = BfdSessionPlan { least_ttl: 3, ..a.clone() };
        let named = BfdSessionPlan { name: "c".into(), ..a.clone() };
        let from = BfdSessionPlan { source: Some([192, 0, 2, 9].into()), ..a.clone() };
        for (new, words) in [
            (slower, "quiet bfd_instance a: its timing changes in place"),
            (near, "may fail over bfd_instance a: packets leave with TTL 255, those below 3 are not heard"),
            (named, "quiet bfd_instance c: its name"),
            (from, "may fail over bfd_instance a: it begins anew"),
        ] {
            let said = said(std::slice::from_ref(&a), &[new]);
            assert!(said.len() == 1 && said[0].starts_with(words), "{said:?}");
        }
    }
}
