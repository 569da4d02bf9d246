//! The place where a part of a turn stood in a body of this dialect, for refusals.

use crate::hub::Message;

/// Its names of the settings that others call otherwise.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("reasoning_effort", "thinking"),
    ("response_format", "output_config.format"),
    ("stop", "stop_sequences"),
    ("user", "metadata.user_id"),
];

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it.
pub(super) fn part_path(message: &Message, index: usize, inner: Option<usize>) -> String {
    let path = format!("messages[{}].content[{index}]", message.at);
    match inner {
        Some(inner) => format!("{path}.content[{inner}]"),
        None => path,
    }
}
