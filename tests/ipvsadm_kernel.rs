//! Our ipvsadm beside Debian's, on one kernel: the same command lines, the same tables, octet by octet.
//!
//! As the other tests named *_kernel this needs IPVS (a User Mode Linux guest has it) and root; without them it says so
//! and does nothing, unless HOLDFAST_REQUIRE_IPVS is set: then it fails.

mod ipvs_support;

use holdfast::net::IpCidr;
use holdfast::netlink::ipvs_raw::{RawDaemon, RawDestination, RawIpvs, RawService, RawTimeouts};
use holdfast::netlink::route::RouteSocket;
use holdfast::plan::vrrp::VirtualAddress;
use holdfast::vrrp::AddressOp;
use ipvs_support::{LOOPBACK, in_namespace};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Random tables.
const TABLES: u64 = 100;

/// For counters that the kernel sums now and then, in a guest that may be ten times slower than its host.
const LIMIT: Duration = Duration::from_secs(60);

/// The ways to list, each asked of every table. A guest takes a tenth of a second to start a program, so one process of
/// each program lists them all, as lines of `-R`; one of them in turn is a command line of its own as well.
const LISTINGS: [&str; 27] = [
    "-L",
    "-L -n",
    "-Ln --sort",
    "-Ln --nosort",
    "-L --stats",
    "-Ln --stats",
    "-Ln --stats --exact",
    "-Ln --stats --nosort",
    "-L --rate",
    "-Ln --rate",
    "-Ln --rate --exact --nosort",
    "-L --thresholds",
    "-Ln --thresholds",
    "-Ln --thresholds --nosort",
    "-L --persistent-conn",
    "-Ln --persistent-conn",
    "-L --tun-info",
    "-Ln --tun-info",
    "-Ln --tun-info --nosort",
    "-L --tun-info --nosort --stats",
    "-Ln --exact",
    "-L --timeout",
    "-L --daemon",
    "-L -c",
    "-Ln -c --persistent-conn",
    "-S",
    "-Sn",
];

/// Of the first service alone. Last: where it is not there, a listing that is refused ends the run.
const OF_ONE: [&str; 5] =
    ["-Ln --stats", "-Ln --rate --exact", "-Ln --thresholds", "-L --persistent-conn", "-Ln --tun-info"];

/// What a program said, and its status.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    out: String,
    err: String,
    status: Option<i32>,
}

/// One of the two programs.
struct Program {
    file: PathBuf,
    // Keeps the directory of the link.
    _home: Option<tempfile::TempDir>,
}

impl Program {
    fn theirs() -> Program {
        Program { file: "/usr/sbin/ipvsadm".into(), _home: None }
    }

    fn ours() -> Program {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("ipvsadm");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_holdfastctl"), &file).expect("a link");
        Program { file, _home: Some(home) }
    }

    fn run(&self, words: &[String], input: &str) -> Said {
        let mut command = Command::new(&self.file);
        std::os::unix::process::CommandExt::arg0(&mut command, "ipvsadm");
        command.args(words).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that does not read its input to the end is no fault here.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Said { out: text(&output.stdout), err: text(&output.stderr), status: output.status.code() }
    }

    fn line(&self, line: &str) -> Said {
        self.run(&words(line), "")
    }
}

/// Words between blanks; '...' keeps blanks and may be empty.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

type Rows = Vec<(RawService, Vec<RawDestination>)>;

/// The kernel's table, in the kernel's order.
fn table(ipvs: &mut RawIpvs) -> Rows {
    let services = ipvs.services().expect("services are listed");
    services
        .into_iter()
        .map(|service| (service.clone(), ipvs.destinations(&service).expect("listed")))
        .collect()
}

fn wipe(ipvs: &mut RawIpvs) {
    ipvs.flush().expect("the table is emptied");
    ipvs.set_timeouts(RawTimeouts { tcp: 900, tcp_fin: 120, udp: 300 }).expect("timeouts are set");
    for daemon in ipvs.daemons().expect("daemons are listed") {
        ipvs.stop_daemon(&daemon).expect("a daemon stops");
    }
}

