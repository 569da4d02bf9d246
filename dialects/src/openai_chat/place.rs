//! The place where a part of a turn stood in a body of this dialect, for refusals: the hub's turns are not its
//! messages.

use crate::hub::{Content, Message, Part};

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it.
pub(super) fn part_path(message: &Message, index: usize, inner: Option<usize>) -> String {
    let at = message.at;
    let path = match message.parts.get(index).map(|part| &part.content) {
        // Each result was a message of its own.
        Some(Content::ToolResult { .. }) => format!("messages[{}]", at + index),
        Some(Content::ToolCall(_)) => {
            let calls = before(message, index, |content| matches!(content, Content::ToolCall(_)));
            format!("messages[{at}].tool_calls[{calls}]")
        }
        // Thoughts stand in fields of their own.
        Some(content) if is_thought(content) => format!("messages[{at}]"),
        _ => format!("messages[{at}].content[{}]", before(message, index, |content| !is_thought(content))),
    };
    match inner {
        Some(inner) => format!("{path}.content[{inner}]"),
        None => path,
    }
}

fn is_thought(content: &Content) -> bool {
    matches!(content, Content::Thinking { .. } | Content::RedactedThinking(_))
}

/// The number of parts of a kind that stand before this one.
fn before(message: &Message, index: usize, kind: impl Fn(&Content) -> bool) -> usize {
    message.parts.iter().take(index).filter(|Part { content, .. }| kind(content)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Role, ToolCall};

    #[test]
    fn parts_are_named_as_the_caller_wrote_them() {
        let thought = || Part::new(Content::Thinking { text: "hm".into(), signature: None });
        let call =
            || Part::new(Content::ToolCall(ToolCall { id: "a".into(), name: "f".into(), arguments: "{}".into() }));
        let said = Message { at: 3, ..Message::new(Role::Assistant, vec![thought(), Part::text("x"), call(), call()]) };
        let result =
            || Part::new(Content::ToolResult { call_id: "a".into(), parts: vec![Part::text("x")], is_error: false });
        let results = Message { at: 4, ..Message::new(Role::User, vec![result(), result()]) };
        assert_eq!(part_path(&said, 1, None), "messages[3].content[0]");
        assert_eq!(part_path(&said, 3, None), "messages[3].tool_calls[1]");
        assert_eq!(part_path(&results, 1, Some(0)), "messages[5].content[0]");
    }
}
