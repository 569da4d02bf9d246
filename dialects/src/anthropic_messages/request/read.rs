//! A request body read into the hub's words.

use super::thinking;
use super::tools;
use crate::anthropic_messages::blocks_in::{self, ContentIn};
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Call, Extra, Message, Raw, Role, Sampling, SystemPart};
use crate::json::{Object, Path, ROOT};
use crate::object_list::ObjectList;
use serde_json::value::RawValue;

/// Reads what a caller of `/v1/messages` sent. Errors: a field is missing, twice there or of the wrong type, named in the
/// refusal (`messages[0].content[1].text`).
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let (call, given) = read(body)?;
    match given {
        true => Ok(call),
        false => Err(Refusal::field("max_tokens", "the field is required")),
    }
}

/// Reads what a caller of `/v1/messages/count_tokens` sent: no answer is asked for, so it need not say how long one may be.
/// Errors: as [`decode`]'s.
pub(crate) fn decode_counted(body: &[u8]) -> Result<Call, Refusal> {
    read(body).map(|(call, _)| call)
}

fn read(body: &[u8]) -> Result<(Call, bool), Refusal> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Refusal::body(format!("the body is not UTF-8 (byte {})", error.valid_up_to())))?;
    let mut top = Object::read_body(text)?;
    let max_tokens = top.count("max_tokens", &ROOT)?;
    let (tool_choice, parallel_tools) = tools::choice(top.take("tool_choice"))?;
    // What the hub can say of these; what it can not stays among the rest.
    let thought = thinking::read(&mut top)?;
    let (end_user, metadata) = metadata(top.take("metadata"))?;
    let model = top.required("model", &ROOT)?;
    if model.is_empty() {
        return Err(ROOT.field("model").refuse("must not be empty"));
    }
    let mut call = Call {
        model,
        system: system(top.take("system"))?,
        messages: messages(top.objects("messages", &ROOT)?)?,
        tools: tools::read(top.list("tools", &ROOT)?.unwrap_or_default())?,
        tool_choice,
        parallel_tools,
        max_tokens,
        sampling: Sampling {
            temperature: top.number("temperature", &ROOT)?,
            top_p: top.number("top_p", &ROOT)?,
            top_k: top.count("top_k", &ROOT)?,
            ..Sampling::default()
        },
        stop: top.parsed("stop_sequences", &ROOT, "an array of strings")?.unwrap_or_default(),
        format: thought.format,
        reasoning: thought.reasoning,
        thoughts_told: thought.told,
        stream: top.boolean("stream", &ROOT)?.unwrap_or(false),
        // The dialect's streams always say what they used.
        stream_usage: true,
        end_user,
        extra: Extra { dialect: Dialect::AnthropicMessages, fields: top.rest() },
    };
    let kept = [("thinking", thought.thinking), ("output_config", thought.output_config), ("metadata", metadata)];
    call.extra.fields.extend(kept.into_iter().filter_map(|(name, raw)| Some((name.to_owned(), raw?))));
    Ok((call, max_tokens.is_some()))
}

/// The end user's id, and the whole where it says more than that.
fn metadata(raw: Option<&RawValue>) -> Result<(Option<String>, Option<Raw>), Refusal> {
    let Some(raw) = raw else { return Ok((None, None)) };
    const AT: Path<'static> = ROOT.field("metadata");
    let mut object = Object::read(raw.get(), &AT)?;
    let user = object.text("user_id", &AT)?;
    Ok((user, (!object.is_empty()).then(|| raw.to_owned())))
}

fn system(raw: Option<&RawValue>) -> Result<Vec<SystemPart>, Refusal> {
    const AT: Path<'static> = ROOT.field("system");
    let blocks = match raw.map(|raw| ContentIn::read(raw, &AT)).transpose()? {
        None => return Ok(Vec::new()),
        Some(ContentIn::Text(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(ContentIn::Text(text)) => return Ok(vec![SystemPart::new(text)]),
        Some(ContentIn::Blocks(blocks)) => blocks,
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (i, raw) in blocks.into_iter().enumerate() {
        let at = AT.index(i);
        let mut block = Object::read(raw.get(), &at)?;
        if block.required("type", &at)? != "text" {
            return Err(at.field("type").refuse("only `text` blocks can stand in the system prompt"));
        }
        let text = block.required("text", &at)?;
        let cache = block.raw("cache_control").map(CacheMark);
        parts.push(SystemPart { text, cache, developer: false, name: None, extra: block.rest() });
    }
    Ok(parts)
}

fn messages(turns: Option<ObjectList<'_>>) -> Result<Vec<Message>, Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    let turns = turns.ok_or_else(|| AT.refuse("the field is required"))?;
    let mut messages = Vec::with_capacity(turns.len());
    for turn in turns.each(&AT) {
        let (i, mut turn) = turn?;
        let at = AT.index(i);
        let role = match &*turn.required("role", &at)? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(at.field("role").refuse("must be `user`, `assistant` or `system`")),
        };
        let content_at = at.field("content");
        let content = turn.take("content").ok_or_else(|| content_at.refuse("the field is required"))?;
        let parts = blocks_in::said(ContentIn::read(content, &content_at)?, &content_at)?;
        messages.push(Message { extra: turn.rest(), at: i, ..Message::new(role, parts) });
    }
    Ok(messages)
}
