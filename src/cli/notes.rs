//! Options that are taken and do nothing yet: each is said once, at start.

use super::Options;

/// One line for each option given that has no effect yet, or not all of it, with what that means.
pub fn not_built(options: &Options) -> Vec<String> {
    let table: [(bool, &str, &str); 11] = [
        (options.log_file.is_some(), "-g", "no log file is written; syslog and -l work"),
        (options.flush_log_file, "--flush-log-file", "no log file is written"),
        (
            options.release_vips,
            "-X",
            "virtual addresses that were there before are removed at start in any case, whoever set them",
        ),
        (options.dump_conf, "-d", "the configuration is not dumped; holdfastctl show config prints it"),
        (options.address_monitoring, "-a", "address changes of others are not logged"),
        (options.all_config, "-e", "missing include files are treated as without it"),
        (options.snmp, "-x", "SNMP has virtual servers and real servers, the vrrp part is not built"),
        (options.perf.is_some(), "--perf", "nothing is recorded"),
        (options.debug.is_some(), "--debug", "nothing more is printed; -D logs details"),
        (options.no_mem_check, "--no-mem-check", "there is no memory check to turn off"),
        (options.config_fd.is_some(), "--config-fd", "the configuration file is read"),
    ];
    table
        .into_iter()
        .filter(|(given, ..)| *given)
        .map(|(_, flag, meaning)| format!("option {flag} has no effect yet: {meaning}"))
        .collect()
}
