//! "Global definitions", which every process of keepalived writes at the head of its file. What holdfast has no fact for (a
//! library's version) is left out; what it does not do is said as keepalived says that it is off.

use super::text::{Text, account};
use super::words;
use crate::plan::Plans;
use crate::plan::notify::Listens;
use crate::plan::process::{IpvsNamespace, LifeScript, ProcessPlan};
use std::collections::BTreeMap;

/// How keepalived writes a number that was not given, in processes that do not need it.
const NOT_GIVEN: &str = "4294967295";

/// keepalived's limit of time in real time, in microseconds, and its delay of `max_auto_priority`.
const REAL_TIME_LIMIT: &str = "10000";
const AUTO_DELAY: &str = "1000000";

/// Which process of keepalived would write: some lines are of one of them alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Parent,
    Vrrp,
    Other,
}

/// What is the same in each file, but for a few lines.
pub(super) fn globals(text: &mut Text, plans: &Plans, writer: Writer) {
    text.section("Global definitions");
    let mut lines = Lines { text, plans, written: &plans.global.written, writer };
    lines.home();
    lines.mail();
    lines.life();
    lines.lvs();
    lines.fifos();
    lines.vrrp();
    lines.filters();
    lines.processes();
    lines.services();
    lines.buffers();
    lines.rest();
}

struct Lines<'a> {
    text: &'a mut Text,
    plans: &'a Plans,
    written: &'a BTreeMap<String, String>,
    writer: Writer,
}

