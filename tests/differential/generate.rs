//! Configurations from a number: many keywords, values that are valid and some that are not quite, and the ways in
//! which people write braces, quotes and comments.

use std::fmt::Write;

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Once in `n`.
    fn once_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let at = self.roll() % list.len() as u64;
        list[usize::try_from(at).expect("below the length of the list")]
    }

    /// A valid value, or once in twelve another.
    fn value<'a>(&mut self, good: &[&'a str], bad: &[&'a str]) -> &'a str {
        if self.once_in(12) { self.of(bad) } else { self.of(good) }
    }
}

/// A file that the main one may include.
pub const INCLUDED: &str = "more.conf";

/// The configuration of this number: the main file, and [`INCLUDED`], which stands beside it.
pub fn configuration(seed: u64) -> (String, String) {
    let mut dice = Dice(seed);
    let mut text = String::new();
    let mut included = String::new();
    if dice.once_in(2) {
        let version = dice.value(&["2", "3"], &["1", "4", "x"]);
        let lines = [format!("vrrp_version {version}"), "router_id lb1".to_owned()];
        let kept = if dice.once_in(2) { &lines[..] } else { &lines[1..] };
        block(&mut text, &mut dice, "global_defs", kept);
    }
    if dice.once_in(3) {
        let count = dice.value(&["100", "120"], &["x"]);
        let _ = write!(text, "$PRIO={count}\n$LIST= \\\n  garp_master_delay 2 \\\n  preempt_delay 3\n");
    }
    let defined = !text.is_empty() && text.contains("$PRIO");
    for number in 0..=dice.roll() % 3 {
        let mut lines = instance(&mut dice, number);
        if defined && dice.once_in(2) {
            lines.push(dice.of(&["priority $PRIO", "priority ${PRIO}", "$LIST", "${LIST}"]).to_owned());
        }
        if included.is_empty() && dice.once_in(4) {
            let end = lines.len() / 2;
            included = lines.drain(..end).map(|line| line + "\n").collect();
            let name = dice.value(&[INCLUDED, "mor?.conf", "./more.conf"], &["absent.conf"]);
            lines.insert(0, format!("{} {name}", dice.value(&["include", "includer"], &["includem"])));
        }
        let head = match dice.roll() % 3 {
            0 => format!("vrrp_instance \"VI {number}\""),
            _ => format!("vrrp_instance VI_{number}"),
        };
        block(&mut text, &mut dice, &head, &lines);
    }
    while dice.once_in(3) {
        let lines = virtual_server(&mut dice);
        let address = dice
            .value(&["192.0.2.100 80", "192.0.2.101 443", "fwmark 7"], &["192.0.2.300 80", "192.0.2.1 x"]);
        block(&mut text, &mut dice, &format!("virtual_server {address}"), &lines);
    }
    (text, included)
}

fn virtual_server(dice: &mut Dice) -> Vec<String> {
    let mut lines = vec![
        format!("lvs_sched {}", dice.of(&["rr", "wrr", "wlc", "sh"])),
        format!("lvs_method {}", dice.value(&["NAT", "DR", "TUN"], &["nat"])),
        format!("protocol {}", dice.of(&["TCP", "UDP", "tcp"])),
    ];
    let mut maybe = |dice: &mut Dice, n: u64, line: String| {
        if dice.once_in(n) {
            lines.push(line);
        }
    };
    let delay = dice.value(&["6", "1.5"], &["0", "-1", "x"]);
    maybe(dice, 3, format!("delay_loop {delay}"));
    let quorum = dice.value(&["1", "2"], &["0", "x"]);
    maybe(dice, 4, format!("quorum {quorum}"));
    let persistence = dice.value(&["50", "360"], &["x"]);
    maybe(dice, 4, format!("persistence_timeout {persistence}"));
    for host in 1..=dice.roll() % 3 + 1 {
        let weight = dice.value(&["1", "3", "0"], &["-1", "x"]);
        let timeout = dice.value(&["3", "0.5"], &["0", "x"]);
        let check = dice.of(&["TCP_CHECK {", "HTTP_GET {\nurl {\npath /\nstatus_code 200\n}"]);
        lines.push(format!(
            "real_server 192.0.2.{host} 80 {{\nweight {weight}\n{check}\nconnect_timeout {timeout}\n}}\n}}"
        ));
    }
    lines
}

