//! The scripts role: runs scripts, watches files and processes.

use super::tracker_link::{LinkError, TrackerLink};
use crate::link::{FromScripts, ToScripts};
use crate::report::ScriptsStatus;
use crate::role::EXIT_STOPPED;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs until the supervisor says stop or is gone.
pub fn run(link: UnixStream) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return fail(&why.to_string()),
    };
    match runtime.block_on(live(link)) {
        Ok(()) => ExitCode::from(EXIT_STOPPED),
        Err(why) => fail(&why.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    tracing::error!("scripts role ends: {why}; what trackers said last holds until it is restarted");
    ExitCode::FAILURE
}

async fn live(link: UnixStream) -> Result<(), LinkError> {
    let mut link: TrackerLink<ToScripts> = TrackerLink::new(link)?;
    while link.turn().await? {
        while let Some(order) = link.order() {
            match order {
                ToScripts::Plan(plan) => link.applied(plan.generation),
                ToScripts::Held(_) | ToScripts::News(_) => {}
                ToScripts::Snapshot(number) => link.want_snapshot(number),
                ToScripts::AreYouThere(number) => link.alive(number),
                ToScripts::Stop => {
                    link.farewell(&FromScripts::Stopped).await;
                    return Ok(());
                }
            }
        }
        link.answer(|number| FromScripts::Snapshot(number, ScriptsStatus::default()));
    }
    Ok(())
}
