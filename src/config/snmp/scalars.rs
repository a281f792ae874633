//! Objects outside tables: settings of the daemon, of mail, and of IPVS as a whole.

use super::{address_type, notify, octets, switch};
use crate::net::AddressFamily;
use crate::plan::lvs::{KernelSettings, LvsPlan, SyncPlan};
use crate::wire::agentx::Value;
use keepalived_compat::Config;
use keepalived_compat::config::setting::{self, Setting, Settings as _};
use std::net::IpAddr;

/// What a switch says that is not written; the others are 1 and 2.
const UNSET: i32 = 3;
/// What `lvs_flush_on_stop VS` says.
const FLUSH_OWN: i32 = 3;
/// How links are watched.
const NETLINK: i32 = 1;
const POLLING: i32 = 2;

/// All of them, in order.
pub(super) fn scalars(config: &Config, lvs: &LvsPlan, router_id: &str, host: &str) -> Vec<(Vec<u32>, Value)> {
    let mut out = Scalars(Vec::new());
    out.text(&[1, 1], &format!("Holdfast v{}", env!("CARGO_PKG_VERSION")));
    out.text(&[1, 2], router_id);
    mail(&mut out, &config.global.others, host);
    daemon(&mut out, config, lvs);
    sync(&mut out, lvs.kernel.sync.as_ref());
    timeouts(&mut out, &lvs.kernel);
    out.0
}

struct Scalars(Vec<(Vec<u32>, Value)>);

impl Scalars {
    fn put(&mut self, object: &[u32], value: Value) {
        self.0.push((object.to_vec(), value));
    }

    fn integer(&mut self, object: &[u32], value: impl Into<i32>) {
        self.put(object, Value::Integer(value.into()));
    }

    fn text(&mut self, object: &[u32], value: &str) {
        self.put(object, Value::Octets(value.as_bytes().to_vec()));
    }
}

fn mail(out: &mut Scalars, global: &[Setting], host: &str) {
    let server = match global.find("smtp_server").map(|server| &server.value) {
        Some(setting::Value::Words(words)) => words.as_slice(),
        _ => &[],
    };
    let address: Option<IpAddr> = server.first().and_then(|server| server.parse().ok());
    // keepalived says this of an address that it does not have.
    let (kind, bytes) = match address {
        Some(address) => (address_type(AddressFamily::of(address)), octets(address)),
        None => (address_type(AddressFamily::V6), vec![0; 4]),
    };
    out.integer(&[1, 3, 1], kind);
    out.put(&[1, 3, 2], Value::Octets(bytes));
    let timeout =
        global.time("smtp_connect_timeout").or((!server.is_empty()).then_some(notify::MAIL_TIMEOUT));
    let seconds = timeout.map_or(0, |timeout| timeout.as_secs().max(1));
    out.put(&[1, 3, 3], Value::Gauge32(u32::try_from(seconds).unwrap_or(u32::MAX)));
    let is_sent = !server.is_empty() && !notify::recipients(global).is_empty();
    let default = || (is_sent && !host.is_empty()).then(|| format!("root@{host}"));
    if let Some(from) = global.text("notification_email_from").map(str::to_owned).or_else(default) {
        out.text(&[1, 3, 4], &from);
    }
    let written = server.get(1).and_then(|port| port.parse().ok());
    let port = if server.is_empty() { 0 } else { written.unwrap_or(notify::MAIL_PORT) };
    out.put(&[1, 3, 6], Value::Gauge32(port.into()));
    out.integer(&[1, 3, 7], switch(!global.is_on("no_email_faults")));
    for (object, keyword) in [(8, "smtp_alert"), (9, "smtp_alert_vrrp"), (10, "smtp_alert_checker")] {
        out.integer(&[1, 3, object], notify::switch(global, keyword).map_or(UNSET, switch));
    }
}

fn daemon(out: &mut Scalars, config: &Config, lvs: &LvsPlan) {
    let global = config.global.others.as_slice();
    let root = config.others.as_slice();
    out.integer(&[1, 4], switch(global.is_on("enable_traps")));
    out.integer(&[1, 5], if root.is_on("linkbeat_use_polling") { POLLING } else { NETLINK });
    out.integer(&[1, 6], switch(lvs.flush_at_start));
    // Every kernel since 4.1 counts in 64 bits.
    out.integer(&[1, 7], switch(true));
    out.text(&[1, 8], root.text("net_namespace").unwrap_or_default());
    // There is no D-Bus service, whatever is written.
    out.integer(&[1, 9], switch(false));
    out.integer(&[1, 10], switch(global.is_on("dynamic_interfaces")));
    let own = ["lvs_flush_on_stop", "lvs_flush_onstop"].iter().any(|keyword| global.is_on(keyword));
    let flush = if own && !lvs.kernel.flush_at_stop { FLUSH_OWN } else { switch(lvs.kernel.flush_at_stop) };
    out.integer(&[1, 11], flush);
}

/// What the kernel chooses is 0, and a group that it chooses is not there.
fn sync(out: &mut Scalars, plan: Option<&SyncPlan>) {
    out.integer(&[3, 6, 1], switch(plan.is_some()));
    let Some(SyncPlan { instance, settings }) = plan else { return };
    out.text(&[3, 6, 2], &settings.interface);
    if let Some(instance) = instance {
        out.text(&[3, 6, 3], instance);
    }
    out.integer(&[3, 6, 4], settings.sync_id);
    out.integer(&[3, 6, 5], settings.max_length.unwrap_or(0));
    out.integer(&[3, 6, 6], settings.port.unwrap_or(0));
    out.integer(&[3, 6, 7], settings.ttl.unwrap_or(0));
    if let Some(group) = settings.group {
        out.integer(&[3, 6, 8], address_type(AddressFamily::of(group)));
        out.put(&[3, 6, 9], Value::Octets(octets(group)));
    }
}

/// Only those that are written.
fn timeouts(out: &mut Scalars, kernel: &KernelSettings) {
    let timeouts = kernel.timeouts;
    for (object, seconds) in [(1, timeouts.tcp), (2, timeouts.tcp_fin), (3, timeouts.udp)] {
        if seconds > 0 {
            out.integer(&[3, 7, object], i32::try_from(seconds).unwrap_or(i32::MAX));
        }
    }
}
