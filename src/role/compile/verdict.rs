//! Can a command be run, and as whom? Looked up once, when the configuration is read: the roles do not ask the account
//! database.
//!
//! As keepalived: the account of the block, else `script_user`, else `keepalived_script`, else the daemon's own. With
//! `enable_script_security` a program that root runs must not be changeable by anybody else.

use crate::plan::Plans;
use crate::plan::check::CheckKind;
use crate::plan::lvs::LvsPlan;
use crate::plan::notify::NotifyPlan;
use crate::plan::scripts::{AccountName, CommandPlan, Identity, Unrunnable};
use crate::plan::track::TrackerKind;
use nix::unistd::{Group, Uid, User, getgrouplist};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The account that keepalived runs scripts as when none is written.
pub(super) const DEFAULT_ACCOUNT: &str = "keepalived_script";

/// Directories searched for a bare name, as in the daemon's own environment.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Judges every command of the plans. A tracked script that cannot be run is tracked no more, unless the configuration
/// says `unrunnable_script fault`.
pub(super) fn judge_all(plans: &mut Plans, security: bool) {
    for script in &mut plans.scripts.scripts {
        judge(&mut script.command, security);
    }
    judge_checks(&mut plans.lvs, security);
    judge_notify(&mut plans.scripts.notify, security);
    let daemon = &mut plans.global.daemon;
    for script in daemon.startup.iter_mut().chain(&mut daemon.shutdown) {
        judge(&mut script.command, security);
    }
    let fault = plans.scripts.unrunnable == Unrunnable::Fault;
    let scripts = plans.scripts.scripts.iter().filter(|script| fault || script.command.cannot_run.is_none());
    // Nobody waits for the result of a script that the plan does not have either.
    let kept: BTreeSet<&str> = scripts.map(|script| script.name.as_str()).collect();
    let routers = plans.vrrp.routers.iter_mut().map(|router| &mut router.trackers);
    let groups = plans.vrrp.groups.iter_mut().map(|group| &mut group.trackers);
    for trackers in routers.chain(groups) {
        trackers.retain(|object| {
            object.tracker.kind != TrackerKind::Script || kept.contains(object.tracker.name.as_str())
        });
    }
}

/// Judges the programs of health checks; thousands of servers may have the same one.
fn judge_checks(lvs: &mut LvsPlan, security: bool) {
    let mut known: BTreeMap<(Option<String>, Option<AccountName>), CommandPlan> = BTreeMap::new();
    let servers = lvs.virtual_servers.iter_mut().flat_map(|server| &mut server.real_servers);
    for checker in servers.flat_map(|server| &mut server.checkers) {
        // Others keep the manner that they have in common.
        if !matches!(checker.kind, CheckKind::Misc(_)) {
            continue;
        }
        let CheckKind::Misc(check) = &mut checker.manner_mut().kind else { continue };
        let command = &mut check.command;
        let key = (command.words.first().cloned(), command.account.clone());
        let judged = known.entry(key).or_insert_with(|| {
            let mut first = (**command).clone();
            judge(&mut first, security);
            first
        });
        if let (Some(program), Some(found)) = (command.words.first_mut(), judged.words.first()) {
            program.clone_from(found);
        }
        (command.identity, command.cannot_run) = (judged.identity.clone(), judged.cannot_run.clone());
    }
}

/// Judges notify scripts; thousands of servers may name the same one. Finds the owners of FIFOs.
fn judge_notify(notify: &mut NotifyPlan, security: bool) {
    let mut known: BTreeMap<String, CommandPlan> = BTreeMap::new();
    for command in notify.commands_mut() {
        let key = format!("{:?} {:?}", command.words.first(), command.account);
        let judged = known.entry(key).or_insert_with(|| {
            let mut first = command.clone();
            judge(&mut first, security);
            first
        });
        if let (Some(program), Some(found)) = (command.words.first_mut(), judged.words.first()) {
            program.clone_from(found);
        }
        (command.identity, command.cannot_run) = (judged.identity.clone(), judged.cannot_run.clone());
    }
    for fifo in &mut notify.fifos {
        // Without an account it is the daemon's own, whatever the security of scripts.
        match identity(fifo.account.as_ref(), false) {
            Ok(owner) => fifo.owner = owner,
            Err(why) => fifo.no_owner = Some(why),
        }
    }
}

