//! A whole answer.

use serde_json::{Value, json};

use crate::ask::Ask;
use crate::ids::Ids;
use crate::model::{Answer, Said, Stop};

/// A whole answer.
pub(crate) fn write(ask: &Ask, answer: &Answer, ids: &Ids) -> Value {
    let (mut content, mut calls, mut plan) = (Vec::new(), Vec::new(), String::new());
    let calls_tools = answer.said.iter().any(|said| matches!(said, Said::Call { .. }));
    for said in &answer.said {
        match said {
            Said::Thought(text) => content.push(json!({ "type": "thinking", "thinking": text })),
            Said::Text(text) if calls_tools => plan.push_str(text),
            Said::Text(text) | Said::Refusal(text) => content.push(json!({ "type": "text", "text": text })),
            Said::Call { name, arguments } => calls.push(call(name, arguments, ids)),
            Said::Hidden(_) => {}
        }
    }
    let mut message = json!({ "role": "assistant" });
    if let Some(fields) = message.as_object_mut() {
        let lists = [("content", content), ("tool_calls", calls)].into_iter().filter(|(_, list)| !list.is_empty());
        fields.extend(lists.map(|(name, list)| (name.to_owned(), Value::Array(list))));
        if calls_tools {
            let plan = if plan.is_empty() { "I will use a tool." } else { &plan };
            fields.insert("tool_plan".to_owned(), json!(plan));
        }
    }
    json!({
        "id": ids.next(""),
        "message": message,
        "finish_reason": finish(&answer.stop),
        "usage": usage(ask, answer),
    })
}

/// A call of a tool.
pub(super) fn call(name: &str, arguments: &str, ids: &Ids) -> Value {
    let function = json!({ "name": name, "arguments": arguments });
    json!({ "id": ids.next(&format!("{name}_")), "type": "function", "function": function })
}

/// The vendor's word for why an answer ended.
pub(super) fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Refusal => "COMPLETE",
        Stop::Sequence(_) => "STOP_SEQUENCE",
        Stop::Length => "MAX_TOKENS",
        Stop::Tools => "TOOL_CALL",
    }
}

/// The usage: what the vendor puts around a prompt is read, and not billed.
pub(super) fn usage(ask: &Ask, answer: &Answer) -> Value {
    /// Tokens of the words around a prompt.
    const AROUND: u64 = 200;
    json!({
        "billed_units": { "input_tokens": ask.input_tokens, "output_tokens": answer.tokens },
        "tokens": { "input_tokens": ask.input_tokens + AROUND, "output_tokens": answer.tokens },
    })
}
