//! A mail over a real connection.

use crate::notify::mail::{Envelope, Outcome, Stationery};
use crate::notify::smtp::{Conversation, Step};
use crate::plan::notify::MailPlan;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

/// Octets read at once.
const READ: usize = 4096;

/// The whole conversation takes this many times the time of one answer at most: a relay that trickles is left.
const ANSWERS: u32 = 4;

/// What is the same in all mails of this plan.
pub fn stationery(plan: &MailPlan, router_id: Option<&str>) -> Stationery {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy().into_owned();
    let from = plan.from.clone().unwrap_or_else(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        format!("{}@{host}", user.map_or_else(|| "root".to_owned(), |user| user.name))
    });
    Stationery {
        router_id: router_id.map_or_else(|| host.clone(), str::to_owned),
        from,
        to: plan.to.clone(),
        helo: plan.helo.clone().unwrap_or(host),
    }
}

/// Gives the mail to the relay.
pub async fn deliver(plan: MailPlan, envelope: Envelope) -> Outcome {
    let title = format!("mail server {} port {}", plan.server, plan.port);
    match timeout(plan.timeout * ANSWERS, converse(&plan, envelope)).await {
        Ok(Ok(outcome)) => match outcome {
            Outcome::Sent => Outcome::Sent,
            Outcome::Later(why) => Outcome::Later(format!("{title}: {why}")),
            Outcome::Never(why) => Outcome::Never(format!("{title}: {why}")),
        },
        Ok(Err(why)) => Outcome::Later(format!("{title}: {why}")),
        Err(_) => Outcome::Later(format!("{title} takes too long")),
    }
}

async fn converse(plan: &MailPlan, envelope: Envelope) -> Result<Outcome, String> {
    let mut stream = connect(plan).await?;
    let mut conversation = Conversation::new(envelope);
    let mut octets = [0; READ];
    loop {
        let read = limited(plan.timeout, stream.read(&mut octets)).await;
        let count = match read {
            Ok(0) => return Err(format!("it hung up before {}", conversation.waits_for())),
            Ok(count) => count,
            Err(error) => {
                return Err(format!("no {}: {error}", conversation.waits_for().trim_start_matches("the ")));
            }
        };
        match conversation.input(&octets[..count]) {
            // read() counts within the buffer
            Step::Wait => {}
            Step::Send(words) => {
                limited(plan.timeout, stream.write_all(&words))
                    .await
                    .map_err(|error| format!("cannot send: {error}"))?;
            }
            Step::Done(outcome, last) => {
                // The mail is taken or refused already, whatever becomes of the goodbye.
                limited(Duration::from_secs(1), stream.write_all(&last)).await.ok();
                if outcome == Outcome::Sent && !conversation.refused().is_empty() {
                    warn!(
                        "mail server {} refused recipients: {}",
                        plan.server,
                        conversation.refused().join("; ")
                    );
                }
                return Ok(outcome);
            }
        }
    }
}

/// A connection to the first address of the relay that takes one.
async fn connect(plan: &MailPlan) -> Result<TcpStream, String> {
    let lookup = tokio::net::lookup_host((plan.server.as_str(), plan.port));
    let addresses = limited(plan.timeout, lookup).await.map_err(|error| format!("no address: {error}"))?;
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match limited(plan.timeout, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("no connection to {address}: {error}"),
        }
    }
    Err(last)
}

async fn limited<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {} s", limit.as_secs())))
        }
    }
}
