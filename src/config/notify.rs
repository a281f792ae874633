//! Notify scripts, FIFOs and mail to [`NotifyPlan`].

use crate::net::TransportProtocol;
use crate::plan::lvs::ServiceKey;
use crate::plan::notify::{
    FifoPlan, GroupHooks, InstanceHooks, Known, Listens, MailPlan, NotifyPlan, ServerHooks, ServiceHooks,
    StateScripts,
};
use crate::plan::scripts::{AccountName, CommandPlan};
use keepalived_compat::Config;
use keepalived_compat::command::{Account, Command};
use keepalived_compat::config::lvs as conf;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::config::vrrp::VrrpInstance;
use std::net::SocketAddr;
use std::time::Duration;

/// keepalived's `smtp_connect_timeout`.
pub(super) const MAIL_TIMEOUT: Duration = Duration::from_secs(30);

/// The port of mail.
pub(super) const MAIL_PORT: u16 = 25;

/// All hooks. Those of virtual servers were lowered one by one ([`service`]); are there any servers?
pub(super) fn lower(config: &Config, services: Vec<ServiceHooks>, any_server: bool) -> NotifyPlan {
    let global = config.global.others.as_slice();
    let defaults = Defaults::of(config);
    let groups: Vec<&Setting> = config.others.iter().filter(|s| s.keyword == "vrrp_sync_group").collect();
    let mut plan = NotifyPlan {
        fifos: [Listens::All, Listens::Vrrp, Listens::Lvs]
            .into_iter()
            .filter_map(|listens| fifo(global, listens, &defaults))
            .collect(),
        instances: config
            .instances
            .iter()
            .map(|instance| hooks_of_instance(instance, &groups, &defaults))
            .filter(|hooks| *hooks != InstanceHooks { name: hooks.name.clone(), ..InstanceHooks::default() })
            .collect(),
        groups: groups
            .iter()
            .filter_map(|group| hooks_of_group(group, &defaults))
            .filter(|hooks| *hooks != GroupHooks { name: hooks.name.clone(), ..GroupHooks::default() })
            .collect(),
        services,
        mail: mail(global, &defaults),
        router_id: config.global.router_id.clone(),
        states_on_reload: global.is_on("fifo_write_vrrp_states_on_reload"),
        known: Known::default(), // filled in when everything has been lowered
    };
    let mut servers = plan.services.iter().flat_map(|service| &service.servers);
    let somebody_writes = plan.instances.iter().any(|instance| instance.mail)
        || plan.groups.iter().any(|group| group.mail)
        || plan.services.iter().any(|service| service.mail)
        || servers.any(|server| server.mail)
        || (any_server && mail_of_servers(&defaults));
    plan.mail = plan.mail.filter(|_| somebody_writes);
    plan
}

/// What `global_defs` says for all; keepalived looks at it when the whole file has been read.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// `script_user`.
    account: Option<AccountName>,
    /// `set_supplementary_groups`.
    supplementary: bool,
    /// `smtp_alert_vrrp`, else `smtp_alert`.
    mail_vrrp: Option<bool>,
    /// `smtp_alert_checker`, else `smtp_alert`.
    mail_checker: Option<bool>,
    /// `vrrp_notify_priority_changes`.
    priority_changes: bool,
}

impl Defaults {
    pub(super) fn of(config: &Config) -> Defaults {
        let global = config.global.others.as_slice();
        let supplementary = global.is_on("set_supplementary_groups");
        let all = switch(global, "smtp_alert");
        Defaults {
            account: global.account("script_user").map(|account| account_name(account, supplementary)),
            supplementary,
            mail_vrrp: switch(global, "smtp_alert_vrrp").or(all),
            mail_checker: switch(global, "smtp_alert_checker").or(all),
            priority_changes: global.is_on("vrrp_notify_priority_changes"),
        }
    }

    /// The command with its own account, else the one of all scripts.
    pub(super) fn command(&self, command: &Command) -> CommandPlan {
        let own = command.account.as_ref().map(|account| account_name(account, self.supplementary));
        let account = own.or_else(|| self.account.clone());
        CommandPlan { words: command.argv.clone(), account, ..CommandPlan::default() }
    }

    /// `user` of a block.
    pub(super) fn user(&self, settings: &[Setting]) -> Option<AccountName> {
        settings.account("user").map(|account| account_name(account, self.supplementary))
    }

    pub(super) fn find(&self, settings: &[Setting], keyword: &str) -> Option<CommandPlan> {
        settings.command(keyword).map(|command| self.command(command))
    }

    fn state_scripts(&self, settings: &[Setting]) -> StateScripts {
        StateScripts {
            backup: self.find(settings, "notify_backup"),
            master: self.find(settings, "notify_master"),
            fault: self.find(settings, "notify_fault"),
            stop: self.find(settings, "notify_stop"),
            any: self.find(settings, "notify"),
        }
    }
}

fn account_name(account: &Account, supplementary: bool) -> AccountName {
    AccountName {
        user: account.user.clone(),
        group: account.group.clone(),
        supplementary: account.supplementary || supplementary,
    }
}

/// A boolean that may be left unsaid.
pub(super) fn switch(settings: &[Setting], keyword: &str) -> Option<bool> {
    settings.find(keyword).map(|setting| setting.value != Value::Bool(false))
}

