//! The place where a part of a turn stood in a body of this dialect, for refusals.

use crate::hub::{Content, Message, Part};

/// Its names of the settings that others call otherwise.
pub(super) const WORDS: &[(&str, &str)] =
    &[("reasoning_effort", "thinking"), ("stop", "stop_sequences"), ("top_k", "k"), ("top_p", "p")];

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it.
pub(super) fn part_path(message: &Message, index: usize, inner: Option<usize>) -> String {
    let at = message.at;
    let before = |kind: fn(&Content) -> bool| {
        message.parts.iter().take(index).filter(|Part { content, .. }| kind(content)).count()
    };
    let is_call = |content: &Content| matches!(content, Content::ToolCall(_));
    let path = match message.parts.get(index).map(|part| &part.content) {
        // Each result was a message of its own.
        Some(Content::ToolResult { .. }) => format!("messages[{}]", at + index),
        Some(Content::ToolCall(_)) => format!("messages[{at}].tool_calls[{}]", before(is_call)),
        _ => format!("messages[{at}].content[{index}]"),
    };
    match inner {
        Some(inner) => format!("{path}.content[{inner}]"),
        None => path,
    }
}
