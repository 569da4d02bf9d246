//! A whole answer read into the hub's words.

use serde_json::value::RawValue;

use crate::codec::{Malformed, Refusal};
use crate::dialect::Dialect;
use crate::free_text::wrapped;
use crate::hub::{Choice, Content, Extra, Part, Reply, ServiceTier, ToolCall};
use crate::json::{Object, Path, ROOT, string};
use crate::openai_responses::sealed::OwnThought;
use crate::openai_responses::tool_name::flat;
use crate::openai_responses::wire;

const OUTPUT: Path<'static> = ROOT.field("output");

/// Reads a whole answer. Errors: it is not what the dialect allows, it failed, or it is still being made.
pub(crate) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    read(body).map_err(|refusal| Malformed::new(format!("the provider's answer is malformed: {}", refusal.message)))
}

fn read(body: &[u8]) -> Result<Reply, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| ROOT.refuse("is not UTF-8"))?;
    let mut object = Object::read_body(text)?;
    if object.take("error").is_some() {
        return Err(ROOT.field("error").refuse("an error stands where an answer should"));
    }
    let status = object.text("status", &ROOT)?.unwrap_or_else(|| "completed".to_owned());
    if !matches!(&*status, "completed" | "incomplete") {
        return Err(ROOT.field("status").refuse("the answer is not whole"));
    }
    object.take("object");
    let details = object.object("incomplete_details", &ROOT)?;
    let reason = details.and_then(|mut details| details.take("reason")).and_then(string);
    let id = object.text("id", &ROOT)?.unwrap_or_default();
    let model = object.text("model", &ROOT)?.unwrap_or_default();
    let created = object.number("created_at", &ROOT)?.and_then(|number| number.as_f64());
    let created = created.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64);
    let list = object.list("output", &ROOT)?.ok_or_else(|| OUTPUT.refuse("the field is required"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        item(raw, &OUTPUT.index(index), &mut parts)?;
    }
    let called = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let stop = wire::stop(&status, reason.as_deref(), called);
    let tier =
        object.take("service_tier").map_or(ServiceTier::Unsaid, |raw| ServiceTier::of_json(raw.get().as_bytes()));
    let usage = object.take("usage").and_then(|raw| wire::usage_at(raw, tier));
    let choice = Choice { parts, stop, logprobs: None, extra: crate::hub::Fields::new() };
    // What it repeats of its call is said by whoever writes it.
    let extra = Extra::none(Dialect::OpenAiResponses);
    Ok(Reply { id, model, created, choices: vec![choice], usage, extra })
}

fn item(raw: &RawValue, at: &Path<'_>, parts: &mut Vec<Part>) -> Result<(), Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    match &*object.required("type", at)? {
        "message" => {
            let in_content = at.field("content");
            for (index, raw) in object.list("content", at)?.unwrap_or_default().into_iter().enumerate() {
                parts.extend(piece(raw, &in_content.index(index))?.map(Part::new));
            }
        }
        "reasoning" => parts.push(Part::new(thought(&mut object, at)?)),
        "function_call" => parts.push(Part::new(Content::ToolCall(call(&mut object, false, at)?))),
        "custom_tool_call" => parts.push(Part::new(Content::ToolCall(call(&mut object, true, at)?))),
        _ => parts.push(Part::new(Content::Other { dialect: Dialect::OpenAiResponses, raw: raw.to_owned() })),
    }
    Ok(())
}

fn piece(raw: &RawValue, at: &Path<'_>) -> Result<Option<Content>, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    Ok(match &*object.required("type", at)? {
        "output_text" => {
            let citations = object.raw("annotations").filter(|raw| raw.get() != "[]");
            Some(Content::Text { text: object.text("text", at)?.unwrap_or_default(), citations })
        }
        "refusal" => Some(Content::Refusal(object.text("refusal", at)?.unwrap_or_default())),
        _ => None,
    })
}

/// A reasoning item: its text, and as the signature what has to come back of it.
fn thought(object: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    let id = object.text("id", at)?.unwrap_or_default();
    let encrypted = object.text("encrypted_content", at)?;
    Ok(own_thought(id, texts(object, at)?, encrypted))
}

/// A reasoning item in the hub's words.
pub(in crate::openai_responses) fn own_thought(id: String, text: String, encrypted: Option<String>) -> Content {
    let encrypted = encrypted.filter(|encrypted| !encrypted.is_empty());
    let signature = encrypted.map(|encrypted_content| OwnThought { id, encrypted_content }.signature());
    Content::Thinking { text, signature }
}

/// The texts of a reasoning item: its summary, or else the thoughts themselves.
pub(in crate::openai_responses) fn texts(object: &mut Object<'_>, at: &Path<'_>) -> Result<String, Refusal> {
    let mut said = Vec::new();
    for name in ["summary", "content"] {
        let at = at.field(name);
        for (index, raw) in object.list(name, &ROOT).unwrap_or_default().unwrap_or_default().into_iter().enumerate() {
            let at = at.index(index);
            said.extend(Object::read(raw.get(), &at)?.text("text", &at)?);
        }
        if !said.is_empty() {
            break;
        }
    }
    Ok(said.join("\n\n"))
}

/// A call of a function, or of a custom tool, whose free text becomes a function's arguments.
pub(in crate::openai_responses) fn call(
    object: &mut Object<'_>,
    custom: bool,
    at: &Path<'_>,
) -> Result<ToolCall, Refusal> {
    let id = object.required("call_id", at)?;
    let name = object.required("name", at)?;
    let name = match object.text("namespace", at)? {
        Some(namespace) => flat(&namespace, &name),
        None => name,
    };
    let arguments = if custom {
        wrapped(&object.text("input", at)?.unwrap_or_default())
    } else {
        object.text("arguments", at)?.unwrap_or_default()
    };
    Ok(ToolCall { id, name, arguments })
}
