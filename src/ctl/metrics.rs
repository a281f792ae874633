//! `holdfastctl metrics`: the status as Prometheus reads it (text exposition format 0.0.4), for a textfile collector or a
//! small script behind a web server.

use super::client::{AskError, ask};
use super::{Done, EXIT_NO_DAEMON, text};
use crate::link::control::{Answer, Request};
use crate::netlink::ipvs_raw::RawIpvs;
use crate::report::{CheckerStatus, DaemonStatus, RouterStatus, Status, TableHome};
use crate::role::namespace::enter_table;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// States of a virtual router, one sample each.
const STATES: [&str; 4] = ["INIT", "BACKUP", "MASTER", "FAULT"];

/// Without a daemon there is one metric, `holdfast_up 0`, and the status says so too.
pub(super) fn run(socket: &Path) -> Done {
    let mut page = Page::default();
    let status = match ask(socket, Request::Status) {
        Ok(Answer::Status(status)) => Some(status),
        Ok(other) => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
        Err(error @ AskError::NoDaemon(..)) => {
            text::complain(&format!("holdfastctl: {}", text::clean(&error.to_string())));
            None
        }
        Err(error) => return Err(error.into()),
    };
    page.gauge("up", "Does the daemon answer?", &[], u64::from(status.is_some()));
    if let Some(status) = &status {
        of_status(&mut page, status);
    }
    // Where there is no IPVS there is nothing to count.
    if status.as_ref().is_none_or(|status| status.checker.is_some()) {
        let checker = status.as_ref().and_then(|status| status.checker.as_ref());
        of_kernel(&mut page, checker.and_then(|checker| checker.table.as_ref()));
    }
    text::print(&page.text());
    Ok(if status.is_some() { 0 } else { EXIT_NO_DAEMON })
}

/// Samples by metric: all samples of one stand together, under one head.
#[derive(Debug, Default)]
struct Page {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Debug)]
struct Metric {
    kind: &'static str,
    help: &'static str,
    samples: Vec<String>,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        self.sample(name, "gauge", help, labels, value);
    }

    fn counter(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        self.sample(name, "counter", help, labels, value);
    }

    fn sample(
        &mut self,
        name: &str,
        kind: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: u64,
    ) {
        let words: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if words.is_empty() { String::new() } else { format!("{{{}}}", words.join(",")) };
        let metric = self.metrics.entry(name.to_owned());
        let metric = metric.or_insert_with(|| Metric { kind, help, samples: Vec::new() });
        metric.samples.push(format!("holdfast_{name}{labels} {value}"));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, Metric { kind, help, samples }) in &self.metrics {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP holdfast_{name} {help}\n# TYPE holdfast_{name} {kind}\n");
            for sample in samples {
                text += sample;
                text.push('\n');
            }
        }
        text
    }
}

/// As the format wants a label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn of_status(page: &mut Page, status: &Status) {
    of_daemon(page, &status.daemon);
    let vrrp = status.vrrp.as_ref();
    for router in vrrp.iter().flat_map(|vrrp| &vrrp.routers) {
        of_router(page, router);
    }
    for (event, count) in vrrp.iter().flat_map(|vrrp| &vrrp.counters) {
        let help = "What happened that is of no single virtual router, such as discarded packets.";
        page.counter("vrrp_events_total", help, &[("event", event)], *count);
    }
    if let Some(checker) = &status.checker {
        of_checker(page, checker);
    }
    for session in status.bfd.iter().flat_map(|bfd| &bfd.sessions) {
        let labels = [("session", session.name.as_str())];
        page.gauge("bfd_session_up", "Is the BFD session Up?", &labels, u64::from(session.state == "Up"));
    }
    for tracker in status.scripts.iter().flat_map(|scripts| &scripts.trackers) {
        let labels = [("kind", tracker.kind.as_str()), ("name", tracker.name.as_str())];
        let down = matches!(tracker.state.as_str(), "down" | "cannot run");
        page.gauge("tracker_down", "Does a tracked script or process fail?", &labels, u64::from(down));
    }
}