/// Reports every difference at the end, so that one run shows them all.
#[derive(Default)]
struct Differences(String);

impl Differences {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, theirs: &T, ours: &T) {
        if theirs != ours {
            writeln!(self.0, "== {what}\n theirs {theirs:#?}\n ours   {ours:#?}").expect("text grows");
        }
    }
}

impl Differences {
    /// Of listings that are equally long only the lines that differ.
    fn listings(&mut self, what: &str, theirs: &Said, ours: &Said) {
        self.compare(what, &(&theirs.err, theirs.status), &(&ours.err, ours.status));
        if theirs.out.lines().count() != ours.out.lines().count() {
            return self.compare(what, &theirs.out, &ours.out);
        }
        for (number, (wanted, had)) in (1..).zip(theirs.out.lines().zip(ours.out.lines())) {
            self.compare(&format!("{what}, line {number}"), &wanted, &had);
        }
    }
}

impl Drop for Differences {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{}", self.0);
        }
    }
}

#[test]
fn command_lines_do_and_say_the_same() {
    in_namespace(|_| {
        let (theirs, ours) = (Program::theirs(), Program::ours());
        let mut ipvs = RawIpvs::open().expect("IPVS");
        let mut differences = Differences::default();
        let lines = include_str!("ipvsadm_kernel/lines.txt");
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let mut results = Vec::new();
            for program in [&theirs, &ours] {
                wipe(&mut ipvs);
                let said = program.line(line);
                let (daemons, timeouts) = (ipvs.daemons().expect("listed"), ipvs.timeouts().expect("listed"));
                results.push((said, table(&mut ipvs), daemons, timeouts));
            }
            differences.compare(line, &results[0], &results[1]);
        }
    });
}

/// A line of commands whose refusals depend on what is there: the same line twice, and against a small table.
#[test]
fn refusals_of_the_kernel_are_worded_alike() {
    in_namespace(|_| {
        let (theirs, ours) = (Program::theirs(), Program::ours());
        let mut ipvs = RawIpvs::open().expect("IPVS");
        let mut differences = Differences::default();
        let some = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m\n";
        for line in [
            "-A -t 10.0.0.1:80 -s rr",
            "-A -t 10.0.0.2:80 -s nosuch",
            "-A -t 10.0.0.2:80 --pe nosuch",
            "-E -t 10.0.0.2:80",
            "-E -t 10.0.0.1:80 -s nosuch",
            "-D -t 10.0.0.2:80",
            "-Z -t 10.0.0.2:80",
            "-L -t 10.0.0.2:80",
            "-Ln -t 10.0.0.1:80",
            "-Ln -t 10.0.0.1:80 --stats",
            "-a -t 10.0.0.2:80 -r 10.1.0.1",
            "-a -t 10.0.0.1:80 -r 10.1.0.1",
            "-a -t 10.0.0.1:80 -r 224.0.0.1",
            "-a -t 10.0.0.1:80 -r 10.1.0.2 -x 5 -y 6",
            "-e -t 10.0.0.1:80 -r 10.1.0.9",
            "-e -t 10.0.0.2:80 -r 10.1.0.9",
            "-e -t 10.0.0.1:80 -r 10.1.0.1 -m -w 9",
            "-d -t 10.0.0.1:80 -r 10.1.0.9",
            "-d -t 10.0.0.2:80 -r 10.1.0.9",
            "-d -t 10.0.0.1:80 -r 10.1.0.1",
            "--start-daemon master --mcast-interface nosuch",
            "--stop-daemon backup",
            "--set 1 0 3",
            "-L --timeout",
        ] {
            let mut results = Vec::new();
            for program in [&theirs, &ours] {
                wipe(&mut ipvs);
                assert_eq!(theirs.run(&words("-R"), some).status, Some(0));
                results.push((program.line(line), table(&mut ipvs), ipvs.timeouts().expect("listed")));
            }
            differences.compare(line, &results[0], &results[1]);
        }
    });
}

