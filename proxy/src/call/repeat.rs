//! The bounds of the retry policy where a call passes because a rule names its path: what may not be repeated is not.

use sluicegate_config::RetryOn;

use crate::upstream::SendError;

use super::inbound::InboundCall;
use super::retry_policy::{self, RetryDecision};

/// The decision about what a provider may have had.
pub(super) fn bounded(call: &InboundCall, decision: RetryDecision) -> RetryDecision {
    match call.named() {
        None => decision,
        Some(_) => retry_policy::at_named_path(decision, call.may_be_repeated()),
    }
}

/// The decision about a request that got no answer's head: what no provider can have had is sent elsewhere, whatever it is.
pub(super) fn after_send(call: &InboundCall, error: &SendError, on: &RetryOn) -> RetryDecision {
    let decision = retry_policy::send(error, on);
    if error.sent { bounded(call, decision) } else { decision }
}
