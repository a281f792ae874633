//! Who is told what: notify scripts, FIFOs and mail. A reload changes nothing for what was told already.

use super::{Change, Weight, What};
use crate::plan::notify::NotifyPlan;
use std::collections::BTreeMap;

/// Exhaustive on purpose: a setting that is added to the plan must be thought of here.
pub(super) fn compare(old: &NotifyPlan, new: &NotifyPlan, changes: &mut Vec<Change>) {
    let NotifyPlan { fifos, instances, groups, services, mail, router_id: _, states_on_reload, known: _ } =
        old;
    let mut say = |who: String, happens| {
        changes.push(Change::new(Weight::Quiet, What::Notify { who, happens }));
    };
    let fifo = |fifo: &crate::plan::notify::FifoPlan| format!("{} {}", fifo.listens.keyword(), fifo.path);
    differences(
        fifos,
        &new.fifos,
        fifo,
        &mut say,
        [
            "it is opened, and hears what happens from now on",
            "it is closed",
            "its owner or its reader changes",
        ],
    );
    let words = [
        "its hooks are run from the next event on",
        "no hook is run for it any more",
        "the next event is told as the new hooks say",
    ];
    differences(instances, &new.instances, |hooks| format!("vrrp_instance {}", hooks.name), &mut say, words);
    differences(groups, &new.groups, |hooks| format!("vrrp_sync_group {}", hooks.name), &mut say, words);
    let service = |hooks: &crate::plan::notify::ServiceHooks| format!("virtual_server {}", hooks.service);
    differences(services, &new.services, service, &mut say, words);
    if *mail != new.mail {
        let happens = match (mail, &new.mail) {
            (None, _) => "mail is sent from the next event on",
            (_, None) => "no mail is sent any more",
            _ => "the next one goes to the new server and recipients",
        };
        say("mail".to_owned(), happens);
    }
    if *states_on_reload != new.states_on_reload {
        let happens = "whether FIFOs are told all states after a reload changes, from this one on";
        say("fifo_write_vrrp_states_on_reload".to_owned(), happens);
    }
}

/// What came, what went and what changed, in words.
fn differences<T: PartialEq>(
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> String,
    say: &mut impl FnMut(String, &'static str),
    [comes, goes, changes]: [&'static str; 3],
) {
    let before: BTreeMap<String, &T> = old.iter().map(|hooks| (name(hooks), hooks)).collect();
    let after: BTreeMap<String, &T> = new.iter().map(|hooks| (name(hooks), hooks)).collect();
    for who in before.keys().filter(|who| !after.contains_key(*who)) {
        say(who.clone(), goes);
    }
    for (who, hooks) in after {
        match before.get(&who) {
            None => say(who, comes),
            Some(known) if *known != hooks => say(who, changes),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::notify::{FifoPlan, InstanceHooks, Listens};

    fn hooks(name: &str, mail: bool) -> InstanceHooks {
        InstanceHooks { name: name.to_owned(), mail, ..InstanceHooks::default() }
    }

    #[test]
    fn hooks_that_come_go_and_change_are_told() {
        let old = NotifyPlan { instances: vec![hooks("a", true), hooks("b", true)], ..NotifyPlan::default() };
        let fifo = FifoPlan {
            listens: Listens::Vrrp,
            path: "/run/f".to_owned(),
            account: None,
            owner: None,
            no_owner: None,
            script: None,
        };
        let new = NotifyPlan {
            instances: vec![hooks("b", false), hooks("c", true)],
            fifos: vec![fifo],
            ..NotifyPlan::default()
        };
        let mut changes = Vec::new();
        compare(&old, &new, &mut changes);
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "vrrp_notify_fifo /run/f: it is opened, and hears what happens from now on",
                "vrrp_instance a: no hook is run for it any more",
                "vrrp_instance b: the next event is told as the new hooks say",
                "vrrp_instance c: its hooks are run from the next event on",
            ]
        );
        let mut none = Vec::new();
        compare(&new, &new, &mut none);
        assert_eq!(none, []);
    }
}
