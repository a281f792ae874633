//! The calendar of this machine's time zone.

#![allow(unsafe_code, reason = "the time zone is known to the C library alone")]

/// A time of the calendar in this machine's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// As people count.
    pub year: i32,
    /// From 1.
    pub month: i32,
    /// From 1; a day past the end of the month is of the next.
    pub day: i32,
    /// From 0.
    pub hour: i32,
    /// From 0.
    pub minute: i32,
    /// From 0.
    pub second: i32,
}

/// Seconds since 1970 of a time of this machine's time zone (mktime); `None` if there is none.
pub fn unix_of_local(time: LocalTime) -> Option<i64> {
    // SAFETY: struct tm is plain data, for which zeros are valid.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    parts.tm_year = time.year - 1900;
    parts.tm_mon = time.month - 1;
    parts.tm_mday = time.day;
    parts.tm_hour = time.hour;
    parts.tm_min = time.minute;
    parts.tm_sec = time.second;
    // Summer time is as the zone says.
    parts.tm_isdst = -1;
    // SAFETY: the pointer is to a struct tm of ours, which mktime reads and normalises.
    let seconds = unsafe { libc::mktime(&raw mut parts) };
    (seconds != -1).then_some(seconds)
}

/// Year, month and day of a moment, in seconds since 1970, in this machine's time zone.
pub fn local_day(seconds: i64) -> [i32; 3] {
    // SAFETY: struct tm is plain data, for which zeros are valid.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of ours; localtime_r writes the second alone.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    [parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday]
}
