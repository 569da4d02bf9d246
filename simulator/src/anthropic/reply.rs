//! A whole Anthropic answer.

use serde_json::{Value, json};

use crate::ask::{Ask, Thinking};
use crate::digest::{seal, sign};
use crate::ids::Ids;
use crate::model::{Answer, Said, Stop};
use crate::prompts::Cached;

/// A whole answer.
pub(crate) fn write(ask: &Ask, answer: &Answer, cached: Cached, ids: &Ids) -> Value {
    let (reason, sequence) = stop(&answer.stop);
    let content: Vec<Value> = answer.said.iter().map(|said| block(said, &ask.thinking, ids)).collect();
    json!({
        "id": ids.next("msg_"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": details(&answer.stop),
        "usage": usage(ask, answer, cached),
    })
}

/// A piece of an answer as a whole block.
pub(crate) fn block(said: &Said, thinking: &Thinking, ids: &Ids) -> Value {
    match said {
        Said::Text(text) | Said::Refusal(text) => json!({ "type": "text", "text": text }),
        Said::Thought(text) => {
            let text = if *thinking == Thinking::Withheld { "" } else { text.as_str() };
            json!({ "type": "thinking", "thinking": text, "signature": sign(text) })
        }
        Said::Hidden(text) => json!({ "type": "redacted_thinking", "data": seal(text) }),
        Said::Call { name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({ "type": "tool_use", "id": ids.next("toolu_"), "name": name, "input": input })
        }
    }
}

/// The vendor's words for why an answer ended.
pub(crate) fn stop(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::Length => ("max_tokens", None),
        Stop::Tools => ("tool_use", None),
        Stop::Sequence(sequence) => ("stop_sequence", Some(sequence)),
        Stop::Refusal => ("refusal", None),
    }
}

/// The vendor's words beside a refusal.
pub(crate) fn details(stop: &Stop) -> Value {
    match stop {
        Stop::Refusal => json!({ "type": "refusal", "category": null, "explanation": null }),
        _ => Value::Null,
    }
}

/// The usage. `input_tokens` are those that the prompt cache had no part in.
pub(crate) fn usage(ask: &Ask, answer: &Answer, cached: Cached) -> Value {
    json!({
        "input_tokens": ask.input_tokens.saturating_sub(cached.read + cached.written),
        "cache_creation_input_tokens": cached.written,
        "cache_read_input_tokens": cached.read,
        "cache_creation": { "ephemeral_5m_input_tokens": cached.written, "ephemeral_1h_input_tokens": 0 },
        "output_tokens": answer.tokens,
        "output_tokens_details": { "thinking_tokens": answer.thought_tokens },
        "service_tier": "standard",
    })
}
