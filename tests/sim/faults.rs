//! What goes wrong: drawn before each stormy stretch, done when its time comes.

use super::clock::MS;
use super::kernel::tracked_things;
use super::model::lan_of;
use super::network::Conditions;
use super::node::Process;
use super::rng::Rng;
use super::scenario;
use super::world::World;
use holdfast::net::{AddressFamily, IpCidr};
use holdfast::plan::Generation;
use holdfast::plan::track::{Sample, TrackerKey};
use holdfast::plan::vrrp::{RouterKey, VrrpPlan};
use holdfast::vrrp::{Command, Event, Maintenance, Upkeep};
use std::collections::BTreeSet;
use std::time::Duration;

/// Something done to the network, a kernel or a process.
#[derive(Clone, Debug)]
pub enum Deed {
    Weather {
        lan: usize,
        conditions: Conditions,
    },
    Partition {
        lan: usize,
        groups: Vec<u8>,
    },
    OneWay {
        lan: usize,
        from: usize,
        to: usize,
    },
    Start {
        node: usize,
    },
    /// As `Start`; the supervisor does it some milliseconds after the process died.
    StartSoon {
        node: usize,
    },
    /// The process dies; its kernel keeps the addresses.
    Crash {
        node: usize,
    },
    Stop {
        node: usize,
        release: bool,
    },
    /// `holdfastctl failover`: every instance, and for how long the successor is left in peace.
    Failover {
        node: usize,
        hold: u64,
    },
    /// `holdfastctl maintenance`: one instance, or all; `None` takes everything out of it.
    Maintain {
        node: usize,
        instance: Option<String>,
        upkeep: Option<Upkeep>,
    },
    Pause {
        node: usize,
    },
    Resume {
        node: usize,
    },
    /// A cable is pulled or plugged; addresses stay.
    Link {
        node: usize,
        lan: usize,
        up: bool,
    },
    /// `ip link set down`: the kernel takes the IPv6 addresses off. `Link` up brings the link-local one back.
    AdminDown {
        node: usize,
        lan: usize,
    },
    /// The interface is deleted, and made again with another index.
    Vanish {
        node: usize,
        lan: usize,
    },
    Appear {
        node: usize,
        lan: usize,
    },
    /// Percent of operations that fail, and time added to each.
    KernelTrouble {
        node: usize,
        failing: u64,
        stall: u64,
    },
    /// Somebody removes an address of ours.
    Thief {
        node: usize,
    },
    /// A script or a file on the machine says something else.
    Sample {
        node: usize,
        key: TrackerKey,
        sample: Sample,
    },
    ReloadSame {
        node: usize,
    },
    ReloadChanged {
        node: usize,
    },
    /// The kernel repeats what it said.
    Repeat {
        node: usize,
    },
}

/// A stormy stretch of `length`: when, what.
pub fn draw(rng: &mut Rng, nodes: usize, lans: usize, length: u64) -> Vec<(u64, Deed)> {
    let mut deeds = Vec::new();
    for _ in 0..rng.between(2, 12) {
        let at = rng.below(length);
        let (deed, undo) = draw_one(rng, nodes, lans);
        deeds.push((at, deed));
        if let Some(undo) = undo {
            let soon = matches!(undo, Deed::StartSoon { .. });
            let lasts = if soon { 50 * MS } else { *rng.pick(&[20 * MS, 500 * MS, 2000 * MS, 5000 * MS]) };
            deeds.push((at + rng.between(MS, lasts), undo));
        }
    }
    deeds
}

fn draw_one(rng: &mut Rng, nodes: usize, lans: usize) -> (Deed, Option<Deed>) {
    let (node, lan) = (rng.index(nodes), rng.index(lans));
    match rng.below(27) {
        0 | 1 => (
            Deed::Weather { lan, conditions: Conditions::draw(rng) },
            Some(Deed::Weather { lan, conditions: Conditions::CALM }),
        ),
        2 => {
            let groups = draw_groups(rng, nodes);
            (Deed::Partition { lan, groups }, Some(Deed::Partition { lan, groups: vec![0; nodes] }))
        }
        3 => (Deed::OneWay { lan, from: node, to: rng.index(nodes) }, None),
        4 | 5 => (Deed::Crash { node }, Some(Deed::Start { node })),
        20 | 21 => (Deed::Crash { node }, Some(Deed::StartSoon { node })),
        6 => (Deed::Stop { node, release: rng.chance(80) }, Some(Deed::Start { node })),
        22 => (Deed::Stop { node, release: true }, Some(Deed::Start { node })),
        // As an upgrade ends it.
        23 => (Deed::Stop { node, release: false }, Some(Deed::StartSoon { node })),
        24 | 25 => (Deed::Failover { node, hold: draw_hold(rng) }, None),
        26 => (draw_maintenance(rng, node), Some(Deed::Maintain { node, instance: None, upkeep: None })),
        7 => (Deed::Pause { node }, Some(Deed::Resume { node })),
        8 => (Deed::Link { node, lan, up: false }, Some(Deed::Link { node, lan, up: true })),
        9 | 15..=17 => (
            Deed::KernelTrouble {
                node,
                failing: *rng.pick(&[0, 30, 60, 100]),
                stall: *rng.pick(&[0, 50 * MS, 1000 * MS]),
            },
            Some(Deed::KernelTrouble { node, failing: 0, stall: 0 }),
        ),
        10 => (Deed::Thief { node }, None),
        18 | 19 => {
            let (key, samples) = rng.pick(&tracked_things()).clone();
            let sample = |sample| Deed::Sample { node, key: key.clone(), sample };
            (sample(*rng.pick(samples)), rng.chance(60).then(|| sample(samples[0])))
        }
        11 => (Deed::ReloadChanged { node }, None),
        12 => (Deed::AdminDown { node, lan }, Some(Deed::Link { node, lan, up: true })),
        13 => (Deed::Vanish { node, lan }, Some(Deed::Appear { node, lan })),
        _ => (if rng.chance(50) { Deed::ReloadSame { node } } else { Deed::Repeat { node } }, None),
    }
}

