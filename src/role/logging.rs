//! Log lines: to standard error, to syslog, or both. One line per event, no colours.
//!
//! Logging waits for nobody, since the vrrp role logs on the thread that sends advertisements: a console
//! or a syslog socket that would block loses the line, and the next line that gets through says how many were lost.
//!
//! Who says much at once says it [`together`]: a thousand servers that die are a thousand lines, but not as many system calls.

use crate::role::options::LogOptions;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A line is cut here: within PIPE_BUF, so that lines of several processes on one pipe never mix and a
/// write to a pipe that polls as writable cannot block.
const LINE_LIMIT: usize = 4096;

/// Where syslog listens.
const SYSLOG_SOCKET: &str = "/dev/log";

/// Where nobody listened, the next try comes after this; lines until then are counted as lost.
const SYSLOG_REST: Duration = Duration::from_secs(1);

/// Lines that standard error did not take since one last got through.
static LOST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this thread has to say [`together`].
    static GATHERED: RefCell<Option<Gathered>> = const { RefCell::new(None) };
}

/// Starts logging for this process under the name `ident`. A second call changes nothing.
pub fn init(options: &LogOptions, ident: &'static str) {
    let level = match options.detail {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let pid = std::process::id();
    let console = options.console.then_some(Console { ident, pid });
    let syslog = (!options.no_syslog).then(|| Syslog {
        ident,
        pid,
        facility: options.facility.code(),
        socket: Mutex::new(SyslogSocket::default()),
    });
    let subscriber = tracing_subscriber::registry().with(ours(level)).with(console).with(syslog);
    // Err means that a subscriber is there already, which is what the caller wants.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let panics = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            say_gathered();
            panics(what);
        }));
    }
}

/// Lines that `work` logs on this thread leave together at its end, or as soon as they are as many as one write takes; those
/// that leave together bear the time of the first.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    let inside = GATHERED.with_borrow(Option::is_some);
    if !inside {
        GATHERED.set(Some(Gathered::default()));
    }
    let result = work();
    if !inside {
        say_gathered();
        GATHERED.set(None);
    }
    result
}

/// Lines on their way to standard error.
#[derive(Default)]
struct Gathered {
    text: String,
    /// How many, and those that were lost before them.
    lines: u64,
    /// When the first of them was said.
    time: Option<Duration>,
}

impl Gathered {
    /// Takes a line, and gives what has no room beside it.
    fn take(&mut self, line: &str, lines: u64) -> Option<(String, u64)> {
        let full = self.text.len() + line.len() > LINE_LIMIT;
        let leaves = full.then(|| std::mem::take(self)).map(|full| (full.text, full.lines));
        self.text.push_str(line);
        self.lines += lines;
        leaves
    }
}

/// Says what was gathered so far.
fn say_gathered() {
    // Borrowed: the process panics while it logs. Gone: the thread ends.
    let gathered = GATHERED.try_with(|gathered| {
        let mut gathered = gathered.try_borrow_mut().ok()?;
        gathered.as_mut().map(std::mem::take)
    });
    if let Ok(Some(Gathered { text, lines, .. })) = gathered
        && !text.is_empty()
    {
        say(&text, lines);
    }
}

/// Writes `lines` lines to standard error, unless that would block.
fn say(text: &str, lines: u64) {
    let stderr = std::io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let writable = matches!(poll(&mut ready, PollTimeout::ZERO), Ok(1));
    if !writable || stderr.lock().write_all(text.as_bytes()).is_err() {
        LOST.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The time of a line, since 1970.
fn time() -> Duration {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    GATHERED.with_borrow_mut(|gathered| match gathered {
        Some(gathered) => *gathered.time.get_or_insert_with(now),
        None => now(),
    })
}

/// Only lines of holdfast: a library tells each frame of each HTTP/2 check.
fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_target("holdfast", level)
}

/// Lines on standard error: time in UTC, name, process id, text.
struct Console {
    ident: &'static str,
    pid: u32,
}

impl<S: Subscriber> Layer<S> for Console {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let lost = LOST.swap(0, Ordering::Relaxed);
        let mut line = format!("{} {}[{}]: {}", utc(time()), self.ident, self.pid, text(event, lost));
        cut(&mut line, LINE_LIMIT - 1);
        line.push('\n');
        let leaves = GATHERED.with_borrow_mut(|gathered| match gathered {
            Some(gathered) => gathered.take(&line, lost + 1),
            None => Some((line, lost + 1)),
        });
        if let Some((text, lines)) = leaves {
            say(&text, lines);
        }
    }
}

/// Lines to syslog as RFC 3164 messages without a time: the receiver adds its own, in its own zone.
struct Syslog {
    ident: &'static str,
    pid: u32,
    facility: u8,
    socket: Mutex<SyslogSocket>,
}

#[derive(Default)]
struct SyslogSocket {
    connected: Option<UnixDatagram>,
    /// When nobody was found to listen there.
    alone_since: Option<Duration>,
    lost: u64,
}

impl SyslogSocket {
    /// Is it worth a try at `now`?
    fn is_there(&self, now: Duration) -> bool {
        let rests = |since: Duration| now.checked_sub(since).is_some_and(|passed| passed < SYSLOG_REST);
        self.connected.is_some() || !self.alone_since.is_some_and(rests)
    }

