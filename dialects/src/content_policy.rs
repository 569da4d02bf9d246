//! A call that a content filter refused: the codes and words of vendors, in one table, and pure functions over it. Another vendor's
//! filter may let the same call through.

use crate::hub::{Choice, Content, ErrorKind, Part, ProviderError, Reply, Stop};
use crate::scan;
use serde_json::Value;

/// The code of a refusal, whoever says it.
pub(crate) const REFUSED: &str = "content_filter";

/// Codes and types that say it alone, and the vendor that says them.
const CODES: [(&str, &str); 11] = [
    (REFUSED, "Azure OpenAI"),
    ("content_policy_violation", "OpenAI"),
    ("ResponsibleAIPolicyViolation", "Azure OpenAI"),
    ("data_inspection_failed", "Alibaba (Qwen)"),
    ("1301", "Zhipu"),
    ("invalid_prompt", "OpenAI"),
    ("cyber_policy", "OpenAI"),
    ("bio_policy", "OpenAI"),
    ("moderation_blocked", "OpenAI, of pictures"),
    ("content_blocked", "Groq"),
    ("guardrail", "Mistral"),
];

/// The beginnings of messages that say it, in lower case, and the vendor that says them.
const WORDINGS: [(&str, &str); 6] = [
    ("the response was filtered due to the prompt triggering", "Azure OpenAI"),
    ("your request was rejected as a result of our safety system", "OpenAI"),
    ("output blocked by content filtering policy", "Anthropic"),
    ("content exists risk", "DeepSeek"),
    ("content violates usage guidelines", "xAI"),
    ("your request was blocked by the moderation policy", "Mistral"),
];

/// The words that Bedrock puts before those of the model's own vendor.
const HANDED_ON: &str = "The model returned the following errors: ";

/// The member of InvokeModel's answers and chunks that says whether a guardrail had a word in them, and the value by which it had.
pub(crate) const GUARDRAIL_ACTION: (&str, &str) = ("amazon-bedrock-guardrailAction", "\"INTERVENED\"");

/// Members of whole answers by which Bedrock says that a guardrail has put words of its own in the answer's place: Converse's and
/// InvokeModel's.
const GUARDRAILS: [(&[u8], &[u8]); 2] =
    [(b"stopReason", b"\"guardrail_intervened\""), (GUARDRAIL_ACTION.0.as_bytes(), GUARDRAIL_ACTION.1.as_bytes())];
/// The members in which either tells what its guardrail did, where the caller asks for that.
const TRACES: [&[u8]; 2] = [b"trace", b"amazon-bedrock-trace"];

/// True if a guardrail of Bedrock's stands in for a whole answer, whatever it says there.
pub(crate) fn is_of_guardrail(whole: &[u8]) -> bool {
    let (mut found, mut masked) = (false, false);
    let read = scan::members(whole, |name, value| {
        let value = whole.get(value).unwrap_or_default();
        found |= GUARDRAILS.contains(&(name, value));
        masked |= TRACES.contains(&name) && masks_alone(value);
    });
    found && !masked && read.is_ok()
}

/// True if a chunk of InvokeModel's stream says that a guardrail stands in for the answer: beside the event's own members, or those
/// of the message that begins with it.
pub(crate) fn is_guardrails_chunk(chunk: &[u8]) -> bool {
    if memchr::memmem::find(chunk, GUARDRAIL_ACTION.0.as_bytes()).is_none() {
        return false;
    }
    let mut begun = false;
    let _ = scan::members(chunk, |name, value| {
        begun |= name == b"message" && is_of_guardrail(chunk.get(value).unwrap_or_default());
    });
    begun || is_of_guardrail(chunk)
}

/// True if what a guardrail tells of itself is that it has masked words and blocked nothing: the answer is the model's.
pub(crate) fn masks_alone(trace: &[u8]) -> bool {
    let tells = |word: &[u8]| memchr::memmem::find(trace, word).is_some();
    tells(b"\"ANONYMIZED\"") && !tells(b"\"BLOCKED\"")
}

