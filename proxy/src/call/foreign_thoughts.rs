//! Thoughts that a vendor has encrypted for one account: another account of it refuses a call that brings them along. It is asked once more
//! without them, since nothing else of the conversation is lost. A conversation that was made shorter is lost without the item that stands
//! for it: then the other accounts are asked.

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
/// refuses them with the last of the pool's attempts, so that is none of them. What is refused without them is refused for a conversation
/// that was made shorter, which the account reads that has made it so.
pub(super) fn judged(
    call: &InboundCall,
    decision: RetryDecision,
    (status, error): (StatusCode, &ProviderError),
) -> RetryDecision {
    if !is_unreadable(status, error) || decision.retry != Retry::No {
        return decision;
    }
    let is_first = !call.context.forgets_thoughts();
    let has_thoughts = is_first && call.dialect().has_encrypted_thoughts(&call.body);
    let retry = again(is_first, has_thoughts, call.dialect().is_made_shorter(&call.body));
    if retry == Retry::Mended {
        call.context.forget_thoughts();
    }
    RetryDecision { retry, ..decision }
}

/// The place where a call may be made again that was refused. `is_first`: it had its thoughts, if there are any; `is_shorter`: OpenAI has
/// made the conversation shorter.
const fn again(is_first: bool, has_thoughts: bool, is_shorter: bool) -> Retry {
    match (is_first, has_thoughts, is_shorter) {
        (true, true, _) | (true, false, false) => Retry::Mended,
        (_, _, true) => Retry::OtherAccount,
        (false, _, false) => Retry::No,
    }
}

/// The body without them, where they were refused before.
pub(super) fn left_out(call: &InboundCall, dialect: Dialect, body: Bytes) -> Bytes {
    if call.context.forgets_thoughts() { dialect.without_encrypted_thoughts(&body) } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_that_was_made_shorter_goes_to_other_accounts_and_thoughts_are_left_out_first() {
        let places =
            [(true, true, true), (false, true, true), (true, false, true), (true, true, false), (false, true, false)]
                .map(|(is_first, has_thoughts, is_shorter)| again(is_first, has_thoughts, is_shorter));
        assert_eq!(places, [Retry::Mended, Retry::OtherAccount, Retry::OtherAccount, Retry::Mended, Retry::No]);
    }

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
