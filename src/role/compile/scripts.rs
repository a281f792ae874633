//! Scripts that a configuration names: are they there, and does it say that they must be safe?

use super::verdict::{DEFAULT_ACCOUNT, PATH};
use crate::plan::scripts::{ScriptsPlan, Unrunnable};
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::source::Span;
use keepalived_compat::{Code, Config, Diagnostic};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One diagnostic per program that cannot be run, and one if any could be without script security.
pub(super) fn diagnose(config: &Config) -> Vec<Diagnostic> {
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    accounts(config, &mut diagnostics);
    files(config, &mut diagnostics);
    let mut unsafe_use = None;
    for program in &config.scripts.programs {
        let first = !known.contains_key(program.value.as_str());
        let found = *known.entry(&program.value).or_insert_with(|| is_program(&program.value));
        if found {
            unsafe_use = unsafe_use.or(Some(program.span));
        } else if first {
            let title = format!("the program {} does not exist or is not executable", program.value);
            diagnostics.push(
                Diagnostic::new(
                    if config.scripts.tracked.contains(&program.value) {
                        Code::ScriptMissing
                    } else {
                        Code::CommandMissing
                    },
                    program.span,
                    title,
                    "keepalived would leave the script out",
                )
                .instead("its full path, and chmod a+x"),
            );
        }
    }
    if let (Some(span), false) = (unsafe_use, config.global.script_security) {
        let title = "scripts are named without `enable_script_security`";
        let now = "keepalived would run them as root, whoever may change them";
        let diagnostic = Diagnostic::new(Code::ScriptSecurity, span, title, now);
        diagnostics.push(diagnostic.instead("enable_script_security in global_defs"));
    }
    diagnostics
}

/// Where the commands of `vrrp_script` blocks are written, by the block's name.
pub(super) fn tracked(config: &Config) -> BTreeMap<String, Span> {
    let blocks = config.others.iter().filter(|setting| setting.keyword == "vrrp_script");
    let places =
        blocks.filter_map(|block| Some((block.name()?.to_owned(), block.block.find("script")?.span)));
    // The first of that name counts.
    places.rev().collect()
}

/// A tracked script was judged as it would be run: what is said of it takes the place of what its text alone gave.
pub(super) fn judged(plan: &ScriptsPlan, tracked: &BTreeMap<String, Span>, said: &mut Vec<Diagnostic>) {
    for script in &plan.scripts {
        let (Some(why), Some(place)) = (&script.command.cannot_run, tracked.get(&script.name)) else {
            continue;
        };
        said.retain(|one| {
            let there = one
                .span
                .is_some_and(|at| at.file == place.file && (place.start..place.end).contains(&at.start));
            !there || one.code == Code::ScriptSecurity
        });
        let title = format!("vrrp_script {} cannot run: {why}", script.name);
        let now = match plan.unrunnable {
            Unrunnable::Dropped => "nothing is checked and nobody hears of a failure, as in keepalived",
            Unrunnable::Fault => "it counts as failed (unrunnable_script fault)",
        };
        let diagnostic = Diagnostic::new(Code::ScriptMissing, *place, title, now);
        said.push(
            diagnostic.instead(
                "a program that is there, is executable, and with enable_script_security root's alone",
            ),
        );
    }
}

/// Says which tracked files are in a directory that does not exist: nothing can watch them.
fn files(config: &Config, diagnostics: &mut Vec<Diagnostic>) {
    for tracked in config.others.iter().filter(|s| matches!(s.keyword, "track_file" | "vrrp_track_file")) {
        let Some(file) = tracked.block.text("file") else { continue };
        let directory = Path::new(file).parent().unwrap_or(Path::new("/"));
        if !directory.is_dir() {
            let title = format!("the directory of the tracked file {file} does not exist");
            let now = "keepalived would leave the file out";
            let diagnostic = Diagnostic::new(Code::BadValue, tracked.span, title, now);
            diagnostics.push(diagnostic.instead("a file in a directory that exists when the daemon starts"));
        }
    }
}

/// Says which commands have nobody to run them: keepalived leaves those out.
fn accounts(config: &Config, diagnostics: &mut Vec<Diagnostic>) {
    let written = config.global.others.find("script_user");
    let user = config.global.others.account("script_user").map(|account| &account.user);
    if let (Some(setting), Some(user)) = (written, user.filter(|u| !is_account(u))) {
        let title = format!("`script_user`: there is no account {user}");
        let now = "keepalived would leave out all scripts without an account of their own";
        diagnostics.push(Diagnostic::new(Code::ScriptMissing, setting.span, title, now));
    }
    let default = match user {
        Some(user) => is_account(user),
        None => !config.global.script_security || is_account(DEFAULT_ACCOUNT),
    };
    for command in &config.scripts.commands {
        let title = match &command.user {
            None if default => continue,
            None => format!("there is no account to run {} as", command.program.value),
            Some(user) if is_account(&user.value) => continue,
            Some(user) => format!("there is no account {} to run {} as", user.value, command.program.value),
        };
        // keepalived says nothing about an unknown account behind a command.
        let quiet = command.inline && command.user.is_some();
        let code = if quiet { Code::CommandMissing } else { Code::ScriptMissing };
        let now = "keepalived would leave the script out";
        let diagnostic = Diagnostic::new(code, command.program.span, title, now);
        diagnostics
            .push(diagnostic.instead("script_user ACCOUNT in global_defs, or useradd keepalived_script"));
    }
}

/// Is there a user of this name? keepalived takes no numbers. What cannot be looked up is believed.
fn is_account(user: &str) -> bool {
    nix::unistd::User::from_name(user).map_or(true, |found| found.is_some())
}

fn is_program(name: &str) -> bool {
    let executable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return executable(Path::new(name));
    }
    PATH.split(':').any(|directory| executable(&PathBuf::from(directory).join(name)))
}
