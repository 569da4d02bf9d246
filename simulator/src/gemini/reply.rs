//! A whole Gemini answer.

use serde_json::{Map, Value, json};

use crate::ask::{Ask, Thinking};
use crate::digest::sign;
use crate::ids::Ids;
use crate::model::{Answer, Said, Stop};
use crate::prompts::Cached;

/// A whole answer.
pub(crate) fn write(ask: &Ask, answers: &[Answer], cached: Cached, ids: &Ids) -> Value {
    let candidates = answers.iter().enumerate().map(|(index, answer)| {
        let parts = parts(ask, answer, ids);
        candidate(index, &parts, Some(&answer.stop))
    });
    envelope(ask, &candidates.collect::<Vec<_>>(), &usage(ask, answers, cached), &ids.next(""))
}

/// An answer around candidates: whole, or one event of a stream.
pub(super) fn envelope(ask: &Ask, candidates: &[Value], usage: &Value, id: &str) -> Value {
    json!({ "candidates": candidates, "usageMetadata": usage, "modelVersion": ask.model, "responseId": id })
}

/// One answer, or an event's piece of it.
pub(super) fn candidate(index: usize, parts: &[Value], stop: Option<&Stop>) -> Value {
    let mut candidate = Map::new();
    if !parts.is_empty() {
        candidate.insert("content".to_owned(), json!({ "parts": parts, "role": "model" }));
    }
    if let Some(stop) = stop {
        candidate.insert("finishReason".to_owned(), json!(finish(stop)));
    }
    candidate.insert("index".to_owned(), json!(index));
    if stop == Some(&Stop::Refusal) {
        let rating = json!({ "category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true });
        candidate.insert("safetyRatings".to_owned(), json!([rating]));
    }
    Value::Object(candidate)
}

/// The parts of an answer. Google's models say nothing where they are stopped for safety.
pub(super) fn parts(ask: &Ask, answer: &Answer, ids: &Ids) -> Vec<Value> {
    let thinks = ask.thinking != Thinking::Off;
    let (mut parts, mut called) = (Vec::new(), false);
    for said in &answer.said {
        match said {
            Said::Thought(text) => parts.push(json!({ "text": text, "thought": true })),
            Said::Text(text) => parts.push(json!({ "text": text })),
            Said::Call { name, arguments } => {
                let args: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
                let mut call = json!({ "name": name, "args": args });
                // Since its third generation Gemini gives its calls ids.
                if let (true, Some(call)) = (ask.model.starts_with("gemini-3"), call.as_object_mut()) {
                    call.insert("id".to_owned(), json!(ids.next("")));
                }
                let mut part = json!({ "functionCall": call });
                // The first call of a step carries the signature over the thoughts that led to it.
                if let (true, false, Some(part)) = (thinks, called, part.as_object_mut()) {
                    part.insert("thoughtSignature".to_owned(), json!(sign(name)));
                }
                called = true;
                parts.push(part);
            }
            Said::Refusal(_) | Said::Hidden(_) => {}
        }
    }
    parts
}

fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Tools | Stop::Sequence(_) => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
    }
}

/// The usage.
pub(super) fn usage(ask: &Ask, answers: &[Answer], cached: Cached) -> Value {
    let sum = |of: fn(&Answer) -> u64| answers.iter().map(of).sum::<u64>();
    let (all, thoughts) = (sum(|answer| answer.tokens), sum(|answer| answer.thought_tokens));
    let mut usage = json!({
        "promptTokenCount": ask.input_tokens,
        "candidatesTokenCount": all.saturating_sub(thoughts),
        "totalTokenCount": ask.input_tokens + all,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": ask.input_tokens }],
    });
    if let Some(usage) = usage.as_object_mut() {
        for (name, count) in [("thoughtsTokenCount", thoughts), ("cachedContentTokenCount", cached.read)] {
            if count > 0 {
                usage.insert(name.to_owned(), json!(count));
            }
        }
    }
    usage
}
