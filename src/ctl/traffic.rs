//! `holdfastctl drain`, `undrain`, `weight`, `switch`, `overrides`: traffic by hand.

mod wait;

use super::client::{AskError, ask};
use super::{Done, EXIT_FAILED, print_json, text, when};
use crate::link::control::{Answer, Request};
use crate::lvs::traffic::Wall;
use crate::lvs::traffic::orders::Order;
use crate::report::{OverrideStatus, TrafficOutcome};
use crate::sys::clock::unix_nanoseconds;
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// What every order takes.
#[derive(Debug, Args)]
struct Common {
    /// Ends by itself: after a span (90s, 10m, 2h, 1d; a number alone counts seconds) or at a time (18:30, 2026-11-21T18:30, with Z for UTC)
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Even if a virtual server loses its quorum
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The real server: ADDRESS:PORT, or ADDRESS for all its ports
    server: String,
    /// Only at this virtual server (its name in the configuration, or ADDRESS:PORT)
    #[arg(long, value_name = "VS")]
    vs: Option<String>,
    /// Return when its connections have ended, and show how many are left
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after this long, exit status 1; it stays drained
    #[arg(long, value_name = "SPAN", requires = "wait", value_parser = when::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `undrain`.
#[derive(Debug, Args)]
pub(super) struct Undrain {
    /// The real server: ADDRESS:PORT, or ADDRESS for all its ports
    server: String,
    /// Only where it was drained at this virtual server alone
    #[arg(long, value_name = "VS")]
    vs: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `weight`.
#[derive(Debug, Args)]
pub(super) struct Weight {
    /// The virtual server: its name in the configuration, or ADDRESS:PORT
    vs: String,
    /// The real server: ADDRESS:PORT
    server: String,
    /// The weight, 0 to 2147483647
    #[arg(required_unless_present = "back", value_parser = weight_word)]
    weight: Option<u32>,
    /// Give the weight back to the configuration and the checks
    #[arg(long, conflicts_with_all = ["weight", "ramp", "until"])]
    back: bool,
    /// Get there bit by bit, over this time (10m; a number alone counts seconds)
    #[arg(long, value_name = "SPAN", value_parser = when::duration)]
    ramp: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

fn weight_word(word: &str) -> Result<u32, String> {
    let weight = word.parse().ok().filter(|weight| i32::try_from(*weight).is_ok());
    weight.ok_or_else(|| "a weight is a number from 0 to 2147483647".to_owned())
}

/// Arguments of `switch`.
#[derive(Debug, Args)]
pub(super) struct Switch {
    /// The virtual server: its name in the configuration, or ADDRESS:PORT
    vs: String,
    /// The set that gets the traffic (`set NAME` in its real_server blocks)
    #[arg(required_unless_present = "back")]
    set: Option<String>,
    /// Let the configuration choose again (`active_set`, or all sets)
    #[arg(long, conflicts_with_all = ["set", "until"])]
    back: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `overrides`.
#[derive(Debug, Args)]
pub(super) struct Overrides {
    /// End these, by number
    #[arg(long, value_name = "NUMBER", num_args = 1.., conflicts_with = "drop_all")]
    drop: Vec<u32>,
    /// End all of them
    #[arg(long)]
    drop_all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn drain(socket: &Path, arguments: Drain) -> Done {
    let Drain { server, vs, wait, timeout, common } = arguments;
    let until = until(&common)?;
    let order = Order::Drain { server, virtual_server: vs, until, force: common.force };
    let outcome = obey(socket, order)?;
    if !wait {
        return say(&outcome, common.json);
    }
    let said = if common.json { Ok(0) } else { say(&outcome, false) }?;
    if common.until.is_some() {
        text::complain(
            "holdfastctl: the drain ends by itself at its --until, and so does the wait: with status 1 if there are \
             connections left",
        );
    }
    let drained = wait::until_drained(&outcome.servers, outcome.table.as_ref(), timeout)?;
    if common.json {
        say(&outcome, true)?;
    }
    Ok(if drained { said } else { EXIT_FAILED })
}

pub(super) fn undrain(socket: &Path, arguments: Undrain) -> Done {
    let Undrain { server, vs, json } = arguments;
    say(&obey(socket, Order::Undrain { server, virtual_server: vs })?, json)
}

pub(super) fn weight(socket: &Path, arguments: Weight) -> Done {
    let Weight { vs, server, weight, back: _, ramp, common } = arguments;
    let ramp_ms = ramp.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let (until, force) = (until(&common)?, common.force);
    let order = Order::Weight { virtual_server: vs, server, weight, ramp_ms, until, force };
    say(&obey(socket, order)?, common.json)
}

pub(super) fn switch(socket: &Path, arguments: Switch) -> Done {
    let Switch { vs, set, back: _, common } = arguments;
    let order = Order::Switch { virtual_server: vs, set, until: until(&common)?, force: common.force };
    say(&obey(socket, order)?, common.json)
}

pub(super) fn overrides(socket: &Path, arguments: &Overrides) -> Done {
    if arguments.drop_all || !arguments.drop.is_empty() {
        return say(&obey(socket, Order::Drop(arguments.drop.clone()))?, arguments.json);
    }
    let status = match ask(socket, Request::Status)? {
        Answer::Status(status) => status,
        other => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
    };
    let Some(checker) = &status.checker else {
        let role = status.daemon.roles.iter().find(|role| role.name == "checker");
        let why = role.and_then(|role| role.trouble.as_deref()).unwrap_or("it did not answer");
        return Err(format!("the checker role says nothing: {why}").into());
    };
    if arguments.json {
        print_json(&checker.overrides)?;
    } else if checker.overrides.is_empty() {
        text::print("nothing is overridden\n");
    } else {
        text::print(&table(0, &checker.overrides));
    }
    Ok(0)
}

fn until(common: &Common) -> Result<Option<Wall>, String> {
    let now = unix_nanoseconds() / 1_000_000;
    common.until.as_deref().map(|text| when::until(text, now).map(Wall)).transpose()
}

fn obey(socket: &Path, order: Order) -> Result<TrafficOutcome, AskError> {
    match ask(socket, Request::Traffic(order))? {
        Answer::Traffic(outcome) => Ok(*outcome),
        other => Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}"))),
    }
}

fn say(outcome: &TrafficOutcome, json: bool) -> Done {
    if json {
        print_json(outcome)?;
    } else {
        text::print(&outcome.said.iter().map(|line| text::block(0, line)).collect::<String>());
        for line in outcome.warnings.iter().chain(&outcome.trouble) {
            text::complain(&format!("holdfastctl: {}", text::clean(line)));
        }
    }
    Ok(if outcome.trouble.is_empty() { 0 } else { EXIT_FAILED })
}

/// One line each.
pub(super) fn table(indent: usize, overrides: &[OverrideStatus]) -> String {
    text::columns(indent, &overrides.iter().map(row).collect::<Vec<_>>())
}

fn row(over: &OverrideStatus) -> Vec<String> {
    let words = over.words(text::span);
    let ends = over.ends_in_seconds.map_or(String::new(), |left| format!("ends in {}", text::span(left)));
    vec![over.number.to_string(), words, format!("since {}", text::span(over.since_seconds)), ends]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_override_is_a_line() {
        let drain = OverrideStatus {
            number: 1,
            kind: "drain".into(),
            virtual_server: None,
            server: Some("10.0.0.1:80".into()),
            weight: None,
            weight_now: None,
            set: None,
            since_seconds: 61,
            ramp_seconds: None,
            ends_in_seconds: Some(30),
            concerns_something: true,
        };
        let at = Some("192.0.2.1 80".to_owned());
        let weight = OverrideStatus {
            number: 2,
            virtual_server: at.clone(),
            weight: Some(10),
            weight_now: Some(4),
            ramp_seconds: Some(300),
            ends_in_seconds: None,
            ..drain.clone()
        };
        let set = OverrideStatus {
            number: 13,
            virtual_server: at,
            server: None,
            set: Some("green".into()),
            concerns_something: false,
            ..weight.clone()
        };
        assert_eq!(
            table(0, &[drain, weight, set]),
            "1   10.0.0.1:80 at every virtual server: drained                        since 1 min 1 s  ends in 30 s\n\
             2   10.0.0.1:80 at 192.0.2.1 80: weight 4, 10 in 5 min 0 s              since 1 min 1 s\n\
             13  192.0.2.1 80: set green serves (nothing in the configuration fits)  since 1 min 1 s\n"
        );
    }
}
