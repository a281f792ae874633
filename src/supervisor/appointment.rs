//! `reload_time_file`: a file says when to reload. It is looked at each second; whoever writes it needs no signal.

use super::run::Asks;
use crate::plan::process::ReloadTime;
use crate::sys::calendar::{local_date, unix_of_local};
use crate::sys::clock::unix_nanoseconds;
use crate::time::Civil;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// How often the file is looked at, and how late a reload may be.
const LOOK: Duration = Duration::from_secs(1);

/// More than the longest line that is understood.
const MOST_READ: u64 = 64;

const DAY: i64 = 86_400;

/// Year, month, day.
type Date = (i32, u32, u32);

/// The first line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    /// The next such time of day when `None`.
    date: Option<Date>,
    /// Hour, minute, second.
    time: (u32, u32, u32),
    /// By UTC (`Z`), else by this machine's zone.
    utc: bool,
}

/// The file as it was last read.
#[derive(Debug, Default)]
struct Known {
    text: Option<String>,
    /// Reload at this moment, in seconds since 1970.
    at: Option<i64>,
}

/// Watches the file of the configuration in force, which the sender tells; asks over `to`.
pub fn keep(first: Option<ReloadTime>, to: mpsc::Sender<Asks>) -> watch::Sender<Option<ReloadTime>> {
    let (tell, told) = watch::channel(first);
    tokio::spawn(watch_file(told, to));
    tell
}

/// Ends when the supervisor has.
async fn watch_file(mut told: watch::Receiver<Option<ReloadTime>>, to: mpsc::Sender<Asks>) {
    let mut known = Known::default();
    loop {
        let Some(plan) = told.borrow_and_update().clone() else {
            known = Known::default();
            if told.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            changed = told.changed() => {
                // A reload, perhaps the one that was asked for: the file is read anew.
                if changed.is_err() {
                    return;
                }
                known = Known::default();
                continue;
            }
            () = sleep(LOOK) => {}
        }
        let file = plan.file.clone();
        let text = tokio::task::spawn_blocking(move || first_line(&file)).await.unwrap_or_default();
        known.take(text, &plan, now());
        if known.at.is_some_and(|at| at <= now()) {
            known.keep_or_remove(&plan);
            tracing::info!("{} said: reload now", plan.file);
            if to.send(Asks::Reload).await.is_err() {
                return;
            }
        }
    }
}

impl Known {
    /// What the file says now.
    fn take(&mut self, text: Option<String>, plan: &ReloadTime, now: i64) {
        if text == self.text {
            return;
        }
        if text.is_none() && self.at.is_some() {
            tracing::info!("{} is gone: no reload is due", plan.file);
        }
        self.text = text;
        self.at = None;
        let Some(text) = &self.text else { return };
        match Written::parse(text) {
            None => tracing::error!(
                "{}: {text:?} is no time: HH:MM:SS or YYYY-MM-DD HH:MM:SS, with Z for UTC; no reload is due",
                plan.file
            ),
            Some(written) => match written.next(now) {
                Some(at) => {
                    tracing::info!("reload at {text} as {} says, in {} s", plan.file, at - now);
                    self.at = Some(at);
                }
                None => tracing::warn!("{}: {text} is over: no reload is due", plan.file),
            },
        }
    }

    /// It is time: as in keepalived the file goes, unless it stands for every day.
    fn keep_or_remove(&mut self, plan: &ReloadTime) {
        let written = self.text.as_deref().and_then(Written::parse);
        self.at = None;
        if !plan.repeat {
            if let Err(error) = std::fs::remove_file(&plan.file) {
                tracing::warn!("{} cannot be removed ({error}): it is ignored until it changes", plan.file);
            }
        } else if let Some(written) = written {
            self.at = written.next(now() + 1);
        }
    }
}

