//! `linkbeat_interfaces`: drivers that do not tell the kernel of their link are asked for it each second, by a thread: an
//! answer may take a slow bus's time.

use crate::plan::vrrp::{PollMethod, PolledLink};
use crate::sys::link_state::LinkProbe;
use crate::sys::poll::Waker;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// From question to question, as in keepalived.
const PERIOD: Duration = Duration::from_secs(1);

/// Has the interface of this name a link? Told when it changes.
pub type Beat = (String, bool);

/// The driver's end of the thread.
pub struct Linkbeat {
    lists: Sender<Vec<PolledLink>>,
    beats: Receiver<Beat>,
    waker: Arc<Waker>,
    list: Vec<PolledLink>,
}

impl Linkbeat {
    /// Starts the thread, in the caller's network namespace.
    pub fn start() -> io::Result<Linkbeat> {
        let (lists, inbox) = channel();
        let (outbox, beats) = channel();
        let waker = Arc::new(Waker::new()?);
        let wake = Arc::clone(&waker);
        let probe = LinkProbe::open()?;
        let work = move || work(&inbox, &outbox, &wake, |name, method| ask(&probe, name, method));
        thread::Builder::new().name("linkbeat".into()).spawn(work)?;
        Ok(Linkbeat { lists, beats, waker, list: Vec::new() })
    }

    /// Whom to ask from now on.
    pub fn follow(&mut self, list: &[PolledLink]) {
        if self.list != list {
            self.list = list.to_vec();
            self.lists.send(list.to_vec()).expect("the thread ends only when this sender is dropped");
        }
    }

    /// What has changed since the last call.
    pub fn collect(&self) -> io::Result<Vec<Beat>> {
        self.waker.consume()?;
        Ok(self.beats.try_iter().collect())
    }
}

impl AsFd for Linkbeat {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

fn ask(probe: &LinkProbe, name: &str, method: PollMethod) -> io::Result<bool> {
    match method {
        PollMethod::Mii => probe.mii(name),
        PollMethod::Ethtool => probe.ethtool(name),
        PollMethod::Ioctl => probe.flags(name),
    }
}

/// Ends when either end of the channels is dropped.
fn work(
    inbox: &Receiver<Vec<PolledLink>>,
    outbox: &Sender<Beat>,
    wake: &Waker,
    mut ask: impl FnMut(&str, PollMethod) -> io::Result<bool>,
) {
    let mut polled: Vec<Polled> = Vec::new();
    loop {
        let list = if polled.is_empty() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(PERIOD)
        };
        let mut news = match list {
            Ok(list) => adopt(&mut polled, list),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        news.extend(polled.iter_mut().filter_map(|link| link.look(&mut ask)));
        let some = !news.is_empty();
        if news.into_iter().any(|beat| outbox.send(beat).is_err()) || (some && wake.wake().is_err()) {
            return;
        }
    }
}

/// Those that stay keep what is known. One that is asked no more counts by what netlink says.
fn adopt(polled: &mut Vec<Polled>, list: Vec<PolledLink>) -> Vec<Beat> {
    let before = std::mem::take(polled);
    let kept = |link: &PolledLink| before.iter().find(|old| old.link == *link).cloned();
    polled.extend(list.iter().map(|link| kept(link).unwrap_or_else(|| Polled::new(link.clone()))));
    let left = before.into_iter().filter(|old| list.iter().all(|link| link.interface != old.link.interface));
    left.filter(|old| !old.up).map(|old| (old.link.interface, true)).collect()
}

/// An interface, and what was heard of it last.
#[derive(Clone, Debug)]
struct Polled {
    link: PolledLink,
    /// Who answered last; `None` until somebody did.
    method: Option<PollMethod>,
    up: bool,
}

impl Polled {
    fn new(link: PolledLink) -> Polled {
        Polled { link, method: None, up: true }
    }

    /// Asks, in the order in which keepalived tries; what changed.
    fn look(&mut self, ask: &mut impl FnMut(&str, PollMethod) -> io::Result<bool>) -> Option<Beat> {
        let name = self.link.interface.as_str();
        let others = PollMethod::ALL.into_iter().filter(|method| *method != self.link.first);
        let mut answers =
            std::iter::once(self.link.first).chain(others).map(|method| (method, ask(name, method)));
        let answer = answers.find(|(_, answer)| answer.is_ok());
        let (method, up) = match answer {
            Some((method, Ok(up))) => (Some(method), up),
            // There is no such interface: netlink says that better.
            _ => (None, true),
        };
        if let Some(method) = method.filter(|method| self.method != Some(*method)) {
            tracing::info!("{name} is asked for its link each second ({})", method.keyword());
        }
        self.method = method.or(self.method);
        if up == self.up {
            return None;
        }
        self.up = up;
        let what = if up { "has a link" } else { "has no link" };
        tracing::info!("{name} {what}, says its driver (linkbeat)");
        Some((name.to_owned(), up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, first: PollMethod) -> PolledLink {
        PolledLink { interface: name.to_owned(), first }
    }

    fn refuse() -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[test]
    fn the_first_method_that_answers_counts_and_only_changes_are_told() {
        let mut polled = Polled::new(link("eth0", PollMethod::Ioctl));
        let mut asked = Vec::new();
        let look = |polled: &mut Polled, up: bool, asked: &mut Vec<PollMethod>| {
            polled.look(&mut |_, method| {
                asked.push(method);
                if method == PollMethod::Ethtool { Ok(up) } else { refuse() }
            })
        };
        assert_eq!(look(&mut polled, true, &mut asked), None);
        assert_eq!(asked, [PollMethod::Ioctl, PollMethod::Mii, PollMethod::Ethtool]);
        assert_eq!(polled.method, Some(PollMethod::Ethtool));
        assert_eq!(look(&mut polled, false, &mut asked), Some(("eth0".to_owned(), false)));
        assert_eq!(look(&mut polled, false, &mut asked), None);
        // The interface has gone, and is nobody's fault here.
        assert_eq!(polled.look(&mut |_, _| refuse()), Some(("eth0".to_owned(), true)));
    }

    #[test]
    fn one_that_is_asked_no_more_has_a_link_again() {
        let mut polled = Vec::new();
        let list = vec![link("eth0", PollMethod::Mii), link("eth1", PollMethod::Mii)];
        assert!(adopt(&mut polled, list.clone()).is_empty());
        polled.iter_mut().for_each(|polled| polled.up = false);
        assert_eq!(adopt(&mut polled, list[..1].to_vec()), [("eth1".to_owned(), true)]);
        assert!(!polled[0].up, "what stays keeps what is known");
        assert_eq!(adopt(&mut polled, Vec::new()), [("eth0".to_owned(), true)]);
    }

    #[test]
    fn the_thread_tells_what_the_kernel_says_and_ends_with_its_owner() {
        let mut linkbeat = Linkbeat::start().expect("started");
        linkbeat.follow(&[link("no-such-if", PollMethod::Mii)]);
        linkbeat.follow(&[]);
        drop(linkbeat.lists);
        assert_eq!(
            linkbeat.beats.recv(),
            Err(std::sync::mpsc::RecvError),
            "the thread has ended and said nothing"
        );
    }
}