/// Finds the program and the account of a command, or says why it cannot be run.
pub(super) fn judge(command: &mut CommandPlan, security: bool) {
    match examine(command, security) {
        Ok((program, identity)) => {
            if let Some(first) = command.words.first_mut() {
                *first = program;
            }
            (command.identity, command.cannot_run) = (identity, None);
        }
        Err(why) => command.cannot_run = Some(why),
    }
}

fn examine(command: &CommandPlan, security: bool) -> Result<(String, Option<Identity>), String> {
    let name = command.words.first().map(String::as_str).unwrap_or_default();
    let identity = identity(command.account.as_ref(), security)?;
    let runner = identity.as_ref().map_or(Uid::effective().as_raw(), |identity| identity.uid);
    let program = find(name)?;
    let real = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
    let meta = real.metadata().map_err(|error| format!("{}: {error}", real.display()))?;
    if !meta.is_file() {
        return Err(format!("{} is no file", real.display()));
    }
    if !may_execute(&meta, runner, identity.as_ref()) {
        return Err(format!("{} is not executable by the account it is to run as", real.display()));
    }
    if security
        && runner == 0
        && let Some(part) = unsafe_part(&program).or_else(|| unsafe_part(&real))
    {
        let part = part.display();
        return Err(format!(
            "it would be run by root, and others than root may change {part} (enable_script_security)"
        ));
    }
    Ok((program.to_string_lossy().into_owned(), identity))
}

fn identity(account: Option<&AccountName>, security: bool) -> Result<Option<Identity>, String> {
    let Some(AccountName { user, group, supplementary }) = account else {
        return match User::from_name(DEFAULT_ACCOUNT).ok().flatten() {
            Some(user) => {
                Ok(Some(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups: Vec::new() }))
            }
            None if security => Err(format!(
                "there is no account {DEFAULT_ACCOUNT} and no script_user, and enable_script_security runs nothing as root unasked"
            )),
            None => Ok(None),
        };
    };
    let found =
        User::from_name(user).map_err(|errno| format!("the account {user} cannot be looked up: {errno}"))?;
    let found = found.ok_or_else(|| format!("there is no account {user}"))?;
    let gid = match group {
        None => found.gid,
        Some(group) => match Group::from_name(group) {
            Ok(Some(group)) => group.gid,
            Ok(None) => return Err(format!("there is no group {group}")),
            Err(errno) => return Err(format!("the group {group} cannot be looked up: {errno}")),
        },
    };
    let groups = match CString::new(user.as_str()) {
        Ok(name) if *supplementary => getgrouplist(&name, gid).unwrap_or_default(),
        _ => Vec::new(),
    };
    let groups = groups.into_iter().map(|gid| gid.as_raw()).collect();
    Ok(Some(Identity { uid: found.uid.as_raw(), gid: gid.as_raw(), groups }))
}

/// The program, looked for in the directories when its name has no slash.
fn find(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return match Path::new(name).metadata() {
            Ok(_) => Ok(PathBuf::from(name)),
            Err(error) => Err(format!("{name}: {error}")),
        };
    }
    let found = PATH.split(':').map(|directory| Path::new(directory).join(name));
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    found.into_iter().find(is_program).ok_or_else(|| format!("there is no program {name} in {PATH}"))
}

/// access(2) for another account. Root may execute what anybody may.
fn may_execute(meta: &Metadata, uid: u32, identity: Option<&Identity>) -> bool {
    let in_group = identity.is_some_and(|i| i.gid == meta.gid() || i.groups.contains(&meta.gid()));
    let wanted = match () {
        () if uid == 0 => 0o111,
        () if uid == meta.uid() => 0o100,
        () if in_group => 0o010,
        () => 0o001,
    };
    meta.mode() & wanted != 0
}

