//! Where a part of a conversation stood in the caller's own body, for refusals: the hub's turns are not its messages.

use crate::dialect::Dialect;
use crate::hub::{Content, Message, Part};

/// The path of a part, or of a piece in a tool's result (`inner`), as the caller wrote it.
pub(crate) fn part(caller: Dialect, message: &Message, index: usize, inner: Option<usize>) -> String {
    let at = message.at;
    let this = message.parts.get(index).map(|part| &part.content);
    let path = match (caller, this) {
        // Each result was a message of its own.
        (Dialect::OpenAiChat, Some(Content::ToolResult { .. })) => format!("messages[{}]", at + index),
        (Dialect::OpenAiChat, Some(Content::ToolCall(_))) => {
            format!(
                "messages[{at}].tool_calls[{}]",
                before(message, index, |content| matches!(content, Content::ToolCall(_)))
            )
        }
        // Thoughts stand in fields of their own.
        (Dialect::OpenAiChat, Some(Content::Thinking { .. } | Content::RedactedThinking(_))) => {
            format!("messages[{at}]")
        }
        (Dialect::OpenAiChat, _) => {
            format!("messages[{at}].content[{}]", before(message, index, |content| !is_thought(content)))
        }
        (Dialect::AnthropicMessages, _) => format!("messages[{at}].content[{index}]"),
    };
    match inner {
        Some(inner) => format!("{path}.content[{inner}]"),
        None => path,
    }
}

fn is_thought(content: &Content) -> bool {
    matches!(content, Content::Thinking { .. } | Content::RedactedThinking(_))
}

/// How many parts of a kind stand before this one.
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
        let (openai, anthropic) = (Dialect::OpenAiChat, Dialect::AnthropicMessages);
        assert_eq!(part(openai, &said, 1, None), "messages[3].content[0]");
        assert_eq!(part(openai, &said, 3, None), "messages[3].tool_calls[1]");
        assert_eq!(part(openai, &results, 1, Some(0)), "messages[5].content[0]");
        assert_eq!(part(anthropic, &said, 1, None), "messages[3].content[1]");
        assert_eq!(part(anthropic, &results, 1, Some(0)), "messages[4].content[1].content[0]");
    }
}
