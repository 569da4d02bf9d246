//! A request body read into the hub's words.

use super::thinking;
use super::tools;
use crate::anthropic::blocks_in;
use crate::anthropic::json::{At, Object, Said, reason};
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Fields, Message, Raw, Role, Sampling, SystemPart};
use crate::seam::Refusal;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Reads what a caller of `/v1/messages` sent. Errors: a field is missing, twice there or of the wrong type, named in the
/// refusal as Anthropic names it (`messages.0.content.1.text`).
pub fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let (call, given) = read(body)?;
    match given {
        true => Ok(call),
        false => Err(Refusal::field("max_tokens", "this field is required")),
    }
}

/// Reads what a caller of `/v1/messages/count_tokens` sent: the same, without the need for `max_tokens`.
pub fn decode_counting(body: &[u8]) -> Result<Call, Refusal> {
    read(body).map(|(call, _)| call)
}

fn read(body: &[u8]) -> Result<(Call, bool), Refusal> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Refusal::body(format!("the body is not UTF-8 (byte {})", error.valid_up_to())))?;
    let mut top: Object<'_> =
        serde_json::from_str(text).map_err(|error| Refusal::body(format!("the body is not a JSON object: {error}")))?;
    let max_tokens: Option<u64> = top.take("max_tokens")?;
    let (tool_choice, parallel_tools) = tools::choice(top.raw("tool_choice"))?;
    // What the hub can say of these; what it can not stays among the rest.
    let thought = thinking::read(&mut top)?;
    let (end_user, metadata) = metadata(top.raw("metadata"))?;
    let mut call = Call {
        model: top.need("model")?,
        system: system(top.take("system")?)?,
        messages: messages(top.need("messages")?)?,
        tools: tools::read(top.take("tools")?.unwrap_or_default())?,
        tool_choice,
        parallel_tools,
        max_tokens,
        sampling: Sampling {
            temperature: top.take("temperature")?,
            top_p: top.take("top_p")?,
            top_k: top.take("top_k")?,
            ..Sampling::default()
        },
        stop: top.take("stop_sequences")?.unwrap_or_default(),
        format: thought.format,
        reasoning: thought.reasoning,
        stream: top.take("stream")?.unwrap_or(false),
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
    let at = At::root("metadata");
    let mut object: Object<'_> = serde_json::from_str(raw.get()).map_err(|error| at.refuse(reason(&error)))?;
    let user = object.take_at("user_id", &at)?;
    Ok((user, (!object.is_empty()).then(|| raw.to_owned())))
}

fn system(said: Option<Said<'_>>) -> Result<Vec<SystemPart>, Refusal> {
    let blocks = match said {
        None => return Ok(Vec::new()),
        Some(Said::Text(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(Said::Text(text)) => return Ok(vec![SystemPart::new(text)]),
        Some(Said::Blocks(blocks)) => blocks,
    };
    let root = At::root("system");
    let mut parts = Vec::with_capacity(blocks.len());
    for (i, raw) in blocks.into_iter().enumerate() {
        let at = root.index(i);
        let mut block: Object<'_> = serde_json::from_str(raw.get()).map_err(|error| at.refuse(reason(&error)))?;
        let kind: String = block.need_at("type", &at)?;
        if kind != "text" {
            return Err(at.field("type").refuse("only `text` blocks can stand in the system prompt"));
        }
        let text = block.need_at("text", &at)?;
        let cache = block.raw("cache_control").map(|mark| crate::hub::CacheMark(mark.to_owned()));
        parts.push(SystemPart { text, cache, developer: false, name: None, extra: block.rest() });
    }
    Ok(parts)
}

#[derive(Deserialize)]
struct Turn<'a> {
    role: String,
    #[serde(borrow)]
    content: Said<'a>,
}

fn messages(turns: Vec<&RawValue>) -> Result<Vec<Message>, Refusal> {
    let root = At::root("messages");
    let mut messages = Vec::with_capacity(turns.len());
    for (i, raw) in turns.into_iter().enumerate() {
        let at = root.index(i);
        let turn: Turn<'_> = serde_json::from_str(raw.get()).map_err(|error| at.refuse(reason(&error)))?;
        let role = match &*turn.role {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            other => {
                let why = format_args!("`{other}` is none of `user`, `assistant` and `system`");
                return Err(at.field("role").refuse(why));
            }
        };
        let parts = blocks_in::said(turn.content, &at.field("content"))?;
        messages.push(Message { role, name: None, parts, extra: Fields::new() });
    }
    Ok(messages)
}
