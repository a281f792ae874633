//! The bfd role: its end of the link.

use super::tracker_link::{LinkError, TrackerLink};
use crate::link::{FromBfd, ToBfd};
use crate::report::{BfdSessionStatus, BfdStatus};
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
    tracing::error!("bfd role ends: {why}; the neighbours see its sessions go down");
    ExitCode::FAILURE
}

async fn live(link: UnixStream) -> Result<(), LinkError> {
    let mut link: TrackerLink<ToBfd> = TrackerLink::new(link)?;
    let mut status = BfdStatus::default();
    while link.turn().await? {
        while let Some(order) = link.order() {
            match order {
                ToBfd::Plan(plan) => {
                    status.sessions =
                        plan.sessions.into_iter().map(|session| at_rest(session.name)).collect();
                    link.applied(plan.generation);
                }
                ToBfd::Snapshot(number) => link.want_snapshot(number),
                ToBfd::AreYouThere(number) => link.alive(number),
                ToBfd::Stop => {
                    link.farewell(&FromBfd::Stopped).await;
                    return Ok(());
                }
            }
        }
        link.answer(|number| FromBfd::Snapshot(number, status.clone()));
    }
    Ok(())
}

fn at_rest(name: String) -> BfdSessionStatus {
    let reason = "no packet is sent in this version".to_owned();
    BfdSessionStatus { name, state: "AdminDown".to_owned(), reason, since_seconds: 0 }
}