fn now() -> i64 {
    i64::try_from(unix_nanoseconds() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// `None` when there is no file that can be read.
fn first_line(file: &str) -> Option<String> {
    let mut octets = Vec::new();
    // A FIFO that stands there is not waited for.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(file);
    opened.ok()?.take(MOST_READ).read_to_end(&mut octets).ok()?;
    let text = String::from_utf8_lossy(&octets);
    text.lines().next().map(str::to_owned)
}

impl Written {
    /// `HH:MM:SS`, `YY-MM-DD HH:MM:SS`, `YYYY-MM-DD HH:MM:SS`, each with an optional `Z`; nothing else, no blanks.
    fn parse(text: &str) -> Option<Written> {
        let (text, utc) = text.strip_suffix('Z').map_or((text, false), |text| (text, true));
        let (date, time) = match text.split_once(' ') {
            Some((date, time)) => (Some(date), time),
            None => (None, text),
        };
        let [hour, minute, second] = numbers(time, ':')?;
        let date = match date.map(|date| numbers(date, '-').map(|numbers| (numbers, date.len()))) {
            None => None,
            Some(None) => return None,
            Some(Some(([year, month, day], length))) => {
                let century = if length == "YY-MM-DD".len() { 2000 } else { 0 };
                let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
                Some((i32::try_from(year).ok()? + century, month, day)).filter(|_| fits)
            }
        };
        let fits = hour < 24 && minute < 60 && second < 60 && (date.is_some() || !text.contains(' '));
        fits.then_some(Written { date, time: (hour, minute, second), utc })
    }

    /// The first such moment from `now` on; `None` when it is over.
    fn next(self, now: i64) -> Option<i64> {
        match self.date {
            Some(date) => self.on(date).filter(|at| *at >= now),
            None => (0..3).filter_map(|days| self.on(self.today(now + days * DAY)?)).find(|at| *at >= now),
        }
    }

    fn today(self, now: i64) -> Option<Date> {
        if !self.utc {
            return local_date(now);
        }
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let today = Civil::of(u64::try_from(now).ok()?);
        let month = MONTHS.iter().position(|name| *name == today.month)?;
        Some((
            i32::try_from(today.year).ok()?,
            u32::try_from(month).ok()? + 1,
            u32::try_from(today.day).ok()?,
        ))
    }

    fn on(self, date: Date) -> Option<i64> {
        if !self.utc {
            return unix_of_local(date, self.time);
        }
        let (hour, minute, second) = self.time;
        Some(days_since_1970(date) * DAY + i64::from(hour * 3600 + minute * 60 + second))
    }
}

/// Three numbers of two digits; the first may have four.
fn numbers(text: &str, between: char) -> Option<[u32; 3]> {
    let mut parts = text.split(between);
    let mut number = |lengths: &[usize]| {
        let part = parts.next()?;
        let digits = part.bytes().all(|octet| octet.is_ascii_digit());
        (digits && lengths.contains(&part.len())).then(|| part.parse().ok())?
    };
    let first = if between == '-' { number(&[2, 4])? } else { number(&[2])? };
    let all = [first, number(&[2])?, number(&[2])?];
    parts.next().is_none().then_some(all)
}

/// Days in the proleptic Gregorian calendar, by eras of 400 years that begin in March.
fn days_since_1970((year, month, day): Date) -> i64 {
    let (year, month, day) = (i64::from(year) - i64::from(month <= 2), i64::from(month), i64::from(day));
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_formats_of_the_manual_are_times() {
        let time = (23, 59, 1);
        let of = |date, utc| Some(Written { date, time, utc });
        assert_eq!(Written::parse("23:59:01"), of(None, false));
        assert_eq!(Written::parse("23:59:01Z"), of(None, true));
        assert_eq!(Written::parse("26-02-03 23:59:01"), of(Some((2026, 2, 3)), false));
        assert_eq!(Written::parse("2026-02-03 23:59:01Z"), of(Some((2026, 2, 3)), true));
        for wrong in [
            "",
            "24:00:00",
            "1:02:03",
            " 23:59:01",
            "23:59:01 ",
            "23:59",
            "2026-13-01 00:00:00",
            "2026-02-03  23:59:01",
            "2026-02-03T23:59:01",
            "+1:02:03",
            "23:59:01:02",
            "é3:59:01",
        ] {
            assert_eq!(Written::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_time_without_date_is_today_or_tomorrow_and_a_date_in_the_past_is_never() {
        // 2026-11-21 04:30:00 UTC.
        let now = 1_795_235_400;
        let next = |text| Written::parse(text).expect("well written").next(now);
        assert_eq!(next("04:30:00Z"), Some(now));
        assert_eq!(next("04:29:59Z"), Some(now + DAY - 1));
        assert_eq!(next("2026-11-21 04:30:01Z"), Some(now + 1));
        assert_eq!(next("26-11-22 04:30:00Z"), Some(now + DAY));
        assert_eq!(next("2026-11-21 04:29:59Z"), None);
        let local = Written { date: None, time: (12, 0, 0), utc: false };
        assert!(local.next(now).is_some_and(|at| (now..now + 2 * DAY).contains(&at)));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(days_since_1970((1970, 1, 1)), 0);
        assert_eq!(days_since_1970((2000, 2, 29)), 11_016);
        for days in [0, 58, 59, 365, 11_016, 11_017, 20_778] {
            let civil = Civil::of(days * 86_400);
            let written = Written { date: None, time: (0, 0, 0), utc: true };
            let date = written.today(i64::try_from(days).expect("small") * DAY).expect("a day");
            assert_eq!(days_since_1970(date), i64::try_from(days).expect("small"), "{civil:?}");
        }
    }
}
