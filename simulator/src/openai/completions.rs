//! Legacy Completions: a prompt read, and the text that goes on from it, whole and streamed.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::field::{boolean, decimal, integer, missing, object, present, string, wrong_type};
use super::reply::{Letterhead, finish, usage};
use super::stream::event;
use crate::ask::{Ask, Part, Turn};
use crate::fault::Fault;
use crate::model::{Answer, Said};
use crate::prompts::Cached;
use crate::script::Piece;
use crate::tokens::{count, pieces};

/// The top-level fields.
const FIELDS: [&str; 19] = [
    "model",
    "prompt",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
    "metadata",
];
/// The tokens of an answer when none are asked for.
const DEFAULT_TOKENS: u64 = 16;

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<Ask, Box<Fault>> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Fault::new(400, format!("We could not parse the JSON body of your request. The parser said: {error}"))
    })?;
    let fields = value.as_object().ok_or_else(|| Fault::new(400, "The JSON body of your request is not an object."))?;
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Fault::new(400, format!("Unrecognized request argument supplied: {unknown}")));
    }
    let model = string(fields, "model", "model")?.to_owned();
    let prompts = prompts(fields)?;
    for (name, least, most) in [("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0)] {
        decimal(fields, name, least, most)?;
    }
    let answers = integer(fields, "n", 1, 128)?.unwrap_or(1);
    let best = integer(fields, "best_of", 1, 20)?.unwrap_or(answers);
    if best < answers {
        return Err(Fault::new(
            400,
            "You requested that the server return more choices than it will generate (HINT: you must set 'n' (currently 1) to be at most 'best_of' (currently 1), or omit either parameter if you don't specifically want to use them.)",
        ));
    }
    let stop = match present(fields, "stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => stops.iter().filter_map(|stop| stop.as_str().map(str::to_owned)).collect(),
        Some(other) => return Err(wrong_type("stop", "one of a string or array of strings", other)),
    };
    let stream = boolean(fields, "stream")?.unwrap_or(false);
    let stream_usage = match present(fields, "stream_options") {
        Some(_) if !stream => {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Fault::new(400, message).at("stream_options"));
        }
        Some(_) => boolean(object(fields, "stream_options", "stream_options")?, "include_usage")?.unwrap_or(false),
        None => false,
    };
    let input_tokens = prompts.iter().map(|prompt| count(prompt)).sum();
    let turn = Turn { user: true, parts: prompts.into_iter().map(Part::Text).collect() };
    Ok(Ask {
        model,
        turns: vec![turn],
        max_tokens: Some(integer(fields, "max_tokens", 0, u64::MAX)?.unwrap_or(DEFAULT_TOKENS)),
        stop,
        answers: u32::try_from(answers).unwrap_or(1),
        stream,
        stream_usage,
        input_tokens,
        completes: true,
        ..Ask::default()
    })
}

/// The prompts: texts, or tokens, which stand for themselves.
fn prompts(fields: &Map<String, Value>) -> Result<Vec<String>, Box<Fault>> {
    match present(fields, "prompt") {
        None => Err(missing("prompt")),
        Some(Value::String(prompt)) => Ok(vec![prompt.clone()]),
        Some(Value::Array(prompts)) if !prompts.is_empty() => {
            Ok(prompts.iter().map(|prompt| prompt.as_str().map_or_else(|| prompt.to_string(), str::to_owned)).collect())
        }
        Some(other) => Err(wrong_type("prompt", "one of a string or array", other)),
    }
}

/// A whole answer.
pub(crate) fn write(head: &Letterhead, ask: &Ask, answers: &[Answer], cached: Cached) -> Value {
    let choices = answers.iter().enumerate().map(|(index, answer)| {
        json!({ "text": text(answer), "index": index, "logprobs": null, "finish_reason": finish(&answer.stop) })
    });
    json!({
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": choices.collect::<Vec<_>>(),
        "usage": usage(ask, answers, cached),
    })
}

/// The pieces of a streamed answer.
pub(crate) fn stream(head: &Letterhead, answers: &[Answer], usage: Option<&Value>) -> Vec<Piece> {
    let chunk = |choices: Value, used: &Value| {
        let mut chunk = json!({
            "id": head.id,
            "object": "text_completion",
            "created": head.created,
            "model": head.model,
            "choices": choices,
        });
        if let (Some(_), Some(fields)) = (usage, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), used.clone());
        }
        event(&chunk)
    };
    let mut out = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let choice = |text: &str, finish: Option<&str>| json!([{ "text": text, "index": index, "logprobs": null, "finish_reason": finish }]);
        for piece in pieces(&text(answer)) {
            out.push(Piece { bytes: chunk(choice(piece, None), &Value::Null), token: true });
        }
        out.push(Piece { bytes: chunk(choice("", Some(finish(&answer.stop))), &Value::Null), token: false });
    }
    if let Some(usage) = usage {
        out.push(Piece { bytes: chunk(json!([]), usage), token: false });
    }
    out.push(Piece { bytes: Bytes::from_static(b"data: [DONE]\n\n"), token: false });
    out
}

fn text(answer: &Answer) -> String {
    let texts = answer.said.iter().filter_map(|said| match said {
        Said::Text(text) | Said::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
