//! The use of budgets, as proxies tell it: one count where they share a Redis, else one of each proxy.

use std::collections::{BTreeSet, HashMap};

use sluicegate_config::rollout::{BudgetUse, Exceeded};

use super::state::Number;

/// The most budgets that are known.
const MOST: usize = 200_000;

/// The use of a budget over all proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetUse {
    /// The begin of the period, in seconds since 1970.
    pub start: i64,
    /// All that is spent or reserved.
    pub spent: u64,
    /// The time of that by Redis's clock, in seconds since 1970; `None`: proxies count by themselves.
    pub at: Option<i64>,
    /// The proxies that count by themselves; 0: they share one count.
    pub alone: usize,
    /// The highest of the percentages to be told of that was reached; 0: none was.
    pub reached: u8,
    /// The first call that there was no room for.
    pub exceeded: Option<Exceeded>,
}

/// All that proxies have told.
#[derive(Debug, Default)]
pub(super) struct BudgetUses {
    told: HashMap<String, Vec<(Number, BudgetUse)>>,
    changed: BTreeSet<String>,
}

impl BudgetUses {
    /// A proxy has told of some budgets.
    pub(super) fn hear(&mut self, pod: Number, used: impl IntoIterator<Item = (String, BudgetUse)>) {
        for (identity, used) in used {
            if self.told.len() >= MOST && !self.told.contains_key(&identity) {
                continue;
            }
            let all = self.told.entry(identity.clone()).or_default();
            match all.iter_mut().find(|(other, _)| *other == pod) {
                Some((_, before)) => *before = used,
                None => all.push((pod, used)),
            }
            self.changed.insert(identity);
        }
    }

    /// Nothing is known any more of a proxy's.
    pub(super) fn forget(&mut self, pod: Number) {
        self.told.retain(|_, all| {
            all.retain(|(other, _)| *other != pod);
            !all.is_empty()
        });
    }

    /// The budgets of which something was told since this was last asked.
    pub(super) fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed)
    }

    /// True if something was told since.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The use of one, in the newest period that a proxy knows of.
    pub(super) fn of(&self, identity: &str) -> Option<FleetUse> {
        let all = self.told.get(identity)?;
        let start = all.iter().map(|(_, used)| used.start).max()?;
        let of_now = || all.iter().map(|(_, used)| used).filter(|used| used.start == start);
        let shared = of_now().filter(|used| !used.is_alone()).max_by_key(|used| used.at);
        let (spent, alone) = match shared {
            Some(used) => (used.spent, 0),
            None => (of_now().fold(0_u64, |sum, used| sum.saturating_add(used.spent)), of_now().count()),
        };
        Some(FleetUse {
            start,
            spent,
            at: shared.map(|used| i64::try_from(used.at / 1_000_000).unwrap_or(i64::MAX)),
            alone,
            reached: of_now().map(|used| used.reached).max().unwrap_or_default(),
            // With a larger amount it began anew.
            exceeded: of_now().filter_map(|used| used.exceeded).min_by_key(|one| (u64::MAX - one.amount, one.at)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(start: i64, spent: u64, at: u64) -> BudgetUse {
        BudgetUse { start, spent, at, ..BudgetUse::default() }
    }

    #[test]
    fn one_count_is_what_was_heard_last_and_counts_of_their_own_are_added_up() {
        let mut uses = BudgetUses::default();
        let mut told = |pod: Number, used: BudgetUse| {
            uses.hear(pod, [("b".to_owned(), used)]);
            let found = uses.of("b").unwrap();
            (found.start, found.spent, found.alone)
        };
        assert_eq!(told(1, used(100, 7, 0)), (100, 7, 1));
        assert_eq!(told(2, used(100, 5, 0)), (100, 12, 2));
        assert_eq!(told(1, used(100, 3, 0)), (100, 8, 2));
        // They share one from now on.
        assert_eq!(told(1, used(100, 9, 5_000_000)), (100, 9, 0));
        assert_eq!(told(2, used(100, 8, 6_000_000)), (100, 8, 0), "the latest, not the largest");
        assert_eq!(told(3, used(100, 99, 4_000_000)), (100, 8, 0));
        // Another period begins.
        assert_eq!(told(3, used(200, 1, 9_000_000)), (200, 1, 0));
        assert_eq!(uses.take_changed().len(), 1);
        uses.forget(3);
        assert_eq!(uses.of("b").unwrap().at, Some(6));
        [1, 2].into_iter().for_each(|pod| uses.forget(pod));
        assert_eq!(uses.of("b"), None);
    }

    #[test]
    fn the_first_call_without_room_is_that_of_the_largest_amount() {
        let mut uses = BudgetUses::default();
        for (pod, at, amount) in [(1, 50, 10), (2, 40, 10), (3, 60, 20), (4, 70, 20)] {
            let exceeded = Some(Exceeded { at, amount });
            uses.hear(pod, [("b".to_owned(), BudgetUse { exceeded, ..used(0, 1, 0) })]);
        }
        assert_eq!(uses.of("b").unwrap().exceeded, Some(Exceeded { at: 60, amount: 20 }));
    }
}
