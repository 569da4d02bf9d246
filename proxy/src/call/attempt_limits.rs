//! The rate limits of a provider and of its keys: what an attempt would take of them is taken before it is made. Where there is no room,
//! somebody else is asked.

use std::time::{Duration, Instant};

use sluicegate_config::LimitUnit;

use crate::limit::{AttemptLimit, AttemptLimits, Demand, Holds, LimitRefusal};
use crate::state::{Provider, RouteTarget};

use super::failure::Failure;
use super::inbound::InboundCall;
use super::{budgets, limit_refusal, limits, outgoing};

/// The attempt that is to be made: at which provider, with which of its keys.
#[derive(Clone, Copy)]
pub(super) struct Intended<'a> {
    pub(super) target: RouteTarget<'a>,
    pub(super) provider: &'a Provider,
    pub(super) key: Option<usize>,
}

/// The limits have no room for an attempt.
pub(super) struct NoRoom {
    pub(super) failure: Failure,
    /// The key that is used up, where it is not the provider as a whole.
    pub(super) key: Option<usize>,
}

impl Intended<'_> {
    /// True if anything limits it. Without a limit this is all that it costs.
    pub(super) fn is_limited(&self) -> bool {
        self.provider.limits.is_some() || self.key_limits().is_some()
    }

    fn key_limits(&self) -> Option<&AttemptLimits> {
        self.provider.keys.get(self.key?)?.limits.as_deref()
    }

    /// Each of its limits, and whether it is its key's.
    fn all(&self) -> impl Iterator<Item = (&AttemptLimit, bool)> {
        let own = self.provider.limits.iter().flat_map(|limits| limits.iter());
        let of_key = self.key_limits().into_iter().flat_map(|limits| limits.iter());
        own.map(|one| (one, false)).chain(of_key.map(|one| (one, true)))
    }

    /// Takes of all of its limits, to be held until its end.
    ///
    /// # Errors
    /// One of them has no room: then nothing is taken of any.
    pub(super) async fn take(&self, call: &InboundCall) -> Result<Holds, NoRoom> {
        let (mut all, mut demands) = (Vec::new(), Vec::new());
        for (one, is_of_key) in self.all() {
            if one.limit.counts_use() && !call.operation.is_metered() {
                continue;
            }
            let key = self.key.filter(|_| is_of_key);
            let cost = self.cost(call, one).map_err(|failure| NoRoom { failure, key })?;
            all.push((one, key));
            demands.push(Demand::of(&one.limit, one.key, cost));
        }
        let (limiter, now) = (&call.context.worker.limiter, Instant::now());
        // Who is known to be used up is not asked again for every call.
        for ((one, key), demand) in all.iter().zip(&demands) {
            if let Some(after) = one.room_after(demand.cost, now) {
                limiter.count_refusal(demand);
                return Err(NoRoom { failure: used_up(one, after), key: *key });
            }
        }
        let (_, taken) = limiter.take(&demands).await;
        taken.map_err(|LimitRefusal { at, after, is_unavailable, .. }| {
            let (Some((one, key)), Some(demand), false) = (all.get(at), demands.get(at), is_unavailable) else {
                return NoRoom { failure: Failure::no_place(limit_refusal::unavailable()), key: None };
            };
            let after = after.unwrap_or_else(|| one.limit.span());
            one.is_used_up(demand.cost, after, Instant::now());
            NoRoom { failure: used_up(one, after), key: *key }
        })
    }

    /// The part that it would take of a limit.
    ///
    /// # Errors
    /// That is more than there ever is, or nobody knows.
    fn cost(&self, call: &InboundCall, one: &AttemptLimit) -> Result<u64, Failure> {
        let AttemptLimit { limit, key, .. } = one;
        let cost = match limit.unit {
            LimitUnit::Requests => Ok(1),
            LimitUnit::Cost => {
                let routed = outgoing::routed_model(call, self.target);
                let at_most =
                    |tokens| budgets::at_most_of(call, (self.provider, routed), tokens, limit.unpriced_is_free);
                limits::money(call, (limit, key), at_most).map_err(Failure::no_place)?
            }
            _ => limits::tokens(call, limit, key),
        };
        let too_large = |most| Failure::no_place(limit_refusal::larger(limit, most));
        cost.map_err(too_large)
    }
}

fn used_up(one: &AttemptLimit, after: Duration) -> Failure {
    Failure::used_up(limit_refusal::no_room(&one.limit, after), (&one.limit.name, after))
}
