//! Look-alikes of OpenAI's, as strict and as peculiar as the servers are: what they refuse of a request, and how their
//! answers differ.

use serde_json::{Map, Value, json};

use super::error;
use super::stream::event;
use crate::digest::fnv;
use crate::fault::Fault;
use crate::script::Piece;

/// The thoughts of models that show them.
const THOUGHT: &str = "The caller wants an answer.";

/// A look-alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookAlike {
    /// Thoughts in `reasoning_content`; a turn that calls tools is refused without them.
    DeepSeek,
    /// Fields that it does not support are refused.
    Groq,
    /// Unknown fields are refused, and call ids that are not nine letters, and a user's turn behind a tool's; calls come
    /// whole, usage beside the last choice.
    Mistral,
    /// No tools; usage in every chunk.
    Perplexity,
}

type Object = Map<String, Value>;

/// The fields of Mistral's own.
const OF_MISTRAL: [&str; 26] = [
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stop",
    "random_seed",
    "metadata",
    "response_format",
    "tools",
    "tool_choice",
    "presence_penalty",
    "frequency_penalty",
    "min_tokens",
    "repetition_penalty",
    "top_k",
    "logprobs",
    "top_logprobs",
    "n",
    "prediction",
    "parallel_tool_calls",
    "reasoning_effort",
    "prompt_mode",
    "prompt_cache_key",
    "safe_prompt",
];
/// Those of them that mean nothing to the model behind.
const WITHOUT_MEANING: [&str; 5] = ["min_tokens", "repetition_penalty", "top_k", "prompt_mode", "safe_prompt"];

impl LookAlike {
    /// The one of this name, in lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "deepseek" => Self::DeepSeek,
            "groq" => Self::Groq,
            "mistral" => Self::Mistral,
            "perplexity" => Self::Perplexity,
            _ => return None,
        })
    }

    /// True if streams say what was used only where `stream_options` asks for it.
    pub(crate) fn is_asked_for_usage(self) -> bool {
        matches!(self, Self::DeepSeek | Self::Groq)
    }

    /// The request in OpenAI's own words, or what the look-alike has against it.
    pub(crate) fn admit(self, body: &[u8]) -> Result<Vec<u8>, Box<Fault>> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return Ok(body.to_vec()) };
        match self {
            Self::DeepSeek => {
                thoughts_are_back(&fields)?;
                // It reads past what it does not know.
                fields.remove("top_k");
            }
            Self::Groq => {
                let refused = ["logprobs", "top_logprobs", "logit_bias"].into_iter();
                if let Some(name) = refused.into_iter().find(|name| fields.contains_key(*name)) {
                    return Err(Fault::new(400, format!("property '{name}' is unsupported")).at(name));
                }
            }
            Self::Mistral => of_mistral(&mut fields)?,
            Self::Perplexity => {
                if fields.contains_key("tools") {
                    return Err(Fault::new(400, "Tool calling is not supported for this model").at("tools"));
                }
                fields.remove("stream_options");
            }
        }
        Ok(Value::Object(fields).to_string().into_bytes())
    }

    /// A whole answer of its own.
    pub(crate) fn whole(self, mut value: Value) -> Value {
        let choices = value.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten();
        for message in choices.filter_map(|choice| choice.get_mut("message")?.as_object_mut()) {
            if self == Self::DeepSeek {
                message.insert("reasoning_content".to_owned(), json!(THOUGHT));
            }
            let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
            if self == Self::Mistral {
                calls.into_iter().flatten().for_each(short_id);
            }
        }
        value
    }

    /// A streamed answer of its own, out of OpenAI's, which tells no usage unless that is to be asked for.
    pub(crate) fn streamed(self, pieces: &[Piece], usage: &Value) -> Vec<Piece> {
        let mut out = Vec::with_capacity(pieces.len());
        let mut calls = Vec::new();
        let mut tokens = 0_u64;
        for piece in pieces {
            let data = piece.bytes.strip_prefix(b"data: ").and_then(|data| serde_json::from_slice::<Value>(data).ok());
            let Some(mut chunk) = data else {
                out.push(piece.clone());
                continue;
            };
            tokens += u64::from(piece.token);
            let ends = chunk.pointer("/choices/0/finish_reason").is_some_and(Value::is_string);
            match self {
                Self::Mistral if chunk.pointer("/choices/0/delta/tool_calls").is_some() => {
                    gather(&chunk, &mut calls);
                    continue;
                }
                Self::Mistral if ends => {
                    if let (Some(delta), false) = (chunk.pointer_mut("/choices/0/delta"), calls.is_empty()) {
                        *delta = json!({ "content": "", "tool_calls": std::mem::take(&mut calls) });
                    }
                    put(&mut chunk, "usage", usage.clone());
                }
                Self::Perplexity => {
                    let mut so_far = usage.clone();
                    put(
                        &mut so_far,
                        "completion_tokens",
                        if ends { usage["completion_tokens"].clone() } else { json!(tokens) },
                    );
                    put(&mut chunk, "usage", so_far);
                }
                _ => {}
            }
            let begins = chunk.pointer("/choices/0/delta/role").is_some();
            out.push(Piece { bytes: event(&chunk), token: piece.token });
            if self == Self::DeepSeek && begins {
                if let Some(delta) = chunk.pointer_mut("/choices/0/delta") {
                    *delta = json!({ "content": null, "reasoning_content": THOUGHT });
                }
                out.push(Piece { bytes: event(&chunk), token: true });
            }
        }
        out
    }

    /// The body of an error.
    pub(crate) fn error(self, fault: &Fault) -> Value {
        if self != Self::Mistral {
            return error::body(fault);
        }
        if fault.status == 422 {
            let place = json!(["body", fault.param]);
            return json!({ "detail": [{ "type": "extra_forbidden", "loc": place, "msg": fault.message }] });
        }
        let word = fault.r#type.unwrap_or("invalid_request_error");
        json!({ "object": "error", "message": fault.message, "type": word, "param": null, "code": fault.code })
    }
}

