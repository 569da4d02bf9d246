//! The place where a part of a turn stood in a body of this dialect, for refusals.

use crate::hub::{Content, Message};

/// Its names of the settings that others call otherwise. Declarations of all tools are made one list.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("frequency_penalty", "generationConfig.frequencyPenalty"),
    ("logprobs", "generationConfig.responseLogprobs"),
    ("max_tokens", "generationConfig.maxOutputTokens"),
    ("messages", "contents"),
    ("n", "generationConfig.candidateCount"),
    ("presence_penalty", "generationConfig.presencePenalty"),
    ("reasoning_effort", "generationConfig.thinkingConfig"),
    ("response_format", "generationConfig.responseJsonSchema"),
    ("seed", "generationConfig.seed"),
    ("stop", "generationConfig.stopSequences"),
    ("temperature", "generationConfig.temperature"),
    ("thinking", "generationConfig.thinkingConfig"),
    ("tool_choice", "toolConfig.functionCallingConfig"),
    ("tools[]", "tools"),
    ("top_k", "generationConfig.topK"),
    ("top_logprobs", "generationConfig.logprobs"),
    ("top_p", "generationConfig.topP"),
];

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it. A signature stands on a part
/// there, and is a part of its own in the hub.
pub(super) fn part_path(message: &Message, index: usize, inner: Option<usize>) -> String {
    let own = |content: &Content| {
        !matches!(content, Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking(_))
    };
    let place = message.parts.iter().take(index).filter(|part| own(&part.content)).count();
    let path = format!("contents[{}].parts[{place}]", message.at);
    match inner {
        // The first piece is what the tool said in words.
        Some(0) => format!("{path}.functionResponse.response"),
        Some(inner) => format!("{path}.functionResponse.parts[{}]", inner - 1),
        None => path,
    }
}
