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
mod route;
mod sync;
mod value;

pub(crate) use context::Context;

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

impl Config {
    /// Reads a tree; everything that is not understood is said and left out.
    pub(crate) fn from_tree(
        tree: &[Statement],
        options: Options,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Config {
        let wanted = |s: &&Statement| match s.keyword().text.as_str() {
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
        };
        if options.vrrp && options.checker {
            return Config::with_context(tree, &mut Context::new(diagnostics));
        }
        let tree: Vec<Statement> = tree.iter().filter(wanted).cloned().collect();
        Config::with_context(&tree, &mut Context::new(diagnostics))
    }

    pub(crate) fn with_context(tree: &[Statement], cx: &mut Context) -> Config {
        let scripts = scripts::Scripts::find(tree);
        let mut config = Config { scripts, ..Config::default() };
        let others = cx.block(Place::Root, tree, |cx, keyword, statement| match keyword.name {
            "global_defs" => config.global.read(cx, statement.body()),
            "vrrp_instance" => config.instance(cx, statement),
            "virtual_server" => config.virtual_servers.extend(lvs::VirtualServer::read(cx, statement)),
            "virtual_server_group" => config.group(cx, statement),
            _ => cx.unhandled(Place::Root, keyword),
        });
        config.others = others;
        objects::finish(cx, &mut config);
        config
    }

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
