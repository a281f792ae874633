//! Plans: validated plain data that says what each role must do. Made by `config`, carried by `link`,
//! consumed by the pure cores. A plan that exists can be executed; it is never checked again.

pub mod bfd;
pub mod check;
pub mod diff;
pub mod lvs;
pub mod manners;
pub mod marks;
pub mod notify;
pub mod process;
pub mod route;
pub mod scripts;
pub mod search;
pub mod service_rules;
pub mod snmp;
pub mod track;
pub mod transport;
pub mod vmac;
pub mod vrrp;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Counts configurations: 1 for the first, one more for each accepted reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// Everything one configuration asks for, split by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plans {
    /// For the vrrp role.
    pub vrrp: vrrp::VrrpPlan,
    /// For the checker role.
    pub lvs: lvs::LvsPlan,
    /// For the scripts role.
    pub scripts: scripts::ScriptsPlan,
    /// For the bfd role.
    pub bfd: bfd::BfdPlan,
    /// For the snmp role.
    pub snmp: snmp::SnmpPlan,
    /// Daemon-wide settings, for the supervisor.
    pub global: GlobalPlan,
}

impl Plans {
    /// Give spare room back, once they were read.
    pub fn shrink(&mut self) {
        self.vrrp.routers.iter_mut().for_each(vrrp::RouterPlan::shrink);
        self.vrrp.routers.shrink_to_fit();
    }
}

/// A list that takes no more room than it needs.
pub(crate) fn exact<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    list(from, |_| ())
}

/// The same, each entry handed over as it comes.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
    each: impl FnMut(&mut T),
) -> Result<Vec<T>, D::Error> {
    from.deserialize_seq(List { each, of: PhantomData })
}

struct List<F, T> {
    each: F,
    of: PhantomData<T>,
}

impl<'de, F: FnMut(&mut T), T: Deserialize<'de>> Visitor<'de> for List<F, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(mut one) = list.next_element()? {
            (self.each)(&mut one);
            push(&mut all, one);
        }
        all.shrink_to_fit();
        Ok(all)
    }
}

/// Grows from one, not from four: most servers have one check, most checks one url, and what is given back leaves holes.
fn push<T>(list: &mut Vec<T>, one: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len().max(1));
    }
    list.push(one);
}

/// Is it what is taken where nothing is written? There may be a million servers, and most say little of themselves.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A span as `[seconds, nanoseconds]`, a third of serde's own form.
pub(crate) mod brief {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        (span.as_secs(), span.subsec_nanos()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let (seconds, nanoseconds) = <(u64, u32)>::deserialize(from)?;
        // What is carried over from the nanoseconds may not fit.
        Ok(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanoseconds.into())))
    }
}

/// Daemon-wide settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalPlan {
    /// `router_id`: the machine's name in messages; the host name when absent.
    pub router_id: Option<String>,
    /// `vrrp_startup_delay`-like settings live in the role plans; this lists keywords that were accepted but
    /// have no effect yet, each as a sentence for the log.
    pub not_yet: Vec<String>,
    /// How the processes are scheduled.
    pub processes: process::ProcessPlans,
    /// Where the daemon lives, and what its files are called.
    pub daemon: process::DaemonPlan,
    /// `global_defs` as it is written, for state files alone: keyword to value, the last one of each; times in seconds.
    /// Empty for a bare keyword and for what a plan holds in another form.
    pub written: BTreeMap<String, String>,
}
