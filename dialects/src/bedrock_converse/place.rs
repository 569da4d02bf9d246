//! The place where a part of a turn stood in a body of this dialect, for refusals.

use crate::hub::Message;

/// Its names of the settings that others call otherwise. Points of the prompt cache stand among the tools, too.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("max_tokens", "inferenceConfig.maxTokens"),
    ("reasoning_effort", "additionalModelRequestFields"),
    ("response_format", "outputConfig.textFormat"),
    ("stop", "inferenceConfig.stopSequences"),
    ("temperature", "inferenceConfig.temperature"),
    ("thinking", "additionalModelRequestFields"),
    ("tool_choice", "toolConfig.toolChoice"),
    ("tools[]", "toolConfig.tools"),
    ("top_k", "additionalModelRequestFields"),
    ("top_p", "inferenceConfig.topP"),
];

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it. A point of the prompt cache is a block of
/// its own there, and a mark on the part before it in the hub.
pub(super) fn part_path(message: &Message, index: usize, inner: Option<usize>) -> String {
    let points = message.parts.iter().take(index).filter(|part| part.cache.is_some()).count();
    let path = format!("messages[{}].content[{}]", message.at, index + points);
    inner.map_or_else(|| path.clone(), |inner| format!("{path}.toolResult.content[{inner}]"))
}
