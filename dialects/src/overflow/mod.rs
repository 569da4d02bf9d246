//! A prompt that does not fit: every vendor has its own words for it, and agents act on two.
//!
//! Coding agents shorten the conversation when they read `prompt is too long`, lower `max_tokens` when they read
//! ``input length and `max_tokens` exceed context limit``, and with any other words send the same again. In the OpenAI
//! dialect the sign is the code `context_length_exceeded`. One table of what vendors say, and pure functions over it.

use std::borrow::Cow;

use crate::hub::{CONTEXT_OVERFLOW, ErrorKind, ProviderError};

const INVALID: &str = "invalid_request_error";

/// Codes and types that say it alone.
const CODES: [&str; 6] = [
    CONTEXT_OVERFLOW,
    // GitHub Models
    "tokens_limit_reached",
    // GitHub Copilot
    "model_max_prompt_tokens_exceeded",
    // llama.cpp
    "exceed_context_size_error",
    // LiteLLM
    "ContextWindowExceededError",
    "context_window_exceeded",
];

/// The words of Anthropic's that agents act on.
const TOLD: [&str; 2] = ["prompt is too long", "input length and `max_tokens` exceed context limit"];

/// The words of an overflow, and the vendor that says them. `{input}`, `{output}`, `{total}` and `{max}` are counts of
/// tokens, `*` is any text; case does not matter, and the words may stand anywhere in the message. The first that fits
/// counts.
const WORDINGS: &[(&str, &str)] = &[
    ("prompt is too long: {input} tokens > {max} maximum", "Anthropic"),
    ("input length and `max_tokens` exceed context limit: {input} + {output} > {max}", "Anthropic"),
    ("prompt is too long: {input}, model maximum context length: {max}", "Fireworks"),
    ("maximum context length is {max} tokens*requested {total} tokens (* {output} in the completion)", "OpenAI, vLLM"),
    ("maximum context length is {max} tokens*requested {total} tokens (* {output} for the completion)", "OpenAI"),
    ("maximum context length is {max} tokens*requested about {total} tokens (* {output} in the output)", "OpenRouter"),
    (
        "is too large: {output}. this model's maximum context length is {max} tokens and your request has {input} input tokens",
        "vLLM",
    ),
    ("maximum context length is {max} tokens*resulted in {input} tokens", "OpenAI"),
    ("maximum context length is {max} tokens*your request has {input} input tokens", "vLLM"),
    ("maximum context length is {max} tokens*requested {total} tokens", "OpenAI"),
    (
        "you passed {input} input tokens and requested {output} output tokens*context length is only {max} tokens",
        "vLLM",
    ),
    ("prompt (length {input}) is longer than the maximum model length of {max}", "vLLM"),
    ("the input ({input} tokens) is longer than the model's context length ({max} tokens)", "SGLang, Together"),
    (
        "maximum context length of {max} tokens. you requested a total of {total} tokens: {input} tokens from the input messages and {output} tokens for the completion",
        "SGLang",
    ),
    ("exceed the configured limit of {max} tokens*resulted in {input} tokens", "OpenAI"),
    ("exceeds the context window", "OpenAI"),
    ("prompt token count of {input} exceeds the limit of {max}", "GitHub Copilot"),
    ("request ({input} tokens) exceeds the available context size ({max} tokens)", "llama.cpp"),
    ("exceeds the available context size", "llama.cpp"),
    ("prompt contains {input} tokens*too large for model with {max} maximum context length", "Mistral"),
    ("input token count ({input}) exceeds the maximum number of tokens allowed ({max})", "Gemini"),
    ("input token count exceeds the maximum number of tokens allowed", "Gemini"),
    ("input token count is {input} but model only supports up to {max}", "Gemini on Vertex AI"),
    ("maximum prompt length is {max} but the request contains {input} tokens", "xAI"),
    ("max input tokens: {max}, request input token count: {input}", "Bedrock"),
    ("input is too long for requested model", "Bedrock"),
    ("number of input tokens exceeds maximum length", "Bedrock"),
    ("`inputs` must have less than {max} tokens. given: {input}", "TGI"),
    (
        "`inputs` tokens + `max_new_tokens` must be <= {max}. given: {input} `inputs` tokens and {output} `max_new_tokens`",
        "TGI, Together",
    ),
    ("number of tokens in the prompt cannot exceed {max} - received {input}", "Cohere"),
    ("too many tokens: size limit exceeded by", "Cohere"),
    ("current length is {input} while limit is {max}", "Cerebras"),
    ("reduce the length of the messages or completion", "Groq"),
    ("exceeded model token limit: {max} (requested: {input})", "Moonshot"),
    ("exceeded model token limit", "Moonshot"),
    ("range of input length should be [1, {max}]", "Qwen"),
    ("context window exceeds limit", "MiniMax"),
    ("prompt exceeds max length", "Zhipu"),
    ("length of prompt_tokens ({input}) must be less than max_seq_len ({max})", "SiliconFlow"),
    ("request body too large for * model. max size: {max} tokens", "GitHub Models"),
    ("prompt too long: {input} tokens exceeds max context window of {max} tokens", "oMLX"),
    ("prompt too long; exceeded max context length", "Ollama"),
    ("input length exceeds the context length", "Ollama"),
    ("greater than the context length", "LM Studio"),
    ("context length of only {max} tokens", "LM Studio"),
    ("sum of prompt length ({input})*should not exceed max_num_tokens ({max})", "TensorRT-LLM"),
    ("number of input tokens {input} cannot exceed the total tokens limit {max}", "watsonx"),
    ("exceeds the model's maximum context length", "SGLang"),
    ("exceeds the maximum context length", "many"),
    ("exceeds maximum context length", "many"),
    ("maximum context length is {max} tokens", "many"),
    ("context length exceeded", "many"),
    ("contextwindowexceedederror", "LiteLLM"),
    ("prompt is too long", "Anthropic"),
];