/// The same error, known for the caller's own if a content filter refused the call: some vendors say so under the status of a credential
/// that is refused, and what one caller writes is nothing that an operator has to look after.
pub(crate) fn recognised(error: ProviderError) -> ProviderError {
    let is_about_us = matches!(error.kind, ErrorKind::Authentication | ErrorKind::Permission);
    if is_about_us && error.is_content_refusal() {
        return ProviderError { kind: ErrorKind::InvalidRequest, ..error };
    }
    error
}

/// The code of an error that says in its `metadata` that the input was flagged, as OpenRouter does.
pub(crate) fn flagged(metadata: &Value) -> Option<&'static str> {
    let word = metadata.get("error_type").and_then(Value::as_str);
    let is_known = CODES.iter().any(|(code, _)| word == Some(*code));
    (is_known || metadata.get("flagged_input").is_some()).then_some(REFUSED)
}

impl ProviderError {
    /// True if a content filter refused the call.
    #[must_use]
    pub fn is_content_refusal(&self) -> bool {
        let said = [self.code.as_deref(), self.r#type.as_deref()];
        let by_code = CODES.iter().any(|(code, _)| said.contains(&Some(*code)));
        let message = self.message.strip_prefix(HANDED_ON).unwrap_or(&self.message);
        let begins = |wording: &str| {
            let beginning = message.get(..wording.len());
            beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(wording))
        };
        by_code || WORDINGS.iter().any(|(wording, _)| begins(wording))
    }

    /// The error that an answer stands for which is nothing but a refusal.
    #[must_use]
    pub fn content_refusal() -> Self {
        Self {
            kind: ErrorKind::InvalidRequest,
            message: "The provider's content filter refused this call.".to_owned(),
            r#type: Some("invalid_request_error".to_owned()),
            code: Some(REFUSED.to_owned()),
            param: None,
        }
    }
}

impl Reply {
    /// True if it is nothing but a refusal.
    pub(crate) fn is_refusal(&self) -> bool {
        // Anthropic and Amazon put one empty block where there is nothing, and so do streams, which are read alike.
        let is_said = |part: &Part| match &part.content {
            Content::Text { text, .. } => !text.is_empty(),
            content => !matches!(content, Content::Refusal(_)),
        };
        let refuses = |choice: &Choice| choice.stop == Stop::Refusal && !choice.parts.iter().any(is_said);
        !self.choices.is_empty() && self.choices.iter().all(refuses)
    }
}

#[cfg(test)]
mod tests {
    use crate::Dialect;
    use crate::hub::ErrorKind;

