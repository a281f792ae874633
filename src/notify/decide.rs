//! What one piece of news means for those who asked.

use super::Subject;
use super::mail::Letter;
use super::words::{server_label, service_label};
use crate::link::news::{News, Standing};
use crate::plan::lvs::ServiceKey;
use crate::plan::notify::{
    FifoPlan, GroupHooks, InstanceHooks, Known, Listens, NotifyPlan, ServerHooks, ServiceHooks, StateScripts,
};
use crate::plan::scripts::CommandPlan;
use crate::plan::vrrp::RouterKey;
use crate::vrrp::State;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// What is to be done about one piece of news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whom it is about; there when there are commands.
    pub subject: Option<Subject>,
    /// Commands to start beside each other, with all arguments.
    pub commands: Vec<CommandPlan>,
    /// A line for the FIFOs that listen for its kind, if there is any such FIFO.
    pub line: Option<(Listens, Vec<u8>)>,
    /// A mail.
    pub letter: Option<Letter>,
}

/// Knows the hooks, and what has been told last.
#[derive(Debug, Default)]
pub struct Notifier {
    hooks: Hooks,
    /// Of instances and groups that left with the last plan, and of all virtual servers of the one before: the end of what
    /// left is still to be told.
    departed: Hooks,
    fifos: Vec<Listens>,
    mail: Option<Defaults>,
    /// The state that each subject was written about last, since the last plan: keepalived writes once about each.
    mailed: BTreeMap<Subject, &'static str>,
    /// The state of every instance and group that was heard of, with the priority.
    standing: BTreeMap<Subject, (Standing, u8)>,
    /// The instances of the last plan that told states.
    known: Known,
    planned: bool,
}

/// What mail does where a hook says nothing.
#[derive(Clone, Copy, Debug)]
struct Defaults {
    faults: bool,
    servers: bool,
}

/// The hooks of a plan, by whom they belong to.
#[derive(Debug, Default)]
struct Hooks {
    instances: BTreeMap<String, InstanceHooks>,
    groups: BTreeMap<String, GroupHooks>,
    services: BTreeMap<ServiceKey, Service>,
}

#[derive(Debug)]
struct Service {
    hooks: ServiceHooks,
    servers: BTreeMap<SocketAddr, ServerHooks>,
}

impl Notifier {
    /// Takes another plan. Gives the lines that tell the states as they are (`fifo_write_vrrp_states_on_reload`).
    pub fn plan(&mut self, plan: &NotifyPlan) -> Vec<(Listens, Vec<u8>)> {
        let hooks = Hooks::of(plan);
        let mut old = std::mem::replace(&mut self.hooks, hooks);
        old.instances.retain(|name, _| !self.hooks.instances.contains_key(name));
        old.groups.retain(|name, _| !self.hooks.groups.contains_key(name));
        self.departed = old;
        self.mailed.clear(); // as keepalived
        self.fifos = plan.fifos.iter().map(|FifoPlan { listens, .. }| *listens).collect();
        self.mail = plan.mail.as_ref().map(|mail| Defaults { faults: mail.faults, servers: mail.servers });
        let reload = std::mem::replace(&mut self.planned, true);
        if !plan.states_on_reload {
            self.known = Known::default();
            return Vec::new();
        }
        self.rename(&plan.known);
        if !reload {
            return Vec::new();
        }
        let lines = self.standing.iter().map(|(subject, (standing, priority))| match subject {
            Subject::Group(name) => group_line(name, *standing),
            Subject::Instance(name) => instance_line(name, standing.word(), *priority),
            Subject::Service(_) | Subject::Server(..) => Vec::new(), // only instances and groups stand there
        });
        lines.map(|line| (Listens::Vrrp, line)).collect()
    }

    /// What stands is told under the names of today; of what left, its end alone is told.
    fn rename(&mut self, known: &Known) {
        let before = std::mem::replace(&mut self.known, known.clone()).instances;
        let before: HashMap<&RouterKey, &String> = before.iter().map(|(name, key)| (key, name)).collect();
        let standing = std::mem::take(&mut self.standing);
        let stood = |subject: Subject| standing.get(&subject).copied();
        for (name, key) in &known.instances {
            // The last plan may not have asked for this.
            let then = if before.is_empty() { Some(name) } else { before.get(key).copied() };
            let found = then.and_then(|then| stood(Subject::Instance(then.clone())));
            self.standing.extend(found.map(|found| (Subject::Instance(name.clone()), found)));
        }
        for name in &known.groups {
            let found = stood(Subject::Group(name.clone()));
            self.standing.extend(found.map(|found| (Subject::Group(name.clone()), found)));
        }
    }

