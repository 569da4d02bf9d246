//! A whole OpenAI answer.

use serde_json::{Map, Value, json};

use crate::ask::Ask;
use crate::ids::Ids;
use crate::model::{Answer, Said, Stop};
use crate::prompts::Cached;

/// The fields that every chunk and answer of one call carries.
pub(crate) struct Letterhead {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
}

/// A whole answer.
pub(crate) fn write(head: &Letterhead, ask: &Ask, answers: &[Answer], cached: Cached, ids: &Ids) -> Value {
    let choices = answers.iter().enumerate().map(|(index, answer)| {
        json!({
            "index": index,
            "message": message(answer, ids),
            "logprobs": null,
            "finish_reason": finish(&answer.stop),
        })
    });
    json!({
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices.collect::<Vec<_>>(),
        "usage": usage(ask, answers, cached),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    })
}

fn message(answer: &Answer, ids: &Ids) -> Value {
    let mut message = Map::from_iter([
        ("role".to_owned(), json!("assistant")),
        ("content".to_owned(), Value::Null),
        ("refusal".to_owned(), Value::Null),
        ("annotations".to_owned(), json!([])),
    ]);
    let (mut content, mut refusal, mut calls) = (String::new(), String::new(), Vec::new());
    for said in &answer.said {
        match said {
            Said::Text(text) => content.push_str(text),
            Said::Refusal(text) => refusal.push_str(text),
            Said::Call { name, arguments } => calls.push(json!({
                "id": ids.next("call_"),
                "type": "function",
                "function": { "name": name, "arguments": arguments },
            })),
            Said::Thought(_) | Said::Hidden(_) => {}
        }
    }
    if answer.said.iter().any(|said| matches!(said, Said::Text(_))) {
        message.insert("content".to_owned(), Value::String(content));
    }
    if !refusal.is_empty() {
        message.insert("refusal".to_owned(), Value::String(refusal));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Value::Object(message)
}

/// The vendor's word for why an answer ended. A refusal ends like any answer; `refusal` beside the content says it.
pub(crate) fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::Refusal => "stop",
        Stop::Length => "length",
        Stop::Tools => "tool_calls",
    }
}

/// The usage.
pub(crate) fn usage(ask: &Ask, answers: &[Answer], cached: Cached) -> Value {
    let output: u64 = answers.iter().map(|answer| answer.tokens).sum();
    let thoughts: u64 = answers.iter().map(|answer| answer.thought_tokens).sum();
    json!({
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": output,
        "total_tokens": ask.input_tokens + output,
        "prompt_tokens_details": { "cached_tokens": cached.read.min(ask.input_tokens), "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": thoughts,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}
