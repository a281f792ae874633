//! Process settings and the daemon's own life to [`ProcessPlans`] and [`DaemonPlan`].

use super::notify::Defaults;
use crate::plan::process::{
    AutoPriority, DaemonPlan, IpvsNamespace, LifeScript, ProcessPlan, ProcessPlans, ReloadMarker, ReloadTime,
};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use std::time::Duration;

/// keepalived's limit for a process that is scheduled in real time.
const REAL_TIME_LIMIT: Duration = Duration::from_micros(10_000);

/// keepalived's `min_auto_priority_delay`.
const AUTO_DELAY: Duration = Duration::from_secs(1);

/// keepalived's `startup_script_timeout` and `shutdown_script_timeout`.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// keepalived's `child_wait_time`; who writes it wants no other than the usual, which is longer here.
const KEEPALIVED_WAIT: Duration = Duration::from_secs(5);

/// The kernel keeps 15 octets of a name.
const NAME: usize = 15;

/// How each process is scheduled.
pub(super) fn processes(config: &Config) -> ProcessPlans {
    let global = config.global.others.as_slice();
    let automatic = automatic(global);
    let automatic =
        |plan: ProcessPlan| ProcessPlan { automatic: automatic.filter(|_| plan.real_time.is_none()), ..plan };
    ProcessPlans {
        vrrp: automatic(process(global, "vrrp", &["vrrp_process_name"])),
        checker: process(global, "checker", &["checker_process_name", "lvs_process_name"]),
        bfd: automatic(process(global, "bfd", &["bfd_process_name"])),
        supervisor: global.text("process_name").map(shortened),
    }
}

fn automatic(global: &[Setting]) -> Option<AutoPriority> {
    const MOST: i64 = 99;
    let setting = global.find("max_auto_priority")?;
    let most = match setting.value {
        Value::Number(0) => return None,
        Value::Number(number) if number > 0 => number,
        // Bare, or -1: as much as the system allows.
        _ => MOST,
    };
    let delay = global.number("min_auto_priority_delay").and_then(|micros| u64::try_from(micros).ok());
    let delay = delay.map_or(AUTO_DELAY, Duration::from_micros);
    Some(AutoPriority { most: u8::try_from(most.min(MOST)).unwrap_or(u8::MAX), delay })
}

fn process(global: &[Setting], prefix: &str, names: &[&str]) -> ProcessPlan {
    let key = |suffix: &str| format!("{prefix}_{suffix}");
    let number = |suffix: &str| global.number(&key(suffix));
    let limit = number("rlimit_rttime").or_else(|| number("rlimit_rtime"));
    let limit = limit.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros);
    let real_time = number("rt_priority").and_then(|priority| u8::try_from(priority).ok());
    let processors = match global.find(&key("cpu_affinity")).map(|setting| &setting.value) {
        Some(Value::Words(words)) => words.iter().filter_map(|word| word.parse().ok()).collect(),
        _ => Vec::new(),
    };
    let name = names.iter().find_map(|keyword| global.text(keyword)).map(shortened);
    ProcessPlan {
        nice: number("priority").and_then(|nice| i8::try_from(nice).ok()),
        real_time,
        real_time_limit: real_time.map(|_| limit.unwrap_or(REAL_TIME_LIMIT)),
        no_swap: global.is_on(&key("no_swap")),
        processors,
        name: name.or_else(|| global.find("process_names").map(|_| conventional(prefix))),
        automatic: None,
    }
}

/// The names of `process_names`.
fn conventional(prefix: &str) -> String {
    let process = if prefix == "checker" { "lvs" } else { prefix };
    format!("keepalived_{process}")
}

/// Cut to what the kernel keeps, between characters.
fn shortened(name: &str) -> String {
    let mut end = 0;
    for (at, character) in name.char_indices() {
        let next = at + character.len_utf8();
        if next > NAME {
            break;
        }
        end = next;
    }
    name.get(..end).unwrap_or_default().to_owned()
}

