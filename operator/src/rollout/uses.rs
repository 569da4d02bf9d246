//! The use of budgets, as proxies tell it: one count where they share a Redis, else one of each proxy.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluicegate_config::rollout::{BudgetUse, Exceeded, MOST_SUBJECTS, SubjectsUse};

use super::state::Number;

/// The most budgets that are known.
const MOST: usize = 200_000;
/// The most budgets of templates that are known.
const MOST_TEMPLATES: usize = 10_000;
/// The longest name of a subject that is kept.
const LONGEST_SUBJECT: usize = 128;

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
    /// The time since when all of these have counted, where proxies do so by themselves, in seconds since 1970; 0: not known.
    pub begun: i64,
}

/// The use of a template's budget by the consumers that were made of it, each of which has it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSubjects {
    /// The begin of the period, in seconds since 1970.
    pub start: i64,
    /// Those that have called in the period, as the proxy that knows of the most of them knows it.
    pub known: u64,
    /// Those of them that found no room.
    pub exceeded: u64,
    /// Some of them, by name: those that found no room, then those that used the most.
    pub most: Vec<(String, FleetUse)>,
}

/// All that proxies have told.
#[derive(Debug, Default)]
pub(super) struct BudgetUses {
    told: HashMap<String, Vec<(Number, BudgetUse)>>,
    subjects: HashMap<String, Vec<(Number, SubjectsUse)>>,
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

    /// A proxy has told of some templates' subjects.
    pub(super) fn hear_subjects(&mut self, pod: Number, told: impl IntoIterator<Item = (String, SubjectsUse)>) {
        for (identity, mut told) in told {
            if self.subjects.len() >= MOST_TEMPLATES && !self.subjects.contains_key(&identity) {
                continue;
            }
            let few = told.most.into_iter().filter(|(subject, _)| subject.len() <= LONGEST_SUBJECT).take(MOST_SUBJECTS);
            told.most = few.collect();
            let all = self.subjects.entry(identity.clone()).or_default();
            match all.iter_mut().find(|(other, _)| *other == pod) {
                Some((_, before)) => *before = told,
                None => all.push((pod, told)),
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
        self.subjects.retain(|_, all| {
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

    /// The use of one, in the newest period that a proxy knows of: of a template's that of the consumer which used the most.
    pub(super) fn of(&self, identity: &str) -> Option<FleetUse> {
        let own = self.told.get(identity).into_iter().flatten().map(|(_, used)| used);
        let own = merged(&own.collect::<Vec<_>>());
        let subjects = self.subjects_of(identity);
        let most =
            subjects.as_ref().and_then(|told| told.most.iter().map(|(_, used)| *used).max_by_key(|used| used.spent));
        let most = most.map(|most| {
            let all = subjects.iter().flat_map(|told| &told.most).filter_map(|(_, used)| used.exceeded);
            FleetUse { exceeded: all.min_by_key(|one| (u64::MAX - one.amount, one.at)), ..most }
        });
        own.into_iter().chain(most).max_by_key(|used| (used.start, used.spent))
    }

    /// The use of a template's budget by its consumers; `None`: nothing was told of any.
    pub(super) fn subjects_of(&self, identity: &str) -> Option<FleetSubjects> {
        let all = self.subjects.get(identity)?;
        let start = all.iter().map(|(_, told)| told.start).max()?;
        let of_now = || all.iter().map(|(_, told)| told).filter(|told| told.start == start);
        let mut by_name: BTreeMap<&str, Vec<&BudgetUse>> = BTreeMap::new();
        for (subject, used) in of_now().flat_map(|told| &told.most) {
            by_name.entry(subject).or_default().push(used);
        }
        let each = by_name.into_iter().filter_map(|(subject, used)| Some((subject.to_owned(), merged(&used)?)));
        let mut most: Vec<(String, FleetUse)> = each.collect();
        most.sort_by(|(_, one), (_, other)| {
            let rank = |used: &FleetUse| (used.exceeded.is_some(), used.spent);
            rank(other).cmp(&rank(one))
        });
        let over = most.iter().filter(|(_, used)| used.exceeded.is_some()).count();
        let at_least =
            |count: usize, told: Option<u64>| u64::try_from(count).unwrap_or(u64::MAX).max(told.unwrap_or(0));
        let known = at_least(most.len(), of_now().map(|told| told.known).max());
        let exceeded = at_least(over, of_now().map(|told| told.exceeded).max());
        most.truncate(MOST_SUBJECTS);
        Some(FleetSubjects { start, known, exceeded, most })
    }
}

/// Several proxies' words on one count, in the newest period of them.
fn merged(all: &[&BudgetUse]) -> Option<FleetUse> {
    let start = all.iter().map(|used| used.start).max()?;
    let of_now = || all.iter().filter(|used| used.start == start);
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
        begun: of_now().map(|used| used.begun).max().unwrap_or_default(),
    })
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
    fn of_a_template_those_over_their_budgets_are_known_by_name_and_the_others_by_their_number() {
        let mut uses = BudgetUses::default();
        let exceeded = Some(Exceeded { at: 120, amount: 10 });
        let told = |known: u64, most: &[(&str, BudgetUse)]| SubjectsUse {
            start: 100,
            known,
            exceeded: most.iter().filter(|(_, used)| used.exceeded.is_some()).count() as u64,
            most: most.iter().map(|(subject, used)| ((*subject).to_owned(), *used)).collect(),
        };
        let say =
            |uses: &mut BudgetUses, pod: Number, told: SubjectsUse| uses.hear_subjects(pod, [("b".to_owned(), told)]);
        assert_eq!(uses.subjects_of("b"), None);
        let over = BudgetUse { exceeded, ..used(100, 9, 3_000_000) };
        say(&mut uses, 1, told(40, &[("ann", used(100, 7, 2_000_000)), ("bob", over)]));
        say(&mut uses, 2, told(30, &[("ann", used(100, 30, 5_000_000)), ("cy", used(100, 8, 1_000_000))]));
        say(&mut uses, 3, SubjectsUse { start: 50, ..told(900, &[("old", used(50, 99, 1))]) });
        let found = uses.subjects_of("b").unwrap();
        let names: Vec<_> = found.most.iter().map(|(name, used)| (name.as_str(), used.spent)).collect();
        assert_eq!(names, [("bob", 9), ("ann", 30), ("cy", 8)]);
        assert_eq!((found.known, found.exceeded), (40, 1));
        // The budget itself is told by the one that used the most, and since when there was no room by whoever found none.
        let most = uses.of("b").unwrap();
        assert_eq!((most.spent, most.exceeded), (30, exceeded));
        assert!(uses.take_changed().contains("b"));
        // What anybody says is bounded.
        let many: Vec<(String, BudgetUse)> = (0..99).map(|n| (format!("n{n}"), used(100, n, 1))).collect();
        let many = SubjectsUse { start: 100, known: 5, exceeded: 0, most: many.into_iter().collect() };
        say(&mut uses, 4, many);
        assert_eq!(uses.subjects_of("b").unwrap().most.len(), MOST_SUBJECTS);
        (1..5).for_each(|pod| uses.forget(pod));
        assert_eq!((uses.subjects_of("b"), uses.of("b")), (None, None));
    }

    #[test]
    fn where_each_counts_alone_it_is_known_since_when_all_of_them_have() {
        let mut uses = BudgetUses::default();
        for (pod, begun) in [(1, 130), (2, 170)] {
            uses.hear(pod, [("b".to_owned(), BudgetUse { begun, ..used(100, 1, 0) })]);
        }
        assert_eq!(uses.of("b").unwrap().begun, 170);
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
