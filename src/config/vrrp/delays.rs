//! `interface_up_down_delays`: how long an interface must be down or up before that counts.

use crate::config::Diagnostics;
use crate::plan::vrrp::{LinkDelay, RouterPlan};
use keepalived_compat::config::setting::{Setting, Value};
use keepalived_compat::{Code, Config, Diagnostic};
use std::time::Duration;

/// The delays of the configuration, and those of virtual interfaces, which have their base's. A delay that a router on
/// the interface cannot wait for is shortened, as in keepalived.
pub(super) fn link_delays(config: &Config, routers: &[RouterPlan], out: &mut Diagnostics) -> Vec<LinkDelay> {
    let lists = config.others.iter().filter(|s| s.keyword == "interface_up_down_delays");
    let mut delays: Vec<LinkDelay> = Vec::new();
    for line in lists.flat_map(|list| &list.block) {
        let Some(mut delay) = read(line) else { continue };
        for router in routers {
            if router.key.interface == delay.interface {
                shorten(&mut delay, router, line, out);
            }
        }
        delays.retain(|known| known.interface != delay.interface);
        delays.push(delay);
    }
    let mut inherited = Vec::new();
    for link in routers.iter().flat_map(|router| &router.virtual_links) {
        if let Some(base) = delays.iter().find(|delay| delay.interface == link.base) {
            inherited.push(LinkDelay { interface: link.name.clone(), ..base.clone() });
        }
    }
    inherited.dedup_by(|a, b| a.interface == b.interface);
    delays.extend(inherited);
    delays.retain(|delay| !delay.down.is_zero() || !delay.up.is_zero());
    delays
}

/// Without a second number the interface is up at once (keepalived 2.2.7 and 2.4.3; the manual says else).
fn read(line: &Setting) -> Option<LinkDelay> {
    let interface = line.name()?.to_owned();
    let Value::Words(times) = &line.block.first()?.value else { return None };
    let seconds = |at: usize| {
        let written = times.get(at).and_then(|word| word.parse::<f64>().ok());
        written.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
    };
    Some(LinkDelay { interface, down: seconds(0), up: seconds(1) })
}

fn shorten(delay: &mut LinkDelay, router: &RouterPlan, line: &Setting, out: &mut Diagnostics) {
    let longest = LinkDelay::longest(router.down_timer_adverts, router.interval);
    if delay.down <= longest && delay.up <= longest {
        return;
    }
    (delay.down, delay.up) = (delay.down.min(longest), delay.up.min(longest));
    let title = format!("vrrp_instance {} cannot wait so long for {}", router.name, delay.interface);
    let now = format!(
        "{} s is used, as in keepalived: it would be MASTER before its interface counts as down",
        longest.as_secs_f64()
    );
    let diagnostic = Diagnostic::new(Code::Adjusted, line.span, title, now);
    out.say(diagnostic.instead("a delay below advert_int times one less than down_timer_adverts"));
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;
    use crate::plan::vrrp::LinkDelay;
    use keepalived_compat::Code;
    use std::time::Duration;

    fn delays(lines: &str, own: &str) -> (Vec<LinkDelay>, Vec<Code>) {
        let text = format!(
            "interface_up_down_delays {{\n{lines}\n}}\nvrrp_instance a {{\ninterface eth0\nvirtual_router_id 51\n{own}\n\
             virtual_ipaddress {{\n10.0.0.100/24\n}}\n}}"
        );
        let (plans, codes) = lowered(&text);
        (plans.vrrp.link_delays, codes)
    }

    fn delay(interface: &str, down: u64, up: u64) -> LinkDelay {
        let millis = Duration::from_millis;
        LinkDelay { interface: interface.to_owned(), down: millis(down), up: millis(up) }
    }

    #[test]
    fn one_number_is_for_going_down_and_a_virtual_interface_has_its_bases() {
        let (found, codes) = delays("eth0 0.5\neth1 0.7 200", "use_vmac vrrp.51");
        let expected = [delay("eth0", 500, 0), delay("eth1", 700, 200_000), delay("vrrp.51", 500, 0)];
        assert_eq!((found.as_slice(), codes.as_slice()), (expected.as_slice(), [].as_slice()));
    }

    #[test]
    fn a_delay_that_is_too_long_for_the_router_is_shortened() {
        let (found, codes) = delays("eth0 10 0.5", "");
        assert_eq!(found[0].down, Duration::from_nanos(1_996_093_750));
        assert_eq!((found[0].up, codes), (Duration::from_millis(500), vec![Code::Adjusted]));
    }
}