    /// Decides.
    //= keepalived M-113
    pub fn hear(&mut self, news: &News) -> Told {
        let mut told = self.decide(news);
        if told.commands.is_empty() {
            told.subject = None;
        }
        if let Some((kind, _)) = told.line
            && !self.fifos.iter().any(|listens| *listens == Listens::All || *listens == kind)
        {
            told.line = None;
        }
        told
    }

    fn decide(&mut self, news: &News) -> Told {
        match news {
            News::Instance { name, from, to, priority, cause } => {
                self.instance(name, (*from, *to), priority.0, cause)
            }
            News::Group { name, to, quiet: true, .. } => {
                self.remember(Subject::Group(name.clone()), *to, 0);
                Told::default()
            }
            News::Group { name, to, cause, .. } => self.group(name, *to, cause),
            News::Priority { name, state, priority } => self.priority(name, *state, priority.0),
            News::MasterRxLowerPri { name, priority } => self.weaker(name, priority.0),
            News::VirtualServer { service, up, gone, cause } => {
                self.virtual_server((service, *gone), *up, cause)
            }
            News::RealServer { service, endpoint, up, gone, cause } => {
                self.real_server((service, *gone), endpoint, *up, cause)
            }
        }
    }

    fn instance(&mut self, name: &str, (from, to): (State, Standing), priority: u8, cause: &str) -> Told {
        let hooks = self.hooks.instances.get(name).or_else(|| self.departed.instances.get(name)).cloned();
        let hooks = hooks.unwrap_or_default();
        let subject = Subject::Instance(name.to_owned());
        // Without `notify_deleted` keepalived tells of FAULT, if that is news, though it does not run `notify_fault`.
        let said = if to == Standing::Deleted && hooks.deleted.is_none() { Standing::Fault } else { to };
        if (from, said, to) == (State::Fault, Standing::Fault, Standing::Deleted) {
            self.remember(subject, to, priority);
            return Told::default();
        }
        let own = match to {
            Standing::Deleted => hooks.deleted.clone().flatten(),
            to => state_script(&hooks.scripts, to).cloned(),
        };
        let generic = hooks.scripts.any.clone();
        let arguments = ["INSTANCE", name, said.word(), &priority.to_string()].map(str::to_owned);
        let title = format!("VRRP Instance {name} - {}", mail_words(said));
        let letter = self.write_about(&subject, hooks.mail, said, title, cause);
        self.remember(subject.clone(), to, priority);
        Told {
            subject: Some(subject),
            commands: own.into_iter().chain(generic.map(|command| with(command, &arguments))).collect(),
            line: Some((Listens::Vrrp, instance_line(name, said.word(), priority))),
            letter,
        }
    }

    fn group(&mut self, name: &str, to: Standing, cause: &str) -> Told {
        let hooks = self.hooks.groups.get(name).or_else(|| self.departed.groups.get(name)).cloned();
        let hooks = hooks.unwrap_or_default();
        let own = state_script(&hooks.scripts, to).cloned();
        let generic = hooks.scripts.any.clone();
        let arguments = ["GROUP", name, to.word(), "0"].map(str::to_owned);
        let subject = Subject::Group(name.to_owned());
        let title = format!("VRRP Group {name} - {}", mail_words(to));
        let letter = self.write_about(&subject, hooks.mail, to, title, cause);
        self.remember(subject.clone(), to, 0);
        Told {
            subject: Some(subject),
            commands: own.into_iter().chain(generic.map(|command| with(command, &arguments))).collect(),
            line: Some((Listens::Vrrp, group_line(name, to))),
            letter,
        }
    }

    fn priority(&mut self, name: &str, state: State, priority: u8) -> Told {
        let wanted = self.hooks.instances.get(name).is_some_and(|hooks| hooks.priority_changes);
        if let Some((_, known)) = self.standing.get_mut(&Subject::Instance(name.to_owned())) {
            *known = priority;
        }
        let word = match state {
            State::Master => "MASTER_PRIORITY",
            State::Backup => "BACKUP_PRIORITY",
            State::Initialize | State::Fault => return Told::default(),
        };
        let line = wanted.then(|| (Listens::Vrrp, instance_line(name, word, priority)));
        Told { line, ..Told::default() }
    }

    fn weaker(&mut self, name: &str, priority: u8) -> Told {
        let hook = self.hooks.instances.get(name).and_then(|hooks| hooks.master_rx_lower_pri.clone());
        Told {
            subject: Some(Subject::Instance(name.to_owned())),
            commands: hook.into_iter().collect(),
            line: Some((Listens::Vrrp, instance_line(name, "MASTER_RX_LOWER_PRI", priority))),
            letter: None,
        }
    }

    /// What the configuration says of a virtual server, or what the one before it said of one that is gone.
    fn service(&self, service: &ServiceKey, gone: bool) -> Option<&Service> {
        if gone { &self.departed } else { &self.hooks }.services.get(service)
    }