fn truth(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

impl<'a> Lines<'a> {
    fn get(&self, keyword: &str) -> Option<&'a str> {
        self.written.get(keyword).map(String::as_str)
    }

    fn is_on(&self, keyword: &str) -> bool {
        self.get(keyword).is_some_and(|value| value != "false")
    }

    /// The value, where the keyword is written.
    fn given(&mut self, label: &str, keyword: &str) {
        if let Some(value) = self.written.get(keyword) {
            self.text.head(label, value);
        }
    }

    /// The value, or keepalived's own.
    fn value(&mut self, label: &str, keyword: &str, default: &str) {
        let value = self.written.get(keyword).map_or(default, String::as_str);
        self.text.head(label, value);
    }

    fn truth(&mut self, label: &str, keyword: &str) {
        let on = self.is_on(keyword);
        self.text.head(label, truth(on));
    }

    fn home(&mut self) {
        let global = &self.plans.global;
        let daemon = &global.daemon;
        self.given("Config save dir", "config_save_dir");
        self.text.head("Network namespace", daemon.namespace.as_deref().unwrap_or("(default)"));
        let ipvs = match &daemon.ipvs_namespace {
            None => "(main namespace)",
            Some(IpvsNamespace::Original) => "(default)",
            Some(IpvsNamespace::Named(name)) => name,
        };
        self.text.head("Network namespace ipvs", ipvs);
        if let Some(instance) = &daemon.instance {
            self.text.head("Instance name", instance);
        }
        let processes = &global.processes;
        let named = [
            ("Parent", &processes.supervisor),
            ("VRRP", &processes.vrrp.name),
            ("LVS", &processes.checker.name),
            ("BFD", &processes.bfd.name),
        ];
        for (process, name) in named {
            if let Some(name) = name {
                self.text.head(&format!("{process} process name"), name);
            }
        }
        if let Some(router_id) = &global.router_id {
            self.text.head("Router ID", router_id);
        }
    }

    fn mail(&mut self) {
        if let Some(server) = self.get("smtp_server") {
            let (server, port) = server.split_once(' ').unwrap_or((server, "25"));
            self.text.head("Smtp server", server);
            self.text.head("Smtp server port", port);
        }
        self.given("Smtp HELO name", "smtp_helo_name");
        if self.get("smtp_server").is_some() {
            self.value("Smtp server connection timeout", "smtp_connect_timeout", "30");
        }
        self.given("Email notification from", "notification_email_from");
        if let Some(mail) = &self.plans.scripts.notify.mail {
            self.text.plain("Email notification to:");
            mail.to.iter().for_each(|to| self.text.title(to));
        }
        for keyword in ["smtp_alert", "smtp_alert_vrrp", "smtp_alert_checker"] {
            let set = match self.get(keyword) {
                None => "unset",
                Some("false") => "off",
                Some(_) => "on",
            };
            self.text.head(&format!("Default {keyword}"), set);
        }
        self.truth("Checkers log all failures", "checker_log_all_failures");
    }

    fn life(&mut self) {
        let daemon = &self.plans.global.daemon;
        match self.get("reload_check_config") {
            None => self.text.plain("No test config before reload"),
            Some("") => self.text.plain("Test config before reload, log to syslog"),
            Some(log) => {
                let line = format!("Test config before reload, log to {log}");
                self.text.plain(line);
            }
        }
        if let Some(reload) = &daemon.reload_time {
            let repeat = if reload.repeat { " (repeated)" } else { "" };
            self.text.head("Reload time file", format_args!("{}{repeat}", reload.file));
        }
        self.given("Reload_file", "reload_file");
        if daemon.names_in_dumps {
            self.text.plain("Use instance name in data dumps");
        }
        if self.writer == Writer::Parent {
            // Each is written in its own way in keepalived.
            self.life_script("Startup script", &daemon.startup, ",");
            self.life_script("Shutdown script", &daemon.shutdown, "");
        }
        self.truth("Dynamic interfaces", "dynamic_interfaces");
        if self.get("dynamic_interfaces") == Some("allow_if_changes") {
            self.text.head("Allow interface changes", truth(true));
        }
        if self.is_on("no_email_faults") {
            self.text.head("Send emails for fault transitions", "off");
        }
    }

    fn life_script(&mut self, label: &str, script: &Option<LifeScript>, comma: &str) {
        let Some(LifeScript { command, timeout }) = script else { return };
        let (words, account) = (words::command(command), account(command.identity.as_ref()));
        self.text
            .head(label, format_args!("{words}, uid:gid {account}{comma} timeout {}", timeout.as_secs()));
    }

    fn lvs(&mut self) {
        let kernel = &self.plans.lvs.kernel;
        let timeouts = kernel.timeouts;
        // The third label is keepalived's own slip; who reads the file counts on it.
        let labels = ["LVS TCP timeout", "LVS TCP FIN timeout", "LVS TCP timeout"];
        for (label, seconds) in labels.into_iter().zip([timeouts.tcp, timeouts.tcp_fin, timeouts.udp]) {
            if seconds > 0 {
                self.text.head(label, seconds);
            }
        }
        if self.writer == Writer::Vrrp {
            self.given("Default interface", "default_interface");
        }
        let igmp = if self.plans.vrrp.no_local_igmp { "yes" } else { "no" };
        self.text.head("Disable local IGMP", igmp);
        if let Some(sync) = &kernel.sync {
            if let Some(instance) = &sync.instance {
                self.text.head("LVS syncd vrrp name", instance);
            }
            let settings = &sync.settings;
            self.text.head("LVS syncd interface", &settings.interface);
            self.text.head("LVS syncd syncid", settings.sync_id);
            if let Some(length) = settings.max_length {
                self.text.head("LVS syncd maxlen", length);
            }
            if let Some(group) = settings.group {
                self.text.plain(format_args!("LVS mcast group {group}"));
            }
            if let Some(port) = settings.port {
                self.text.head("LVS syncd mcast port", port);
            }
            if let Some(ttl) = settings.ttl {
                self.text.head("LVS syncd mcast ttl", ttl);
            }
        }
        self.text.head("LVS flush", truth(self.plans.lvs.flush_at_start));
        let at_stop = match (
            self.get("lvs_flush_on_stop").or_else(|| self.get("lvs_flush_onstop")),
            kernel.flush_at_stop,
        ) {
            (_, true) => "true",
            (Some(_), false) => "VS",
            (None, false) => "disabled",
        };
        self.text.head("LVS flush on stop", at_stop);
    }

    fn fifos(&mut self) {
        let plan = &self.plans.scripts.notify;
        for fifo in &plan.fifos {
            let label = match fifo.listens {
                Listens::All => "Global notify fifo",
                Listens::Vrrp => "VRRP notify fifo",
                Listens::Lvs => "LVS notify fifo",
            };
            let owner = account(fifo.owner.as_ref());
            self.text.head(label, format_args!("{}, uid:gid {owner}", fifo.path));
            if let Some(script) = &fifo.script {
                let (words, account) = (words::command(script), account(script.identity.as_ref()));
                self.text.head(&format!("{label} script"), format_args!("{words}, uid:gid {account}"));
            }
        }
        self.text.head("FIFO write vrrp states on reload", truth(plan.states_on_reload));
        self.truth("VRRP notify priority changes", "vrrp_notify_priority_changes");
    }

    fn vrrp(&mut self) {
        self.value("VRRP IPv4 mcast group", "vrrp_mcast_group4", "224.0.0.18");
        self.value("VRRP IPv6 mcast group", "vrrp_mcast_group6", "ff02::12");
        let delay = self.get("vrrp_garp_master_delay").unwrap_or("5");
        let repeat = self.get("vrrp_garp_master_repeat").unwrap_or("5");
        self.text.head("Gratuitous ARP delay", delay);
        self.text.head("Gratuitous ARP repeat", repeat);
        self.value("Gratuitous ARP refresh timer", "vrrp_garp_master_refresh", "0");
        self.value("Gratuitous ARP refresh repeat", "vrrp_garp_master_refresh_repeat", "1");
        let (delay, repeat) =
            if self.writer == Writer::Vrrp { (delay, repeat) } else { (NOT_GIVEN, NOT_GIVEN) };
        self.value("Gratuitous ARP lower priority delay", "vrrp_garp_lower_prio_delay", delay);
        self.value("Gratuitous ARP lower priority repeat", "vrrp_garp_lower_prio_repeat", repeat);
        self.value("Num adverts before down", "vrrp_down_timer_adverts", "3");
        let extra =
            self.get("vrrp_garp_extra_if").or_else(|| self.get("vrrp_vmac_garp_intvl")).unwrap_or("0");
        let (what, seconds) = extra.strip_prefix("all ").map_or(("VMAC", extra), |seconds| ("i/f", seconds));
        let line = format!("Gratuitous ARP for each secondary {what} = {seconds}s");
        self.text.plain(line);
        let answers = !self.is_on("vrrp_lower_prio_no_advert");
        self.text.head("Send advert after receive lower priority advert", truth(answers));
        self.truth("Send advert after receive higher priority advert", "vrrp_higher_prio_send_advert");
        for (label, keyword) in [("ARP", "vrrp_garp_interval"), ("NA", "vrrp_gna_interval")] {
            let seconds = self.get(keyword).and_then(|text| text.parse().ok()).unwrap_or(0.0_f64);
            self.text.head(&format!("Gratuitous {label} interval"), format_args!("{seconds:.6}"));
        }
        self.value("VRRP default protocol version", "vrrp_version", "2");
    }

    fn filters(&mut self) {
        self.given("nftables table name", "nftables");
        if self.get("nftables").is_some() {
            self.value("nftables base chain priority", "nftables_priority", "-1");
            let force = if self.is_on("nftables_ifindex") { "" } else { "don't " };
            let line = format!("nftables {force}force use ifindex for link local IPv6");
            self.text.plain(line);
        }
        self.given("ipvs nftables table name", "nftables_ipvs");
        if self.get("nftables_ipvs").is_some() {
            self.value("ipvs nftables base chain priority", "nftables_ipvs_priority", "-1");
            self.value("ipvs nftables start fwmark", "nftables_ipvs_start_fwmark", "1000");
        }
        let counters = if self.is_on("nftables_counters") { "with" } else { "without" };
        self.text.plain(format_args!("nftables {counters} counters"));
        self.truth("VRRP check unicast_src", "vrrp_check_unicast_src");
        self.truth("VRRP skip check advert addresses", "vrrp_skip_check_adv_addr");
        self.truth("VRRP strict mode", "vrrp_strict");
    }

    fn processes(&mut self) {
        let processes = &self.plans.global.processes;
        let most = processes.vrrp.automatic.map_or(0, |automatic| automatic.most).to_string();
        let written = self.get("max_auto_priority").filter(|value| value.parse::<u8>().is_ok());
        self.text.head("Max auto priority", written.unwrap_or(&most));
        let delay = self.get("min_auto_priority_delay").unwrap_or(AUTO_DELAY);
        self.text.head("Min auto priority delay", format_args!("{delay} usecs"));
        for (name, process) in
            [("VRRP", &processes.vrrp), ("Checker", &processes.checker), ("BFD", &processes.bfd)]
        {
            let ProcessPlan { nice, real_time, no_swap, processors, .. } = process;
            self.text.head(&format!("{name} process priority"), nice.unwrap_or(0));
            self.text.head(&format!("{name} don't swap"), truth(*no_swap));
            self.text.head(&format!("{name} realtime priority"), real_time.unwrap_or(0));
            if !processors.is_empty() {
                let list: Vec<String> = processors.iter().map(ToString::to_string).collect();
                self.text.head(&format!("{name} CPU Affinity"), list.join(" "));
            }
            // Written or not, and whether it is in real time or not.
            let prefix = name.to_lowercase();
            let limit =
                ["rttime", "rtime"].iter().find_map(|word| self.get(&format!("{prefix}_rlimit_{word}")));
            self.text.head(&format!("{name} realtime limit"), limit.unwrap_or(REAL_TIME_LIMIT));
        }
    }

    /// The SNMP agent serves the checker part alone; there is no D-Bus service, whatever is written.
    fn services(&mut self) {
        let snmp = &self.plans.snmp;
        for (what, on) in [
            ("vrrp", false),
            ("checker", snmp.checker),
            ("RFCv2", false),
            ("RFCv3", false),
            ("traps", snmp.traps),
        ] {
            self.text.plain(format_args!("SNMP {what} {}", if on { "enabled" } else { "disabled" }));
        }
        self.text.plain("DBus disabled");
        let security = if self.is_on("enable_script_security") { "enabled" } else { "disabled" };
        self.text.plain(format_args!("Script security {security}"));
    }

    /// As written: what they would change is done in another way.
    fn buffers(&mut self) {
        for name in [
            "vrrp_netlink_cmd",
            "vrrp_netlink_monitor",
            "process_monitor",
            "lvs_netlink_cmd",
            "lvs_netlink_monitor",
        ] {
            let keyword = format!("{name}_rcv_bufs");
            self.value(&keyword, &keyword, "0");
            let forced = format!("{keyword}_force");
            let on = u8::from(self.is_on(&forced));
            self.text.head(&forced, on);
        }
    }

    fn rest(&mut self) {
        self.text.head("rs_init_notifies", u8::from(self.plans.lvs.init_notifies));
        let quiet = u8::from(self.is_on("no_checker_emails"));
        self.text.head("no_checker_emails", quiet);
        self.given("rx_bufs_policy", "vrrp_rx_bufs_policy");
        self.value("rx_bufs_multiples", "vrrp_rx_bufs_multiplier", "3");
        let mask = self.plans.global.daemon.umask.unwrap_or(0o177);
        self.text.head("umask", format_args!("0{mask:o}"));
        self.given("vrrp_startup_delay", "vrrp_startup_delay");
        if self.plans.vrrp.log_unknown_vrids {
            self.text.plain("log_unknown_vrids");
        }
        self.given("VMAC prefix", "vmac_prefix");
        self.given("VMAC address prefix", "vmac_addr_prefix");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keepalived 2.2.7: what is said for weaker Masters, else for all, else 5; its other processes write no default.
    #[test]
    fn what_weaker_masters_are_answered_with_has_the_defaults_of_the_others() {
        let shown_by = |writer, written: &[(&str, &str)]| {
            let mut plans = Plans::default();
            let written = written.iter().map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned()));
            plans.global.written = written.collect();
            let mut text = Text::default();
            globals(&mut text, &plans, writer);
            let numbers = text.0.lines().filter_map(|line| line.trim().strip_prefix("Gratuitous ARP lower "));
            numbers.collect::<Vec<_>>().join(", ")
        };
        let shown = |written: &[(&str, &str)]| shown_by(Writer::Vrrp, written);
        let parent = shown_by(Writer::Parent, &[]);
        assert_eq!(parent, "priority delay = 4294967295, priority repeat = 4294967295");
        assert_eq!(shown(&[]), "priority delay = 5, priority repeat = 5");
        let all = [("vrrp_garp_master_delay", "0"), ("vrrp_garp_master_repeat", "1")];
        assert_eq!(shown(&all), "priority delay = 0, priority repeat = 1");
        let own = [("vrrp_garp_master_delay", "0"), ("vrrp_garp_lower_prio_delay", "2")];
        assert_eq!(shown(&own), "priority delay = 2, priority repeat = 5");
    }
}
