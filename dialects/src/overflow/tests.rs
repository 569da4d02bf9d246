//! What vendors say, what is understood of it, and what only sounds like it.

use super::*;

/// A vendor's message, and how it begins in Anthropic's words.
const SAID: &[(&str, &str)] = &[
    (
        "length of prompt_tokens (57535) must be less than max_seq_len (32768).",
        "prompt is too long: 57535 tokens > 32768 maximum (length of",
    ),
    ("Request body too large for gpt-4o model. Max size: 8000 tokens.", "prompt is too long (Request body"),
    (
        "This model's maximum context length is 1000 tokens. However, you requested 1300 tokens (1200 in the messages, 100 in the completion).",
        "prompt is too long: 1200 tokens > 1000 maximum (This model's",
    ),
    (
        "This model's maximum context length is 1000 tokens. However, you requested 1150 tokens (900 in the messages, 250 in the completion).",
        "input length and `max_tokens` exceed context limit: 900 + 250 > 1000, decrease",
    ),
    (
        "This model's maximum context length is 1000 tokens. However, you requested 1150 tokens (700 in the messages, 200 in the functions, and 250 in the completion).",
        "input length and `max_tokens` exceed context limit: 900 + 250 > 1000, decrease",
    ),
    (
        "This model's maximum context length is 8191 tokens, however you requested 10351 tokens (10346 in your prompt; 5 for the completion). Please reduce your prompt; or completion length.",
        "prompt is too long: 10346 tokens > 8191 maximum (",
    ),
    (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens. Please reduce the length of the messages.",
        "prompt is too long: 8545 tokens > 8192 maximum (",
    ),
    (
        "This endpoint's maximum context length is 524288 tokens. However, you requested about 538487 tokens (14474 of text input, 12013 of tool input, 512000 in the output). Please reduce the length of either one.",
        "input length and `max_tokens` exceed context limit: 26487 + 512000 > 524288, decrease",
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 100 input tokens (5000 > 4096 - 100).",
        "input length and `max_tokens` exceed context limit: 100 + 5000 > 4096, decrease",
    ),
    (
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce the length of the input messages.",
        "prompt is too long: 5000 tokens > 4096 maximum (",
    ),
    (
        "You passed 4097 input tokens and requested 100 output tokens. However, the model's context length is only 4096 tokens, resulting in a maximum input length of 3996 tokens.",
        "prompt is too long: 4097 tokens > 4096 maximum (",
    ),
    (
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.",
        "prompt is too long: 5000 tokens > 4096 maximum (",
    ),
    (
        "The input (1200 tokens) is longer than the model's context length (1000 tokens).",
        "prompt is too long: 1200 tokens > 1000 maximum (",
    ),
    (
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 3500 tokens from the input messages and 1500 tokens for the completion.",
        "input length and `max_tokens` exceed context limit: 3500 + 1500 > 4096, decrease",
    ),
    (
        "Input tokens exceed the configured limit of 272,000 tokens. Your messages resulted in 310,052 tokens. Please reduce the length of the messages.",
        "prompt is too long: 310052 tokens > 272000 maximum (",
    ),
    (
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "prompt is too long (",
    ),
    (
        "prompt token count of 1200 exceeds the limit of 1000",
        "prompt is too long: 1200 tokens > 1000 maximum (prompt token",
    ),
    (
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "prompt is too long: 5000 tokens > 4096 maximum (",
    ),
    (
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        "prompt is too long (",
    ),
    (
        "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        "prompt is too long: 65673 tokens > 32768 maximum (",
    ),
    (
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "prompt is too long: 1196265 tokens > 1048575 maximum (",
    ),
    (
        "Unable to submit request because the input token count is 40000 but model only supports up to 32000. Reduce the input token count and try again.",
        "prompt is too long: 40000 tokens > 32000 maximum (",
    ),
    (
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "prompt is too long: 537812 tokens > 131072 maximum (",
    ),
    (
        "Too many input tokens. Max input tokens: 8000, request input token count: 9000",
        "prompt is too long: 9000 tokens > 8000 maximum (",
    ),
    ("The model returned the following errors: Input is too long for requested model.", "prompt is too long ("),
    (
        "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
        "prompt is too long: 5000 tokens > 4095 maximum (",
    ),
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 500 `max_new_tokens`",
        "input length and `max_tokens` exceed context limit: 4000 + 500 > 4096, decrease",
    ),
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt.",
        "prompt is too long: 5000 tokens > 4081 maximum (",
    ),
    (
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        "prompt is too long: 9000 tokens > 8192 maximum (",
    ),
    ("Please reduce the length of the messages or completion.", "prompt is too long ("),
    (
        "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)",
        "prompt is too long: 9000 tokens > 8192 maximum (",
    ),
    ("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", "prompt is too long ("),
    ("invalid params, context window exceeds limit (2013)", "prompt is too long ("),
    (
        "Prompt too long: 41911 tokens exceeds max context window of 32768 tokens",
        "prompt is too long: 41911 tokens > 32768 maximum (",
    ),
    (
        "The sum of prompt length (5000.0), query length (0) should not exceed max_num_tokens (4096)",
        "prompt is too long: 5000 tokens > 4096 maximum (",
    ),
    ("litellm.ContextWindowExceededError: litellm.BadRequestError: something else", "prompt is too long ("),
    // Already in these words.
    ("prompt is too long: 213462 tokens > 200000 maximum", "prompt is too long: 213462 tokens > 200000 maximum"),
    ("The prompt is too long: 9000, model maximum context length: 8192", "The prompt is too long: 9000, model"),
];

