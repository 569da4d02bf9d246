//! Errors about the account or the key that a provider is called with, which some vendors tell under the status of a caller's mistake: known
//! by their first words, since what callers write is quoted further behind. One table of what vendors say, and a pure function over it.

use crate::hub::{ErrorKind, ProviderError};

/// The first words of such a message, its kind, and the vendor that says them.
const WORDINGS: &[(&str, ErrorKind, &str)] = &[
    ("API key not valid", ErrorKind::Authentication, "Gemini"),
    ("API key expired", ErrorKind::Authentication, "Gemini"),
    ("API Key not found", ErrorKind::Authentication, "Gemini"),
    ("User location is not supported", ErrorKind::Permission, "Gemini"),
    ("Your credit balance is too low", ErrorKind::Billing, "Anthropic"),
    ("You have reached your specified API usage limits", ErrorKind::Billing, "Anthropic"),
    ("This organization has been disabled", ErrorKind::Permission, "Anthropic"),
    ("Incorrect API key provided", ErrorKind::Authentication, "xAI"),
    ("Access denied, please make sure your account is in good standing", ErrorKind::Billing, "Qwen"),
];

/// The same error, known for what it is if it says in anybody's words that it is about the account or the key.
pub(crate) fn recognised(error: ProviderError) -> ProviderError {
    if error.kind != ErrorKind::InvalidRequest {
        return error;
    }
    match WORDINGS.iter().find(|(words, ..)| error.message.starts_with(words)) {
        Some((_, kind, _)) => ProviderError { kind: *kind, ..error },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn what_is_said_of_the_account_is_no_mistake_of_the_callers() {
        use ErrorKind as K;
        for (dialect, body, kind) in [
            (
                Dialect::Gemini,
                r#"{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT"}}"#,
                K::Authentication,
            ),
            (
                Dialect::Gemini,
                r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
                K::Permission,
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
                K::Billing,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***23."}"#,
                K::Authentication,
            ),
            // A caller's own words, quoted.
            (
                Dialect::AnthropicMessages,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools.0.name: Your credit balance is too low"}}"#,
                K::InvalidRequest,
            ),
        ] {
            assert_eq!(dialect.decode_error(400, body.as_bytes()).kind, kind, "{body}");
        }
    }
}
