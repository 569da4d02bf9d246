//! The periods of budgets: when the one begins and ends that a moment lies in, by the calendar of a time zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::BudgetPeriod;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// A period, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// Its first second.
    pub start: i64,
    /// The first second after it; `None`: it never ends.
    pub end: Option<i64>,
}

/// The period that a moment lies in.
#[must_use]
pub fn period_at(period: BudgetPeriod, zone: &TimeZone, now: i64) -> Period {
    match period {
        BudgetPeriod::Total => Period { start: 0, end: None },
        BudgetPeriod::Hourly => {
            // An hour of the clock, also where clocks are half an hour apart from others.
            let offset = Timestamp::from_second(now).map_or(0, |at| i64::from(zone.to_offset(at).seconds()));
            let start = now - (now + offset).rem_euclid(HOUR);
            Period { start, end: Some(start + HOUR) }
        }
        _ => days(period, zone, now).unwrap_or_else(|| {
            // Beyond the calendar's end there are days all the same.
            let start = now - now.rem_euclid(DAY);
            Period { start, end: Some(start + DAY) }
        }),
    }
}

/// One that is made of days. A day begins with its first moment, which need not be midnight.
fn days(period: BudgetPeriod, zone: &TimeZone, now: i64) -> Option<Period> {
    let today = Timestamp::from_second(now).ok()?.to_zoned(zone.clone()).date();
    let (first, last) = match period {
        BudgetPeriod::Weekly => {
            let monday = today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days()).ok()?;
            (monday, monday.checked_add(6.days()).ok()?)
        }
        BudgetPeriod::Monthly => (today.first_of_month(), today.last_of_month()),
        BudgetPeriod::Yearly => (today.first_of_year(), today.last_of_year()),
        BudgetPeriod::Daily | BudgetPeriod::Hourly | BudgetPeriod::Total => (today, today),
    };
    let begins = |day: Date| day.to_zoned(zone.clone()).ok().map(|at| at.timestamp().as_second());
    Some(Period { start: begins(first)?, end: Some(begins(last.tomorrow().ok()?)?) })
}

#[cfg(test)]
mod tests {
    use super::super::budgets::zone;
    use super::*;

    #[test]
    fn periods_are_those_of_the_calendar_in_their_time_zone() {
        use BudgetPeriod::{Daily, Hourly, Monthly, Total, Weekly, Yearly};
        for (period, name, now, start, end) in [
            (Hourly, "", "2026-11-28T19:31:12Z", "2026-11-28T19:00:00Z", "2026-11-28T20:00:00Z"),
            (Hourly, "Asia/Kolkata", "2026-11-28T19:31:12Z", "2026-11-28T19:30:00Z", "2026-11-28T20:30:00Z"),
            (Daily, "", "2026-11-28T19:31:12Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
            (Daily, "Europe/Berlin", "2026-11-28T23:31:12Z", "2026-11-28T23:00:00Z", "2026-11-29T23:00:00Z"),
            // Clocks go forward, and back: days of 23 and of 25 hours.
            (Daily, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Daily, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            // There is no midnight on that day.
            (Daily, "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
            (Weekly, "", "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Weekly, "", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
            (Monthly, "", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Monthly, "America/New_York", "2026-12-01T04:59:59Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
            (Yearly, "Pacific/Auckland", "2026-12-31T11:00:00Z", "2026-12-31T11:00:00Z", "2027-12-31T11:00:00Z"),
        ] {
            let seconds = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
            let expected = Period { start: seconds(start), end: Some(seconds(end)) };
            assert_eq!(period_at(period, &zone(name).unwrap(), seconds(now)), expected, "{period:?} {name} {now}");
        }
        assert_eq!(period_at(Total, &TimeZone::UTC, 7), Period { start: 0, end: None });
        assert_eq!(period_at(Daily, &TimeZone::UTC, i64::MAX / 2).end.map(|end| end > i64::MAX / 2), Some(true));
    }
}
