//! The use of budgets by consumers that were made of a template, as statuses tell of it: how many there are, and the few that used the most.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluicegate_config::rollout::{BudgetUse, MOST_SUBJECTS, SubjectsUse};

/// In the name of a budget: it is that of a consumer which was made of a template. There are many, and statuses tell of few of them.
pub(crate) const SUBJECT_MARK: &str = ", subject ";

/// A template's budget and a subject of it, by the name of the subject's budget; `None`: it is no subject's.
fn parts(identity: &str) -> Option<(&str, &str, &str)> {
    let (of, rest) = identity.split_once(SUBJECT_MARK)?;
    let at = rest.find('|')?;
    let (subject, terms) = rest.split_at_checked(at)?;
    Some((of, subject, terms))
}

/// The subjects of one template's budget in its newest period.
#[derive(Debug, Default)]
struct SubjectGroup {
    start: i64,
    known: u64,
    exceeded: u64,
    /// Those over their budgets come first, then the most used. Never more than are told of.
    most: Vec<(Box<str>, BudgetUse)>,
}

impl SubjectGroup {
    fn add(&mut self, subject: &str, used: BudgetUse) {
        if used.start > self.start || self.known == 0 {
            *self = Self { start: used.start, ..Self::default() };
        }
        if used.start < self.start {
            return;
        }
        self.known += 1;
        self.exceeded += u64::from(used.exceeded.is_some());
        let rank = |used: &BudgetUse| (used.exceeded.is_some(), used.spent);
        let at = self.most.partition_point(|(_, other)| rank(other) >= rank(&used));
        if at < MOST_SUBJECTS {
            self.most.truncate(MOST_SUBJECTS - 1);
            self.most.insert(at, (subject.into(), used));
        }
    }

    fn told(self) -> SubjectsUse {
        let Self { start, known, exceeded, most } = self;
        let most = most.into_iter().map(|(subject, used)| (subject.into(), used)).collect();
        SubjectsUse { start, known, exceeded, most }
    }
}

/// All subjects, grouped by the budgets of their templates.
#[derive(Debug, Default)]
pub(super) struct SubjectGroups(BTreeMap<Arc<str>, SubjectGroup>);

impl SubjectGroups {
    /// One more budget, by its identity. Those that are no subject's are passed over.
    pub(super) fn add(&mut self, identity: &str, used: BudgetUse) {
        let Some((of, subject, terms)) = parts(identity) else { return };
        let name = [of, terms].concat();
        if let Some(group) = self.0.get_mut(name.as_str()) {
            group.add(subject, used);
        } else {
            let mut group = SubjectGroup::default();
            group.add(subject, used);
            self.0.insert(name.into(), group);
        }
    }

    /// As the operator is told, by the identities of the templates' budgets.
    pub(super) fn told(self) -> Vec<(Arc<str>, SubjectsUse)> {
        self.0.into_iter().map(|(name, group)| (name, group.told())).collect()
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::rollout::Exceeded;

    use super::*;

    #[test]
    fn those_over_their_budgets_come_first_then_the_most_used_and_they_are_few() {
        let mut groups = SubjectGroups::default();
        let name = |subject: &str| format!("LLMConsumer a/staff{SUBJECT_MARK}{subject}|usd|day|");
        let used = |start: i64, spent: u64| BudgetUse { start, spent, ..BudgetUse::default() };
        groups.add("LLMConsumer a/other|usd|day|", used(100, 7));
        groups.add(&name("yesterdays"), used(50, 999));
        for number in 0..500 {
            groups.add(&name(&format!("n{number}")), used(100, number));
        }
        groups.add(&name("late"), used(50, 9_999));
        let exceeded = Some(Exceeded { at: 120, amount: 5 });
        groups.add(&name("over"), BudgetUse { exceeded, ..used(100, 5) });
        let told = groups.told();
        assert_eq!(told.len(), 1);
        let (of, subjects) = &told[0];
        assert_eq!(&**of, "LLMConsumer a/staff|usd|day|");
        assert_eq!((subjects.start, subjects.known, subjects.exceeded), (100, 501, 1));
        assert_eq!(subjects.most.len(), MOST_SUBJECTS);
        assert_eq!(subjects.most["over"].spent, 5);
        assert!((0..MOST_SUBJECTS as u64 - 1).all(|rank| subjects.most.contains_key(&format!("n{}", 499 - rank))));
    }
}
