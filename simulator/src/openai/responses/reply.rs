//! A whole Responses answer.

use serde_json::{Map, Value, json};

use crate::ask::Ask;
use crate::digest::seal;
use crate::ids::Ids;
use crate::model::{Answer, Said, Stop};
use crate::prompts::Cached;

/// The head that every telling of one answer carries.
pub(crate) struct ResponseHead {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) usage: Value,
}

/// An answer's head.
pub(crate) fn head(ask: &Ask, answer: &Answer, cached: Cached, ids: &Ids, created: u64) -> ResponseHead {
    ResponseHead { id: ids.next("resp_"), created, usage: usage(ask, answer, cached) }
}

/// The items of an answer, with ids of their own. What is said in a row is one message.
pub(crate) fn items(ask: &Ask, answer: &Answer, ids: &Ids) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    for said in &answer.said {
        let piece = match said {
            Said::Thought(text) => {
                items.push(json!({
                    "id": ids.next("rs_"),
                    "type": "reasoning",
                    "summary": [{ "type": "summary_text", "text": text }],
                    "encrypted_content": seal(text),
                }));
                continue;
            }
            Said::Hidden(text) => {
                items.push(json!({ "id": ids.next("rs_"), "type": "reasoning", "summary": [], "encrypted_content": seal(text) }));
                continue;
            }
            Said::Call { name, arguments } if ask.custom.contains(name) => {
                let input = serde_json::from_str::<Value>(arguments).ok();
                let input =
                    input.as_ref().and_then(|value| value.get("input")).and_then(Value::as_str).unwrap_or(arguments);
                items.push(json!({
                    "id": ids.next("ctc_"),
                    "type": "custom_tool_call",
                    "status": "completed",
                    "call_id": ids.next("call_"),
                    "name": name,
                    "input": input,
                }));
                continue;
            }
            Said::Call { name, arguments } => {
                items.push(json!({
                    "id": ids.next("fc_"),
                    "type": "function_call",
                    "status": "completed",
                    "arguments": arguments,
                    "call_id": ids.next("call_"),
                    "name": name,
                }));
                continue;
            }
            Said::Text(text) => json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text }),
            Said::Refusal(text) => json!({ "type": "refusal", "refusal": text }),
        };
        let status = if answer.stop == Stop::Length { "incomplete" } else { "completed" };
        items.push(json!({
            "id": ids.next("msg_"),
            "type": "message",
            "status": status,
            "content": [piece],
            "role": "assistant",
        }));
    }
    items
}

/// A `Response` in some state of being made.
pub(crate) fn response(head: &ResponseHead, ask: &Ask, status: &str, output: &[Value], error: &Value) -> Value {
    let reason = if status == "incomplete" { json!({ "reason": "max_output_tokens" }) } else { Value::Null };
    let over = matches!(status, "completed" | "incomplete");
    let mut response = Map::from_iter([
        ("id".to_owned(), json!(head.id)),
        ("object".to_owned(), json!("response")),
        ("created_at".to_owned(), json!(head.created)),
        ("status".to_owned(), json!(status)),
        ("background".to_owned(), json!(false)),
        ("error".to_owned(), error.clone()),
        ("incomplete_details".to_owned(), reason),
        ("model".to_owned(), json!(ask.model)),
        ("output".to_owned(), json!(output)),
        ("reasoning".to_owned(), json!({ "effort": null, "summary": null })),
        ("service_tier".to_owned(), json!("default")),
        ("usage".to_owned(), if over { head.usage.clone() } else { Value::Null }),
    ]);
    response.extend(ask.repeated.clone());
    Value::Object(response)
}

/// The status that an answer ends in.
pub(crate) fn status(answer: &Answer) -> &'static str {
    if answer.stop == Stop::Length { "incomplete" } else { "completed" }
}

fn usage(ask: &Ask, answer: &Answer, cached: Cached) -> Value {
    json!({
        "input_tokens": ask.input_tokens,
        "input_tokens_details": { "cached_tokens": cached.read.min(ask.input_tokens), "cache_write_tokens": 0 },
        "output_tokens": answer.tokens,
        "output_tokens_details": { "reasoning_tokens": answer.thought_tokens },
        "total_tokens": ask.input_tokens + answer.tokens,
    })
}