#[test]
fn restores_that_fail_fail_alike() {
    in_namespace(|_| {
        let (theirs, ours) = (Program::theirs(), Program::ours());
        let mut ipvs = RawIpvs::open().expect("IPVS");
        let mut differences = Differences::default();
        for middle in [
            "",
            "   \t ",
            "# comment",
            "ipvsadm",
            "ipvsadm -A -t 10.3.0.9:80",
            "ipvsadm ipvsadm -A -t 10.3.0.9:80",
            "foo -A -t 10.3.0.9:80",
            "-A -t \"10.3.0.9:80\"",
            "-A\t-t  10.3.0.9:80   -s rr",
            "-A -t 10.3.0.1:80",
            "-A -t 10.3.0.9:80 -Q",
            "-A -t 10.3.0.9:80 extra",
            "-a -t 10.3.0.1:80 -r 10.1.0.1:80 -w x",
            "-D -t 10.9.9.9:80",
            "-L -n",
            "-L -n -t 10.9.9.9:80",
            "-a -t 10.3.0.9:80 -r 10.1.0.1",
            "-a -t 10.3.0.1:80 -r 224.0.0.1",
            "-d -t 10.3.0.1:80 -r 10.1.0.1\n",
            "-E -t 10.9.9.9:80\n-L -n -t 10.3.0.1:80",
            "-A -t 10.3.0.3:80 -s nosuch\nipvsadm",
            "--stop-daemon backup",
            "-S -n",
            "-R",
            "-n -A",
            "-C",
        ] {
            let first = format!("-A -t 10.3.0.1:80 -s rr\n{middle}\n");
            // The status is that of the last line.
            for input in [format!("{first}-A -t 10.3.0.2:80 -s wrr\n"), first] {
                let mut results = Vec::new();
                for program in [&theirs, &ours] {
                    wipe(&mut ipvs);
                    results.push((program.run(&words("-R"), &input), table(&mut ipvs)));
                }
                differences.compare(&input, &results[0], &results[1]);
            }
        }
        wipe(&mut ipvs);
        let unfinished = "-A -t 10.3.0.1:80 -s rr";
        assert_eq!(ours.run(&words("-R"), unfinished).status, Some(0));
        assert_eq!(table(&mut ipvs).len(), 1, "a last line without its end counts");
    });
}

/// The interface hf0.
fn link_for_daemons() {
    for line in ["link add hf0 type dummy", "link set hf0 up multicast on", "address add 10.0.0.5/24 dev hf0"]
    {
        let done = Command::new("/sbin/ip").args(line.split(' ')).status().expect("ip starts");
        assert!(done.success(), "ip {line}");
    }
}

#[test]
fn synchronisation_daemons_are_started_and_listed_alike() {
    in_namespace(|_| {
        let (theirs, ours) = (Program::theirs(), Program::ours());
        let mut ipvs = RawIpvs::open().expect("IPVS");
        link_for_daemons();
        let mut differences = Differences::default();
        for line in [
            "--start-daemon master --mcast-interface hf0",
            "--start-daemon backup --mcast-interface hf0 --syncid 5",
            "--start-daemon master --mcast-interface hf0 --syncid 7 --mcast-group 224.0.0.99 --mcast-port 99 --mcast-ttl 3 --sync-maxlen 1000",
            "--start-daemon master --mcast-interface hf0 --mcast-group ff02::99",
        ] {
            let mut results = Vec::new();
            for program in [&theirs, &ours] {
                wipe(&mut ipvs);
                let started = program.line(line);
                let again = program.line(line);
                let rows = ipvs.daemons().expect("listed");
                let listed = (theirs.line("-L --daemon"), ours.line("-L --daemon"));
                differences.compare(&format!("-L --daemon after {line}"), &listed.0, &listed.1);
                let stopped = program.line(if line.contains("backup") {
                    "--stop-daemon backup"
                } else {
                    "--stop-daemon master"
                });
                results.push((started, again, rows, stopped));
            }
            differences.compare(line, &results[0], &results[1]);
        }
        wipe(&mut ipvs);
    });
}

/// xorshift64*: the same tables in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize] // below the length
    }
}

