//! Spending, in statuses: of which objects they may say it anew now, and in which words.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use sluicegate_config::Budget;
use sluicegate_crds::{BudgetStatus, Status};

use super::pacing::unix;
use super::{Assessment, StatusWriter, Waiting, Write};
use crate::status;
use crate::world::Key;

impl StatusWriter {
    /// An object has these budgets now.
    pub(super) fn consider_budgets(&self, key: &Key, assessment: Option<&Assessment>, now: Instant) {
        let budgets = assessment.map(|assessment| &*assessment.budgets).unwrap_or_default();
        let mut pacing = self.pacing.borrow_mut();
        pacing.consider(key, budgets.iter().map(Budget::identity).collect(), now);
        if !budgets.is_empty() {
            pacing.renew_at(key, self.said(key).and_then(|said| status::renewal(&said.budgets)));
        }
    }

    fn said(&self, key: &Key) -> Option<Status> {
        let world = self.world.borrow();
        serde_json::from_str(world.object(key)?.status.as_deref()?).ok()
    }

    /// Proxies have told of these budgets.
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

    /// The state of an object's budgets: as its status says it, unless it is time to say it anew or other things have changed.
    pub(super) fn budgets(&self, key: &Key, assessment: &Assessment, has: Option<&Status>) -> Vec<BudgetStatus> {
        let before = has.map(|has| has.budgets.as_slice()).unwrap_or_default();
        let is_of_now = has.is_some_and(|has| has.observed_generation == Some(assessment.generation));
        if is_of_now && before.len() == assessment.budgets.len() && !self.spend_due.borrow().contains(key) {
            return before.to_vec();
        }
        let used = |identity: &str| self.rollout.budget_use(identity);
        status::budgets((&key.id, &assessment.budgets), before, used, unix())
    }

    /// A status was written.
    pub(super) fn spend_written(&self, write: &Write) {
        let mut pacing = self.pacing.borrow_mut();
        let says_anew = write.from.as_ref().is_none_or(|from| from.budgets != write.to.budgets);
        if says_anew {
            pacing.written(&write.key, Instant::now());
            pacing.renew_at(&write.key, status::renewal(&write.to.budgets));
        }
        self.spend_due.borrow_mut().remove(&write.key);
    }
}