/// Where the daemon lives.
pub(super) fn daemon(config: &Config) -> DaemonPlan {
    let global = config.global.others.as_slice();
    let root = config.others.as_slice();
    let text = |keyword: &str| root.text(keyword).map(str::to_owned);
    let ipvs_namespace = root.find("net_namespace_ipvs").map(|setting| match &setting.value {
        Value::Text(name) => IpvsNamespace::Named(name.clone()),
        _ => IpvsNamespace::Original,
    });
    let defaults = Defaults::of(config);
    let script = |keyword: &str| {
        let command = defaults.find(global, keyword)?;
        let timeout = global.time(&format!("{keyword}_timeout")).unwrap_or(SCRIPT_TIMEOUT);
        Some(LifeScript { command, timeout })
    };
    let strict_by_default = config.global.instance.strict.is_some();
    let strict =
        config.instances.iter().filter(|instance| instance.settings.strict.unwrap_or(strict_by_default));
    DaemonPlan {
        instance: text("instance"),
        namespace: text("net_namespace"),
        ipvs_namespace,
        pid_directory: root.find("use_pid_dir").is_some(),
        names_in_dumps: global.is_on("data_use_instance"),
        json_version: if global.text("json_version") == Some("2") || global.number("json_version") == Some(2)
        {
            2
        } else {
            1
        },
        state_dump_file: state_dump_file(global),
        umask: global.find("umask").and_then(umask),
        startup: script("startup_script"),
        shutdown: script("shutdown_script"),
        stop_limit: root
            .time("child_wait_time")
            .filter(|limit| *limit > Duration::ZERO && *limit != KEEPALIVED_WAIT),
        strict: strict.map(|instance| instance.name.value.clone()).collect(),
        reload_time: global
            .text("reload_time_file")
            .map(|file| ReloadTime { file: file.to_owned(), repeat: global.find("reload_repeat").is_some() }),
        reload_marker: global.find("reload_file").map(|setting| match &setting.value {
            Value::Text(path) => ReloadMarker::Named(path.clone()),
            _ => ReloadMarker::Usual,
        }),
        no_confinement: global.is_on("no_confinement"),
    }
}

fn state_dump_file(global: &[Setting]) -> Option<String> {
    match &global.find("state_dump_file")?.value {
        Value::Words(words) => words.first().cloned(),
        Value::Text(path) => Some(path.clone()),
        _ => None,
    }
}

/// `022`, `0x12`, `18`, or `IWGRP|IWOTH` in one or more words.
fn umask(setting: &Setting) -> Option<u32> {
    let text = match &setting.value {
        Value::Words(words) => words.concat(),
        Value::Text(text) => text.clone(),
        _ => return None,
    };
    let number = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
        (None, Some("")) => Some(0),
        (None, Some(octal)) => u32::from_str_radix(octal, 8).ok(),
        (None, None) => text.parse().ok(),
    };
    let bits = || text.split('|').map(|bit| bit_of(bit.trim())).try_fold(0, |mask, bit| Some(mask | bit?));
    number.or_else(bits).filter(|mask| *mask <= 0o777)
}

