//! Calls of a conversation that have the same id, as those of servers have that begin to count anew with every turn.

use std::collections::{HashMap, HashSet};

use crate::call_id::RenamedCalls;
use crate::hub::{Content, Message};

/// Tells such calls apart: most vendors refuse them, and some take them for one. The first keeps its id, a call and its result stay together, and
/// the next turn of the conversation says the same of all that is in this one.
pub fn tell_repeated_apart(messages: &mut [Message]) {
    let calls = messages.iter().flat_map(|message| &message.parts).filter_map(|part| match &part.content {
        Content::ToolCall(call) => Some(call.id.as_str()),
        _ => None,
    });
    let (mut seen, mut is_repeated) = (HashSet::new(), false);
    calls.for_each(|id| is_repeated |= !seen.insert(id));
    // Hardly any conversation goes on here.
    if !is_repeated {
        return;
    }
    let mut known: HashSet<String> = seen.into_iter().map(str::to_owned).collect();
    let (mut renamed, mut times) = (RenamedCalls::default(), HashMap::<String, usize>::new());
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        match &mut part.content {
            Content::ToolCall(call) => {
                let old = call.id.clone();
                let times = times.entry(old.clone()).or_default();
                *times += 1;
                while *times > 1 {
                    call.id = format!("{old}_{times}");
                    if known.insert(call.id.clone()) {
                        break;
                    }
                    *times += 1;
                }
                renamed.call(&old, &call.id);
            }
            Content::ToolResult { call_id, .. } => {
                if let Some(new) = renamed.result(call_id) {
                    *call_id = new;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Part, Role, ToolCall};

    #[test]
    fn calls_of_one_id_are_told_apart_with_their_results() {
        let call = |id: &str| {
            Part::new(Content::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into() }))
        };
        let result =
            |id: &str| Part::new(Content::ToolResult { call_id: id.into(), parts: Vec::new(), is_error: false });
        let turns = |ids: [&str; 12]| {
            let [a, b, ra, rb, c, rc, d, e, rd, re, f, rf] = ids;
            vec![
                Message::new(Role::Assistant, vec![call(a), call(b)]),
                Message::new(Role::User, vec![result(ra), result(rb)]),
                Message::new(Role::Assistant, vec![call(c)]),
                Message::new(Role::User, vec![result(rc)]),
                Message::new(Role::Assistant, vec![call(d), call(e)]),
                Message::new(Role::User, vec![result(rd), result(re)]),
                Message::new(Role::Assistant, vec![call(f)]),
                Message::new(Role::User, vec![result(rf)]),
            ]
        };
        let ids = |messages: &[Message]| -> Vec<String> {
            let parts = messages.iter().flat_map(|message| &message.parts);
            let id = |part: &Part| match &part.content {
                Content::ToolCall(call) => call.id.clone(),
                Content::ToolResult { call_id, .. } => call_id.clone(),
                _ => String::new(),
            };
            parts.map(id).collect()
        };
        let mut told = turns(["x", "y", "y", "x", "x", "x", "x", "x", "x", "x", "x_2", "x_2"]);
        tell_repeated_apart(&mut told);
        let apart = ["x", "y", "y", "x", "x_3", "x_3", "x_4", "x_5", "x_4", "x_5", "x_2", "x_2"];
        assert_eq!(ids(&told), apart);
        tell_repeated_apart(&mut told);
        assert_eq!(ids(&told), apart, "once is enough");
    }
}
