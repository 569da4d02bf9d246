//! Errors about the account or the key that a provider is called with, or about a model that it has no longer, which some vendors tell under
//! the status of a caller's mistake: known by their first words, since what callers write is quoted further behind. One table of what vendors
//! say, and a pure function over it.

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
    ("Your organization must be verified to", ErrorKind::Permission, "OpenAI"),
    ("Model Not Exist", ErrorKind::NotFound, "DeepSeek"),
    ("Model not exist", ErrorKind::NotFound, "Qwen"),
    ("Model not found: ", ErrorKind::NotFound, "xAI"),
];
/// The last words of such a message: the model's name stands before them, and may be the caller's.
const ENDINGS: &[(&str, ErrorKind, &str)] = &[(" is not a valid model ID", ErrorKind::NotFound, "OpenRouter")];
/// The longest message that is known by its end.
const LONGEST: usize = 200;

/// The same error, known for what it is if it says in anybody's words that it is about the account, the key or the model.
pub(crate) fn recognised(error: ProviderError) -> ProviderError {
    if error.kind != ErrorKind::InvalidRequest {
        return error;
    }
    let ends = |words: &str| error.message.len() <= LONGEST && error.message.trim_end_matches('.').ends_with(words);
    let begins = WORDINGS.iter().find(|(words, ..)| error.message.starts_with(words));
    match begins.or_else(|| ENDINGS.iter().find(|(words, ..)| ends(words))) {
        Some((_, kind, _)) => ProviderError { kind: *kind, ..error },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn are<const N: usize>(cases: [(Dialect, &str, ErrorKind); N]) {
        for (dialect, body, kind) in cases {
            assert_eq!(dialect.decode_error(400, body.as_bytes()).kind, kind, "{body}");
        }
    }

    #[test]
    fn what_is_said_of_the_account_is_no_mistake_of_the_callers() {
        use ErrorKind as K;
        are([
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
            (
                Dialect::OpenAiChat,
                r#"{"error":{"message":"Your organization must be verified to stream this model. Please go to: …","type":"invalid_request_error","param":"stream","code":"unsupported_value"}}"#,
                K::Permission,
            ),
            // A caller's own words, quoted.
            (
                Dialect::AnthropicMessages,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools.0.name: Your credit balance is too low"}}"#,
                K::InvalidRequest,
            ),
        ]);
    }

    #[test]
    fn a_model_that_a_vendor_has_no_longer_is_no_mistake_of_the_callers() {
        use ErrorKind as K;
        are([
            (
                Dialect::OpenAiChat,
                r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
                K::NotFound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"error":{"message":"The model `llama-3.1-70b` has been decommissioned and is no longer supported.","type":"invalid_request_error","code":"model_decommissioned"}}"#,
                K::NotFound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"error":{"message":"The requested model 'gpt-9' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
                K::NotFound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"error":{"message":"anthropic/claude-x is not a valid model ID","code":400},"user_id":"u"}"#,
                K::NotFound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"object":"error","message":"Invalid model: mistral-x","type":"invalid_model","param":null,"code":"1500"}"#,
                K::NotFound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"code":"Client specified an invalid argument","error":"Model not found: grok-9"}"#,
                K::NotFound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"error":{"code":"unavailable_model","message":"Unavailable model: gpt-x","details":"Unavailable model: gpt-x"}}"#,
                K::NotFound,
            ),
            // A caller's own words, quoted.
            (
                Dialect::OpenAiChat,
                r#"{"error":{"message":"Invalid value: 'Model Not Exist'","type":"invalid_request_error"}}"#,
                K::InvalidRequest,
            ),
        ]);
    }
}
