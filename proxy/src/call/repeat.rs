//! The bounds of the retry policy for a call that leaves something behind: where nobody knows what became of it, it is not made again.

use sluicegate_config::RetryOn;
use sluicegate_dialects::effects;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::AttemptEnd;
use crate::api::named_paths;
use crate::upstream::SendError;

use super::inbound::InboundCall;
use super::retry_policy::{self, Retry, RetryDecision};
use super::stored_object::StoredObject;

impl InboundCall {
    /// True if it may be made again where nobody knows what became of it. One that passes because a rule names its path may by its method; one
    /// that makes a file, a batch or an answer in the background, goes on with a conversation, or lets a provider's tools act may not.
    pub(super) fn may_be_repeated(&self) -> bool {
        match self.named() {
            Some(method) => named_paths::may_be_repeated(method),
            None => {
                let acts = || self.peek.marks.may_act() && effects::effects(&self.body).acts;
                let makes = self.object().is_some_and(StoredObject::makes);
                !(makes || acts())
            }
        }
    }
}

/// The decision about what a provider may have had.
pub(super) fn bounded(call: &InboundCall, decision: RetryDecision) -> RetryDecision {
    match call.named() {
        Some(_) => retry_policy::at_named_path(decision, call.may_be_repeated()),
        None if is_unknown(decision.end) => once(call, decision),
        None => decision,
    }
}

/// The decision about an error that was answered with: whoever stands between the gateway and a provider that said nothing in time says no
/// more than that.
pub(super) fn answered(call: &InboundCall, decision: RetryDecision, kind: ErrorKind) -> RetryDecision {
    let decision = bounded(call, decision);
    if matches!(kind, ErrorKind::BadGateway | ErrorKind::Timeout) { once(call, decision) } else { decision }
}

/// The decision about a request that got no answer's head: what no provider can have had is sent elsewhere, whatever it is.
pub(super) fn after_send(call: &InboundCall, error: &SendError, on: &RetryOn) -> RetryDecision {
    let decision = retry_policy::send(error, on);
    if error.sent { bounded(call, decision) } else { decision }
}

/// The decision about a call of which nobody knows whether it was taken.
fn once(call: &InboundCall, decision: RetryDecision) -> RetryDecision {
    let retry = if decision.retry == Retry::No || call.may_be_repeated() { decision.retry } else { Retry::No };
    RetryDecision { retry, ..decision }
}

/// True of an end that leaves open whether the call was taken.
const fn is_unknown(end: AttemptEnd) -> bool {
    matches!(end, AttemptEnd::Reset | AttemptEnd::TimedOut | AttemptEnd::Malformed)
}