    fn virtual_server(&self, (service, gone): (&ServiceKey, bool), up: bool, cause: &str) -> Told {
        let known = self.service(service, gone);
        let hooks = known.map(|known| &known.hooks);
        let label = service_label(service, hooks.and_then(|hooks| hooks.group.as_deref()));
        let command = hooks.and_then(|hooks| if up { &hooks.up } else { &hooks.down }.clone());
        let mail = hooks.is_some_and(|hooks| hooks.mail) && self.mail.is_some();
        let title = format!("Virtualserver {label} - {}", up_word(up));
        Told {
            subject: Some(Subject::Service(*service)),
            commands: command.into_iter().collect(),
            line: Some((Listens::Lvs, format!("VS {label} {}\n", up_word(up)).into_bytes())),
            letter: mail.then(|| Letter::new(title, cause)),
        }
    }

    fn real_server(
        &self,
        (service, gone): (&ServiceKey, bool),
        endpoint: &SocketAddr,
        up: bool,
        cause: &str,
    ) -> Told {
        let known = self.service(service, gone);
        let hooks = known.and_then(|known| known.servers.get(endpoint));
        let virtual_label = service_label(service, known.and_then(|known| known.hooks.group.as_deref()));
        let protocol = known.map_or(service.protocol(), |known| known.hooks.protocol);
        let label = server_label(protocol, endpoint);
        let command = hooks.and_then(|hooks| if up { &hooks.up } else { &hooks.down }.clone());
        let mail = self.mail.is_some_and(|defaults| hooks.map_or(defaults.servers, |hooks| hooks.mail));
        let title = format!("Realserver {label} of virtual server {virtual_label} - {}", up_word(up));
        Told {
            subject: Some(Subject::Server(*service, *endpoint)),
            commands: command.into_iter().collect(),
            line: Some((Listens::Lvs, format!("RS {label} {virtual_label} {}\n", up_word(up)).into_bytes())),
            letter: mail.then(|| Letter::new(title, cause)),
        }
    }

    /// A mail about a state, unless the last one was about the same.
    fn write_about(
        &mut self,
        subject: &Subject,
        wanted: bool,
        to: Standing,
        title: String,
        cause: &str,
    ) -> Option<Letter> {
        let defaults = self.mail.filter(|_| wanted)?;
        if to == Standing::Fault && !defaults.faults {
            return None;
        }
        let before = self.mailed.insert(subject.clone(), to.word());
        (before != Some(to.word())).then(|| Letter::new(title, cause))
    }

    fn remember(&mut self, subject: Subject, to: Standing, priority: u8) {
        if matches!(to, Standing::Stop | Standing::Deleted) {
            self.standing.remove(&subject);
            self.mailed.remove(&subject);
        } else {
            self.standing.insert(subject, (to, priority));
        }
    }
}

impl Hooks {
    fn of(plan: &NotifyPlan) -> Hooks {
        let instances = plan.instances.iter().map(|hooks| (hooks.name.clone(), hooks.clone()));
        let groups = plan.groups.iter().map(|hooks| (hooks.name.clone(), hooks.clone()));
        let services = plan.services.iter().map(|hooks| {
            let servers = hooks.servers.iter().map(|server| (server.endpoint, server.clone()));
            let service = Service {
                servers: servers.collect(),
                hooks: ServiceHooks { servers: Vec::new(), ..hooks.clone() },
            };
            (hooks.service, service)
        });
        Hooks { instances: instances.collect(), groups: groups.collect(), services: services.collect() }
    }
}

fn state_script(scripts: &StateScripts, to: Standing) -> Option<&CommandPlan> {
    match to {
        Standing::Backup => scripts.backup.as_ref(),
        Standing::Master => scripts.master.as_ref(),
        Standing::Fault => scripts.fault.as_ref(),
        Standing::Stop => scripts.stop.as_ref(),
        Standing::Deleted => None,
    }
}

fn with(mut command: CommandPlan, arguments: &[String]) -> CommandPlan {
    command.words.extend_from_slice(arguments);
    command
}

/// The end of a mail's subject, as keepalived's.
fn mail_words(to: Standing) -> String {
    match to {
        Standing::Stop => "Stopping".to_owned(),
        Standing::Deleted => "Deleted".to_owned(),
        Standing::Backup | Standing::Master | Standing::Fault => format!("Entering {} state", to.word()),
    }
}

fn up_word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn instance_line(name: &str, word: &str, priority: u8) -> Vec<u8> {
    format!("INSTANCE \"{name}\" {word} {priority}\n").into_bytes()
}

fn group_line(name: &str, to: Standing) -> Vec<u8> {
    format!("GROUP \"{name}\" {} 0\n", to.word()).into_bytes()
}

#[cfg(test)]
mod tests;
