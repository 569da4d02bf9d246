//! Spending and the use of limits, in statuses: of which objects they may say it anew now, and in which words.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use sluicegate_config::{Budget, CountedLimit};
use sluicegate_crds::{BudgetStatus, LimitStatus, Status};

use super::pacing::unix;
use super::{Assessment, StatusWriter, Waiting, Write};
use crate::status;
use crate::world::Key;

impl StatusWriter {
    /// An object has these budgets and limits now.
    pub(super) fn consider_budgets(&self, key: &Key, assessment: Option<&Assessment>, now: Instant) {
        let budgets = assessment.map(|assessment| &*assessment.budgets).unwrap_or_default();
        let limits = assessment.map(|assessment| &*assessment.limits).unwrap_or_default();
        let identities = budgets.iter().map(Budget::identity).chain(limits.iter().map(CountedLimit::identity));
        let mut pacing = self.pacing.borrow_mut();
        pacing.consider(key, identities.collect(), now);
        if !budgets.is_empty() {
            pacing.renew_at(key, self.said(key).and_then(|said| status::renewal(&said.budgets)));
        }
    }

    fn said(&self, key: &Key) -> Option<Status> {
        let world = self.world.borrow();
        serde_json::from_str(world.object(key)?.status.as_deref()?).ok()
    }

    /// Proxies have told of these budgets and limits.
    pub(super) fn note_used(&self, identities: &BTreeSet<String>) {
        let (mut pacing, now) = (self.pacing.borrow_mut(), Instant::now());
        identities.iter().for_each(|identity| pacing.note(identity, now));
    }

    /// Objects whose time to tell what was spent has come are looked at now.
    pub(super) fn collect_spend(&self, waiting: &mut HashMap<Key, Waiting>, now: Instant) {
        for key in self.pacing.borrow_mut().take(now, unix()) {
            let wait = waiting.entry(key.clone()).or_insert(Waiting::since(now));
            wait.look_now(now);
            // It has waited.
            wait.lazy_until = Some(now);
            self.spend_due.borrow_mut().insert(key);
        }
    }

    /// The state of an object's budgets and limits: as its status says it, unless it is time to say it anew or other things have changed.
    pub(super) fn spending(
        &self,
        key: &Key,
        assessment: &Assessment,
        has: Option<&Status>,
    ) -> (Vec<BudgetStatus>, Vec<LimitStatus>) {
        let budgets = has.map(|has| has.budgets.as_slice()).unwrap_or_default();
        let limits = has.map(|has| has.limits.as_slice()).unwrap_or_default();
        let is_of_now = has.is_some_and(|has| has.observed_generation == Some(assessment.generation));
        let are_there = budgets.len() == assessment.budgets.len() && limits.len() == assessment.limits.len();
        if is_of_now && are_there && !self.spend_due.borrow().contains(key) {
            return (budgets.to_vec(), limits.to_vec());
        }
        let (used, now) = (|identity: &str| self.rollout.budget_use(identity), unix());
        let told = |identity: &str| (self.rollout.budget_use(identity), self.rollout.subjects_use(identity));
        (
            status::budgets((&key.id, &assessment.budgets), budgets, told, now),
            status::limits(&assessment.limits, limits, used, now),
        )
    }

    /// A status was written.
    pub(super) fn spend_written(&self, write: &Write) {
        self.spend_due.borrow_mut().remove(&write.key);
        if write.beside {
            return;
        }
        let mut pacing = self.pacing.borrow_mut();
        let says_anew = write
            .from
            .as_ref()
            .is_none_or(|from| (&from.budgets, &from.limits) != (&write.to.budgets, &write.to.limits));
        if says_anew {
            pacing.written(&write.key, Instant::now());
            pacing.renew_at(&write.key, status::renewal(&write.to.budgets));
        }
    }
}
