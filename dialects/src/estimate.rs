//! Tokens, estimated where nobody counts them: from what a call says, by rules of thumb that hold for no model exactly.
//!
//! Four letters of plain text are about one token, a letter outside ASCII about one by itself; an image costs what the
//! vendors' guides say of a large one, whatever its bytes are.

use serde_json::Value;

use crate::codec::Refusal;
use crate::hub::ErrorKind;

/// ASCII letters of one token (OpenAI's and Anthropic's guides: about four, a little less for code and JSON).
const LETTERS: u64 = 4;
/// An image of more than about a million pixels (Anthropic's vision guide: 1 600).
const IMAGE: u64 = 1_600;
/// Bytes of a document, in base64, that make a token: a page of a PDF is 1 500 to 3 000 tokens and some tens of kilobytes.
const DOCUMENT_BYTES: u64 = 24;
/// What frames a message, a tool or a block.
const FRAME: u64 = 3;

/// The tokens of a text.
#[must_use]
pub fn tokens_of_text(text: &str) -> u64 {
    let wide = bytecount(text);
    let plain = u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_sub(wide.bytes);
    plain.div_ceil(LETTERS).saturating_add(wide.letters)
}

/// The input tokens of a Messages call: its system prompt, messages and tools.
///
/// # Errors
/// The body is no JSON object.
pub fn tokens_of_messages(body: &[u8], fields: &[&str]) -> Result<u64, Refusal> {
    let body: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|error| Refusal {
        kind: ErrorKind::InvalidRequest,
        message: format!("The body is not a JSON object: {error}."),
        param: None,
        code: None,
    })?;
    let said = fields.iter().filter_map(|field| body.get(*field));
    Ok(said.map(tokens_of).fold(FRAME, u64::saturating_add))
}

/// Every text in it, names too; what stands for an image or a document costs what such a thing costs.
fn tokens_of(value: &Value) -> u64 {
    match value {
        Value::String(text) => tokens_of_text(text),
        Value::Array(list) => list.iter().map(tokens_of).fold(0, u64::saturating_add),
        Value::Object(fields)
            if ["inlineData", "inline_data", "fileData", "file_data"].iter().any(|name| fields.contains_key(*name)) =>
        {
            IMAGE
        }
        Value::Object(fields) => match fields.get("type").and_then(Value::as_str) {
            Some("image") => IMAGE,
            Some("document") => tokens_of_document(value),
            // The kind of a block, a signature, a marker for the cache: no model reads them.
            _ => fields
                .iter()
                .filter(|(name, _)| {
                    !matches!(
                        name.as_str(),
                        "type" | "signature" | "thoughtSignature" | "cache_control" | "id" | "tool_use_id"
                    )
                })
                .map(|(name, value)| tokens_of(value).saturating_add(u64::from(!is_frame(name))))
                .fold(FRAME, u64::saturating_add),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// Names that stand in every message or block, and are paid for with its frame.
fn is_frame(name: &str) -> bool {
    matches!(
        name,
        "role" | "content" | "parts" | "text" | "input" | "name" | "description" | "input_schema" | "thinking"
    )
}

fn tokens_of_document(document: &Value) -> u64 {
    let source = document.get("source");
    match source.and_then(|source| source.get("type")).and_then(Value::as_str) {
        Some("base64") => {
            let bytes = source.and_then(|source| source.get("data")).and_then(Value::as_str).map_or(0, str::len);
            (u64::try_from(bytes).unwrap_or(u64::MAX) / DOCUMENT_BYTES).max(IMAGE)
        }
        Some("text" | "content") => source.map_or(0, tokens_of),
        _ => IMAGE,
    }
}

struct Wide {
    letters: u64,
    bytes: u64,
}

/// The letters outside ASCII, and the bytes that they take.
fn bytecount(text: &str) -> Wide {
    text.bytes().fold(Wide { letters: 0, bytes: 0 }, |sum, byte| Wide {
        letters: sum.letters + u64::from(byte >= 0xC0),
        bytes: sum.bytes + u64::from(byte >= 0x80),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_of_messages(body: &[u8]) -> Result<u64, Refusal> {
        super::tokens_of_messages(body, &["system", "messages", "tools"])
    }

    #[test]
    fn a_text_costs_by_its_letters() {
        for (text, tokens) in [("", 0), ("a", 1), ("Hello, world", 3), ("北京", 2), ("naïve", 2), ("🌍", 1)] {
            assert_eq!(tokens_of_text(text), tokens, "{text}");
        }
    }

    #[test]
    fn a_call_costs_what_a_model_reads_of_it() {
        let of = |body: &str| tokens_of_messages(body.as_bytes()).unwrap();
        let plain = of(r#"{"messages":[{"role":"user","content":"How deep is the sea?"}]}"#);
        assert!((8..=20).contains(&plain), "{plain}");
        // The model's name, the limit and what only the vendor reads cost nothing.
        let same = of(
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"How deep is the sea?","cache_control":{"type":"ephemeral"}}]}"#,
        );
        assert_eq!(same, plain);
        let image = of(&format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{}"}}}}]}}]}}"#,
            "A".repeat(1 << 20)
        ));
        assert!((1_600..1_620).contains(&image), "{image}");
        let tools = of(
            r#"{"messages":[],"tools":[{"name":"now","description":"Tells the time","input_schema":{"type":"object"}}]}"#,
        );
        assert!(tools > of(r#"{"messages":[]}"#) + 4, "{tools}");
    }

    #[test]
    fn what_is_no_call_is_refused_and_depth_is_bounded() {
        assert!(tokens_of_messages(b"[]").is_err());
        assert!(tokens_of_messages(b"{").is_err());
        let deep = format!("{{\"messages\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(tokens_of_messages(deep.as_bytes()).is_err());
    }
}