fn instance(dice: &mut Dice, number: u64) -> Vec<String> {
    let vrid = (number * 40 + dice.roll() % 40 + 1).to_string();
    let mut lines = vec![
        format!("interface {}", dice.of(&["eth0", "eth1"])),
        format!("virtual_router_id {}", dice.value(&[&vrid], &["0", "256", "x", "-1", "07"])),
    ];
    let mut maybe = |dice: &mut Dice, n: u64, line: String| {
        if dice.once_in(n) {
            lines.push(line);
        }
    };
    let state = dice.value(&["MASTER", "BACKUP"], &["master", "FAULT", "EQUAL"]);
    maybe(dice, 2, format!("state {state}"));
    let priority =
        dice.value(&["1", "50", "100", "150", "254", "255"], &["0", "256", "abc", "100x", "-5", "1.5"]);
    maybe(dice, 2, format!("priority {priority}"));
    let interval = dice.value(
        &["1", "2", "5", "10", "0.5", "1.5", "0.1"],
        &["0", "0.001", "41", "255", "256", "x", "1s", "0.015", "40.95"],
    );
    maybe(dice, 2, format!("advert_int {interval}"));
    let version = dice.value(&["2", "3"], &["0", "4", "x"]);
    maybe(dice, 4, format!("version {version}"));
    maybe(dice, 4, "nopreempt".to_owned());
    let delay = dice.value(&["0", "5", "300", "2.5"], &["1001", "-1", "x"]);
    maybe(dice, 5, format!("preempt_delay {delay}"));
    maybe(dice, 8, "dont_track_primary".to_owned());
    let garp = dice.value(&["0", "1", "10"], &["-1", "x"]);
    maybe(dice, 8, format!("garp_master_delay {garp}"));
    let password = dice.of(&["secret", "\"a b\"", "0123456789", "p#ss"]);
    let kind = dice.value(&["PASS"], &["NONE", "pass", ""]);
    maybe(dice, 4, format!("authentication {{\nauth_type {kind}\nauth_pass {password}\n}}"));
    maybe(dice, 5, "unicast_src_ip 192.0.2.10".to_owned());
    let peers = dice.value(&["192.0.2.20", "192.0.2.20\n192.0.2.21"], &["192.0.2.300", "2001:db8::9", ""]);
    maybe(dice, 4, format!("unicast_peer {{\n{peers}\n}}"));
    maybe(dice, 12, "no_such_keyword 1".to_owned());
    maybe(dice, 40, "priority".to_owned());
    let addresses = addresses(dice, number);
    maybe(dice, 1, format!("virtual_ipaddress {{\n{addresses}\n}}"));
    lines
}

fn addresses(dice: &mut Dice, number: u64) -> String {
    let mut lines = String::new();
    for host in 0..=dice.roll() % 4 {
        let address = format!("10.{number}.0.{}", host + 1);
        let v6 = format!("2001:db8:{number}::{}", host + 1);
        let tail = dice.value(
            &["", "/24", "/32", "/24 dev eth0", " dev eth1", "/24 brd 10.0.0.255", "/16 scope link"],
            &["/33", "/x", "/24 dev", "/24 nonsense", ".9", " dev eth9", " label eth0:1"],
        );
        if dice.once_in(30) {
            let _ = writeln!(lines, "{v6}/64");
        } else {
            let _ = writeln!(lines, "{address}{tail}");
        }
    }
    lines
}

/// Writes a block in one of the ways in which people do.
fn block(text: &mut String, dice: &mut Dice, head: &str, lines: &[String]) {
    let end = if dice.once_in(8) { "\r\n" } else { "\n" };
    let open = dice.of(&[" {", "{", "\n{", "\n\n\t{"]);
    let indent = dice.of(&["", "    ", "\t", "  \t"]);
    let _ = write!(text, "{head}{}{end}", open.replace('\n', end));
    for line in lines.iter().flat_map(|l| l.lines()) {
        let comment =
            if dice.once_in(10) { dice.of(&[" # a comment", " ! a comment", "#x", "\t"]) } else { "" };
        let _ = write!(text, "{indent}{line}{comment}{end}");
        if dice.once_in(12) {
            let _ = write!(text, "{}{end}", dice.of(&["", "# alone", "! \"alone", "   "]));
        }
    }
    let _ = write!(text, "}}{end}");
}
