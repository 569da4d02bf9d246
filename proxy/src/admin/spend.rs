//! The use of budgets and limits, told to the operator: what changed since it was told last, not often and not too much at once.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_config::rollout::BudgetUse;

use crate::limit::SharedLimits;

/// Changes are told no more often than this …
const EVERY: Duration = Duration::from_secs(10);
/// … and of no more of them at once: the others come first the next time.
const MOST: usize = 1_000;

/// The state of what one reader is told.
pub(super) struct SpendTelling {
    limits: Arc<SharedLimits>,
    told: BTreeMap<Arc<str>, BudgetUse>,
    /// The last one of those that were told.
    last: Arc<str>,
    due: Option<Instant>,
}

impl SpendTelling {
    /// Nothing is told yet.
    pub(super) fn new(limits: Arc<SharedLimits>) -> Self {
        Self { limits, told: BTreeMap::new(), last: Arc::from(""), due: None }
    }

    /// The budgets and limits to tell of now, by their identities.
    pub(super) fn news(&mut self, now: Instant) -> BTreeMap<String, BudgetUse> {
        if self.due.is_some_and(|due| now < due) {
            return BTreeMap::new();
        }
        let mut uses = self.limits.budgets.uses();
        uses.extend(self.limits.uses());
        self.differences(uses, now)
    }

    fn differences(
        &mut self,
        uses: impl IntoIterator<Item = (Arc<str>, BudgetUse)>,
        now: Instant,
    ) -> BTreeMap<String, BudgetUse> {
        self.due = Some(now + EVERY);
        let differ =
            |(identity, now): &(Arc<str>, BudgetUse)| self.told.get(identity).is_none_or(|told| !says(told, now));
        let changed: BTreeMap<Arc<str>, BudgetUse> = uses.into_iter().filter(differ).collect();
        let after = changed.range::<Arc<str>, _>((Excluded(&self.last), Unbounded));
        let before = changed.range::<Arc<str>, _>(..=&self.last);
        let news: Vec<(Arc<str>, BudgetUse)> =
            after.chain(before).take(MOST).map(|(identity, used)| (Arc::clone(identity), *used)).collect();
        if let Some((last, _)) = news.last() {
            self.last = Arc::clone(last);
        }
        let line = news.iter().map(|(identity, used)| (identity.to_string(), *used)).collect();
        self.told.extend(news);
        line
    }
}

/// True if nothing differs but when it was so.
fn says(told: &BudgetUse, now: &BudgetUse) -> bool {
    BudgetUse { at: now.at, ..*told } == *now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(count: usize, spent: u64) -> Vec<(Arc<str>, BudgetUse)> {
        (0..count).map(|number| (format!("{number:05}").into(), BudgetUse { spent, ..BudgetUse::default() })).collect()
    }

    #[test]
    fn what_changed_is_told_once_and_everything_has_its_turn() {
        let mut telling = SpendTelling::new(Arc::new(SharedLimits::default()));
        let now = Instant::now();
        assert_eq!(telling.differences(used(3, 5), now).len(), 3);
        assert!(telling.differences(used(3, 5), now).is_empty());
        let later = used(3, 5).into_iter().map(|(identity, used)| (identity, BudgetUse { at: 9, ..used }));
        assert!(telling.differences(later, now).is_empty(), "the same, later");
        // All change all the time.
        let mut told = std::collections::BTreeSet::new();
        for round in 0..3 {
            let line = telling.differences(used(2_500, 10 + round), now);
            assert_eq!(line.len(), MOST);
            told.extend(line.into_keys());
        }
        assert_eq!(told.len(), 2_500);
        assert!(telling.news(now + EVERY / 2).is_empty(), "not yet");
    }
}
