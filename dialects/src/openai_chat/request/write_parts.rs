//! Writes the pieces of a turn: texts, pictures, documents, sound.

use super::writer::RequestWriter;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Content, Part, Source};
use crate::json::{Path, ROOT, kind_of};

/// A piece of a turn, and which one of which of the caller's messages it is.
pub(super) struct PlacedPart<'a> {
    pub(super) message: usize,
    pub(super) index: usize,
    pub(super) part: &'a Part,
}

impl PlacedPart<'_> {
    /// Does something with its path.
    pub(super) fn at<R>(&self, tell: impl FnOnce(&Path<'_>) -> R) -> R {
        const AT: Path<'static> = ROOT.field("messages");
        let message = AT.index(self.message);
        let content = message.field("content");
        tell(&content.index(self.index))
    }

    /// Writes it as a part of a list.
    pub(super) fn write(&self, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
        self.at(|at| write_part(self.part, at, writer))
    }
}

/// Writes `content`: text alone as a string where that says the same, all else as a list.
pub(super) fn content(pieces: &[PlacedPart<'_>], writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    if let Some(texts) = texts(pieces, writer) {
        for piece in pieces {
            let Part { content, cache, extra } = piece.part;
            piece.at(|at| {
                writer.cache(cache.as_ref(), at);
                writer.extra(extra, at);
                if matches!(content, Content::Text { citations: Some(_), .. }) {
                    writer.drop(at.field("citations"));
                }
            });
        }
        writer.texts(&texts);
        return Ok(());
    }
    writer.json.open_field("content", b'[');
    for piece in pieces {
        piece.write(writer)?;
    }
    writer.json.close(b']');
    Ok(())
}

/// The texts, where there is nothing else and nothing of them would be lost that is to be given back.
fn texts<'a>(pieces: &[PlacedPart<'a>], writer: &RequestWriter<'_>) -> Option<Vec<&'a str>> {
    if pieces.len() > 1 && (!writer.cross_dialect || writer.lists()) {
        return None;
    }
    let text = |piece: &PlacedPart<'a>| match &piece.part.content {
        Content::Text { text, citations: None } if piece.part.cache.is_none() && piece.part.extra.is_empty() => {
            Some(text.as_str())
        }
        Content::Text { text, citations: _ }
            if writer.cross_dialect && !(writer.marks() && piece.part.cache.is_some()) =>
        {
            Some(text.as_str())
        }
        _ => None,
    };
    pieces.iter().map(text).collect()
}

/// Writes a part of a list.
pub(super) fn write_part(part: &Part, at: &Path<'_>, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let Part { content, cache: mark, extra } = part;
    if let Content::Other { dialect: Dialect::OpenAiChat, raw } = content {
        writer.json.raw(raw.get());
        return Ok(());
    }
    writer.json.open(b'{');
    match content {
        Content::Text { text, citations } => {
            writer.json.text_field("type", "text");
            writer.json.text_field("text", text);
            if citations.is_some() {
                writer.drop(at.field("citations"));
            }
        }
        Content::Refusal(text) => {
            writer.json.text_field("type", "refusal");
            writer.json.text_field("refusal", text);
        }
        Content::Image { source, detail } => image(source, detail.as_deref(), at, writer)?,
        Content::Document { .. } => document(content, at, writer)?,
        Content::Audio { data, format } => {
            writer.json.text_field("type", "input_audio");
            writer.json.open_field("input_audio", b'{');
            writer.json.text_field("data", data);
            writer.json.text_field("format", format);
            writer.json.close(b'}');
        }
        other => return Err(at.refuse(unspeakable(other, "a turn of this role"))),
    }
    writer.cache(mark.as_ref(), at);
    writer.extra(extra, at);
    writer.json.close(b'}');
    Ok(())
}

fn image(source: &Source, detail: Option<&str>, at: &Path<'_>, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let url = match source {
        Source::Url(url) => url.clone(),
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::File(_) => return Err(at.field("source").refuse("the file is not in this provider's store")),
        Source::Text(_) => return Err(at.field("source").refuse("a picture can not be text")),
    };
    writer.json.text_field("type", "image_url");
    writer.json.open_field("image_url", b'{');
    writer.json.text_field("url", &url);
    if let Some(detail) = detail {
        writer.json.text_field("detail", detail);
    }
    writer.json.close(b'}');
    Ok(())
}

fn document(content: &Content, at: &Path<'_>, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let Content::Document { source, name, settings } = content else { return Ok(()) };
    if let Source::Text(text) = source {
        // A plain text is said as text, under its title.
        let titled = name.as_ref().map(|title| format!("{title}\n\n{text}"));
        writer.json.text_field("type", "text");
        writer.json.text_field("text", titled.as_deref().unwrap_or(text));
        if writer.cross_dialect {
            settings.keys().for_each(|setting| writer.drop(format_args!("{at}.{setting}")));
        }
        return Ok(());
    }
    writer.json.text_field("type", "file");
    writer.json.open_field("file", b'{');
    match source {
        Source::Base64 { media_type, data } => {
            // OpenAI wants a file name with the data.
            writer.json.text_field("filename", name.as_deref().unwrap_or("document.pdf"));
            writer.json.text_field("file_data", &format!("data:{media_type};base64,{data}"));
        }
        Source::File(id) if !writer.cross_dialect => {
            writer.json.text_field("file_id", id);
            if let Some(name) = name {
                writer.json.text_field("filename", name);
            }
        }
        Source::File(_) => return Err(at.field("source").refuse("the file is not in this provider's store")),
        // A look-alike's caller wrote it so, or it is said as the look-alike has it once the body is written.
        Source::Url(url)
            if !writer.cross_dialect || writer.look_alike().is_some_and(|row| row.documents_by_address) =>
        {
            if let Some(name) = name {
                writer.json.text_field("filename", name);
            }
            writer.json.text_field("file_data", url);
        }
        Source::Url(_) => {
            return Err(at.field("source").refuse("OpenAI Chat Completions takes no document by URL; send its bytes"));
        }
        Source::Text(_) => {}
    }
    writer.extra(settings, at);
    writer.json.close(b'}');
    Ok(())
}

/// The reason why a part can not be said in a place, naming what it is.
pub(super) fn unspeakable(content: &Content, place: &str) -> String {
    let what = match content {
        Content::Text { .. } => "text",
        Content::Refusal(_) => "a refusal",
        Content::Image { .. } => "a picture",
        Content::Document { .. } => "a document",
        Content::Audio { .. } => "sound",
        Content::ToolCall(_) => "a tool call",
        Content::ToolResult { .. } => "a tool result",
        Content::Thinking { .. } | Content::RedactedThinking(_) => "thoughts",
        Content::Other { dialect: _, raw } => {
            return format!("a `{}` block has no equivalent in {place} at this provider", type_of(raw.get()));
        }
    };
    format!("{what} can not stand in {place} at this provider")
}

/// The `type` of a block kept raw.
pub(super) fn type_of(raw: &str) -> String {
    kind_of(raw)
}