fn of_daemon(page: &mut Page, daemon: &DaemonStatus) {
    let version = [("version", daemon.program.as_str())];
    page.gauge("info", "The daemon's version.", &version, 1);
    page.gauge("uptime_seconds", "Seconds since the daemon started.", &[], daemon.uptime_seconds);
    page.gauge("configuration_generation", "Number of the configuration in force.", &[], daemon.generation.0);
    let errors = daemon.configuration_errors as u64;
    page.gauge("configuration_errors", "Errors in the configuration in force.", &[], errors);
    let refused = u64::from(daemon.refused_reload.is_some());
    page.gauge("reload_refused", "Was the last reload refused?", &[], refused);
    for role in &daemon.roles {
        let labels = [("role", role.name.as_str())];
        let well = u64::from(role.pid.is_some() && role.trouble.is_none());
        page.gauge("role_up", "Does the role run, and is nothing wrong with it?", &labels, well);
        page.counter("role_restarts_total", "How often it was restarted.", &labels, role.restarts.into());
        let help = "Messages that it did not take in time.";
        page.counter("role_dropped_messages_total", help, &labels, role.dropped);
    }
}

fn of_router(page: &mut Page, router: &RouterStatus) {
    let (vrid, family) = (router.vrid.to_string(), router.family.to_string());
    let labels = [
        ("instance", router.name.as_str()),
        ("interface", router.interface.as_str()),
        ("vrid", vrid.as_str()),
        ("family", family.as_str()),
    ];
    for state in STATES {
        let labels = [&labels[..], &[("state", state)]].concat();
        let help = "1 for the state that the virtual router is in.";
        page.gauge("vrrp_state", help, &labels, u64::from(router.state == state));
    }
    page.gauge("vrrp_state_seconds", "Seconds in that state.", &labels, router.since_seconds);
    page.gauge("vrrp_priority", "Priority in force.", &labels, u64::from(router.priority.0));
    page.gauge("vrrp_base_priority", "Configured priority.", &labels, u64::from(router.base_priority.0));
    let missing = router.addresses.iter().filter(|address| address.error.is_some()).count() as u64;
    let help = "Virtual addresses that the kernel refuses.";
    page.gauge("vrrp_addresses_refused", help, &labels, missing);
    let help = "Senders whose advertisements are refused or differ, and second Masters, now.";
    page.gauge("vrrp_at_odds", help, &labels, router.at_odds.len() as u64);
    for (event, count) in &router.counters {
        let labels = [&labels[..], &[("event", event.as_str())]].concat();
        let help = "Advertisements, discards by reason, transitions and the like, by event.";
        page.counter("vrrp_router_events_total", help, &labels, *count);
    }
}

fn of_checker(page: &mut Page, checker: &CheckerStatus) {
    let trouble = u64::from(checker.ipvs_error.is_some());
    page.gauge("ipvs_trouble", "Is the kernel's table not as it should be?", &[], trouble);
    let overrides = checker.overrides.len() as u64;
    page.gauge("overrides", "Things said of traffic by hand.", &[], overrides);
    for server in &checker.virtual_servers {
        let labels = [("virtual_server", server.name.as_str())];
        page.gauge("virtual_server_up", "Is the quorum met?", &labels, u64::from(server.up));
        let help = "Sum of the weights of servers that are up.";
        page.gauge("virtual_server_live_weight", help, &labels, server.live_weight);
        page.gauge("virtual_server_quorum", "Live weight that is wanted.", &labels, server.quorum.into());
        let sorry = u64::from(server.sorry_server_in_use);
        page.gauge("virtual_server_sorry_server_in_use", "Does the sorry server serve?", &labels, sorry);
        for real in &server.real_servers {
            let endpoint = real.endpoint.to_string();
            let labels = [labels[0], ("real_server", endpoint.as_str())];
            page.gauge("real_server_up", "Do its checks succeed?", &labels, u64::from(real.up));
            let help = "Is it kept in service although its checks fail (min_alive)?";
            page.gauge("real_server_kept", help, &labels, u64::from(real.kept));
            let weight = if real.up || real.kept { real.weight } else { 0 };
            page.gauge("real_server_weight", "Weight in force.", &labels, weight.into());
            let by_hand = u64::from(real.by_hand.is_some());
            page.gauge("real_server_by_hand", "Is its weight given by hand?", &labels, by_hand);
            for check in &real.checkers {
                let labels = [labels[0], labels[1], ("check", check.kind.as_str())];
                let help = "Failures of a check in a row.";
                page.gauge("check_failures", help, &labels, check.failures.into());
                if let Some(latency) = check.latency_us {
                    let help = "Microseconds that the last success took.";
                    page.gauge("check_latency_microseconds", help, &labels, latency);
                }
            }
        }
    }
}

