//! The place where a part of a turn stood in a body of this dialect, for refusals: several items may be one turn.

use crate::hub::{Content, Message, Role};

/// Its names of the settings that others call otherwise. Tools in namespaces are made one list.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("max_tokens", "max_output_tokens"),
    ("messages", "input"),
    ("reasoning_effort", "reasoning.effort"),
    ("response_format", "text.format"),
    ("thinking", "reasoning"),
    ("tools[]", "tools"),
];

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it. Of what the model said in a row
/// it is the first item.
pub(super) fn part_path(message: &Message, index: usize, inner: Option<usize>) -> String {
    let at = message.at;
    let path = match message.parts.get(index).map(|part| &part.content) {
        // Each result is an item of its own.
        Some(Content::ToolResult { .. }) => format!("input[{}]", at + index),
        _ if message.role == Role::Assistant => format!("input[{at}]"),
        _ => format!("input[{at}].content[{index}]"),
    };
    match inner {
        Some(inner) => format!("{path}.output[{inner}]"),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Part;

    #[test]
    fn parts_are_named_as_the_caller_wrote_them() {
        let result =
            || Part::new(Content::ToolResult { call_id: "a".into(), parts: vec![Part::text("x")], is_error: false });
        let results = Message { at: 4, ..Message::new(Role::User, vec![result(), result()]) };
        let said = Message { at: 2, ..Message::new(Role::User, vec![Part::text("a"), Part::text("b")]) };
        assert_eq!(part_path(&results, 1, Some(0)), "input[5].output[0]");
        assert_eq!(part_path(&said, 1, None), "input[2].content[1]");
    }
}
