//! Content blocks read from the wire: what a caller or the model said, piece by piece.

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Content, Fields, Part, Source, ToolCall};
use crate::json::{Object, Path, string};
use serde_json::value::RawValue;

/// Content as it may be written: one text, or blocks.
pub(super) enum ContentIn<'a> {
    Text(String),
    Blocks(Vec<&'a RawValue>),
}

impl<'a> ContentIn<'a> {
    /// Reads content. Errors: it is neither, by its path.
    pub(super) fn read(raw: &'a RawValue, at: &Path<'_>) -> Result<Self, Refusal> {
        if let Some(text) = string(raw) {
            return Ok(ContentIn::Text(text));
        }
        let blocks = serde_json::from_str(raw.get());
        blocks.map(ContentIn::Blocks).map_err(|_| at.refuse("must be a string or an array of content blocks"))
    }
}

/// Reads content: a text is one text part.
pub(super) fn said(said: ContentIn<'_>, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    match said {
        ContentIn::Text(text) => Ok(vec![Part::text(text)]),
        ContentIn::Blocks(blocks) => blocks.iter().enumerate().map(|(i, raw)| read(raw, &at.index(i))).collect(),
    }
}

/// Reads one block. Fields it has beyond what the hub can say are kept in the part's `extra`; a block the hub has no
/// word for is kept whole.
pub(super) fn read(raw: &RawValue, at: &Path<'_>) -> Result<Part, Refusal> {
    let mut block = Object::read(raw.get(), at)?;
    let kind: String = block.required("type", at)?;
    let content = match &*kind {
        "text" => text(&mut block, at)?,
        "image" => match source(&mut block, at)? {
            Some(source) => Content::Image { source, detail: None },
            None => return Ok(whole(raw)),
        },
        "document" => match source(&mut block, at)? {
            Some(source) => Content::Document {
                source,
                name: block.text("title", at)?,
                settings: named(&mut block, &["context", "citations"]),
            },
            None => return Ok(whole(raw)),
        },
        "tool_use" => Content::ToolCall(ToolCall {
            id: block.required("id", at)?,
            name: block.required("name", at)?,
            arguments: block.take("input").map_or("{}", RawValue::get).to_owned(),
        }),
        "tool_result" => Content::ToolResult {
            call_id: block.required("tool_use_id", at)?,
            parts: block.take("content").map(|content| result(content, at)).transpose()?.unwrap_or_default(),
            is_error: block.boolean("is_error", at)?.unwrap_or(false),
        },
        "thinking" => Content::Thinking {
            text: block.required("thinking", at)?,
            signature: block.text("signature", at)?.filter(|signature| !signature.is_empty()),
        },
        "redacted_thinking" => Content::RedactedThinking(block.required("data", at)?),
        _ => return Ok(whole(raw)),
    };
    let cache = block.raw("cache_control").map(CacheMark);
    Ok(Part { content, cache, extra: block.rest() })
}

/// A block in its own words, marker and all.
fn whole(raw: &RawValue) -> Part {
    Part::new(Content::Other { dialect: Dialect::AnthropicMessages, raw: raw.to_owned() })
}

fn text(block: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    let text = block.required("text", at)?;
    let citations = block.take("citations").filter(|citations| !is_empty_array(citations)).map(ToOwned::to_owned);
    Ok(Content::Text { text, citations })
}

fn is_empty_array(raw: &RawValue) -> bool {
    raw.get().bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"[]")
}

fn named(block: &mut Object<'_>, names: &[&str]) -> Fields {
    names.iter().filter_map(|name| Some(((*name).to_owned(), block.raw(name)?))).collect()
}

/// The source of a picture or document; `None`: in words the hub has none for (a document made of blocks).
fn source(block: &mut Object<'_>, at: &Path<'_>) -> Result<Option<Source>, Refusal> {
    let at = at.field("source");
    let raw = block.take("source").ok_or_else(|| at.refuse("the field is required"))?;
    let mut source = Object::read(raw.get(), &at)?;
    let kind: String = source.required("type", &at)?;
    Ok(Some(match &*kind {
        "base64" => {
            Source::Base64 { media_type: source.required("media_type", &at)?, data: source.required("data", &at)? }
        }
        "url" => Source::Url(source.required("url", &at)?),
        "file" => Source::File(source.required("file_id", &at)?),
        "text" => Source::Text(source.required("data", &at)?),
        _ => return Ok(None),
    }))
}

/// The result of a tool. Tool blocks do not nest, which also bounds the depth.
fn result(raw: &RawValue, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    let at = at.field("content");
    let blocks = match ContentIn::read(raw, &at)? {
        ContentIn::Blocks(blocks) => blocks,
        text @ ContentIn::Text(_) => return said(text, &at),
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (i, block) in blocks.into_iter().enumerate() {
        let at = at.index(i);
        let kind: String = Object::read(block.get(), &at)?.required("type", &at)?;
        if matches!(&*kind, "tool_result" | "tool_use" | "thinking" | "redacted_thinking") {
            return Err(at.refuse(format_args!("a `{kind}` block cannot stand in a tool_result")));
        }
        parts.push(read(block, &at)?);
    }
    Ok(parts)
}
