//! `bfd_instance` to [`BfdSessionPlan`].

use crate::net::AddressFamily;
use crate::plan::Generation;
use crate::plan::bfd::{BfdPlan, BfdSessionPlan, default_ttl};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings, Value};
use std::net::IpAddr;

pub(super) fn lower(config: &Config, generation: Generation) -> BfdPlan {
    let blocks = config.others.iter().filter(|setting| setting.keyword == "bfd_instance");
    BfdPlan { generation, sessions: blocks.filter_map(session).collect() }
}

/// One session. The configuration language has left out, with a word, what has no neighbour or a second one with it.
fn session(block: &Setting) -> Option<BfdSessionPlan> {
    let settings = block.block.as_slice();
    let neighbor = address(settings, "neighbor_ip").or(address(settings, "neighbour_ip"))?;
    let default = BfdSessionPlan::new(block.name()?.to_owned(), neighbor);
    let (vrrp, checker) = (settings.is_on("vrrp"), settings.is_on("checker"));
    let written = ttl(settings);
    let from = written.unwrap_or(default_ttl(AddressFamily::of(neighbor)));
    Some(BfdSessionPlan {
        source: address(settings, "source_ip"),
        min_rx: settings.time("min_rx").unwrap_or(default.min_rx),
        min_tx: settings.time("min_tx").unwrap_or(default.min_tx),
        idle_tx: settings.time("idle_tx").unwrap_or(default.idle_tx),
        multiplier: octet(settings, "multiplier").unwrap_or(default.multiplier),
        passive: settings.is_on("passive"),
        // keepalived sends IPv6 with 64, which peers that keep to RFC 5881 section 5 do not hear; 255 passes everywhere.
        ttl: written.unwrap_or(default.ttl),
        least_ttl: match settings.number("max_hops") {
            Some(-1 | 255) => 0,
            hops => from.saturating_sub(u8::try_from(hops.unwrap_or(0)).unwrap_or(0)),
        },
        multihop: settings.is_on("multihop"),
        // Both hear of it unless one is named.
        to_vrrp: vrrp || !checker,
        to_checker: checker || !vrrp,
        ..default
    })
}

/// `ttl` and `hoplimit` are one setting with two names: the last one written counts.
fn ttl(settings: &[Setting]) -> Option<u8> {
    let last = settings.iter().rev().find(|s| matches!(s.keyword, "ttl" | "hoplimit"))?;
    octet(std::slice::from_ref(last), last.keyword)
}

fn octet(settings: &[Setting], keyword: &str) -> Option<u8> {
    settings.number(keyword).and_then(|number| u8::try_from(number).ok())
}

fn address(settings: &[Setting], keyword: &str) -> Option<IpAddr> {
    match settings.find(keyword)?.value {
        Value::Address(address) => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;
    use crate::plan::Generation;
    use crate::plan::bfd::{BfdPlan, BfdSessionPlan};
    use std::time::Duration;

    fn plans(text: &str) -> BfdPlan {
        let (plans, codes) = lowered(text);
        assert_eq!(codes, [], "nothing is to be said of this configuration");
        plans.bfd
    }

    fn one(body: &str) -> BfdSessionPlan {
        let text = format!("bfd_instance b {{\n{body}\n}}\n");
        plans(&text).sessions.pop().expect("one session")
    }

    #[test]
    fn what_is_not_written_is_as_in_keepalived() {
        let session = one("neighbor_ip 192.0.2.2");
        assert_eq!(session, BfdSessionPlan::new("b".into(), [192, 0, 2, 2].into()));
        assert_eq!((session.min_rx, session.min_tx), (Duration::from_millis(10), Duration::from_millis(10)));
        assert_eq!((session.idle_tx, session.multiplier), (Duration::from_secs(1), 5));
        assert_eq!((session.ttl, session.least_ttl), (255, 255));
        let six = one("neighbor_ip 2001:db8::2");
        assert_eq!((six.ttl, six.least_ttl), (255, 64), "a keepalived that sends 64 is heard");
    }

    #[test]
    fn every_keyword_reaches_the_plan() {
        let session = one("neighbour_ip 192.0.2.2\nsource_ip 192.0.2.1\nmin_rx 3.312\nmin_tx 50\n\
            idle_tx 2000\nmultiplier 3\npassive\nttl 60\nmax_hops 5\nmultihop\nweight 10\nchecker");
        let expected = BfdSessionPlan {
            source: Some([192, 0, 2, 1].into()),
            min_rx: Duration::from_micros(3312),
            min_tx: Duration::from_millis(50),
            idle_tx: Duration::from_secs(2),
            multiplier: 3,
            passive: true,
            ttl: 60,
            least_ttl: 55,
            multihop: true,
            to_vrrp: false,
            to_checker: true,
            ..BfdSessionPlan::new("b".into(), [192, 0, 2, 2].into())
        };
        assert_eq!(session, expected);
    }

    #[test]
    fn hops_that_may_be_lost_are_counted_from_the_ttl() {
        let least = |line: &str| one(&format!("neighbor_ip 192.0.2.2\n{line}")).least_ttl;
        assert_eq!(least("max_hops 1"), 254);
        assert_eq!(least("hoplimit 10\nmax_hops 20"), 0);
        assert_eq!(least("max_hops 255"), 0);
        assert_eq!(least("max_hops -1"), 0);
        assert_eq!(least("ttl 10\nhoplimit 20"), 20, "two names of one setting");
    }

    #[test]
    fn who_hears_of_it() {
        let told = |line: &str| {
            let session = one(&format!("neighbor_ip 192.0.2.2\n{line}"));
            (session.to_vrrp, session.to_checker)
        };
        assert_eq!(told(""), (true, true));
        assert_eq!(told("vrrp"), (true, false));
        assert_eq!(told("checker"), (false, true));
        assert_eq!(told("vrrp\nchecker"), (true, true));
    }

    #[test]
    fn sessions_stand_in_the_order_of_the_file_and_the_generation_with_them() {
        let text =
            "bfd_instance z {\nneighbor_ip 192.0.2.2\n}\nbfd_instance a {\nneighbor_ip 2001:db8::2\n}\n";
        let plan = plans(text);
        let names: Vec<_> = plan.sessions.iter().map(|session| session.name.as_str()).collect();
        assert_eq!((names, plan.generation), (vec!["z", "a"], Generation(7)));
    }
}