/// The same error, known for what it is if it says in anybody's words that the prompt does not fit.
pub(crate) fn recognised(error: ProviderError) -> ProviderError {
    use ErrorKind as K;
    let other = matches!(error.kind, K::Authentication | K::Billing | K::Permission | K::RateLimit | K::Quota);
    let coded = [&error.code, &error.r#type].into_iter().flatten().any(|word| CODES.contains(&&**word));
    if other || !(coded || find(&error.message).is_some()) {
        return error;
    }
    ProviderError {
        kind: K::InvalidRequest,
        r#type: Some(INVALID.to_owned()),
        code: Some(CONTEXT_OVERFLOW.to_owned()),
        ..error
    }
}

/// True if an error's message is in the words that agents know as Anthropic's.
pub(crate) fn is_told(message: &str) -> bool {
    TOLD.iter().any(|words| message.contains(words))
}

/// The message in Anthropic's words, the vendor's own behind them.
pub(crate) fn in_anthropics_words(message: &str) -> Cow<'_, str> {
    if is_told(message) {
        return Cow::Borrowed(message);
    }
    let NamedCounts { input, output, total, max } = find(message).unwrap_or_default();
    let input = input.or_else(|| Some(total?.saturating_sub(output?))).or(total);
    let said = match (input, output, max) {
        (Some(input), _, Some(max)) if input > max => format!("{}: {input} tokens > {max} maximum", TOLD[0]),
        (Some(input), Some(output), Some(max)) => {
            let then = "decrease input length or `max_tokens` and try again";
            format!("{}: {input} + {output} > {max}, {then}", TOLD[1])
        }
        _ => TOLD[0].to_owned(),
    };
    Cow::Owned(if message.is_empty() { said } else { format!("{said} ({message})") })
}

/// The words that clients of Gemini's know it by.
const TOLD_TO_GEMINI: &str = "exceeds the maximum number of tokens allowed";

/// True if an error's message is in Google's words.
pub(crate) fn is_told_to_gemini(message: &str) -> bool {
    message.contains(TOLD_TO_GEMINI)
}

/// The message in Google's words, the vendor's own behind them, where it says that the prompt does not fit.
pub(crate) fn in_geminis_words(error: &ProviderError) -> Cow<'_, str> {
    let message = &error.message;
    if !error.is_context_overflow() || is_told_to_gemini(message) {
        return Cow::Borrowed(message);
    }
    let NamedCounts { input, output, total, max } = find(message).unwrap_or_default();
    let input = total.or_else(|| Some(input?.saturating_add(output.unwrap_or(0))));
    let said = match (input, max) {
        (Some(input), Some(max)) => format!("The input token count ({input}) {TOLD_TO_GEMINI} ({max})."),
        _ => format!("The input token count {TOLD_TO_GEMINI}."),
    };
    Cow::Owned(if message.is_empty() { said } else { format!("{said} ({message})") })
}

/// Counts that a message names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct NamedCounts {
    input: Option<u64>,
    output: Option<u64>,
    /// Of both.
    total: Option<u64>,
    max: Option<u64>,
}

impl NamedCounts {
    fn set(&mut self, name: &str, count: u64) {
        let place = match name {
            "input" => &mut self.input,
            "output" => &mut self.output,
            "total" => &mut self.total,
            _ => &mut self.max,
        };
        *place = Some(count);
    }
}

fn find(message: &str) -> Option<NamedCounts> {
    let message = message.to_ascii_lowercase();
    WORDINGS.iter().find_map(|(wording, _)| read(wording, &message))
}

/// Reads a message by a wording.
fn read(wording: &str, mut message: &str) -> Option<NamedCounts> {
    let mut counts = NamedCounts::default();
    for stretch in wording.split('*') {
        let first = stretch.split('{').next().unwrap_or_default();
        message = loop {
            let at = message.find(first)?;
            message = message.get(at..)?;
            let mut tried = counts;
            if let Some(rest) = read_here(stretch, message, &mut tried) {
                counts = tried;
                break rest;
            }
            message = message.get(first.len().max(1)..)?;
        };
    }
    Some(counts)
}

/// Reads words and counts that follow one another; gives what stands behind them.
fn read_here<'a>(stretch: &str, message: &'a str, counts: &mut NamedCounts) -> Option<&'a str> {
    let mut parts = stretch.split(['{', '}']);
    let mut rest = message.strip_prefix(parts.next()?)?;
    while let (Some(name), Some(words)) = (parts.next(), parts.next()) {
        let (count, behind) = number(rest)?;
        counts.set(name, count);
        rest = behind.strip_prefix(words)?;
    }
    Some(rest)
}

/// A whole number, perhaps with commas between its digits or with `.0` behind them.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|char: char| !char.is_ascii_digit() && char != ',').unwrap_or(text.len());
    let (said, mut rest) = text.split_at(digits);
    // A comma behind the digits is the sentence's.
    let whole = said.trim_end_matches(',');
    if whole.len() < said.len() {
        rest = text.get(whole.len()..)?;
    }
    let count = whole.replace(',', "").parse().ok()?;
    Some((count, rest.strip_prefix(".0").unwrap_or(rest)))
}

#[cfg(test)]
mod tests;
