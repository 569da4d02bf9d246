//! The calendar: of any zone and any moment, a moment lies in its period, and a period's first and last moments lie in it too.

use crate::BudgetPeriod;
use crate::compile::period_at;
use crate::compile::zone;

const PERIODS: [BudgetPeriod; 6] = [
    BudgetPeriod::Hourly,
    BudgetPeriod::Daily,
    BudgetPeriod::Weekly,
    BudgetPeriod::Monthly,
    BudgetPeriod::Yearly,
    BudgetPeriod::Total,
];

/// The target: the name of a zone, and behind it, in its last eight bytes, seconds since 1970.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let (name, seconds) = data.split_last_chunk::<8>().unwrap_or((data, &[0; 8]));
    // Beyond the years that there are nobody's clock stands.
    let now = i64::from_le_bytes(*seconds) % 100_000_000_000;
    let Ok(name) = std::str::from_utf8(name) else { return };
    let Some(zone) = zone(name.trim_end_matches(['\0', ' '])) else { return };
    for kind in PERIODS {
        let found = period_at(kind, &zone, now);
        let Some(end) = found.end else { continue };
        assert!(found.start <= now && now < end, "{kind:?} {found:?} does not hold {now}");
        // An hour in which clocks are put on by half of one is shorter than another one.
        if kind == BudgetPeriod::Hourly {
            continue;
        }
        for at in [found.start, end - 1] {
            assert_eq!(period_at(kind, &zone, at), found, "{kind:?} at {at} of the period of {now}");
        }
    }
}
