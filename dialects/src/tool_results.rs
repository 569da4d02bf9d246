//! The place of a tool's result in a conversation that is read: right behind the turn that has called the tool.
//!
//! Callers put what the user says meanwhile before it; every vendor refuses a call that something else stands behind.

use crate::hub::{Content, Message, Part, Role};

/// So many turns back a call is looked for, and so many parts of each: nobody is kept waiting by a body of a million results.
const TURNS: usize = 256;
const PARTS: usize = 1024;

/// Adds a result, the caller's message or item `at`. One that stands right behind another is of the same turn.
pub(crate) fn add(result: Part, at: usize, messages: &mut Vec<Message>) {
    let place = place(&result, messages);
    let before = place.checked_sub(1).and_then(|before| messages.get_mut(before));
    match before.filter(|turn| is_results(turn) && turn.at + turn.parts.len() == at) {
        Some(turn) => turn.parts.push(result),
        None => messages.insert(place, Message { at, ..Message::new(Role::User, vec![result]) }),
    }
}

/// The place of a result: behind the turn that has called, and the results that are there already.
fn place(result: &Part, messages: &[Message]) -> usize {
    let near = messages.len().saturating_sub(TURNS);
    let results = |from: usize| messages.iter().skip(from).take_while(|message| is_results(message)).count();
    let called =
        messages.iter().skip(near).rposition(|message| message.role == Role::Assistant && calls(message, result));
    called.map_or(messages.len(), |called| near + called + 1 + results(near + called + 1))
}

/// True if a turn makes the call that a result is of.
fn calls(message: &Message, result: &Part) -> bool {
    let Content::ToolResult { call_id, .. } = &result.content else { return false };
    let is_it = |part: &Part| matches!(&part.content, Content::ToolCall(call) if call.id == *call_id);
    message.parts.iter().rev().take(PARTS).any(is_it)
}

/// True for turns that are made here: they hold nothing else.
fn is_results(message: &Message) -> bool {
    let is_result = |part: Option<&Part>| part.is_some_and(|part| matches!(part.content, Content::ToolResult { .. }));
    message.role == Role::User && is_result(message.parts.first()) && is_result(message.parts.last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ToolCall;

    #[test]
    fn results_stand_right_behind_their_calls() {
        let call = |id: &str| {
            Part::new(Content::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: String::new() }))
        };
        let result =
            |id: &str| Part::new(Content::ToolResult { call_id: id.into(), parts: Vec::new(), is_error: false });
        let turn = |at, role, parts| Message { at, ..Message::new(role, parts) };
        let mut messages =
            vec![turn(0, Role::Assistant, vec![call("a"), call("b")]), turn(2, Role::User, vec![Part::text("Wait.")])];
        add(result("a"), 3, &mut messages);
        add(result("b"), 4, &mut messages);
        messages.push(turn(5, Role::Assistant, vec![call("a")]));
        messages.push(turn(6, Role::Developer, vec![Part::text("Be brief.")]));
        add(result("a"), 7, &mut messages);
        add(result("unknown"), 8, &mut messages);
        let seen: Vec<_> = messages.iter().map(|message| (message.at, message.parts.len())).collect();
        assert_eq!(seen, [(0, 2), (3, 2), (2, 1), (5, 1), (7, 1), (6, 1), (8, 1)]);
        // However many there are, they are read at once.
        let mut messages = vec![turn(0, Role::Assistant, (0..100_000).map(|at| call(&format!("call_{at}"))).collect())];
        for at in 0..100_000 {
            messages.push(turn(2 * at + 1, Role::User, vec![Part::text("x")]));
            add(result(&format!("call_{at}")), 2 * at + 2, &mut messages);
        }
        assert!(messages.len() > 100_000);
    }
}