/// How long a failover's successor is left in peace.
pub fn draw_hold(rng: &mut Rng) -> u64 {
    *rng.pick(&[300, 2000, 9000]) * MS
}

fn draw_maintenance(rng: &mut Rng, node: usize) -> Deed {
    let instance = rng.chance(40).then(|| format!("VI_{}", rng.below(4)));
    Deed::Maintain { node, instance, upkeep: Some(Upkeep { allow_last: rng.chance(40) }) }
}

/// Sides of a partition, one per node.
pub fn draw_groups(rng: &mut Rng, nodes: usize) -> Vec<u8> {
    (0..nodes).map(|_| rng.below(2) as u8).collect()
}

impl World {
    /// Do it. What makes no sense now (stopping a dead process) is left out.
    pub fn inflict(&mut self, deed: Deed) {
        let line = format!("-- {deed:?}");
        self.trace.line(self.now, &line);
        match deed {
            Deed::Weather { lan, conditions } => self.network.set_conditions(lan, conditions),
            Deed::Partition { lan, groups } => self.network.partition(lan, groups),
            Deed::OneWay { lan, from, to } => self.network.cut_one_way(lan, from, to),
            Deed::Start { node } | Deed::StartSoon { node } => self.start(node),
            Deed::Crash { node } => self.crash(node),
            Deed::Stop { node, release } => self.stop(node, release),
            Deed::Failover { node, hold } => {
                let hold = Duration::from_nanos(hold);
                self.order(node, Event::Failover { routers: Vec::new(), hold });
            }
            Deed::Maintain { node, instance, upkeep } => self.maintain(node, instance, upkeep),
            Deed::Pause { node } => {
                if self.nodes[node].runs() {
                    self.nodes[node].process = Process::Paused;
                }
            }
            Deed::Resume { node } => {
                if self.nodes[node].process == Process::Paused {
                    self.nodes[node].process = Process::Running;
                    self.nodes[node].departures.values_mut().for_each(|departure| departure.paused = true);
                    self.nodes[node].lingering.values_mut().for_each(|one| one.paused = true);
                    self.run_node(node);
                }
            }
            Deed::Link { node, lan, up } => self.set_link(node, lan, up),
            Deed::AdminDown { node, lan } => self.admin_down(node, lan),
            Deed::Vanish { node, lan } => self.vanish(node, lan),
            Deed::Appear { node, lan } => {
                if !self.nodes[node].kernel.interfaces[lan].exists {
                    self.nodes[node].kernel.interfaces[lan].remake();
                    self.tell_facts(node, lan);
                }
            }
            Deed::KernelTrouble { node, failing, stall } => {
                self.nodes[node].kernel.failing = failing;
                self.nodes[node].kernel.stall = stall;
            }
            Deed::Thief { node } => self.steal(node),
            Deed::Sample { node, key, sample } => {
                self.nodes[node].kernel.samples.insert(key.clone(), sample);
                self.tell(node, Event::Tracker(key, Some(sample)));
            }
            Deed::ReloadSame { node } => {
                let plan = self.nodes[node].wanted.clone();
                self.reload(node, plan);
            }
            Deed::ReloadChanged { node } => {
                let mut plan = self.nodes[node].wanted.clone();
                if self.faults.chance(30) {
                    plan = self.originals[node].clone();
                } else {
                    scenario::change(&mut self.faults, &mut plan);
                }
                self.reload(node, plan);
            }
            Deed::Repeat { node } => {
                for at in 0..self.nodes[node].kernel.interfaces.len() {
                    self.tell_facts(node, at);
                }
            }
        }
    }

