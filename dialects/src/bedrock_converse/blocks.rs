//! Content blocks: read into the hub's words, in calls and answers alike, and the formats that pictures and documents are told in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use crate::call_arguments::as_object;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Content, Fields, Part, Source, ToolCall};
use crate::json::{Object, Path, ROOT, Writer};

/// Formats of documents and their media types.
const DOCUMENTS: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

/// The members of a block, of which it has one.
const BLOCK: [&str; 12] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
];
/// The members of a piece of a tool's result, of which it has one.
const PIECE: [&str; 7] = ["text", "json", "image", "document", "video", "audio", "searchResult"];
/// The places of data, of which a source has one.
const SOURCE: [&str; 4] = ["bytes", "s3Location", "text", "content"];

/// The media type of a document's format.
fn media_type(format: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|row| row.0 == format).map(|row| row.1)
}

/// The format of a media type that documents have here.
pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|row| row.1 == media_type).map(|row| row.0)
}

/// The format of a picture's media type.
pub(super) fn image_format(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/png" => Some("png"),
        "image/jpeg" | "image/jpg" => Some("jpeg"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

/// The mark on what stands before a point of the prompt cache.
pub(super) fn cache_mark(point: &RawValue) -> Option<CacheMark> {
    let lifetime = Object::read(point.get(), &ROOT).ok()?.take("ttl").map(RawValue::get);
    let lifetime = lifetime.map_or_else(String::new, |lifetime| format!(",\"ttl\":{lifetime}"));
    RawValue::from_string(format!("{{\"type\":\"ephemeral\"{lifetime}}}")).ok().map(CacheMark)
}

/// Reads the blocks of a turn or an answer. Errors: one is not what the dialect allows.
pub(super) fn read_all(list: Vec<&RawValue>, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    let mut parts: Vec<Part> = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let at = at.index(index);
        let mut block = Object::read(raw.get(), &at)?;
        block.one_of(&BLOCK, &at)?;
        if let Some(point) = block.take("cachePoint") {
            if let Some(before) = parts.last_mut() {
                before.cache = cache_mark(point);
            }
            continue;
        }
        let content = read(raw, &mut block, &at)?;
        let extra = if matches!(content, Content::Other { .. }) { Fields::new() } else { block.rest() };
        parts.push(Part { extra, ..Part::new(content) });
    }
    Ok(parts)
}

fn read(raw: &RawValue, block: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    let other = || Ok(Content::Other { dialect: Dialect::BedrockConverse, raw: raw.to_owned() });
    if let Some(text) = block.text("text", at)? {
        return Ok(Content::Text { text, citations: None });
    }
    if let Some(mut call) = block.object("toolUse", at)? {
        let at = at.field("toolUse");
        let (id, name) = (call.required("toolUseId", &at)?, call.required("name", &at)?);
        // What the provider ran itself is no call that anybody answers.
        if call.take("type").is_some() {
            return other();
        }
        let arguments = call.take("input").map_or("{}", RawValue::get).to_owned();
        return Ok(Content::ToolCall(ToolCall { id, name, arguments }));
    }
    if let Some(mut result) = block.object("toolResult", at)? {
        return tool_result(&mut result, &at.field("toolResult"));
    }
    if let Some(mut thought) = block.object("reasoningContent", at)? {
        let at = at.field("reasoningContent");
        thought.one_of(&["reasoningText", "redactedContent"], &at)?;
        if let Some(data) = thought.text("redactedContent", &at)? {
            return Ok(Content::RedactedThinking(data));
        }
        let Some(mut said) = thought.object("reasoningText", &at)? else { return other() };
        let at = at.field("reasoningText");
        return Ok(Content::Thinking { text: said.required("text", &at)?, signature: said.text("signature", &at)? });
    }
    if let Some(mut guarded) = block.object("guardContent", at)? {
        let at = at.field("guardContent");
        guarded.one_of(&["text", "image"], &at)?;
        let text = guarded.object("text", &at)?.map(|mut text| text.required("text", &at)).transpose()?;
        return text.map_or_else(other, |text| Ok(Content::Text { text, citations: None }));
    }
    if let Some(mut cited) = block.object("citationsContent", at)? {
        let at = at.field("citationsContent");
        let mut text = String::new();
        for raw in cited.list("content", &at)?.unwrap_or_default() {
            text += &Object::read(raw.get(), &at)?.text("text", &at)?.unwrap_or_default();
        }
        return Ok(Content::Text { text, citations: None });
    }
    Ok(media(block, at)?.unwrap_or(Content::Other { dialect: Dialect::BedrockConverse, raw: raw.to_owned() }))
}

fn tool_result(result: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    let call_id = result.required("toolUseId", at)?;
    let is_error = result.text("status", at)?.as_deref() == Some("error");
    let mut parts = Vec::new();
    let list_at = at.field("content");
    for (index, raw) in result.list("content", at)?.unwrap_or_default().into_iter().enumerate() {
        let at = list_at.index(index);
        let mut piece = Object::read(raw.get(), &at)?;
        piece.one_of(&PIECE, &at)?;
        let content = match (piece.text("text", &at)?, piece.take("json")) {
            (Some(text), _) => Content::Text { text, citations: None },
            (None, Some(value)) => Content::Text { text: value.get().to_owned(), citations: None },
            (None, None) => media(&mut piece, &at)?
                .unwrap_or_else(|| Content::Other { dialect: Dialect::BedrockConverse, raw: raw.to_owned() }),
        };
        parts.push(Part::new(content));
    }
    Ok(Content::ToolResult { call_id, parts, is_error })
}

/// A picture, a document or sound; `None`: it is none of them, or lies where only Amazon can read it.
fn media(block: &mut Object<'_>, at: &Path<'_>) -> Result<Option<Content>, Refusal> {
    if let Some(mut image) = block.object("image", at)? {
        let at = at.field("image");
        let format = image.required("format", &at)?;
        let data = bytes(&mut image, &at)?;
        let media_type = format!("image/{format}");
        return Ok(data.map(|data| Content::Image { source: Source::Base64 { media_type, data }, detail: None }));
    }
    if let Some(mut audio) = block.object("audio", at)? {
        let at = at.field("audio");
        let format = audio.required("format", &at)?;
        return Ok(bytes(&mut audio, &at)?.map(|data| Content::Audio { data, format }));
    }
    match block.object("document", at)? {
        Some(mut document) => self::document(&mut document, &at.field("document")),
        None => Ok(None),
    }
}

/// The data that stands in the call itself.
fn bytes(media: &mut Object<'_>, at: &Path<'_>) -> Result<Option<String>, Refusal> {
    let source = media.object("source", at)?;
    let mut source = source.ok_or_else(|| at.field("source").refuse("the field is required"))?;
    source.one_of(&SOURCE, &at.field("source"))?;
    source.text("bytes", &at.field("source"))
}

fn document(document: &mut Object<'_>, at: &Path<'_>) -> Result<Option<Content>, Refusal> {
    let format = document.text("format", at)?.unwrap_or_else(|| "txt".to_owned());
    let name = document.text("name", at)?;
    let source_at = at.field("source");
    let source = document.object("source", at)?;
    let mut source = source.ok_or_else(|| source_at.refuse("the field is required"))?;
    source.one_of(&SOURCE, &source_at)?;
    let (text, data) = (source.text("text", &source_at)?, source.text("bytes", &source_at)?);
    let source = match (text, data, media_type(&format)) {
        (Some(text), _, _) => Source::Text(text),
        (None, Some(data), Some(kind)) if kind.starts_with("text/") => {
            let text = BASE64.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Source::Text(text.ok_or_else(|| source_at.field("bytes").refuse("is not UTF-8 text in base64"))?)
        }
        (None, Some(data), Some(kind)) => Source::Base64 { media_type: kind.to_owned(), data },
        (None, _, _) => return Ok(None),
    };
    let mut settings = Fields::new();
    for setting in ["context", "citations"] {
        settings.extend(document.raw(setting).map(|raw| (setting.to_owned(), raw)));
    }
    Ok(Some(Content::Document { source, name, settings }))
}

/// Writes `"image":{…}`; `false`: its format is none that there is.
pub(super) fn write_image((media_type, data): (&str, &str), json: &mut Writer) -> bool {
    let Some(format) = image_format(media_type) else { return false };
    json.open(b'{');
    json.open_field("image", b'{');
    json.text_field("format", format);
    write_bytes(data, json);
    json.close(b'}');
    json.close(b'}');
    true
}

/// Writes `"source":{"bytes":…}`.
pub(super) fn write_bytes(data: &str, json: &mut Writer) {
    json.open_field("source", b'{');
    json.text_field("bytes", data);
    json.close(b'}');
}

/// Writes a block of text.
pub(super) fn write_text(text: &str, json: &mut Writer) {
    json.open(b'{');
    json.text_field("text", text);
    json.close(b'}');
}

/// Writes a block that calls a tool, by this id.
pub(super) fn write_call(id: &str, call: &ToolCall, json: &mut Writer) {
    let ToolCall { id: _, name, arguments } = call;
    json.open(b'{');
    json.open_field("toolUse", b'{');
    json.text_field("toolUseId", id);
    json.text_field("name", name);
    json.key("input");
    json.raw(&as_object(arguments));
    json.close(b'}');
    json.close(b'}');
}

/// Writes a block of thoughts.
pub(super) fn write_thought(text: &str, signature: Option<&str>, json: &mut Writer) {
    json.open(b'{');
    json.open_field("reasoningContent", b'{');
    json.open_field("reasoningText", b'{');
    json.text_field("text", text);
    if let Some(signature) = signature {
        json.text_field("signature", signature);
    }
    json.close(b'}');
    json.close(b'}');
    json.close(b'}');
}

/// Writes a block of thoughts that are hidden.
pub(super) fn write_hidden(data: &str, json: &mut Writer) {
    json.open(b'{');
    json.open_field("reasoningContent", b'{');
    json.text_field("redactedContent", data);
    json.close(b'}');
    json.close(b'}');
}