fn fifo(global: &[Setting], listens: Listens, defaults: &Defaults) -> Option<FifoPlan> {
    let keyword = listens.keyword();
    let Value::Words(words) = &global.find(keyword)?.value else { return None };
    let (path, account) = words.split_first()?;
    let own = account.split_first().map(|(user, group)| AccountName {
        user: user.clone(),
        group: group.first().cloned(),
        supplementary: false,
    });
    Some(FifoPlan {
        listens,
        path: path.clone(),
        account: own.or_else(|| defaults.account.clone()),
        owner: None,
        no_owner: None,
        script: defaults.find(global, &format!("{keyword}_script")),
    })
}

fn hooks_of_instance(instance: &VrrpInstance, groups: &[&Setting], defaults: &Defaults) -> InstanceHooks {
    let settings = instance.settings.others.as_slice();
    let name = &instance.name.value;
    let group = groups.iter().find(|group| members(group).any(|member| member == name));
    let of_group = group.and_then(|group| switch(&group.block, "notify_priority_changes"));
    InstanceHooks {
        name: name.clone(),
        scripts: defaults.state_scripts(settings),
        deleted: settings.find("notify_deleted").map(|_| defaults.find(settings, "notify_deleted")),
        master_rx_lower_pri: defaults.find(settings, "notify_master_rx_lower_pri"),
        mail: switch(settings, "smtp_alert").or(defaults.mail_vrrp).unwrap_or(false),
        priority_changes: switch(settings, "notify_priority_changes")
            .or(of_group)
            .unwrap_or(defaults.priority_changes),
        claim: defaults.find(settings, "notify_claim"),
    }
}

fn members(group: &Setting) -> impl Iterator<Item = &String> {
    let lists = group.block.iter().filter(|setting| setting.keyword == "group");
    lists.flat_map(|list| &list.block).filter_map(|member| match &member.value {
        Value::Text(name) => Some(name),
        _ => None,
    })
}

fn hooks_of_group(group: &Setting, defaults: &Defaults) -> Option<GroupHooks> {
    Some(GroupHooks {
        name: group.name()?.to_owned(),
        scripts: defaults.state_scripts(&group.block),
        mail: switch(&group.block, "smtp_alert").or(defaults.mail_vrrp).unwrap_or(false),
    })
}

/// Hooks of a virtual server, if it has any. `servers` are those of its real servers.
pub(super) fn service(
    written: &conf::VirtualServer,
    service: ServiceKey,
    protocol: Option<TransportProtocol>,
    servers: Vec<ServerHooks>,
    defaults: &Defaults,
) -> Option<ServiceHooks> {
    let settings = written.others.as_slice();
    let group = match &written.service.value {
        conf::Service::Group(name) => Some(name.clone()),
        conf::Service::Address { .. } | conf::Service::Fwmark(_) => None,
    };
    let hooks = ServiceHooks {
        service,
        group,
        protocol,
        up: defaults.find(settings, "quorum_up"),
        down: defaults.find(settings, "quorum_down"),
        mail: mail_of_service(written, defaults),
        servers,
    };
    let ServiceHooks { service: _, group, protocol: _, up, down, mail, servers } = &hooks;
    let any = group.is_some() || up.is_some() || down.is_some() || *mail || !servers.is_empty();
    any.then_some(hooks)
}

/// Is the virtual server written about?
pub(super) fn mail_of_service(written: &conf::VirtualServer, defaults: &Defaults) -> bool {
    switch(&written.others, "smtp_alert").or(defaults.mail_checker).unwrap_or(false)
}

/// Is the real server written about?
pub(super) fn mail_of_server(written: &conf::RealServer, defaults: &Defaults) -> bool {
    switch(&written.others, "smtp_alert").unwrap_or(mail_of_servers(defaults))
}

/// Hooks of a real server, if it has any.
pub(super) fn server(
    written: &conf::RealServer,
    endpoint: SocketAddr,
    defaults: &Defaults,
) -> Option<ServerHooks> {
    let settings = written.others.as_slice();
    let has_own = switch(settings, "smtp_alert").is_some();
    let (up, down) = (defaults.find(settings, "notify_up"), defaults.find(settings, "notify_down"));
    if up.is_none() && down.is_none() && !has_own {
        return None;
    }
    Some(ServerHooks { endpoint, up, down, mail: mail_of_server(written, defaults) })
}

/// Real servers are written about unless something says no (keepalived, for compatibility with its own past).
fn mail_of_servers(defaults: &Defaults) -> bool {
    defaults.mail_checker.unwrap_or(true)
}

/// `notification_email`.
pub(super) fn recipients(global: &[Setting]) -> Vec<String> {
    let lists = global.iter().filter(|setting| setting.keyword == "notification_email");
    lists.flat_map(|list| &list.block).filter_map(|s| s.name()).map(str::to_owned).collect()
}

/// Mail needs a server and somebody to write to.
fn mail(global: &[Setting], defaults: &Defaults) -> Option<MailPlan> {
    let Value::Words(words) = &global.find("smtp_server")?.value else { return None };
    let (server, rest) = words.split_first()?;
    let to = recipients(global);
    if to.is_empty() {
        return None;
    }
    Some(MailPlan {
        server: server.clone(),
        port: rest.first().and_then(|port| port.parse().ok()).unwrap_or(MAIL_PORT),
        helo: global.text("smtp_helo_name").map(str::to_owned),
        from: global.text("notification_email_from").map(str::to_owned),
        to,
        timeout: global.time("smtp_connect_timeout").unwrap_or(MAIL_TIMEOUT).max(Duration::from_secs(1)),
        faults: !global.is_on("no_email_faults"),
        servers: mail_of_servers(defaults),
    })
}

#[cfg(test)]
mod tests;
