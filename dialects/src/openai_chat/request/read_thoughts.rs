//! Reads the model's thoughts that a caller sends back with its turn: `thinking_blocks`, with what a provider signed and
//! encrypted, and the plain text of `reasoning_content` or `reasoning`.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::hub::{Content, Part};
use crate::json::{Object, Path, string};

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
