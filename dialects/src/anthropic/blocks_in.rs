//! Content blocks read from the wire: what a caller or the model said, piece by piece.

use super::json::{At, Object, Said, reason};
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Content, Fields, Part, Source, ToolCall};
use crate::seam::Refusal;
use serde_json::value::RawValue;

/// Reads content: a text is one text part.
pub(super) fn said(said: Said<'_>, at: &At<'_>) -> Result<Vec<Part>, Refusal> {
    match said {
        Said::Text(text) => Ok(vec![Part::text(text)]),
        Said::Blocks(blocks) => blocks.iter().enumerate().map(|(i, raw)| read(raw, &at.index(i))).collect(),
    }
}

/// Reads one block. Fields it has beyond what the hub can say are kept in the part's `extra`; a block the hub has no
/// word for is kept whole.
pub(super) fn read(raw: &RawValue, at: &At<'_>) -> Result<Part, Refusal> {
    let mut block = object(raw, at)?;
    let kind: String = block.need_at("type", at)?;
    let content = match &*kind {
        "text" => text(&mut block, at)?,
        "image" => match source(&mut block, at)? {
            Some(source) => Content::Image { source, detail: None },
            None => return Ok(whole(raw)),
        },
        "document" => match source(&mut block, at)? {
            Some(source) => Content::Document {
                source,
                name: block.take_at("title", at)?,
                settings: named(&mut block, &["context", "citations"]),
            },
            None => return Ok(whole(raw)),
        },
        "tool_use" => Content::ToolCall(ToolCall {
            id: block.need_at("id", at)?,
            name: block.need_at("name", at)?,
            arguments: block.raw("input").map_or("{}", RawValue::get).to_owned(),
        }),
        "tool_result" => Content::ToolResult {
            call_id: block.need_at("tool_use_id", at)?,
            parts: block.raw("content").map(|content| result(content, at)).transpose()?.unwrap_or_default(),
            is_error: block.take_at("is_error", at)?.unwrap_or(false),
        },
        "thinking" => Content::Thinking {
            text: block.need_at("thinking", at)?,
            signature: block.take_at::<String>("signature", at)?.filter(|signature| !signature.is_empty()),
        },
        "redacted_thinking" => Content::RedactedThinking(block.need_at("data", at)?),
        _ => return Ok(whole(raw)),
    };
    let cache = block.raw("cache_control").map(|mark| CacheMark(mark.to_owned()));
    Ok(Part { content, cache, extra: block.rest() })
}

/// A block in its own words, marker and all.
fn whole(raw: &RawValue) -> Part {
    Part::new(Content::Other { dialect: Dialect::AnthropicMessages, raw: raw.to_owned() })
}

fn object<'a>(raw: &'a RawValue, at: &At<'_>) -> Result<Object<'a>, Refusal> {
    serde_json::from_str(raw.get()).map_err(|error| at.refuse(reason(&error)))
}

fn text(block: &mut Object<'_>, at: &At<'_>) -> Result<Content, Refusal> {
    let text = block.need_at("text", at)?;
    let citations = block.raw("citations").filter(|citations| !is_empty_array(citations)).map(ToOwned::to_owned);
    Ok(Content::Text { text, citations })
}

fn is_empty_array(raw: &RawValue) -> bool {
    raw.get().bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"[]")
}

fn named(block: &mut Object<'_>, names: &[&str]) -> Fields {
    names.iter().filter_map(|name| Some(((*name).to_owned(), block.raw(name)?.to_owned()))).collect()
}

/// Where a picture or document is; `None`: in words the hub has none for (a document made of blocks).
fn source(block: &mut Object<'_>, at: &At<'_>) -> Result<Option<Source>, Refusal> {
    let at = at.field("source");
    let raw = block.raw("source").ok_or_else(|| at.refuse("this field is required"))?;
    let mut source = object(raw, &at)?;
    let kind: String = source.need_at("type", &at)?;
    Ok(Some(match &*kind {
        "base64" => {
            Source::Base64 { media_type: source.need_at("media_type", &at)?, data: source.need_at("data", &at)? }
        }
        "url" => Source::Url(source.need_at("url", &at)?),
        "file" => Source::File(source.need_at("file_id", &at)?),
        "text" => Source::Text(source.need_at("data", &at)?),
        _ => return Ok(None),
    }))
}

/// What a tool said. Tool blocks do not nest, which also bounds the depth.
fn result(raw: &RawValue, at: &At<'_>) -> Result<Vec<Part>, Refusal> {
    let at = at.field("content");
    let blocks = match serde_json::from_str(raw.get()).map_err(|error| at.refuse(reason(&error)))? {
        Said::Blocks(blocks) => blocks,
        text @ Said::Text(_) => return said(text, &at),
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (i, block) in blocks.into_iter().enumerate() {
        let at = at.index(i);
        let kind: String = object(block, &at)?.need_at("type", &at)?;
        if matches!(&*kind, "tool_result" | "tool_use" | "thinking" | "redacted_thinking") {
            return Err(at.refuse(format_args!("a `{kind}` block cannot stand in a tool_result")));
        }
        parts.push(read(block, &at)?);
    }
    Ok(parts)
}
