//! `vrrp_script`, `track_file`, `vrrp_track_process` to [`ScriptsPlan`], as far as something tracks them.

use super::Diagnostics;
use crate::plan::Generation;
use crate::plan::check::CheckKind;
use crate::plan::lvs::LvsPlan;
use crate::plan::scripts::{
    AccountName, CommandPlan, InitFile, ProcessMatch, ScriptsPlan, TrackedFile, TrackedProcess,
    TrackedScript, Unrunnable,
};
use crate::plan::track::{TrackerKey, TrackerKind};
use crate::plan::vrrp::VrrpPlan;
use keepalived_compat::command::Account;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::{Code, Config, Diagnostic};
use std::collections::BTreeSet;
use std::time::Duration;

/// keepalived's interval when none is written, or 0.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn lower(
    config: &Config,
    vrrp: &VrrpPlan,
    lvs: &LvsPlan,
    generation: Generation,
    out: &mut Diagnostics,
) -> ScriptsPlan {
    let used = tracked(vrrp, lvs);
    let is_used = |kind, name: &str| used.contains(&TrackerKey { kind, name: name.to_owned() });
    let global = config.global.others.account("script_user").map(|written| account(config, written));
    let mut plan = ScriptsPlan { generation, unrunnable: unrunnable(config), ..ScriptsPlan::default() };
    plan.for_checks = check_kinds(lvs).any(|kind| matches!(kind, CheckKind::Misc(_)));
    for setting in &config.others {
        let Some(name) = setting.name() else { continue };
        match setting.keyword {
            "vrrp_script" if is_used(TrackerKind::Script, name) => {
                plan.scripts.extend(script(config, setting, name, global.as_ref(), out));
            }
            "track_file" | "vrrp_track_file" if is_used(TrackerKind::File, name) => {
                plan.files.extend(file(setting, name));
            }
            "vrrp_track_process" if is_used(TrackerKind::Process, name) => {
                plan.processes.extend(process(setting, name, out));
            }
            _ => {}
        }
    }
    plan
}

/// What something tracks; keepalived runs and watches nothing else either.
fn tracked(vrrp: &VrrpPlan, lvs: &LvsPlan) -> BTreeSet<TrackerKey> {
    let routers = vrrp.routers.iter().flat_map(|router| &router.trackers);
    let groups = vrrp.groups.iter().flat_map(|group| &group.trackers);
    let by_vrrp = routers.chain(groups).map(|object| object.tracker.clone());
    by_vrrp.chain(check_kinds(lvs).filter_map(CheckKind::tracker)).collect()
}

fn check_kinds(lvs: &LvsPlan) -> impl Iterator<Item = &CheckKind> {
    let servers = lvs.virtual_servers.iter().flat_map(|server| &server.real_servers);
    servers.flat_map(|server| &server.checkers).map(|checker| &checker.question.kind)
}

pub(super) fn unrunnable(config: &Config) -> Unrunnable {
    match config.global.others.text("unrunnable_script") {
        Some("fault") => Unrunnable::Fault,
        _ => Unrunnable::Dropped,
    }
}

/// With a colon, or `set_supplementary_groups`, the user's other groups too.
pub(super) fn account(config: &Config, written: &Account) -> AccountName {
    let Account { user, group, supplementary } = written;
    let supplementary = *supplementary || config.global.others.is_on("set_supplementary_groups");
    AccountName { user: user.clone(), group: group.clone(), supplementary }
}

fn script(
    config: &Config,
    setting: &Setting,
    name: &str,
    global: Option<&AccountName>,
    out: &mut Diagnostics,
) -> Option<TrackedScript> {
    let block = &setting.block;
    let command = block.command("script")?;
    let words: Result<Vec<String>, _> = command.octets().map(String::from_utf8).collect();
    let Ok(words) = words else {
        let title = format!("vrrp_script {name}: its command is no UTF-8");
        out.tell(Code::BadValue, setting.span, title, "it is not run");
        return None;
    };
    let interval = block.time("interval").filter(|time| !time.is_zero()).unwrap_or(INTERVAL);
    let number = |keyword| block.number(keyword).and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
    let own = block.account("user").map(|written| account(config, written));
    Some(TrackedScript {
        name: name.to_owned(),
        command: CommandPlan { words, account: own.or_else(|| global.cloned()), ..CommandPlan::default() },
        interval,
        timeout: block.time("timeout").filter(|time| !time.is_zero()).unwrap_or(interval),
        rise: number("rise"),
        fall: number("fall"),
        // keepalived 2.2.7 and 2.4.3 undo a bare `init_fail` where something tracks the script, and others do not run.
        failed_until_rise: block.text("init_fail") == Some("rise"),
    })
}