/// Commands for a random table; some services are named twice, and then refused.
fn random_table(seed: u64) -> String {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut text = String::new();
    if random.below(3) == 0 {
        let [tcp, fin, udp] = [3000, 200, 400].map(|bound| random.below(bound));
        writeln!(text, "--set {tcp} {fin} {udp}").expect("text grows");
    }
    if random.below(4) == 0 {
        let role = random.one_of(&["master", "backup"]);
        let id = random.below(256);
        writeln!(text, "--start-daemon {role} --mcast-interface hf0 --syncid {id}").expect("text grows");
    }
    for _ in 0..random.below(12) {
        let six = random.below(3) == 0;
        let port = [80, 443, 53, 5060, 8080, 65_535][random.below(6) as usize];
        let low = random.below(250) + 1;
        let head = match six {
            false => random.one_of(&["10.0.0", "192.168.7", "172.16.3", "9.255.1", "203.0.113"]).to_owned(),
            true => random.one_of(&["2001:db8:", "fd00:1111:2222:3333:4444:5555:6666", "ff05:0:"]).to_owned(),
        };
        let protocol = random.one_of(&["-t", "-u", "--sctp-service"]);
        let service = match (random.below(5), six) {
            (0, false) => format!("-f {}", random.below(1 << 31) + random.below(1 << 31) + 1),
            (0, true) => format!("-f {} -6", random.below(9) + 1),
            (_, false) => format!("{protocol} {head}.{low}:{port}"),
            (_, true) => format!("{protocol} [{head}:{low:x}]:{port}"),
        };
        let scheduler =
            random.one_of(&["rr", "wrr", "lc", "wlc", "sh", "mh", "lblc", "dh", "sed", "nq", "fo", "ovf"]);
        write!(text, "-A {service} -s {scheduler}").expect("text grows");
        if random.below(3) == 0 {
            write!(text, " -p {}", random.below(9000) + 1).expect("text grows");
            if random.below(2) == 0 {
                let mask = if six { "64" } else { "255.255.0.0" };
                write!(text, " -M {mask}").expect("text grows");
            }
        }
        if random.below(6) == 0 {
            text += " -b flag-1,flag-3";
        }
        if service.starts_with("-u") && random.below(3) == 0 {
            text += " -o";
        }
        if service.starts_with("-u") && random.below(4) == 0 {
            text += " --pe sip";
        }
        text += "\n";
        for _ in 0..random.below(7) {
            let low = random.below(250) + 1;
            let tunnel = random.below(3) == 0;
            // Tunnels may lead to the other family.
            let six = if tunnel && random.below(3) == 0 { !six } else { six };
            let server = match six {
                false => format!(
                    "{}.{low}:{port}",
                    random.one_of(&["10.9.9", "192.168.77", "200.1.1", "172.31.9"])
                ),
                true => format!(
                    "[{}:{low:x}]:{port}",
                    random.one_of(&["2001:db8:1:", "fd00:aaaa:bbbb:cccc:dddd:eeee:ffff"])
                ),
            };
            let method = match tunnel {
                false => random.one_of(&["-g", "-m", ""]),
                true => random.one_of(&[
                    "-i",
                    "-i --tun-type gre",
                    "-i --tun-type gre --tun-csum",
                    "-i --tun-type gue --tun-port 6080",
                    "-i --tun-type gue --tun-port 1 --tun-remcsum",
                    "-i --tun-type gue --tun-port 65535 --tun-csum",
                ]),
            };
            let weight = [0, 1, 3, 100, 65_536, 2_147_483_647][random.below(6) as usize];
            write!(text, "-a {service} -r {server} {method} -w {weight}").expect("text grows");
            if random.below(4) == 0 {
                write!(text, " -x {} -y {}", random.below(1000) + 500, random.below(500))
                    .expect("text grows");
            }
            text += "\n";
        }
    }
    text
}

/// Every listing there is, as lines of `-R`.
fn every_listing(table: &str) -> String {
    let mut lines = LISTINGS.join("\n") + "\n";
    let services = table.lines().filter_map(|line| line.strip_prefix("-A ")?.split(" -s ").next());
    for service in services.take(1) {
        OF_ONE.iter().for_each(|options| writeln!(lines, "{options} {service}").expect("text grows"));
    }
    lines
}

