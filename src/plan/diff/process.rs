//! Settings of processes and of the daemon itself.

use super::{Change, Weight, What};
use crate::plan::process::{DaemonPlan, ProcessPlans};

pub(super) fn compare(
    (old, old_daemon): (&ProcessPlans, &DaemonPlan),
    (new, new_daemon): (&ProcessPlans, &DaemonPlan),
    changes: &mut Vec<Change>,
) {
    if let Some(keyword) = new_daemon.fixed_difference(old_daemon) {
        changes.push(Change::new(Weight::Quiet, What::Fixed { keyword }));
    }
    if new_daemon.no_confinement != old_daemon.no_confinement {
        changes.push(Change::new(Weight::Quiet, What::Confinement { on: !new_daemon.no_confinement }));
    }
    let ProcessPlans { vrrp, checker, bfd, supervisor: _ } = new;
    for (role, before, after) in
        [("vrrp", &old.vrrp, vrrp), ("checker", &old.checker, checker), ("bfd", &old.bfd, bfd)]
    {
        if before != after {
            changes.push(Change::new(Weight::Quiet, What::Process { role }));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plans;
    use crate::plan::diff::diff;

    #[test]
    fn a_reload_says_which_process_is_scheduled_anew_and_what_it_cannot_change() {
        let (old, mut new) = (Plans::default(), Plans::default());
        new.global.processes.bfd.real_time = Some(3);
        new.global.daemon.instance = Some("east".to_owned());
        new.global.daemon.no_confinement = true;
        let lines: Vec<String> = diff(&old, &new).iter().map(|change| change.to_string()).collect();
        let rights = "no_confinement: roles that are started from then on keep every right; those that run stay as they are";
        let refused = "instance differs: only a restart can change it, and the reload is refused";
        assert_eq!(
            lines,
            [refused, rights, "the bfd role is scheduled or named anew; it goes on without a pause"]
        );
    }
}