/// Names of stat(2) without their `S_`.
fn bit_of(name: &str) -> Option<u32> {
    const BITS: [(&str, u32); 12] = [
        ("IRUSR", 0o400),
        ("IWUSR", 0o200),
        ("IXUSR", 0o100),
        ("IRGRP", 0o040),
        ("IWGRP", 0o020),
        ("IXGRP", 0o010),
        ("IROTH", 0o004),
        ("IWOTH", 0o002),
        ("IXOTH", 0o001),
        ("IRWXU", 0o700),
        ("IRWXG", 0o070),
        ("IRWXO", 0o007),
    ];
    BITS.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::lowered;
    use crate::plan::GlobalPlan;

    fn global(text: &str) -> GlobalPlan {
        lowered(text).0.global
    }

    #[test]
    fn each_process_has_its_own_settings_and_no_other() {
        let plans = global(
            "global_defs {\n vrrp_priority -5\n vrrp_rt_priority 50\n vrrp_no_swap\n vrrp_cpu_affinity 0 2\n\
             checker_priority 3\n bfd_rt_priority 20\n bfd_rlimit_rttime 50000\n bfd_process_name a_very_long_name_of_mine\n\
             process_names\n}\n",
        )
        .processes;
        let vrrp = ProcessPlan {
            nice: Some(-5),
            real_time: Some(50),
            real_time_limit: Some(Duration::from_millis(10)),
            no_swap: true,
            processors: vec![0, 2],
            name: Some("keepalived_vrrp".to_owned()),
            automatic: None,
        };
        assert_eq!(plans.vrrp, vrrp);
        let checker =
            ProcessPlan { nice: Some(3), name: Some("keepalived_lvs".to_owned()), ..ProcessPlan::default() };
        assert_eq!(plans.checker, checker);
        assert_eq!(plans.bfd.real_time_limit, Some(Duration::from_millis(50)));
        assert_eq!(plans.bfd.name.as_deref(), Some("a_very_long_nam"));
    }

    #[test]
    fn automatic_priority_yields_to_a_fixed_one() {
        let plans = global(
            "global_defs {\n max_auto_priority\n min_auto_priority_delay 2000\n bfd_rt_priority 3\n}\n",
        )
        .processes;
        let automatic = AutoPriority { most: 99, delay: Duration::from_millis(2) };
        assert_eq!(plans.vrrp.automatic, Some(automatic));
        assert_eq!(plans.bfd.automatic, None);
        assert_eq!(global("global_defs {\n max_auto_priority 0\n}\n").processes, ProcessPlans::default());
    }

    #[test]
    fn a_daemon_is_told_where_it_lives_and_what_its_files_are_called() {
        let text = "instance east\nnet_namespace blue\nnet_namespace_ipvs\nuse_pid_dir\nchild_wait_time 7\n\
                    global_defs {\n data_use_instance\n json_version 2\n state_dump_file /var/tmp/\n umask IRWXG|IRWXO\n\
                    startup_script \"/bin/true now\"\n startup_script_timeout 3\n script_user root\n}\n";
        let daemon = global(text).daemon;
        assert_eq!(daemon.instance.as_deref(), Some("east"));
        assert_eq!(daemon.namespace.as_deref(), Some("blue"));
        assert_eq!(daemon.ipvs_namespace, Some(IpvsNamespace::Original));
        assert!(daemon.pid_directory && daemon.names_in_dumps);
        assert_eq!((daemon.json_version, daemon.umask), (2, Some(0o77)));
        assert_eq!(daemon.state_dump_file.as_deref(), Some("/var/tmp/"));
        assert_eq!(daemon.stop_limit, Some(Duration::from_secs(7)));
        let startup = daemon.startup.expect("written");
        assert_eq!(startup.command.words, ["/bin/true", "now"]);
        assert_eq!(startup.timeout, Duration::from_secs(3));
        assert_eq!(daemon.shutdown, None);
    }

    #[test]
    fn a_reload_has_a_time_and_a_marker() {
        let text = |lines: &str| global(&format!("global_defs {{\n{lines}\n}}\n")).daemon;
        let daemon = text("reload_time_file /run/when\nreload_repeat\nreload_file");
        assert_eq!(daemon.reload_time, Some(ReloadTime { file: "/run/when".to_owned(), repeat: true }));
        assert_eq!(daemon.reload_marker, Some(ReloadMarker::Usual));
        let daemon = text("reload_file /run/reading");
        assert_eq!(daemon.reload_marker, Some(ReloadMarker::Named("/run/reading".to_owned())));
        assert_eq!(daemon.reload_time, None);
    }

    #[test]
    fn roles_are_confined_unless_that_is_switched_off() {
        let off = |line: &str| global(&format!("global_defs {{\n{line}\n}}\n")).daemon.no_confinement;
        assert_eq!(
            ["", "no_confinement", "no_confinement on", "no_confinement off"].map(off),
            [false, true, true, false]
        );
    }

    #[test]
    fn masks_are_numbers_or_names() {
        for (text, mask) in [("022", Some(0o22)), ("0x12", Some(0o22)), ("18", Some(0o22)), ("0", Some(0))] {
            assert_eq!(global(&format!("global_defs {{\n umask {text}\n}}\n")).daemon.umask, mask, "{text}");
        }
        for text in ["IWGRP | IWOTH", "IWGRP|IWOTH"] {
            assert_eq!(
                global(&format!("global_defs {{\n umask {text}\n}}\n")).daemon.umask,
                Some(0o22),
                "{text}"
            );
        }
        assert_eq!(global("global_defs {\n umask IFOO\n}\n").daemon.umask, None);
    }
}
