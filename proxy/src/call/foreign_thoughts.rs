//! Thoughts that a vendor has encrypted for one account: another account of it refuses a call that brings them along. It is asked once more
//! without them, since nothing else of the conversation is lost.

use bytes::Bytes;
use http::StatusCode;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::ProviderError;

use super::inbound::InboundCall;
use super::retry_policy::{Retry, RetryDecision};

/// The code with which OpenAI and Azure say that they can not read them.
const UNREADABLE: &str = "invalid_encrypted_content";

/// The decision about an error that may be about such thoughts: whoever is asked next is not told them.
pub(super) fn judged(
    call: &InboundCall,
    decision: RetryDecision,
    (status, error): (StatusCode, &ProviderError),
) -> RetryDecision {
    let is_about_them = status == StatusCode::BAD_REQUEST && error.code.as_deref() == Some(UNREADABLE);
    if !is_about_them || decision.retry != Retry::No || call.context.forgets_thoughts() {
        return decision;
    }
    call.context.forget_thoughts();
    RetryDecision { retry: Retry::Anywhere, ..decision }
}

/// The body without them, where they were refused before.
pub(super) fn left_out(call: &InboundCall, dialect: Dialect, body: Bytes) -> Bytes {
    if call.context.forgets_thoughts() { dialect.without_encrypted_thoughts(&body) } else { body }
}
