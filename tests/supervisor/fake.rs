//! A role that does what a test wants. It is told through files in the folder named by FAKE_DIR:
//! `compiled` holds what the compile role answers (JSON, or `hang`, `die`, `garbage`); `vrrp`, `checker`, `scripts`, `bfd` and
//! `snmp` hold a word for that role (`crash`, `silent`, `deaf`, `mute`, `garbage`, `failover`, `late`, `samples`, `claims`,
//! `tells`, `secretive`, `asks`). Every order it hears becomes a line of `orders`.

use holdfast::check::held::HeldVerdict;
use holdfast::link::frame::{Decoder, encode};
use holdfast::link::kept::CompileAnswer;
use holdfast::link::{
    Claimed, Compiled, FromBfd, FromChecker, FromScripts, FromSnmp, FromVrrp, News, ToBfd, ToChecker,
    ToScripts, ToSnmp, ToVrrp,
};
use holdfast::lvs::traffic::orders::Order;
use holdfast::lvs::traffic::{Hand, Override, Overrides, ServerName, Wall};
use holdfast::net::{AddressFamily, Priority, VirtualRouterId};
use holdfast::plan::Generation;
use holdfast::plan::check::WeightChange;
use holdfast::plan::lvs::ServiceKey;
use holdfast::plan::track::{Sample, TrackerKey, TrackerKind};
use holdfast::plan::vrrp::RouterKey;
use holdfast::report::{
    BfdStatus, CheckNowReport, CheckerStatus, ChecksReport, ScriptsStatus, SnmpStatus, TrafficOutcome,
    VrrpStatus,
};
use holdfast::time::Instant;
use holdfast::vrrp::{ClaimId, ClaimOrder, RouterId, State, Transition, TransitionCause};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Longer than any test waits.
const FOREVER: Duration = Duration::from_secs(3600);

pub fn be_role(words: &[String]) -> ExitCode {
    let folder = PathBuf::from(std::env::var_os("FAKE_DIR").expect("set by the test"));
    let name = words.get(1).expect("--role NAME").clone();
    let role = name.parse().expect("a role of ours");
    let link = holdfast::role::take_link(role).expect("a link as file descriptor 0");
    let mode = read(&folder.join(&name));
    let mut fake = Fake { mode, name, folder, link, overrides: Overrides::default() };
    match role {
        holdfast::role::Role::Compile => fake.compile(words),
        holdfast::role::Role::Vrrp => fake.vrrp(),
        holdfast::role::Role::Checker => fake.checker(),
        holdfast::role::Role::Scripts => fake.scripts(),
        holdfast::role::Role::Bfd => fake.bfd(),
        holdfast::role::Role::Snmp => fake.snmp(),
    }
}

