//! Event time: microseconds since 1970, UTC, proleptic Gregorian calendar.

pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3600 * SECOND;
pub const DAY: i64 = 24 * HOUR;

/// Begin of the year 0 and of the year 10,000, in seconds: what ISO 8601 can write with four digits.
const FIRST_SECOND: f64 = -62_167_219_200.0;
const END_SECOND: f64 = 253_402_300_800.0;

/// Microseconds of `seconds` since 1970, to the nearest; `None` outside the years 0 to 9999.
pub fn from_seconds(seconds: f64) -> Option<i64> {
    if (FIRST_SECOND..END_SECOND).contains(&seconds) {
        Some((seconds * 1e6).round() as i64)
    } else {
        None
    }
}

/// Read `YYYY-MM-DD`, alone or followed by `[T ]hh:mm[:ss[.f]][Z|±hh:mm]`; UTC where no offset is given.
///
/// Digits beyond the microsecond are cut off.
pub fn from_text(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *date else {
        return None;
    };
    let year = i64::from(two(y0, y1)?) * 100 + i64::from(two(y2, y3)?);
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    if !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let midnight = days_since_1970(year, month, day) * DAY;
    match rest {
        [] => Some(midnight),
        [b'T' | b' ', clock @ ..] => Some(midnight + clock_time(clock)?),
        _ => None,
    }
}

/// Microseconds since midnight UTC of `hh:mm[:ss[.f]][Z|±hh:mm]`.
fn clock_time(text: &[u8]) -> Option<i64> {
    let (minutes, mut rest) = hours_and_minutes(text)?;
    let mut time = minutes * 60 * SECOND;
    if let [b':', s0, s1, after @ ..] = rest {
        let seconds = two(*s0, *s1).filter(|seconds| *seconds < 60)?;
        time += i64::from(seconds) * SECOND;
        rest = after;
        if let [b'.', digits @ ..] = rest {
            let count = digits
                .iter()
                .take_while(|digit| digit.is_ascii_digit())
                .count();
            time += fraction(&digits[..count])?;
            rest = &digits[count..];
        }
    }
    match rest {
        [] | [b'Z'] => Some(time),
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let (minutes, after) = hours_and_minutes(offset)?;
            let offset = minutes * 60 * SECOND;
            after.is_empty().then_some(if *sign == b'+' {
                time - offset
            } else {
                time + offset
            })
        }
        _ => None,
    }
}

fn hours_and_minutes(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h0, h1, b':', m0, m1, rest @ ..] = text else {
        return None;
    };
    let (hours, minutes) = (two(*h0, *h1)?, two(*m0, *m1)?);
    (hours < 24 && minutes < 60).then_some((i64::from(hours * 60 + minutes), rest))
}

fn fraction(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    let padded = digits
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(6);
    Some(padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

fn days_of_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Month (1 to 12) and day of the month, as in `civil_from_days` of the same source.
fn month_and_day(days: i64) -> (i64, i64) {
    let day_of_era = (days + 719_468).rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// A part of an instant, as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// 0 to 23.
    Hour,
    /// 0 is Monday.
    Weekday,
    /// Of the month, from 1.
    Day,
    Month,
}

impl Part {
    pub fn of(self, time: i64) -> i64 {
        let days = time.div_euclid(DAY);
        match self {
            Part::Hour => time.rem_euclid(DAY) / HOUR,
            Part::Weekday => (days + 3).rem_euclid(7), // 1970-01-01 was a Thursday
            Part::Day => month_and_day(days).1,
            Part::Month => month_and_day(days).0,
        }
    }
}

#[cfg(test)]
#[path = "tests/time.rs"]
mod tests;
