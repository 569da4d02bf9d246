//! The limits of calls, as the configuration has them by now: a call that waits for room began under an earlier one.

use super::configured::Ready;
use crate::consumer::KnownConsumer;
use crate::limit::PreparedLimit;

impl Ready {
    /// A limit as it is by now, whatever its amount has become; `None`: it is gone. `consumer`: whose calls it may be a limit of.
    pub(crate) fn current_limit(
        &self,
        limit: &PreparedLimit,
        consumer: Option<&KnownConsumer>,
    ) -> Option<&PreparedLimit> {
        let own = consumer.and_then(|consumer| self.consumers().current(consumer));
        let rules = self.routes.values().flat_map(|filed| &filed.route.rules);
        let all = own.into_iter().flat_map(|own| &own.limits).chain(rules.flat_map(|rule| &rule.limits));
        all.into_iter().find(|other| other.is_same(limit))
    }
}