fn read(path: &std::path::Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

struct Fake {
    name: String,
    mode: String,
    folder: PathBuf,
    link: UnixStream,
    /// What was said of traffic by hand.
    overrides: Overrides,
}

impl Fake {
    fn note(&self, what: &str) {
        let line = format!("{} {what}\n", self.name);
        let path = self.folder.join("orders");
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(path).expect("a folder of the test");
        file.write_all(line.as_bytes()).expect("a short line");
    }

    fn say<T: Serialize>(&mut self, message: &T) {
        if self.mode == "mute" {
            return;
        }
        let frame = encode(message).expect("a small message");
        // The supervisor may be gone: the next read says so.
        self.link.write_all(&frame).ok();
    }

    fn compile(&mut self, words: &[String]) -> ExitCode {
        let after =
            |flag: &str| words.iter().position(|w| w == flag).and_then(|at| words.get(at + 1)).cloned();
        let generation: u64 = after("--generation").expect("given").parse().expect("a number");
        let wanted: Vec<&str> =
            ["--vrrp", "--check"].into_iter().filter(|flag| words.iter().any(|w| w == flag)).collect();
        self.note(&format!("{generation} {}", wanted.join(" ")));
        match read(&self.folder.join("compiled")).as_str() {
            "hang" => std::thread::sleep(FOREVER),
            "die" => std::process::abort(),
            "garbage" => self.link.write_all(&[0, 0, 0, 1, b'{']).expect("the supervisor reads"),
            text => {
                let mut compiled: Compiled = serde_json::from_str(text).expect("JSON of the test");
                if let Some(plans) = &mut compiled.plans {
                    plans.vrrp.generation = Generation(generation);
                    plans.lvs.generation = Generation(generation);
                    plans.scripts.generation = Generation(generation);
                    plans.bfd.generation = Generation(generation);
                    plans.snmp.generation = Generation(generation);
                }
                self.say(&CompileAnswer::try_from(compiled).expect("a small plan"));
            }
        }
        ExitCode::SUCCESS
    }

    /// Calls `obey` for each order until it wants to exit or the link ends.
    fn orders<T: DeserializeOwned>(&mut self, mut obey: impl FnMut(&mut Fake, T) -> Option<u8>) -> ExitCode {
        let mut decoder = Decoder::default();
        let mut octets = [0; 4096];
        loop {
            let count = self.link.read(&mut octets).unwrap_or(0);
            if count == 0 {
                self.note("eof");
                return ExitCode::from(3);
            }
            decoder.push(&octets[..count]);
            while let Some(order) = decoder.message().expect("orders are well formed") {
                if let Some(status) = obey(self, order) {
                    return ExitCode::from(status);
                }
            }
        }
    }

    fn planned(&mut self, generation: u64, count: usize) {
        self.note(&format!("plan {generation} of {count}"));
        match self.mode.as_str() {
            "crash" => std::process::abort(),
            "silent" => std::thread::sleep(FOREVER),
            "garbage" => self.link.write_all(&[0, 0, 0, 1, b'{']).expect("the supervisor reads"),
            _ => {}
        }
    }

    fn stop(&mut self, release: bool) -> Option<u8> {
        self.note(&format!("stop release={release}"));
        (self.mode != "deaf").then_some(0)
    }

    fn vrrp(&mut self) -> ExitCode {
        self.orders(|fake, order| {
            match order {
                ToVrrp::Process(_) => {}
                ToVrrp::Plan(plan) => {
                    fake.planned(plan.generation.0, plan.routers.len());
                    if fake.mode == "late" && plan.generation.0 > 1 {
                        std::thread::sleep(Duration::from_millis(300));
                        fake.say(&FromVrrp::Transition(transition()));
                    }
                    fake.say(&FromVrrp::Applied(plan.generation));
                    if fake.mode == "failover" {
                        fake.say(&FromVrrp::Transition(transition()));
                    }
                    if fake.mode == "claims" {
                        fake.say(&FromVrrp::Claim(claim()));
                        fake.say(&FromVrrp::Unclaim(ClaimId(4)));
                    }
                }
                ToVrrp::Snapshot(_) if fake.mode == "asked" => std::process::abort(),
                ToVrrp::Snapshot(number) => fake.say(&FromVrrp::Snapshot(number, VrrpStatus::default())),
                ToVrrp::AreYouThere(number) => fake.say(&FromVrrp::Alive(number)),
                ToVrrp::Claimed(claimed) => fake.note(&format!("claimed {:?}", claimed.result)),
                ToVrrp::Tracker(key, sample) => fake.note(&format!("tracker {key} {sample:?}")),
                ToVrrp::TrackerWords(key, words) => fake.note(&format!("words {key} {words}")),
                ToVrrp::Failover { routers, hold } => fake.note(&format!("failover {routers:?} {hold:?}")),
                ToVrrp::Maintenance(maintenance) => fake.note(&format!("maintenance {:?}", maintenance.all)),
                ToVrrp::Stop { release } => {
                    fake.say(&FromVrrp::Stopped);
                    return fake.stop(release);
                }
            }
            None
        })
    }

    fn checker(&mut self) -> ExitCode {
        self.orders(|fake, order| {
            match order {
                ToChecker::Process(_) => {}
                ToChecker::Plan(plan) => {
                    fake.planned(plan.generation.0, plan.virtual_servers.len());
                    if fake.mode == "believes" {
                        for question in [9, 4, 9] {
                            let held = HeldVerdict {
                                question,
                                down: Some("refused".to_owned()),
                                weight: WeightChange::By(1),
                                since_boot: 7,
                            };
                            fake.say(&FromChecker::Verdicts { all: false, list: vec![held] });
                        }
                    }
                    if fake.mode == "tells" {
                        fake.say(&FromChecker::News(quorum_lost()));
                    }
                    fake.say(&FromChecker::Applied(plan.generation));
                }
                ToChecker::Held(all) => fake.note(&format!("held {all:?}")),
                ToChecker::Snapshot(_) if fake.mode == "secretive" => fake.note("asked"),
                ToChecker::Snapshot(number) => {
                    fake.say(&FromChecker::Snapshot(number, CheckerStatus::default()))
                }
                ToChecker::Checks(number, filter) => {
                    fake.note(&format!("checks of {filter}"));
                    fake.say(&FromChecker::Checks(number, ChecksReport::default()));
                }
                ToChecker::CheckNow(number, filter) => {
                    let left_out = vec![filter.to_string()];
                    let report = CheckNowReport { left_out, ..CheckNowReport::default() };
                    fake.say(&FromChecker::CheckedNow(number, report));
                }
                ToChecker::Tracker(key, sample) => fake.note(&format!("tracker {key} {sample:?}")),
                ToChecker::Ran(report) => fake.note(&format!("ran {report:?}")),
                ToChecker::Master(master) => fake.note(&format!("master {master}")),
                ToChecker::Overrides(overrides) => {
                    fake.note(&format!("overrides {}", overrides.0.len()));
                    fake.overrides = overrides;
                }
                ToChecker::Traffic(number, order) => fake.traffic(number, order),
                ToChecker::AreYouThere(number) => fake.say(&FromChecker::Alive(number)),
                ToChecker::Stop { release } => {
                    fake.say(&FromChecker::Stopped);
                    return fake.stop(release);
                }
            }
            None
        })
    }

    /// Takes every drain, and drops everything; nothing else.
    fn traffic(&mut self, number: u64, order: Order) {
        match order {
            Order::Drain { .. } => {
                let server = ServerName { address: [10, 0, 0, 1].into(), port: None };
                let number = self.overrides.0.len() as u32 + 1;
                let hand = Hand::Drain { service: None, server };
                self.overrides.0.push(Override { number, hand, given: Wall(1), until: None, group: None });
            }
            Order::Drop(_) => self.overrides.0.clear(),
            _ => return self.say(&FromChecker::Traffic(number, Err("not by me".to_owned()))),
        }
        self.say(&FromChecker::Overrides(self.overrides.clone()));
        let outcome = TrafficOutcome {
            said: vec!["done".to_owned()],
            warnings: Vec::new(),
            servers: Vec::new(),
            overrides: Vec::new(),
            trouble: Vec::new(),
            table: None,
        };
        self.say(&FromChecker::Traffic(number, Ok(Box::new(outcome))));
    }

    fn scripts(&mut self) -> ExitCode {
        self.orders(|fake, order| {
            match order {
                ToScripts::Held(samples) => {
                    samples.iter().for_each(|(key, sample)| fake.note(&format!("held {key} {sample:?}")));
                }
                ToScripts::Plan(plan) => {
                    fake.planned(plan.generation.0, plan.scripts.len());
                    fake.say(&FromScripts::Applied(plan.generation));
                    if fake.mode == "samples" {
                        let words = "exit status 1".to_owned();
                        fake.say(&FromScripts::TrackerWords(script("script1"), words.clone()));
                        fake.say(&FromScripts::Tracker(script("script1"), Some(Sample::Down)));
                        fake.say(&FromScripts::TrackerWords(script("stranger"), words));
                        fake.say(&FromScripts::Tracker(script("stranger"), Some(Sample::Down)));
                        fake.say(&FromScripts::Tracker(script("script2"), Some(Sample::Up)));
                    }
                }
                ToScripts::Run(order) => fake.note(&format!("run {order:?}")),
                ToScripts::News(News::Instance { name, to, .. }) => {
                    fake.note(&format!("news {name} {}", to.word()));
                }
                ToScripts::News(other) => fake.note(&format!("news {other:?}")),
                ToScripts::Claim(order) => {
                    fake.note(&format!("claim {}", order.name));
                    let (router, claim) = (order.router, order.claim);
                    fake.say(&FromScripts::Claimed(Claimed { router, claim, result: Ok(()) }));
                }
                ToScripts::Unclaim(claim) => fake.note(&format!("unclaim {:?}", claim.map(|claim| claim.0))),
                ToScripts::Snapshot(number) => {
                    fake.say(&FromScripts::Snapshot(number, ScriptsStatus::default()));
                }
                ToScripts::AreYouThere(number) => fake.say(&FromScripts::Alive(number)),
                ToScripts::Stop => {
                    fake.say(&FromScripts::Stopped);
                    return fake.stop(true);
                }
            }
            None
        })
    }

    fn bfd(&mut self) -> ExitCode {
        self.orders(|fake, order| {
            match order {
                ToBfd::Process(_) => {}
                ToBfd::Plan(plan) => {
                    fake.planned(plan.generation.0, plan.sessions.len());
                    fake.say(&FromBfd::Applied(plan.generation));
                    if fake.mode == "samples" {
                        let key = TrackerKey { kind: TrackerKind::Bfd, name: "session1".to_owned() };
                        fake.say(&FromBfd::Tracker(key, Some(Sample::Up)));
                    }
                }
                ToBfd::Snapshot(number) => fake.say(&FromBfd::Snapshot(number, BfdStatus::default())),
                ToBfd::AreYouThere(number) => fake.say(&FromBfd::Alive(number)),
                ToBfd::Stop => {
                    fake.say(&FromBfd::Stopped);
                    return fake.stop(true);
                }
            }
            None
        })
    }

    fn snmp(&mut self) -> ExitCode {
        self.orders(|fake, order| {
            match order {
                ToSnmp::Plan(plan) => {
                    fake.planned(plan.generation.0, plan.virtual_servers.len());
                    fake.say(&FromSnmp::Applied(plan.generation));
                    if fake.mode == "asks" {
                        fake.say(&FromSnmp::Servers);
                    }
                }
                ToSnmp::Servers(status) => {
                    fake.note(&format!("servers {:?}", status.map(|status| status.len())));
                }
                ToSnmp::News(news) => fake.note(&format!("news {news:?}")),
                ToSnmp::Snapshot(number) => fake.say(&FromSnmp::Snapshot(number, SnmpStatus::default())),
                ToSnmp::AreYouThere(number) => fake.say(&FromSnmp::Alive(number)),
                ToSnmp::Stop => {
                    fake.say(&FromSnmp::Stopped);
                    return fake.stop(true);
                }
            }
            None
        })
    }
}

fn quorum_lost() -> News {
    let service = ServiceKey::FwMark { family: AddressFamily::V4, mark: 1 };
    News::VirtualServer { service, up: false, gone: false, cause: "a test".to_owned() }
}

fn script(name: &str) -> TrackerKey {
    TrackerKey { kind: TrackerKind::Script, name: name.to_owned() }
}

fn claim() -> ClaimOrder {
    ClaimOrder {
        claim: ClaimId(3),
        router: RouterId(1),
        name: "web".to_owned(),
        priority: Priority(150),
        addresses: Vec::new(),
        timeout: Duration::from_secs(10),
    }
}

fn transition() -> Transition {
    let vrid = VirtualRouterId::new(51).expect("51 is not 0");
    Transition {
        router: RouterId(1),
        key: RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid),
        name: "web".to_owned(),
        from: State::Backup,
        to: State::Master,
        cause: TransitionCause::MasterResigned { by: [10, 0, 0, 2].into() },
        at: Instant::ZERO,
        priority: Priority(150),
    }
}
