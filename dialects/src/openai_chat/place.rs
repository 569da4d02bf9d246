//! The place where a part of a turn stood in a body of this dialect, for refusals: the hub's turns are not its
//! messages.

use crate::codec::Refusal;
use crate::hub::{Content, Message, Part};
use crate::spoke::PartPath;

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

/// A refusal that names a part by the place that this dialect's writer gives it, `messages[AT].content[INDEX]`, by the place at
/// which it stood in the caller's own body.
pub(super) fn in_the_callers(refusal: Refusal, messages: &[Message], path: PartPath) -> Refusal {
    let placed = refusal.param.as_deref().and_then(|param| {
        let (at, rest) = numbered(param.strip_prefix("messages")?)?;
        let (index, rest) = numbered(rest.strip_prefix(".content")?)?;
        let inner = rest.strip_prefix(".content").and_then(numbered).map(|(inner, _)| inner);
        // Several of the caller's messages may have become one turn.
        let message = messages.iter().find(|message| message.at == at && message.parts.len() > index)?;
        Some((param.to_owned(), path(message, index, inner)))
    });
    // Where it is called the same, this writer may say more exactly what is wrong with it.
    let Some((before, own)) = placed.filter(|(before, own)| !before.starts_with(own.as_str())) else { return refusal };
    let message = match refusal.message.strip_prefix(&before) {
        Some(rest) => format!("{own}{rest}"),
        None => refusal.message,
    };
    Refusal { message, param: Some(own), ..refusal }
}

/// The number in brackets that a path goes on with, and what is behind it.
fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, rest))
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