/// Connections and traffic as the kernel counts them, of every service, ours or not. `home`: where the daemon's table is.
fn of_kernel(page: &mut Page, home: Option<&TableHome>) {
    if let Err(why) = home.map_or(Ok(()), enter_table) {
        return text::complain(&format!("holdfastctl: no figures of the kernel: {}", text::clean(&why)));
    }
    let Ok(mut ipvs) = RawIpvs::open() else { return };
    let Ok(services) = ipvs.services() else { return };
    for service in services {
        let name = match (service.mark, service.protocol) {
            (0, protocol) => {
                let protocol = match i32::from(protocol) {
                    libc::IPPROTO_TCP => "tcp",
                    libc::IPPROTO_UDP => "udp",
                    _ => "sctp",
                };
                format!("{protocol} {}", SocketAddr::new(service.address, service.port))
            }
            (mark, _) => format!("fwmark {mark} {}", service.family),
        };
        // Somebody deleted the service meanwhile.
        for destination in ipvs.destinations(&service).unwrap_or_default() {
            let endpoint = SocketAddr::new(destination.address, destination.port).to_string();
            let labels = [("service", name.as_str()), ("destination", endpoint.as_str())];
            let (active, inactive) = (destination.active.into(), destination.inactive.into());
            page.gauge("ipvs_active_connections", "Established connections.", &labels, active);
            page.gauge("ipvs_inactive_connections", "Other connections.", &labels, inactive);
            page.gauge("ipvs_weight", "Weight in the kernel's table.", &labels, destination.weight.into());
            let stats = &destination.stats;
            let counters = [
                ("ipvs_connections_total", "Connections scheduled.", stats.connections),
                ("ipvs_in_packets_total", "Packets from clients.", stats.in_packets),
                ("ipvs_out_packets_total", "Packets to clients (NAT alone).", stats.out_packets),
                ("ipvs_in_bytes_total", "Octets from clients.", stats.in_bytes),
                ("ipvs_out_bytes_total", "Octets to clients (NAT alone).", stats.out_bytes),
            ];
            for (name, help, value) in counters {
                page.counter(name, help, &labels, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_stand_together_under_one_head() {
        let mut page = Page::default();
        page.gauge("b", "Second.", &[("name", "a \"quoted\" \\ word\n")], 1);
        page.counter("a_total", "First.", &[], 7);
        page.gauge("b", "Second.", &[("name", "x"), ("other", "y")], 2);
        assert_eq!(
            page.text(),
            "# HELP holdfast_a_total First.\n# TYPE holdfast_a_total counter\nholdfast_a_total 7\n\
             # HELP holdfast_b Second.\n# TYPE holdfast_b gauge\n\
             holdfast_b{name=\"a \\\"quoted\\\" \\\\ word\\n\"} 1\nholdfast_b{name=\"x\",other=\"y\"} 2\n"
        );
    }

    #[test]
    fn a_router_is_in_one_state_of_four() {
        let mut page = Page::default();
        of_router(&mut page, &crate::ctl::vrrp::tests::backup());
        let text = page.text();
        let labels = "instance=\"web\",interface=\"eth0\",vrid=\"51\",family=\"IPv4\"";
        assert!(text.contains(&format!("holdfast_vrrp_state{{{labels},state=\"BACKUP\"}} 1\n")), "{text}");
        assert!(text.contains(&format!("holdfast_vrrp_state{{{labels},state=\"MASTER\"}} 0\n")), "{text}");
        assert!(text.contains(&format!("holdfast_vrrp_priority{{{labels}}} 100\n")), "{text}");
        assert!(text.contains(&format!("holdfast_vrrp_addresses_refused{{{labels}}} 1\n")), "{text}");
        let event =
            format!("holdfast_vrrp_router_events_total{{{labels},event=\"advertisements_received\"}} 12\n");
        assert!(text.contains(&event), "{text}");
    }
}