/// The first part of a path that somebody else than root may change.
fn unsafe_part(path: &Path) -> Option<PathBuf> {
    const OTHERS: u32 = 0o002;
    const GROUP: u32 = 0o020;
    const STICKY: u32 = 0o1000;
    let absolute = std::path::absolute(path).ok()?;
    let is_unsafe = |part: &&Path| {
        let Ok(meta) = part.symlink_metadata() else { return false };
        if meta.file_type().is_symlink() {
            return meta.uid() != 0;
        }
        let writable = meta.mode() & OTHERS != 0 || (meta.mode() & GROUP != 0 && meta.gid() != 0);
        let sticky = meta.is_dir() && meta.mode() & STICKY != 0;
        meta.uid() != 0 || (writable && !sticky)
    };
    absolute.ancestors().find(is_unsafe).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn command(program: &str, user: Option<&str>) -> CommandPlan {
        let account =
            user.map(|user| AccountName { user: user.to_owned(), group: None, supplementary: false });
        CommandPlan { words: vec![program.to_owned()], account, ..CommandPlan::default() }
    }

    fn judged(program: &str, user: Option<&str>, security: bool) -> CommandPlan {
        let mut command = command(program, user);
        judge(&mut command, security);
        command
    }

    #[test]
    fn a_bare_name_is_found_and_an_account_is_looked_up() {
        let plan = judged("sh", Some("root"), true);
        assert_eq!(plan.cannot_run, None);
        assert!(plan.words[0].ends_with("bin/sh"), "{:?}", plan.words);
        assert_eq!(plan.identity, Some(Identity { uid: 0, gid: 0, groups: Vec::new() }));
    }

    #[test]
    fn notify_scripts_and_fifos_get_their_accounts() {
        use crate::plan::notify::{FifoPlan, GroupHooks, Listens};
        let fifo = |user: &str| FifoPlan {
            listens: Listens::All,
            path: "/run/fifo".into(),
            account: command("", Some(user)).account,
            owner: None,
            no_owner: None,
            script: None,
        };
        let hooks = |program| {
            let mut hooks = GroupHooks::default();
            hooks.scripts.master = Some(command(program, Some("root")));
            hooks
        };
        let mut plan = NotifyPlan {
            groups: vec![hooks("sh"), hooks("no-such-program"), hooks("sh")],
            fifos: vec![fifo("root"), fifo("no-such-user")],
            ..NotifyPlan::default()
        };
        judge_notify(&mut plan, false);
        let found: Vec<_> = plan.groups.iter().filter_map(|group| group.scripts.master.as_ref()).collect();
        let root = Identity { uid: 0, gid: 0, groups: Vec::new() };
        assert_eq!(
            (found[0].identity.as_ref(), found[0], found[1].cannot_run.is_some()),
            (Some(&root), found[2], true)
        );
        assert!(found[0].words[0].ends_with("/sh"));
        assert_eq!(plan.fifos[0].owner, Some(root));
        assert!(plan.fifos[1].no_owner.is_some() && plan.fifos[1].owner.is_none());
    }

    #[test]
    fn what_cannot_run_says_why() {
        let why = |program, user| judged(program, user, false).cannot_run.expect("it cannot run");
        assert!(why("/no/such/program", Some("root")).contains("No such file"));
        assert!(why("no-such-program", Some("root")).contains("there is no program no-such-program in /usr"));
        assert!(why("/etc", Some("root")).contains("is no file"));
        assert!(why("/etc/passwd", Some("root")).contains("not executable"));
        assert_eq!(why("/bin/sh", Some("no-such-user")), "there is no account no-such-user");
    }

    #[test]
    fn what_others_may_change_is_not_run_by_root_when_that_is_asked_for() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = folder.path().join("s");
        std::fs::write(&script, "#!/bin/sh\n").expect("written");
        let set = |mode| std::fs::set_permissions(&script, PermissionsExt::from_mode(mode)).expect("our own");
        let name = script.to_string_lossy().into_owned();
        set(0o755);
        assert_eq!(judged(&name, Some("root"), true).cannot_run, None);
        set(0o757);
        let why = judged(&name, Some("root"), true).cannot_run.expect("anybody may write");
        assert!(why.contains("others than root may change"), "{why}");
        assert_eq!(judged(&name, Some("root"), false).cannot_run, None, "keepalived's default");
        set(0o755);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&script, &link).expect("linked");
        std::os::unix::fs::lchown(&link, Some(65534), None).expect("root may");
        let why = judged(&link.to_string_lossy(), Some("root"), true).cannot_run.expect("nobody's link");
        assert!(why.contains("/link"), "{why}");
    }
}
