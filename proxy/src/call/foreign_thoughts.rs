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

/// True if an error says that they can not be read. Azure has said so without a code; what callers write is quoted further behind.
fn is_unreadable(status: StatusCode, error: &ProviderError) -> bool {
    let in_words = || {
        let words = error.message.strip_prefix("The encrypted content ");
        error.code.is_none() && words.is_some_and(|rest| rest.contains("could not be "))
    };
    status == StatusCode::BAD_REQUEST && (error.code.as_deref() == Some(UNREADABLE) || in_words())
}

/// The decision about an error that may be about such thoughts: whoever is asked next is not told them. In a failover the other account
/// refuses them with the last of the pool's attempts, so that is none of them.
pub(super) fn judged(
    call: &InboundCall,
    decision: RetryDecision,
    (status, error): (StatusCode, &ProviderError),
) -> RetryDecision {
    if !is_unreadable(status, error) || decision.retry != Retry::No || call.context.forgets_thoughts() {
        return decision;
    }
    call.context.forget_thoughts();
    RetryDecision { retry: Retry::Mended, ..decision }
}

/// The body without them, where they were refused before.
pub(super) fn left_out(call: &InboundCall, dialect: Dialect, body: Bytes) -> Bytes {
    if call.context.forgets_thoughts() { dialect.without_encrypted_thoughts(&body) } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_them_is_known_by_its_code_or_by_its_first_words() {
        for (status, body, is_one) in [
            (400, r#"{"error":{"message":"x","code":"invalid_encrypted_content"}}"#, true),
            (
                400,
                r#"{"error":{"message":"The encrypted content for item rs_1 could not be verified.","code":null}}"#,
                true,
            ),
            (400, r#"{"error":{"message":"The encrypted content gAAA could not be decrypted or parsed."}}"#, true),
            (400, r#"{"error":{"message":"Unknown tool `The encrypted content could not be read`"}}"#, false),
            (400, r#"{"error":{"message":"The encrypted content is too long"}}"#, false),
            (404, r#"{"error":{"message":"x","code":"invalid_encrypted_content"}}"#, false),
        ] {
            let error = Dialect::OpenAiResponses.decode_error(status, body.as_bytes());
            assert_eq!(is_unreadable(StatusCode::from_u16(status).unwrap(), &error), is_one, "{body}");
        }
    }
}
