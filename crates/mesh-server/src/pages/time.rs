//! Moments as pages show them: a machine form for `<time datetime>` and one for people, both in UTC.

/// The last moment of the year 9999: later ones are shown as it, since RFC 3339 has no fifth digit.
const LAST_MS: u64 = 253_402_300_799_999;
const DAY_S: u64 = 24 * 3600;
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// A moment in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339: `2026-11-23T06:05:00Z`.
    pub(super) machine: String,
    /// `23 November 2026, 06:05 UTC`.
    pub(super) human: String,
    /// `23 November 2026`.
    pub(super) day: String,
}

impl Moment {
    /// From milliseconds since the epoch.
    pub(super) fn new(ms: u64) -> Self {
        let seconds = ms.min(LAST_MS) / 1000;
        let (year, month, day) = civil(seconds / DAY_S);
        let (hour, minute, second) = (seconds % DAY_S / 3600, seconds % 3600 / 60, seconds % 60);
        let name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
        let date = format!("{day} {name} {year}");
        Self {
            machine: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            human: format!("{date}, {hour:02}:{minute:02} UTC"),
            day: date,
        }
    }
}

/// A moment for the names of files: `20261123T060500Z`.
pub(crate) fn compact(ms: u64) -> String {
    Moment::new(ms).machine.replace(['-', ':'], "")
}

/// Year, month and day of a day since the epoch in the proleptic Gregorian calendar. Years are counted from March, so that the leap day
/// comes last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ms: u64, machine: &str, human: &str) {
        let moment = Moment::new(ms);
        assert_eq!((moment.machine.as_str(), moment.human.as_str()), (machine, human));
    }

    #[test]
    fn moments_are_utc() {
        check(0, "1970-01-01T00:00:00Z", "1 January 1970, 00:00 UTC");
        check(951_782_399_999, "2000-02-28T23:59:59Z", "28 February 2000, 23:59 UTC");
        check(951_827_696_000, "2000-02-29T12:34:56Z", "29 February 2000, 12:34 UTC");
        check(4_107_542_400_000, "2100-03-01T00:00:00Z", "1 March 2100, 00:00 UTC");
        check(1_795_413_900_000, "2026-11-23T06:05:00Z", "23 November 2026, 06:05 UTC");
    }

    #[test]
    fn absurd_moments_stay_within_the_calendar() {
        check(u64::MAX, "9999-12-31T23:59:59Z", "31 December 9999, 23:59 UTC");
    }
}