fn put(value: &mut Value, name: &str, inner: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), inner);
    }
}

fn messages(fields: &Object) -> impl Iterator<Item = &Value> {
    fields.get("messages").and_then(Value::as_array).into_iter().flatten()
}

fn calls(message: &Value) -> impl Iterator<Item = &Value> {
    message.get("tool_calls").and_then(Value::as_array).into_iter().flatten()
}

/// Checks that each turn that calls tools has its thoughts.
fn thoughts_are_back(fields: &Object) -> Result<(), Box<Fault>> {
    let thinks = |message: &Value| message.get("reasoning_content").is_some_and(Value::is_string);
    if messages(fields).any(|message| calls(message).next().is_some() && !thinks(message)) {
        let what = "The `reasoning_content` in the thinking mode must be passed back to the API.";
        return Err(Fault::new(400, what));
    }
    Ok(())
}

fn of_mistral(fields: &mut Object) -> Result<(), Box<Fault>> {
    if let Some(unknown) = fields.keys().find(|name| !OF_MISTRAL.contains(&name.as_str())) {
        return Err(Fault::new(422, "Extra inputs are not permitted").at(unknown));
    }
    let id = |message: &Value| message.get("tool_call_id").cloned();
    let ids = messages(fields)
        .flat_map(|message| calls(message).filter_map(|call| call.get("id").cloned()).chain(id(message)));
    for id in ids {
        let text = id.as_str().unwrap_or_default();
        if text.len() != 9 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let what = format!("Tool call id was {text} but must be a-z, A-Z, 0-9, with a length of 9.");
            return Err(Fault::new(400, what).typed("invalid_function_call").coded("3280"));
        }
    }
    let roles: Vec<&str> = messages(fields).filter_map(|message| message.get("role")?.as_str()).collect();
    if roles.windows(2).any(|pair| pair == ["tool", "user"]) {
        let what = "Unexpected role 'user' after role 'tool'";
        return Err(Fault::new(400, what).typed("invalid_request_message_order").coded("3230"));
    }
    WITHOUT_MEANING.iter().for_each(|name| drop(fields.remove(*name)));
    if let Some(seed) = fields.remove("random_seed") {
        fields.insert("seed".to_owned(), seed);
    }
    if fields.get("tool_choice").is_some_and(|choice| choice == "any") {
        fields.insert("tool_choice".to_owned(), json!("required"));
    }
    Ok(())
}

/// Puts the pieces of calls together.
fn gather(chunk: &Value, calls: &mut Vec<Value>) {
    let pieces = chunk.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array);
    for piece in pieces.into_iter().flatten() {
        if piece.get("id").is_some() {
            let mut call = piece.clone();
            short_id(&mut call);
            calls.push(call);
            continue;
        }
        let more = piece.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
        if let Some(Value::String(arguments)) =
            calls.last_mut().and_then(|call| call.pointer_mut("/function/arguments"))
        {
            arguments.push_str(more);
        }
    }
}

/// Gives a call an id of nine letters.
fn short_id(call: &mut Value) {
    let id = call.get("id").map(Value::to_string).unwrap_or_default();
    put(call, "id", json!(format!("{:09}", fnv(id.as_bytes()) % 1_000_000_000)));
}
