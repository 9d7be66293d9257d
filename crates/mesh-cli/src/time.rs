//! Moments as people read them, in UTC, and as they type them.

use crate::cli::When;
use crate::fault::Fault;
use anyhow::Result;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// When something is to be published, milliseconds since the epoch; `None`: at once.
pub(crate) fn planned(when: &When, now_ms: u64) -> Result<Option<u64>> {
    let zone = TimeZone::system();
    let moment = match (&when.at, &when.within) {
        (Some(at), _) => moment(at, &zone),
        (None, Some(within)) => after(within, now_ms, &zone),
        (None, None) => return Ok(None),
    };
    let typed = when.at.as_ref().or(when.within.as_ref()).map(|typed| crate::safe::line(typed)).unwrap_or_default();
    let next = "mesh post --at \"2026-12-24 18:00\", --at \"2026-12-24 18:00 UTC\", or --in 3h".to_owned();
    let ms = moment.and_then(|moment| u64::try_from(moment.timestamp().as_millisecond()).ok());
    let ms = ms.ok_or_else(|| Fault::usage(format!("{typed} is not a time"), next.clone()))?;
    if ms <= now_ms {
        return Err(Fault::usage(format!("{typed} is {}, which has passed", minute(ms)), next).into());
    }
    Ok(Some(ms))
}

/// A moment as typed: with an offset or `UTC` behind it, or in the person's own time.
fn moment(text: &str, zone: &TimeZone) -> Option<Zoned> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.to_zoned(TimeZone::UTC));
    }
    if let Ok(moment) = text.parse::<Zoned>() {
        return Some(moment);
    }
    match text.strip_suffix("UTC") {
        Some(text) => text.trim_end().parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok(),
        None => text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok(),
    }
}

/// The moment after a time such as `3h`.
fn after(text: &str, now_ms: u64, zone: &TimeZone) -> Option<Zoned> {
    let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?.to_zoned(zone.clone());
    now.checked_add(text.trim().parse::<Span>().ok()?).ok()
}

/// `2026-11-23 06:14 UTC`.
pub(crate) fn minute(ms: u64) -> String {
    let minutes = ms / 60_000;
    let (days, minute_of_day) = (minutes / 1440, minutes % 1440);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minute_of_day / 60, minute_of_day % 60)
}

/// How long ago a moment was, in a few letters: `5m`, `3h`, `12d`; `now` within the minute.
pub(crate) fn ago(ms: u64, now_ms: u64) -> String {
    let minutes = now_ms.saturating_sub(ms) / 60_000;
    match minutes {
        0 => "now".to_owned(),
        1..60 => format!("{minutes}m"),
        60..1440 => format!("{}h", minutes / 60),
        _ => format!("{}d", minutes / 1440),
    }
}

/// The date of a day since 1970-01-01, in the proleptic Gregorian calendar (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_some_time_ago() {
        let now = 10 * 86_400_000;
        for (before_ms, expected) in [(59_999, "now"), (60_000, "1m"), (3_599_999, "59m"), (3_600_000, "1h"), (86_400_000, "1d")] {
            assert_eq!(ago(now - before_ms, now), expected);
        }
        assert_eq!(ago(now + 1, now), "now");
    }

    fn check(text: &str, expected: Option<&str>) {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let found = moment(text, &zone).map(|moment| minute(moment.timestamp().as_millisecond() as u64));
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn moments_are_read_in_ones_own_time_or_as_said() {
        check("2026-12-24 18:00", Some("2026-12-24 16:00 UTC"));
        check("2026-12-24T18:00:30", Some("2026-12-24 16:00 UTC"));
        check("2026-12-24 18:00 UTC", Some("2026-12-24 18:00 UTC"));
        check("2026-12-24T18:00Z", Some("2026-12-24 18:00 UTC"));
        check("2026-12-24T18:00+01:00", Some("2026-12-24 17:00 UTC"));
        check("tomorrow", None);
        check("2026-13-24 18:00", None);
    }

    #[test]
    fn times_from_now_are_read_and_what_has_passed_is_refused() {
        let within = |text: &str| planned(&When { at: None, within: Some(text.to_owned()) }, 1_000);
        for (text, expected) in [("3h", 3 * 3_600_000), ("90 minutes", 90 * 60_000), ("2 days", 2 * 86_400_000), ("1h 30m", 90 * 60_000)] {
            assert_eq!(within(text).expect("a time"), Some(1_000 + expected), "{text}");
        }
        for text in ["0s", "-1h", "soon", ""] {
            assert!(within(text).is_err(), "{text}");
        }
        let at = |text: &str| planned(&When { at: Some(text.to_owned()), within: None }, 1_767_225_600_000);
        assert!(at("2025-12-31 23:59 UTC").is_err());
        assert_eq!(at("2026-01-01 00:01 UTC").expect("a time"), Some(1_767_225_660_000));
        assert_eq!(planned(&When::default(), 1).expect("nothing"), None);
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(minute(0), "1970-01-01 00:00 UTC");
        assert_eq!(minute(1_767_225_600_000), "2026-01-01 00:00 UTC");
        assert_eq!(minute(1_709_210_096_789), "2024-02-29 12:34 UTC");
    }
}