fn error(kind: ErrorKind, code: Option<&str>, message: &str) -> ProviderError {
    ProviderError { kind, message: message.to_owned(), r#type: None, code: code.map(str::to_owned), param: None }
}

#[test]
fn every_vendors_words_are_known_and_said_in_those_that_agents_act_on() {
    for (message, expected) in SAID {
        let known = recognised(error(ErrorKind::Unprocessable, None, message));
        assert_eq!(
            (known.kind, known.code.as_deref()),
            (ErrorKind::InvalidRequest, Some(CONTEXT_OVERFLOW)),
            "{message}"
        );
        let said = in_anthropics_words(message);
        assert!(said.starts_with(expected), "{said}");
        assert!(said.contains(message), "{said}");
    }
    // Every row of the table is one that a message here is read by, or says by itself.
    for (wording, vendor) in WORDINGS {
        let plain = !wording.contains(['{', '*']);
        let used = SAID.iter().any(|(message, _)| read(wording, &message.to_ascii_lowercase()).is_some());
        assert!(plain || used || *vendor == "LM Studio" || *vendor == "watsonx" || *vendor == "Anthropic", "{wording}");
    }
}

#[test]
fn a_code_says_it_alone() {
    for code in CODES {
        assert_eq!(
            recognised(error(ErrorKind::InvalidRequest, Some(code), "too big")).code.as_deref(),
            Some(CONTEXT_OVERFLOW)
        );
    }
    assert_eq!(in_anthropics_words("too big"), "prompt is too long (too big)");
    assert_eq!(in_anthropics_words(""), "prompt is too long");
}

#[test]
fn what_only_sounds_like_it_is_left_alone() {
    for (kind, message) in [
        (
            ErrorKind::RateLimit,
            "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size",
        ),
        (ErrorKind::RateLimit, "This model's maximum context length is 1000 tokens."),
        (
            ErrorKind::InvalidRequest,
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        ),
        (ErrorKind::InvalidRequest, "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens"),
        (ErrorKind::TooLarge, "Request exceeds the maximum size"),
        (ErrorKind::InvalidRequest, "messages: text is too long a word"),
    ] {
        let known = recognised(error(kind, None, message));
        assert_eq!((known.kind, known.code), (kind, None), "{message}");
    }
}

#[test]
fn odd_numbers_and_odd_texts_are_no_trouble() {
    for message in
        ["maximum context length is ", "maximum context length is 99999999999999999999999 tokens", "(((", "é{input}*"]
    {
        let _ = find(message);
    }
    assert_eq!(number("12,345, then"), Some((12345, ", then")));
    assert_eq!(number(","), None);
    assert_eq!(number("x"), None);
}
