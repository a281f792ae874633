//! The local calendar: the time zone of the machine (TZ, /etc/localtime) is known to the C library alone.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Year, month and day of a moment (seconds since 1970), in local time. `None` beyond what the library can say.
pub fn local_date(unix_seconds: i64) -> Option<(i32, u32, u32)> {
    let seconds: libc::time_t = unix_seconds;
    let mut fields = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; on success the library has filled the structure.
    let filled = unsafe { libc::localtime_r(&seconds, fields.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    // SAFETY: filled, see above.
    let fields = unsafe { fields.assume_init() };
    let month = u32::try_from(fields.tm_mon).ok()? + 1;
    Some((fields.tm_year + 1900, month, u32::try_from(fields.tm_mday).ok()?))
}

/// The moment of a local date and time, in seconds since 1970. Of an hour that comes twice the library chooses one.
pub fn unix_of_local(
    (year, month, day): (i32, u32, u32),
    (hour, minute, second): (u32, u32, u32),
) -> Option<i64> {
    let number = |n: u32| libc::c_int::try_from(n).ok();
    // SAFETY: a structure of integers and a pointer, for which zero (null) is a value.
    let mut fields: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
    fields.tm_year = year - 1900;
    fields.tm_mon = number(month)? - 1;
    fields.tm_mday = number(day)?;
    fields.tm_hour = number(hour)?;
    fields.tm_min = number(minute)?;
    fields.tm_sec = number(second)?;
    fields.tm_isdst = -1;
    // SAFETY: the structure is initialised and ours.
    let seconds = unsafe { libc::mktime(&mut fields) };
    (seconds != -1).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_from_its_local_date() {
        let noon = unix_of_local((2031, 7, 9), (12, 0, 0)).expect("a day of this century");
        assert_eq!(local_date(noon), Some((2031, 7, 9)));
        assert_eq!(unix_of_local((2031, 7, 10), (12, 0, 0)), Some(noon + 86_400));
    }
}
