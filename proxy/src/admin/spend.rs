//! The use of budgets and limits, told to the operator: what changed since it was told last, not often and not too much at once.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_config::rollout::{BudgetUse, Line, SubjectsUse};

use crate::limit::SharedLimits;

/// Changes are told no more often than this …
const EVERY: Duration = Duration::from_secs(10);
/// … and of no more of them at once: the others come first the next time.
const MOST: usize = 1_000;
/// The same of templates, of each of which some subjects are told.
const MOST_TEMPLATES: usize = 100;

/// The state of what one reader is told.
pub(super) struct SpendTelling {
    limits: Arc<SharedLimits>,
    used: ChangedUses<BudgetUse>,
    subjects: ChangedUses<SubjectsUse>,
    due: Option<Instant>,
}

impl SpendTelling {
    /// Nothing is told yet.
    pub(super) fn new(limits: Arc<SharedLimits>) -> Self {
        Self { limits, used: ChangedUses::default(), subjects: ChangedUses::default(), due: None }
    }

    /// Fills in the budgets and limits to tell of now, by their identities.
    pub(super) fn fill(&mut self, line: &mut Line, now: Instant) {
        if self.due.is_some_and(|due| now < due) {
            return;
        }
        self.due = Some(now + EVERY);
        let mut uses = self.limits.budgets.uses();
        uses.extend(self.limits.uses());
        line.used = self.used.news(uses, says, MOST);
        line.subjects = self.subjects.news(self.limits.budgets.uses_of_subjects(), say_of_all, MOST_TEMPLATES);
    }
}

/// The uses that a reader was told of, each as it was told last.
#[derive(Debug)]
struct ChangedUses<T> {
    told: BTreeMap<Arc<str>, T>,
    /// The last one of those that were told.
    last: Arc<str>,
}

impl<T> Default for ChangedUses<T> {
    fn default() -> Self {
        Self { told: BTreeMap::new(), last: Arc::from("") }
    }
}

impl<T: Clone> ChangedUses<T> {
    /// At most so many of those of which something else is to be told than was.
    fn news(
        &mut self,
        uses: impl IntoIterator<Item = (Arc<str>, T)>,
        says: fn(&T, &T) -> bool,
        most: usize,
    ) -> BTreeMap<String, T> {
        let differ = |(identity, now): &(Arc<str>, T)| self.told.get(identity).is_none_or(|told| !says(told, now));
        let changed: BTreeMap<Arc<str>, T> = uses.into_iter().filter(differ).collect();
        let after = changed.range::<Arc<str>, _>((Excluded(&self.last), Unbounded));
        let before = changed.range::<Arc<str>, _>(..=&self.last);
        let news: Vec<(Arc<str>, T)> =
            after.chain(before).take(most).map(|(identity, used)| (Arc::clone(identity), used.clone())).collect();
        if let Some((last, _)) = news.last() {
            self.last = Arc::clone(last);
        }
        let line = news.iter().map(|(identity, used)| (identity.to_string(), used.clone())).collect();
        self.told.extend(news);
        line
    }
}

/// True if nothing differs but when it was so.
fn says(told: &BudgetUse, now: &BudgetUse) -> bool {
    BudgetUse { at: now.at, ..*told } == *now
}

/// True if nothing differs but when it was so.
fn say_of_all(told: &SubjectsUse, now: &SubjectsUse) -> bool {
    let SubjectsUse { start, known, exceeded, most } = told;
    (*start, *known, *exceeded, most.len()) == (now.start, now.known, now.exceeded, now.most.len())
        && most.iter().all(|(subject, used)| now.most.get(subject).is_some_and(|now| says(used, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(count: usize, spent: u64) -> Vec<(Arc<str>, BudgetUse)> {
        (0..count).map(|number| (format!("{number:05}").into(), BudgetUse { spent, ..BudgetUse::default() })).collect()
    }

    #[test]
    fn what_changed_is_told_once_and_everything_has_its_turn() {
        let mut telling = ChangedUses::default();
        assert_eq!(telling.news(used(3, 5), says, MOST).len(), 3);
        assert!(telling.news(used(3, 5), says, MOST).is_empty());
        let later = used(3, 5).into_iter().map(|(identity, used)| (identity, BudgetUse { at: 9, ..used }));
        assert!(telling.news(later, says, MOST).is_empty(), "the same, later");
        // All change all the time.
        let mut told = std::collections::BTreeSet::new();
        for round in 0..3 {
            let line = telling.news(used(2_500, 10 + round), says, MOST);
            assert_eq!(line.len(), MOST);
            told.extend(line.into_keys());
        }
        assert_eq!(told.len(), 2_500);
    }

    #[test]
    fn nothing_is_told_too_often() {
        let (mut telling, now) = (SpendTelling::new(Arc::new(SharedLimits::default())), Instant::now());
        telling.fill(&mut Line::default(), now);
        assert_eq!(telling.due, Some(now + EVERY));
        telling.fill(&mut Line::default(), now + EVERY / 2);
        assert_eq!(telling.due, Some(now + EVERY), "not yet");
    }

    #[test]
    fn of_subjects_the_same_later_is_no_news() {
        let of = |at: u64, spent: u64| SubjectsUse {
            start: 1,
            known: 1,
            exceeded: 0,
            most: BTreeMap::from([("ann".to_owned(), BudgetUse { at, spent, ..BudgetUse::default() })]),
        };
        assert!(say_of_all(&of(1, 5), &of(2, 5)) && !say_of_all(&of(1, 5), &of(1, 6)));
        assert!(!say_of_all(&of(1, 5), &SubjectsUse { known: 2, ..of(1, 5) }));
    }
}