    #[test]
    fn vendors_refusals_are_known_and_other_mistakes_are_none() {
        for (dialect, status, body, refused) in [
            (
                Dialect::OpenAiChat,
                400,
                r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's policy","code":"content_filter","status":400}}"#,
                true,
            ),
            (Dialect::OpenAiChat, 400, r#"{"error":{"message":"x","code":"content_policy_violation"}}"#, true),
            (
                Dialect::OpenAiChat,
                400,
                r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error"}}"#,
                true,
            ),
            (Dialect::OpenAiChat, 400, r#"{"error":{"message":"x","code":"invalid_value"}}"#, false),
            (
                Dialect::AnthropicMessages,
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
                true,
            ),
            (
                Dialect::AnthropicMessages,
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"}}"#,
                false,
            ),
        ] {
            assert_eq!(dialect.decode_error(status, body.as_bytes()).is_content_refusal(), refused, "{body}");
        }
    }

    #[test]
    fn a_refusal_under_the_status_of_a_credential_is_the_callers() {
        for (dialect, status, body) in [
            (
                Dialect::OpenAiChat,
                403,
                r#"{"error":{"code":403,"message":"openai/gpt-4o requires moderation on OpenAI. Your input was flagged.","metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"OpenAI"}}}"#,
            ),
            (
                Dialect::OpenAiChat,
                403,
                r#"{"error":{"code":403,"message":"x","metadata":{"error_type":"content_policy_violation"}}}"#,
            ),
            (
                Dialect::OpenAiChat,
                403,
                r#"{"code":"permission-denied","error":"Content violates usage guidelines. Team: t, Failed check: SAFETY_CHECK_TYPE_BIO"}"#,
            ),
            (
                Dialect::OpenAiChat,
                403,
                r#"{"object":"error","message":"Your request was blocked by the moderation policy","type":"guardrail","code":"3000"}"#,
            ),
            (
                Dialect::OpenAiResponses,
                400,
                r#"{"error":{"message":"x","type":"invalid_request","code":"cyber_policy"}}"#,
            ),
            (
                Dialect::OpenAiChat,
                400,
                r#"{"error":{"message":"x","type":"image_generation_user_error","code":"moderation_blocked"}}"#,
            ),
            (
                Dialect::BedrockInvoke,
                400,
                r#"{"message":"The model returned the following errors: Output blocked by content filtering policy"}"#,
            ),
            (
                Dialect::BedrockConverse,
                400,
                r#"{"message":"The model returned the following errors: Output blocked by content filtering policy"}"#,
            ),
        ] {
            let error = dialect.decode_error(status, body.as_bytes());
            assert_eq!((error.is_content_refusal(), error.kind), (true, ErrorKind::InvalidRequest), "{body}");
        }
        let denied = br#"{"code":"permission-denied","error":"Access to the chat endpoint is denied"}"#;
        let error = Dialect::OpenAiChat.decode_error(403, denied);
        assert_eq!((error.is_content_refusal(), error.kind), (false, ErrorKind::Permission));
    }

    #[test]
    fn an_answer_that_is_nothing_but_a_refusal_stands_for_an_error() {
        for (dialect, body, refused) in [
            (
                Dialect::OpenAiChat,
                r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}]}"#,
                true,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"half"},"finish_reason":"content_filter"}]}"#,
                false,
            ),
            (
                Dialect::Gemini,
                r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3},"modelVersion":"g"}"#,
                true,
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[],"stop_reason":"refusal","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#,
                true,
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":""}],"stop_reason":"refusal","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#,
                true,
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":""},{"type":"text","text":"half"}],"stop_reason":"refusal","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#,
                false,
            ),
            (
                Dialect::BedrockConverse,
                r#"{"output":{"message":{"role":"assistant","content":[{"text":""}]}},"stopReason":"content_filtered","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}"#,
                true,
            ),
            // A guardrail's own words are none of the model's.
            (
                Dialect::BedrockConverse,
                r#"{"output":{"message":{"role":"assistant","content":[{"text":"Sorry, I cannot."}]}},"stopReason":"guardrail_intervened","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}"#,
                true,
            ),
            // It may have masked no more than some words of it.
            (
                Dialect::BedrockConverse,
                r#"{"output":{"message":{"role":"assistant","content":[{"text":"In {ADDRESS}."}]}},"stopReason":"guardrail_intervened","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1},"trace":{"guardrail":{"outputAssessments":{"g":[{"sensitiveInformationPolicy":{"piiEntities":[{"action":"ANONYMIZED","match":"Rome","type":"ADDRESS"}]}}]}}}}"#,
                false,
            ),
            (
                Dialect::BedrockConverse,
                r#"{"output":{"message":{"role":"assistant","content":[{"text":"half"}]}},"stopReason":"content_filtered","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}"#,
                false,
            ),
            (
                Dialect::BedrockInvoke,
                r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Sorry, I cannot."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1},"amazon-bedrock-guardrailAction":"INTERVENED"}"#,
                true,
            ),
        ] {
            assert_eq!(dialect.refusal_of_whole(body.as_bytes()).is_some(), refused, "{body}");
        }
    }
}
