//! Reads the model's thoughts that a caller sends back with its turn: `thinking_blocks`, with what a provider signed and
//! encrypted, the plain text of `reasoning_content` or `reasoning`, and pieces of `content`, in which Mistral's models tell them.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Content, Part};
use crate::json::{Object, Path, ROOT, kind_of, string};
use crate::openai_chat::wire::thinking_texts;
use crate::text::Text;

/// The thoughts, in order. Where there are blocks, the plain text says the same once more.
pub(super) fn thoughts(object: &mut Object<'_>, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    let blocks_at = at.field("thinking_blocks");
    let list = object.list("thinking_blocks", at)?.unwrap_or_default();
    let mut parts = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        parts.extend(block(raw, &blocks_at.index(index))?);
    }
    let texts = ["reasoning_content", "reasoning"].map(|name| object.take(name).and_then(string));
    let text = texts.into_iter().flatten().find(|text| !text.is_empty());
    if let (true, Some(text)) = (parts.is_empty(), text) {
        parts.push(Part::new(Content::Thinking { text, signature: None }));
    }
    Ok(parts)
}

/// Makes thoughts of the pieces of content that are some: `{"type": "thinking", "thinking": [{"type": "text", "text": …}]}`. Where
/// thoughts are `told` already, they say the same once more.
pub(super) fn in_content(parts: Vec<Part>, told: bool) -> Vec<Part> {
    let mut read: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        let Some(more) = piece(&part) else {
            read.push(part);
            continue;
        };
        match (more, read.last_mut().map(|part| &mut part.content)) {
            (Content::Thinking { text, signature }, _) if told || (text.is_empty() && signature.is_none()) => {}
            // What follows one of its own kind is more of it.
            (Content::Thinking { text: more, signature: None }, Some(Content::Thinking { text, signature: None })) => {
                text.push_str(&more);
            }
            (more, _) => read.push(Part::new(more)),
        }
    }
    read
}

/// The thoughts that a piece of content is; `None`: it is none.
fn piece(part: &Part) -> Option<Content> {
    let Content::Other { dialect: Dialect::OpenAiChat, raw } = &part.content else { return None };
    let mut piece = Object::read(raw.get(), &ROOT).ok().filter(|_| kind_of(raw.get()) == "thinking")?;
    let texts = piece.take("thinking").map(thinking_texts).unwrap_or_default();
    let signature = piece.take("signature").and_then(string).filter(|signature| !signature.is_empty());
    Some(Content::Thinking { text: texts.into_iter().map(Text::whole).collect(), signature })
}

/// A block; one of a kind that nobody knows says nothing here.
fn block(raw: &RawValue, at: &Path<'_>) -> Result<Option<Part>, Refusal> {
    let mut block = Object::read(raw.get(), at)?;
    let content = match block.required("type", at)?.as_str() {
        "thinking" => Content::Thinking {
            text: block.text("thinking", at)?.unwrap_or_default(),
            signature: block.text("signature", at)?.filter(|signature| !signature.is_empty()),
        },
        "redacted_thinking" => Content::RedactedThinking(block.required("data", at)?),
        _ => return Ok(None),
    };
    Ok(Some(Part::new(content)))
}