    /// The process is gone without a word; what it noted stays.
    pub(super) fn crash(&mut self, node: usize) {
        if self.nodes[node].process != Process::Dead {
            self.note_record(node);
        }
        self.nodes[node].end();
    }

    /// What the process has noted of its routers so far.
    pub(super) fn note_record(&mut self, node: usize) {
        let clock = self.nodes[node].clock;
        let spoke = &self.invariants.spoke;
        let at = |key: &RouterKey| spoke.get(&(node, key.clone())).map(|at| clock.read(*at));
        self.nodes[node].note_record(at);
    }

    fn stop(&mut self, node: usize, release: bool) {
        if self.nodes[node].process != Process::Dead {
            let stopping = &mut self.nodes[node].stopping;
            *stopping = Some(release && stopping.unwrap_or(true));
            self.hand_over(node, Event::Command(Command::Stop { release }));
        }
    }

    fn order(&mut self, node: usize, order: Event) {
        if self.nodes[node].process != Process::Dead {
            self.hand_over(node, order);
        }
    }

    /// The supervisor keeps it and tells the process.
    fn maintain(&mut self, node: usize, instance: Option<String>, upkeep: Option<Upkeep>) {
        let maintenance = &mut self.nodes[node].kernel.maintenance;
        match (instance, upkeep) {
            (None, None) => *maintenance = Maintenance::default(),
            (None, upkeep) => maintenance.all = upkeep,
            (Some(name), Some(upkeep)) => drop(maintenance.routers.insert(name, upkeep)),
            (Some(name), None) => drop(maintenance.routers.remove(&name)),
        }
        let order = Event::Maintenance(maintenance.clone());
        self.order(node, order);
    }

    /// The process hears of it a little later. Interfaces stand in the order of their LANs.
    fn set_link(&mut self, node: usize, lan: usize, up: bool) {
        let interface = &mut self.nodes[node].kernel.interfaces[lan];
        if interface.exists && interface.set_up(up) {
            self.tell_facts(node, lan);
        }
        let interface = &mut self.nodes[node].kernel.interfaces[lan];
        if interface.works() && !interface.has_link_local {
            interface.has_link_local = true;
            self.tell_facts(node, lan);
        }
    }

    fn admin_down(&mut self, node: usize, lan: usize) {
        if self.nodes[node].kernel.interfaces[lan].exists {
            self.nodes[node].kernel.interfaces[lan].has_link_local = false;
            self.take_off(node, lan, |cidr| cidr.family() == AddressFamily::V6);
            self.nodes[node].kernel.interfaces[lan].set_up(false);
            self.tell_facts(node, lan);
        }
    }

    fn vanish(&mut self, node: usize, lan: usize) {
        if self.nodes[node].kernel.interfaces[lan].exists {
            self.take_off(node, lan, |_| true);
            let interface = &mut self.nodes[node].kernel.interfaces[lan];
            interface.exists = false;
            let index = interface.index;
            self.tell(node, Event::InterfaceGone { index });
        }
    }

    /// The kernel removes addresses and says so.
    fn take_off(&mut self, node: usize, lan: usize, which: impl Fn(&IpCidr) -> bool) {
        let interface = &mut self.nodes[node].kernel.interfaces[lan];
        let index = interface.index;
        for cidr in interface.take_off(which) {
            self.tell(node, Event::AddressRemoved { index, cidr });
        }
    }

    fn steal(&mut self, node: usize) {
        let held = self.nodes[node].kernel.held();
        if held.is_empty() {
            return;
        }
        let (name, cidr) = self.faults.pick(&held).clone();
        let lan = lan_of(&name);
        // A core that waits to ask for the address again lets its wait run on.
        // One that hands over, or has yielded, asks for nothing any more: what is stolen then stays away.
        let it = &mut self.nodes[node];
        it.awry |= it.may_try_again || !it.departures.is_empty() || !it.lingering.is_empty();
        self.take_off(node, lan, |held| *held == cidr);
        self.tell_facts(node, lan);
    }

    fn reload(&mut self, node: usize, mut plan: VrrpPlan) {
        plan.generation = Generation(self.nodes[node].wanted.generation.0 + 1);
        self.nodes[node].wanted = plan.clone();
        if self.nodes[node].process == Process::Dead {
            return;
        }
        let tracked = |plan: &VrrpPlan| -> BTreeSet<TrackerKey> {
            plan.routers.iter().flat_map(|r| r.trackers.iter().map(|t| t.tracker.clone())).collect()
        };
        let (before, after) = (tracked(&self.nodes[node].applied), tracked(&plan));
        self.hand_over(node, Event::Plan(plan));
        // What nobody tracked is looked at from now on, and said.
        for key in after.difference(&before) {
            let sample = self.nodes[node].kernel.samples.get(key).copied();
            self.tell(node, Event::Tracker(key.clone(), sample));
        }
    }
}
