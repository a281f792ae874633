//! Times as people write them.

use crate::sys::calendar::{local_date, unix_of_local};
use std::time::Duration;

/// `90`, `90s`, `10m`, `1h30m`, `2d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text} is no span of time: write 90s, 10m, 1h30m or 2d");
    let (mut seconds, mut digits) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(bad()),
        };
        let count: u64 = std::mem::take(&mut digits).parse().map_err(|_| bad())?;
        seconds = count.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(bad)?;
    }
    // A number alone counts seconds.
    if !digits.is_empty() {
        let count: u64 = digits.parse().map_err(|_| bad())?;
        let alone = text.len() == digits.len();
        seconds = Some(count).filter(|_| alone).ok_or_else(bad)?;
    }
    if seconds == 0 { Err(bad()) } else { Ok(Duration::from_secs(seconds)) }
}

/// A span from `now`, or a time of the clock: `18:30` (the next one), `2026-11-21 18:30`, `2026-11-21T18:30:00`; with `Z` in
/// UTC, otherwise of this machine's time zone. In milliseconds since 1970, as is `now`.
pub fn until(text: &str, now: u64) -> Result<u64, String> {
    if let Ok(span) = duration(text) {
        return Ok(now.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)));
    }
    let bad = || format!("{text} is no time: write 30m, 18:30, 2026-11-21T18:30 (a Z at the end means UTC)");
    let (words, utc) = match text.strip_suffix('Z') {
        Some(words) => (words, true),
        None => (text, false),
    };
    let now_seconds = i64::try_from(now / 1000).unwrap_or(i64::MAX);
    let (day, clock) = match words.split_once(['T', ' ']) {
        Some((day, clock)) => (Some(day), clock),
        None => (None, words),
    };
    let [hour, minute, second] = clock_words(clock).ok_or_else(bad)?;
    let of_day = |[year, month, day]: [i32; 3]| {
        let clock = i64::from(hour * 3600 + minute * 60 + second);
        if utc {
            return Some(days(year, month, day) * 86_400 + clock);
        }
        let number = |n: i32| u32::try_from(n).ok();
        let day = (year, number(month)?, number(day)?);
        unix_of_local(day, (number(hour)?, number(minute)?, number(second)?))
    };
    let moment = match day {
        Some(day) => of_day(day_words(day).filter(is_day).ok_or_else(bad)?),
        None => {
            // Today or tomorrow, whichever comes first and is not over.
            let today = if utc { utc_day(now_seconds) } else { local_day(now_seconds).ok_or_else(bad)? };
            let tomorrow = [today[0], today[1], today[2] + 1];
            of_day(today).filter(|moment| *moment > now_seconds).or_else(|| of_day(tomorrow))
        }
    };
    let moment = moment.and_then(|seconds| u64::try_from(seconds).ok()).ok_or_else(bad)?;
    if moment.saturating_mul(1000) <= now { Err(format!("{text} is over")) } else { Ok(moment * 1000) }
}

fn clock_words(text: &str) -> Option<[i32; 3]> {
    let numbers: Vec<i32> = text.split(':').map(two_digits).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [hour @ 0..24, minute @ 0..60] => Some([*hour, *minute, 0]),
        [hour @ 0..24, minute @ 0..60, second @ 0..60] => Some([*hour, *minute, *second]),
        _ => None,
    }
}

fn two_digits(text: &str) -> Option<i32> {
    let whole = text.len() <= 2 && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| whole)
}

fn day_words(text: &str) -> Option<[i32; 3]> {
    let mut words = text.split('-');
    let (year, month, day) = (words.next()?, words.next()?, words.next()?);
    let year: i32 = year.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let (month, day) = (two_digits(month)?, two_digits(day)?);
    let fits = words.next().is_none() && (1..=12).contains(&month) && (1..=31).contains(&day);
    fits.then_some([year, month, day])
}

/// 30 February is none.
fn is_day(&[year, month, day]: &[i32; 3]) -> bool {
    utc_day(days(year, month, day) * 86_400) == [year, month, day]
}

/// Days since 1970 of a day of the Gregorian calendar; days past the end of a month run into the next.
fn days(year: i32, month: i32, day: i32) -> i64 {
    // Years from March, so that a leap day is the last one (Hinnant, "chrono-compatible low-level date algorithms").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (i64::from(year.div_euclid(400)), i64::from(year.rem_euclid(400)));
    let of_year = i64::from((153 * month + 2) / 5 + day - 1);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn local_day(seconds: i64) -> Option<[i32; 3]> {
    let (year, month, day) = local_date(seconds)?;
    Some([year, i32::try_from(month).ok()?, i32::try_from(day).ok()?])
}

/// Year, month and day in UTC; found by trying, since only the tool asks, once.
fn utc_day(seconds: i64) -> [i32; 3] {
    let today = seconds.div_euclid(86_400);
    let year = (1970..10_000).rev().find(|year| days(*year, 1, 1) <= today).unwrap_or(1970);
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= today).unwrap_or(1);
    let day = i32::try_from(today - days(year, month, 1)).unwrap_or(0) + 1;
    [year, month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        let seconds = |text| duration(text).map(|span| span.as_secs()).ok();
        let read = ["90", "90s", "10m", "1h30m", "2d", "1d1h1m1s"].map(seconds);
        assert_eq!(read, [90, 90, 600, 5400, 172_800, 90_061].map(Some));
        for bad in
            ["", "0", "m", "1x", "1h30", "-1s", "1.5h", "99999999999999999999d", "18446744073709551615d"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_of_the_clock_in_utc() {
        // 2026-11-21 12:00:00 UTC
        let now = 1_795_262_400_000;
        assert_eq!(until("30m", now), Ok(now + 1_800_000));
        assert_eq!(until("12:30Z", now), Ok(now + 1_800_000));
        assert_eq!(until("11:59:59Z", now), Ok(now + 86_399_000), "tomorrow");
        assert_eq!(until("2026-11-21T12:00:01Z", now), Ok(now + 1000));
        assert_eq!(until("2028-02-29 00:00Z", now), Ok(1_835_395_200_000));
        for bad in [
            "2026-11-21T11:00Z",
            "25:00",
            "12:60",
            "12",
            "noon",
            "2026-13-01 00:00",
            "1:2:3:4",
            "+1:00",
            "",
            "2027-02-30T10:00Z",
            "2027-02-30T10:00",
            "2027-02-29 10:00",
            "2027-04-31T10:00Z",
        ] {
            // 12 alone is a span of 12 s.
            assert_eq!(until(bad, now).is_ok(), bad == "12", "{bad}");
        }
        for day in [0, 58, 59, 365 * 30, 20_413, 1_000_000] {
            let [year, month, of_month] = utc_day(day * 86_400);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn times_of_this_machine_lie_ahead() {
        let now = 1_795_262_400_000;
        let next = until("18:30", now).expect("a time");
        assert!(until("2028-02-29T10:00", now).is_ok(), "a leap day");
        // A day with a change of the clock has 25 hours.
        assert!(next > now && next <= now + 25 * 3_600_000, "{next}");
    }
}
