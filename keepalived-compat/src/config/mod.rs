//! The typed configuration: every value in range, with its place; nothing derived, nothing defaulted.

pub mod check;
mod context;
mod encap;
pub mod global;
pub mod lvs;
pub mod scripts;
pub mod setting;
pub mod vrrp;

mod line;
mod method;
mod objects;
mod once;
mod route;
mod sync;
mod value;
mod weights;

pub(crate) use context::Context;
pub(crate) use value::seconds as value_seconds;

use crate::Options;
use crate::diagnostics::{Code, Diagnostic};
use crate::keywords::Place;
use crate::source::Spanned;
use crate::tree::Statement;

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `global_defs`.
    pub global: global::Global,
    /// `vrrp_instance` blocks; names are unique.
    pub instances: Vec<vrrp::VrrpInstance>,
    /// `virtual_server` blocks in the order of the file.
    pub virtual_servers: Vec<lvs::VirtualServer>,
    /// `virtual_server_group` blocks; names are unique.
    pub groups: Vec<lvs::Group>,
    /// All other blocks and keywords outside blocks: scripts, tracked files and processes, sync groups, static
    /// addresses, routes and rules, BFD instances and so on. Names are unique for each keyword.
    pub others: Vec<setting::Setting>,
    /// Commands that the configuration names.
    pub scripts: scripts::Scripts,
}

/// Is the block one of a subsystem that runs?
pub(crate) fn wanted(statement: &Statement, options: Options) -> bool {
    match statement.keyword().text.as_str() {
        "vrrp_instance"
        | "vrrp_sync_group"
        | "vrrp_script"
        | "vrrp_track_process"
        | "garp_group"
        | "static_ipaddress"
        | "static_routes"
        | "static_rules"
        | "track_group"
        | "linkbeat_interfaces"
        | "interface_up_down_delays" => options.vrrp,
        "virtual_server" | "virtual_server_group" | "SSL" => options.checker,
        _ => true,
    }
}

/// Builds a configuration from the statements of the outermost level, one by one. Everything that is not understood
/// is said and left out.
pub(crate) struct Assembly<'a> {
    pub(crate) cx: Context<'a>,
    config: Config,
    scripts: scripts::Finder,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(diagnostics: &'a mut Vec<Diagnostic>) -> Assembly<'a> {
        let (config, scripts) = (Config::default(), scripts::Finder::default());
        Assembly { cx: Context::new(diagnostics), config, scripts }
    }

    pub(crate) fn add(&mut self, statement: &Statement) {
        let Assembly { cx, config, scripts } = self;
        scripts.look(&mut config.scripts, statement);
        let one = std::slice::from_ref(statement);
        let others = cx.block(Place::Root, one, |cx, keyword, statement| match keyword.name {
            "global_defs" => config.global.read(cx, statement.body()),
            "vrrp_instance" => config.instance(cx, statement),
            "virtual_server" => config.virtual_servers.extend(lvs::VirtualServer::read(cx, statement)),
            "virtual_server_group" => config.group(cx, statement),
            _ => cx.leave(),
        });
        config.others.extend(others);
    }

    pub(crate) fn finish(&mut self) -> Config {
        objects::finish(&mut self.cx, &mut self.config);
        std::mem::take(&mut self.config)
    }
}

impl Config {
    fn instance(&mut self, cx: &mut Context, statement: &Statement) {
        let Some(name) = name_of(statement) else { return };
        if let Some(first) = self.instances.iter().find(|i| i.name.value == name.value) {
            return duplicate(cx, "vrrp_instance", &name, &first.name);
        }
        let instance = vrrp::VrrpInstance::read(cx, name, &self.global, statement.body());
        self.instances.push(instance);
    }

    fn group(&mut self, cx: &mut Context, statement: &Statement) {
        let Some(name) = name_of(statement) else { return };
        if let Some(first) = self.groups.iter().find(|g| g.name.value == name.value) {
            return duplicate(cx, "virtual_server_group", &name, &first.name);
        }
        self.groups.push(lvs::Group::read(cx, name, statement.body()));
    }
}

fn name_of(statement: &Statement) -> Option<Spanned<String>> {
    statement.arguments().first().map(|word| Spanned::new(word.text.clone(), word.span))
}

fn duplicate(cx: &mut Context, what: &str, second: &Spanned<String>, first: &Spanned<String>) {
    let title = format!("{what} `{}` is already defined", second.value);
    let diagnostic = Diagnostic::new(Code::Duplicate, second.span, title, "the second block is left out");
    cx.say(diagnostic.related(first.span, "first defined here").instead("give it another name"));
}