/// Timeouts and daemons beside the rows.
fn everything(ipvs: &mut RawIpvs) -> (Rows, RawTimeouts, Vec<RawDaemon>) {
    let around = (ipvs.timeouts().expect("listed"), ipvs.daemons().expect("listed"));
    (table(ipvs), around.0, around.1)
}

#[test]
fn random_tables_are_restored_and_listed_alike_by_both() {
    in_namespace(|_| {
        let (theirs, ours) = (Program::theirs(), Program::ours());
        let mut ipvs = RawIpvs::open().expect("IPVS");
        link_for_daemons();
        let mut differences = Differences::default();
        let (mut rows, mut lines) = (0, 0);
        for (seed, alone) in (1..=TABLES).zip(LISTINGS.iter().cycle()) {
            let text = random_table(seed);
            let listings = every_listing(&text);
            let list = |program: &Program| program.run(&words("-R"), &listings);
            wipe(&mut ipvs);
            let theirs_restored = theirs.run(&words("-R"), &text);
            let written = everything(&mut ipvs);
            rows += written.0.iter().map(|(_, servers)| 1 + servers.len()).sum::<usize>();
            let listed = list(&theirs);
            lines += listed.out.lines().count();
            differences.listings(&format!("table {seed} by theirs, listed by ours"), &listed, &list(&ours));
            let said = theirs.line(alone);
            differences.compare(&format!("table {seed} {alone}"), &said, &ours.line(alone));
            assert!(listed.out.contains(&said.out), "what -R lists is what the command line does: {alone}");
            wipe(&mut ipvs);
            let ours_restored = ours.run(&words("-R"), &text);
            differences.compare(&format!("table {seed} -R"), &theirs_restored, &ours_restored);
            differences.compare(&format!("table {seed} in the kernel"), &written, &everything(&mut ipvs));
            differences.listings(&format!("table {seed} by ours, listed by theirs"), &listed, &list(&theirs));
            differences.listings(&format!("table {seed} by ours, listed by ours"), &listed, &list(&ours));
        }
        wipe(&mut ipvs);
        println!(
            "{TABLES} tables, {rows} rows, {} ways to list, {lines} lines",
            LISTINGS.len() + OF_ONE.len()
        );
        assert!(rows > 500 && lines > 10_000, "the tables were worth it: {rows} rows, {lines} lines");
    });
}

#[test]
fn traffic_and_connections_are_shown_alike() {
    in_namespace(|_| {
        let (theirs, ours) = (Program::theirs(), Program::ours());
        RawIpvs::open().expect("IPVS");
        let mut route = RouteSocket::open().expect("a socket");
        let vip = VirtualAddress::new(IpCidr::host([192, 0, 2, 1].into()));
        assert_eq!(route.apply(&[AddressOp::add(LOOPBACK, &vip)]), [Ok(())]);
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = server.local_addr().expect("it is bound").port();
        let text = format!("-A -t 192.0.2.1:80 -s rr -p 60\n-a -t 192.0.2.1:80 -r 127.0.0.1:{port} -m\n");
        assert_eq!(ours.run(&words("-R"), &text).status, Some(0));
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push((
                TcpStream::connect("192.0.2.1:80").expect("served"),
                server.accept().expect("served"),
            ));
        }
        for line in [
            "-Ln",
            "-Ln --stats",
            "-Ln --stats --exact",
            "-Ln --rate",
            "-Ln --persistent-conn",
            "-Lnc",
            "-Lc",
            "-Lnc --persistent-conn",
        ] {
            // Clocks run between the two: until both fall into the same second.
            let start = Instant::now();
            let (mut wanted, mut had) = (theirs.line(line), ours.line(line));
            while wanted != had && start.elapsed() < LIMIT {
                (wanted, had) = (theirs.line(line), ours.line(line));
            }
            assert_eq!(wanted, had, "{line}");
        }
        assert!(ours.line("-Lnc").out.contains("ESTABLISHED"), "connections are there");
    });
}
