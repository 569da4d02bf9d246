//! The part of a rule's pools that a call may ask: its targets, and for a reason the fallbacks for it; and the room that it needs in
//! the windows of their models, where those are known.

use sluicegate_config::FallbackReason;

use crate::state::{Provider, Reasons, RouteTarget};

use super::failure::Failure;
use super::inbound::InboundCall;
use super::room::Room;
use super::weigh::fit;

/// The part that is asked now.
pub(super) struct Stage {
    /// The reason why the targets do not serve; until there is another one, that they can not.
    reason: FallbackReason,
    /// The reasons that some fallback is for.
    caught: Reasons,
    /// The room that is needed.
    pub(super) room: Room,
}

impl Stage {
    /// Of the pools that a rule names, at the call's beginning.
    pub(super) fn of<'a>(call: &InboundCall, targets: impl Iterator<Item = RouteTarget<'a>> + Clone) -> Self {
        let caught = targets.clone().filter_map(|target| target.reasons).fold(Reasons::NONE, Reasons::and);
        let room = needed(call, targets.clone());
        let mut own = targets.filter(|target| target.reasons.is_none());
        let outgrown = room.0.is_some() && own.all(|target| !is_in(call, room, target));
        let reason = if outgrown { FallbackReason::ContextWindow } else { FallbackReason::Unavailable };
        Self { reason, caught, room }
    }

    /// True if a pool may be asked.
    pub(super) fn asks(&self, target: RouteTarget<'_>) -> bool {
        match target.reasons {
            None => self.reason == FallbackReason::Unavailable,
            Some(reasons) => reasons.has(self.reason),
        }
    }

    /// True if refusals by content filters are somebody else's to answer.
    pub(super) const fn catches_refusals(&self) -> bool {
        self.caught.has(FallbackReason::ContentPolicy)
    }

    /// Goes over to the fallbacks that are for a failure which everybody else would repeat. `false`: there is none.
    pub(super) fn moves_on(&mut self, failure: &Failure) -> bool {
        let reason = failure.reason().filter(|reason| self.caught.has(*reason));
        reason.is_some_and(|reason| {
            self.reason = reason;
            true
        })
    }
}

/// The room that a call needs, if somebody has it.
fn needed<'a>(call: &InboundCall, targets: impl Iterator<Item = RouteTarget<'a>> + Clone) -> Room {
    let smallest = targets.clone().filter_map(|target| target.pool.smallest_window()).min();
    let Some(smallest) = smallest.filter(|_| call.operation.generates()) else { return Room::default() };
    // No token has less than a byte: most calls are let through by their length.
    if u64::try_from(call.body.len()).is_ok_and(|bytes| bytes <= smallest) {
        return Room::default();
    }
    let needed = Room(Some(call.prompt_tokens()));
    let is_for_it =
        |target: &RouteTarget<'a>| target.reasons.is_none_or(|reasons| reasons.has(FallbackReason::ContextWindow));
    let has_it = targets.filter(is_for_it).any(|target| is_in(call, needed, target));
    if has_it { needed } else { Room::default() }
}

/// True if a provider of a pool that can take the call has the room.
fn is_in(call: &InboundCall, room: Room, target: RouteTarget<'_>) -> bool {
    let has = |provider: &std::sync::Arc<Provider>| provider.weight > 0 && fit(call, (target, room), provider);
    target.pool.providers.iter().any(has)
}