fn file(setting: &Setting, name: &str) -> Option<TrackedFile> {
    let path = setting.block.text("file")?.to_owned();
    let init = setting.block.find("init_file").map(|init| init_file(&init.value));
    Some(TrackedFile { name: name.to_owned(), path, init })
}

/// `init_file [VALUE] [overwrite]`, in any order.
fn init_file(value: &Value) -> InitFile {
    let words: &[String] = if let Value::Words(words) = value { words } else { &[] };
    InitFile {
        value: words.iter().find_map(|word| word.parse().ok()).unwrap_or(0),
        overwrite: words.iter().any(|word| word == "overwrite"),
    }
}

fn process(setting: &Setting, name: &str, out: &mut Diagnostics) -> Option<TrackedProcess> {
    let block = &setting.block;
    let Value::Words(words) = &block.find("process")?.value else { return None };
    let (process, parameters) = words.split_first()?;
    let parameters = parameters.to_vec();
    let matching = match block.find("param_match").map(|s| &s.value) {
        Some(Value::Text(how)) if how == "partial" => ProcessMatch::Partial(parameters),
        Some(Value::Text(_)) => ProcessMatch::Initial(parameters),
        Some(_) => ProcessMatch::Exact(parameters),
        None if !parameters.is_empty() => ProcessMatch::Exact(parameters),
        None if block.is_on("full_command") => ProcessMatch::FirstWord,
        None => ProcessMatch::Name,
    };
    let number = |keyword| block.number(keyword).and_then(|n| u32::try_from(n).ok());
    let (mut quorum, mut quorum_max) = (number("quorum").unwrap_or(1), number("quorum_max"));
    if quorum_max == Some(0) && number("quorum").is_none() {
        quorum = 0;
    } else if quorum_max.is_some_and(|most| most < quorum) {
        let title = format!("vrrp_track_process {name}: its quorum_max is less than its quorum");
        let diagnostic = Diagnostic::new(Code::BadValue, setting.span, title, "quorum_max is left out");
        out.say(diagnostic.instead("a quorum_max that is at least the quorum"));
        quorum_max = None;
    }
    let both = block.time("delay").unwrap_or_default();
    Some(TrackedProcess {
        name: name.to_owned(),
        process: process.clone(),
        matching,
        quorum,
        quorum_max: quorum_max.unwrap_or(u32::MAX),
        fork_delay: block.time("fork_delay").unwrap_or(both),
        terminate_delay: block.time("terminate_delay").unwrap_or(both),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::track::TrackedObject;
    use crate::plan::vrrp::SyncGroupPlan;
    use keepalived_compat::{Options, Reader};

    struct Memory(String);

    impl Reader for Memory {
        fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
            Ok(vec![pattern.to_owned()])
        }
        fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
            Ok(self.0.clone().into_bytes())
        }
    }

    /// The plan of a text when things of every kind called `x` are tracked, and what was said.
    fn lowered(text: &str) -> (ScriptsPlan, Vec<Code>) {
        let options = Options { config_id: "lb1", vrrp: true, checker: true };
        let parsed = keepalived_compat::parse(&mut Memory(text.to_owned()), "main", options);
        let trackers = [TrackerKind::Script, TrackerKind::File, TrackerKind::Process].map(|kind| {
            let tracker = TrackerKey { kind, name: "x".to_owned() };
            TrackedObject { tracker, weight: 0, reverse: false }
        });
        let group = SyncGroupPlan {
            name: "G".to_owned(),
            members: Vec::new(),
            track_interfaces: Vec::new(),
            trackers: trackers.to_vec(),
        };
        let vrrp = VrrpPlan { groups: vec![group], ..VrrpPlan::default() };
        let mut out = Diagnostics(Vec::new());
        let plan = lower(&parsed.config, &vrrp, &LvsPlan::default(), Generation(3), &mut out);
        (plan, parsed.diagnostics.iter().chain(&out.0).map(|d| d.code).collect())
    }

    #[test]
    fn a_script_has_keepalived_s_defaults() {
        let (plan, codes) =
            lowered("vrrp_script x {\nscript \"/bin/x -a 'b c'\"\n}\nvrrp_script y {\nscript z\n}\n");
        assert_eq!(codes, []);
        assert_eq!(
            (plan.generation, plan.unrunnable, plan.scripts.len()),
            (Generation(3), Unrunnable::Dropped, 1)
        );
        let script = &plan.scripts[0];
        assert_eq!(script.command.words, ["/bin/x", "-a", "b c"]);
        assert_eq!(script.command.account, None);
        assert_eq!((script.interval, script.timeout), (Duration::from_secs(1), Duration::from_secs(1)));
        assert_eq!((script.rise, script.fall, script.failed_until_rise), (1, 1, false));
    }

    #[test]
    fn a_script_says_when_and_as_whom_it_runs() {
        let (plan, codes) = lowered(
            "global_defs {\nscript_user nobody\nunrunnable_script fault\n}\n\
             vrrp_script x {\nscript /bin/x\ninterval 2.5\ntimeout 0\nrise 2\nfall 3\nuser daemon :adm\ninit_fail\n}\n",
        );
        assert_eq!((codes, plan.unrunnable), (vec![], Unrunnable::Fault));
        let script = &plan.scripts[0];
        assert_eq!(
            (script.interval, script.timeout),
            (Duration::from_millis(2500), Duration::from_millis(2500))
        );
        assert_eq!((script.rise, script.fall, script.failed_until_rise), (2, 3, false));
        let account =
            AccountName { user: "daemon".to_owned(), group: Some("adm".to_owned()), supplementary: true };
        assert_eq!(script.command.account, Some(account));
        let (plan, codes) = lowered("vrrp_script x {\nscript /bin/x\ninit_fail rise\n}\n");
        assert!(codes.is_empty() && plan.scripts[0].failed_until_rise);
        let (plan, _) = lowered("global_defs {\nscript_user nobody\n}\nvrrp_script x {\nscript /bin/x\n}\n");
        let account = AccountName { user: "nobody".to_owned(), group: None, supplementary: false };
        assert_eq!(plan.scripts[0].command.account, Some(account));
    }

    #[test]
    fn a_command_that_cannot_be_read_is_said() {
        let (plan, codes) = lowered("vrrp_script x {\nscript \"/bin/x 'a\"\n}\n");
        assert_eq!((plan.scripts.len(), codes), (0, vec![Code::Quote, Code::BadValue]));
    }

    #[test]
    fn files_may_be_initialised() {
        let table = [
            ("", None),
            ("init_file\n", Some((0, false))),
            ("init_file 7\n", Some((7, false))),
            ("init_file -3 overwrite\n", Some((-3, true))),
        ];
        for (line, init) in table {
            let (plan, codes) = lowered(&format!("track_file x {{\nfile /run/x\n{line}}}\n"));
            assert_eq!((plan.files.len(), codes), (1, vec![]));
            assert_eq!(plan.files[0].path, "/run/x");
            assert_eq!(plan.files[0].init.map(|init| (init.value, init.overwrite)), init, "{line}");
        }
        assert_eq!(lowered("vrrp_track_file x {\nfile /run/x\n}\n").0.files.len(), 1);
    }

    #[test]
    fn processes_are_recognised_as_written() {
        let a = || vec!["-a".to_owned()];
        let table = [
            ("process nginx", ProcessMatch::Name),
            ("process nginx\nfull_command", ProcessMatch::FirstWord),
            ("process nginx -a", ProcessMatch::Exact(a())),
            ("process nginx\nparam_match", ProcessMatch::Exact(Vec::new())),
            ("process nginx -a\nparam_match initial", ProcessMatch::Initial(a())),
            ("process nginx -a\nparam_match partial", ProcessMatch::Partial(a())),
        ];
        for (body, matching) in table {
            let (plan, codes) = lowered(&format!("vrrp_track_process x {{\n{body}\n}}\n"));
            assert_eq!(codes, [], "{body}");
            assert_eq!(
                (plan.processes[0].process.as_str(), &plan.processes[0].matching),
                ("nginx", &matching)
            );
            assert_eq!((plan.processes[0].quorum, plan.processes[0].quorum_max), (1, u32::MAX));
        }
    }

    #[test]
    fn a_process_has_quorums_and_delays() {
        let process = |body: &str| lowered(&format!("vrrp_track_process x {{\nprocess a\n{body}\n}}\n"));
        let (plan, _) = process("quorum 2\nquorum_max 4\ndelay 1.5\nfork_delay 3");
        let found = &plan.processes[0];
        assert_eq!((found.quorum, found.quorum_max), (2, 4));
        assert_eq!(
            (found.fork_delay, found.terminate_delay),
            (Duration::from_secs(3), Duration::from_millis(1500))
        );
        let (plan, codes) = process("quorum_max 0");
        assert_eq!((plan.processes[0].quorum, plan.processes[0].quorum_max, codes), (0, 0, vec![]));
        let (plan, codes) = process("quorum 3\nquorum_max 2");
        assert_eq!((plan.processes[0].quorum_max, codes), (u32::MAX, vec![Code::BadValue]));
    }
}