    /// Sends a datagram, connecting again once if syslog was restarted.
    fn send(&mut self, datagram: &[u8], now: Duration) -> bool {
        for _ in 0..2 {
            if self.connected.is_none() {
                self.connected = connect().ok();
                self.alone_since = self.connected.is_none().then_some(now);
            }
            let Some(socket) = &self.connected else { return false };
            match socket.send(datagram) {
                Ok(_) => return true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => self.connected = None,
            }
        }
        false
    }
}

fn connect() -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(SYSLOG_SOCKET)?;
    Ok(socket)
}

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Ok(mut socket) = self.socket.lock() else { return };
        // Asking for the time is a system call on some machines: only where it says when to look again.
        let now = if socket.connected.is_some() { Duration::ZERO } else { time() };
        if !socket.is_there(now) {
            socket.lost += 1;
            return;
        }
        let text = text(event, socket.lost);
        let datagram = syslog_line(self.facility, *event.metadata().level(), self.ident, self.pid, &text);
        if socket.send(datagram.as_bytes(), now) {
            socket.lost = 0;
        } else {
            socket.lost += 1;
        }
    }
}

/// `<PRI>TAG[PID]: TEXT` (RFC 3164 4.1.1 and 4.1.3).
fn syslog_line(facility: u8, level: Level, ident: &str, pid: u32, text: &str) -> String {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    };
    let mut line = format!("<{}>{ident}[{pid}]: {text}", u32::from(facility) * 8 + severity);
    cut(&mut line, LINE_LIMIT);
    line
}

/// The event in words, on one line, after a word about lines that were lost before it.
fn text(event: &Event<'_>, lost: u64) -> String {
    let mut words = Words::default();
    if lost > 0 {
        words.0 = format!("({lost} lines lost before this one) ");
    }
    event.record(&mut words);
    words.0.retain(|c| c != '\r');
    words.0.replace('\n', " | ")
}

#[derive(Default)]
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value}"),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

/// Cuts `line` to at most `limit` octets, at a character.
fn cut(line: &mut String, limit: usize) {
    if line.len() > limit {
        let end = (0..=limit).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        line.truncate(end);
    }
}

/// `2026-11-20T21:12:41.123Z`: the time since 1970 as RFC 3339 text.
fn utc(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Years begin in March here, so
/// that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn time_is_printed_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_795_209_161, "2026-11-20T21:12:41.000Z"),
        ] {
            assert_eq!(utc(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_syslog_line_carries_facility_severity_name_and_pid() {
        assert_eq!(syslog_line(3, Level::INFO, "holdfast_vrrp", 7, "up"), "<30>holdfast_vrrp[7]: up");
        assert_eq!(syslog_line(16, Level::ERROR, "holdfast", 7, "x"), "<131>holdfast[7]: x");
        assert_eq!(syslog_line(3, Level::WARN, "holdfast", 7, &"ä".repeat(4096)).len(), LINE_LIMIT - 1);
    }

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().expect("one thread").push(text(event, 0));
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let heard = Heard::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(heard.clone()), || {
            tracing::info!("plain {}", 1);
            tracing::warn!(role = "vrrp", pid = 7, "two\nlines");
        });
        let heard = heard.0.lock().expect("one thread").clone();
        assert_eq!(heard, ["plain 1", "two | lines role=vrrp pid=7"]);
    }

    #[test]
    fn libraries_are_not_heard() {
        let heard = Heard::default();
        let subscriber = tracing_subscriber::registry().with(ours(LevelFilter::TRACE)).with(heard.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!("our own");
            tracing::error!(target: "h2::codec::framed_read", "a frame");
        });
        assert_eq!(*heard.0.lock().expect("one thread"), ["our own"]);
    }

    #[test]
    fn lines_leave_together_as_many_as_one_write_takes() {
        let mut gathered = Gathered::default();
        let line = "x".repeat(LINE_LIMIT / 4);
        for _ in 0..4 {
            assert_eq!(gathered.take(&line, 1), None);
        }
        assert_eq!(gathered.take("more\n", 3), Some((line.repeat(4), 4)));
        assert_eq!((gathered.text.as_str(), gathered.lines), ("more\n", 3));
    }

    #[test]
    fn what_is_said_together_bears_one_time() {
        let alike = together(|| (time(), together(time), time()));
        assert!(alike.0 == alike.1 && alike.1 == alike.2, "{alike:?}");
        assert!(GATHERED.with_borrow(Option::is_none), "it is over");
    }

    #[test]
    fn syslog_that_is_not_there_is_looked_for_once_a_second() {
        let second = Duration::from_secs(1);
        let socket = SyslogSocket { alone_since: Some(10 * second), ..SyslogSocket::default() };
        let looks = [10, 11, 9].map(|now| socket.is_there(now * second));
        assert_eq!(looks, [false, true, true], "the last: the clock was set back");
        assert!(SyslogSocket::default().is_there(second));
    }

    #[test]
    fn lost_lines_are_confessed() {
        let heard = Arc::new(Mutex::new(String::new()));
        struct Late(Arc<Mutex<String>>);
        impl<S: Subscriber> Layer<S> for Late {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                *self.0.lock().expect("one thread") = text(event, 3);
            }
        }
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Late(heard.clone())), || {
            tracing::info!("now");
        });
        assert_eq!(*heard.lock().expect("one thread"), "(3 lines lost before this one) now");
    }
}
