//! Tokens, estimated where nobody counts them: from what a call says, by rules of thumb that hold for no model exactly.
//!
//! Four letters of plain text are about one token, a letter outside ASCII about one by itself; an image costs what the
//! vendors' guides say of a large one, whatever its bytes are. By the same rule a call is counted whose caller asks for the count,
//! and one whose stream ends before its provider has said what it used: that one in a few places only, at a cost that does not grow.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::codec::Refusal;
use crate::hub::{ErrorKind, Usage};
use crate::token_count;

/// ASCII letters of one token (OpenAI's and Anthropic's guides: about four, a little less for code and JSON).
const LETTERS: u64 = 4;
/// An image of more than about a million pixels (Anthropic's vision guide: 1 600).
const IMAGE: u64 = 1_600;
/// Bytes of a document, in base64, that make a token: a page of a PDF is 1 500 to 3 000 tokens and some tens of kilobytes.
const DOCUMENT_BYTES: u64 = 24;
/// Bytes of sound or of a film, in base64, that make a token: a second is 32 tokens (Google's guide), or 300 with pictures, and of some
/// twenty or two hundred kilobytes.
const MEDIA_BYTES: u64 = 700;
/// The tokens that frame a message, a tool or a block.
const FRAME: u64 = 3;

/// A body is looked at in so many places, each so long.
const PLACES: usize = 64;
const PLACE: usize = 64;

/// The tokens of a text.
#[must_use]
pub fn tokens_of_text(text: &str) -> u64 {
    tokens_of_bytes(text.as_bytes())
}

fn tokens_of_bytes(text: &[u8]) -> u64 {
    let wide = bytecount(text);
    let plain = u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_sub(wide.bytes);
    plain.div_ceil(LETTERS).saturating_add(wide.letters)
}

/// The tokens of a call's body, in whichever dialect, roughly: what looks like base64 is no text, and counts as an image does.
#[must_use]
pub fn tokens_of_body(body: &[u8]) -> u64 {
    let places = body.len().div_ceil(PLACE).clamp(1, PLACES);
    let step = body.len() / places;
    let place = |at: usize| {
        let start = at * step;
        body.get(start..(start + PLACE).min(body.len())).unwrap_or_default()
    };
    let (mut tokens, mut looked_at, mut no_text) = (0, 0, 0_u64);
    for place in (0..places).map(place) {
        looked_at += place.len() as u64;
        if is_base64(place) {
            no_text += place.len() as u64;
        } else {
            tokens += tokens_of_bytes(place);
        }
    }
    let scaled = |part: u64| (u128::from(part) * body.len() as u128 / u128::from(looked_at.max(1))) as u64;
    // A little of it may be a long word as well.
    let images = (scaled(no_text) / LETTERS).min(IMAGE);
    scaled(tokens).saturating_add(images).max(1)
}

/// The number of answers that a call asks for, in whichever dialect: `n`, `best_of` and the texts of `prompt` of OpenAI's, `candidateCount`
/// of Google's. 1 where it says nothing that can be read. Of a member that stands there twice the larger counts.
#[must_use]
pub fn answers_of_body(body: &[u8]) -> u64 {
    let asked = serde_json::from_slice::<AnswerCounts>(body).unwrap_or_default();
    let own = asked.n.max(asked.best_of).max(asked.candidates).max(1);
    own.saturating_mul(asked.prompts.max(1))
}

/// The numbers in a call that say how many answers it asks for.
#[derive(Debug, Default)]
struct AnswerCounts {
    n: u64,
    best_of: u64,
    prompts: u64,
    candidates: u64,
}

impl<'de> Deserialize<'de> for AnswerCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnswerCountsVisitor)
    }
}

struct AnswerCountsVisitor;

impl<'de> Visitor<'de> for AnswerCountsVisitor {
    type Value = AnswerCounts;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a call")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnswerCounts, A::Error> {
        let mut found = AnswerCounts::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let value: &RawValue = map.next_value()?;
            let number = || token_count::of_raw(value.get()).unwrap_or_default();
            match &*name {
                "n" => found.n = found.n.max(number()),
                "best_of" => found.best_of = found.best_of.max(number()),
                "candidateCount" | "candidate_count" => found.candidates = found.candidates.max(number()),
                "generationConfig" | "generation_config" => {
                    let inner = serde_json::from_str::<Self::Value>(value.get()).unwrap_or_default();
                    found.candidates = found.candidates.max(inner.candidates);
                }
                "prompt" => found.prompts = found.prompts.max(prompts(value.get())),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The texts of a `prompt` of legacy Completions: a list of texts, or of lists of tokens; a list of tokens is one.
fn prompts(raw: &str) -> u64 {
    let inside = raw.strip_prefix('[').map(str::trim_start).unwrap_or_default();
    if !inside.starts_with(['"', '[']) {
        return 1;
    }
    // What is ignored takes no room, however many there are.
    serde_json::from_str::<Vec<IgnoredAny>>(raw).map_or(1, |texts| texts.len() as u64)
}

/// It has neither space nor mark, and no letter beyond ASCII.
fn is_base64(place: &[u8]) -> bool {
    place.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
}

/// The usage of a stream that was left or cut: what the provider has `said` so far, and in its place where that is
/// less, the tokens of the prompt and of so many bytes of text that came; `None`: the provider has said as much itself.
#[must_use]
pub fn used_so_far(said: Option<Usage>, prompt: u64, text: u64) -> Option<Usage> {
    let output = text.div_ceil(LETTERS).max(1);
    match said {
        Some(said) if said.output >= output => None,
        Some(said) => Some(Usage { output, ..said }),
        None => Some(Usage { input: prompt, output, ..Usage::default() }),
    }
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
        Value::Object(fields) if let Some(tokens) = tokens_of_data(fields) => tokens,
        Value::Object(fields) => match fields.get("type").and_then(Value::as_str) {
            Some("image" | "image_url" | "input_image") => IMAGE,
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

/// The tokens of what an object holds as bytes, or names where they are, in whichever dialect; `None`: it is none of those.
fn tokens_of_data(fields: &Map<String, Value>) -> Option<u64> {
    let of = |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name));
    if let Some(data) = of(["inlineData", "inline_data"]) {
        let kind = ["mimeType", "mime_type"].iter().find_map(|name| data.get(*name)?.as_str()).unwrap_or_default();
        return Some(tokens_of_bytes_of(kind, data.get("data")));
    }
    if let Some(data) = of(["fileData", "file_data"]) {
        // A file of OpenAI's is its bytes themselves; Google's is an address.
        return Some(tokens_of_bytes_of("document", Some(data)));
    }
    if let Some(sound) = fields.get("input_audio") {
        return Some(tokens_of_bytes_of("audio", sound.get("data")));
    }
    // Converse has the kind for a name.
    ["document", "image", "audio", "video"].iter().find_map(|kind| {
        let bytes = fields.get(*kind)?.get("source")?.get("bytes")?;
        Some(tokens_of_bytes_of(kind, Some(bytes)))
    })
}

/// The tokens of bytes of a kind, which is a media type or a word for several.
fn tokens_of_bytes_of(kind: &str, bytes: Option<&Value>) -> u64 {
    let bytes = u64::try_from(bytes.and_then(Value::as_str).map_or(0, str::len)).unwrap_or(u64::MAX);
    match kind.split('/').next() {
        Some("image") => IMAGE,
        Some("audio" | "video") => (bytes / MEDIA_BYTES).max(FRAME),
        _ => (bytes / DOCUMENT_BYTES).max(IMAGE),
    }
}

fn tokens_of_document(document: &Value) -> u64 {
    let source = document.get("source");
    match source.and_then(|source| source.get("type")).and_then(Value::as_str) {
        Some("base64") => tokens_of_bytes_of("document", source.and_then(|source| source.get("data"))),
        Some("text" | "content") => source.map_or(0, tokens_of),
        _ => IMAGE,
    }
}

struct Wide {
    letters: u64,
    bytes: u64,
}

/// The letters outside ASCII, and the bytes that they take.
fn bytecount(text: &[u8]) -> Wide {
    // Most texts are, and eight bytes at once tell it.
    if text.is_ascii() {
        return Wide { letters: 0, bytes: 0 };
    }
    text.iter().fold(Wide { letters: 0, bytes: 0 }, |sum, byte| Wide {
        letters: sum.letters + u64::from(*byte >= 0xC0),
        bytes: sum.bytes + u64::from(*byte >= 0x80),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_for_several_answers_is_known_in_each_dialect() {
        for (body, answers) in [
            (r#"{"model":"m","n":8}"#, 8),
            (r#"{"n":2,"n":9}"#, 9),
            (r#"{"\u006e":3}"#, 3),
            (r#"{"n":"100000"}"#, 100_000),
            (r#"{"n":2.0}"#, 2),
            (r#"{"n":1e6}"#, 1_000_000),
            (r#"{"n":1e300}"#, u64::MAX),
            (r#"{"n":-1}"#, 1),
            (r#"{"n":0}"#, 1),
            (r#"{"n":null,"best_of":4,"prompt":["a","b","c"]}"#, 12),
            (r#"{"prompt": [[1,2],[3]]}"#, 2),
            (r#"{"prompt":[1,2,3]}"#, 1),
            (r#"{"prompt":"a","n":"many"}"#, 1),
            (r#"{"generationConfig":{"candidateCount":5}}"#, 5),
            (r#"{"generation_config":{"candidate_count":6}}"#, 6),
            ("{}", 1),
            (r#"{"\u006e":3}"#, 3),
            ("no call", 1),
        ] {
            assert_eq!(answers_of_body(body.as_bytes()), answers, "{body}");
        }
    }

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
    fn a_document_and_a_sound_cost_the_same_in_each_dialect() {
        let of = |part: &str| {
            let data = "A".repeat(2_400_000);
            let body = format!(r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#, part.replace("DATA", &data));
            tokens_of_messages(body.as_bytes()).unwrap()
        };
        for part in [
            r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"DATA"}}"#,
            r#"{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,DATA"}"#,
            r#"{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,DATA"}}"#,
            r#"{"inlineData":{"mimeType":"application/pdf","data":"DATA"}}"#,
            r#"{"document":{"format":"pdf","name":"a","source":{"bytes":"DATA"}}}"#,
        ] {
            assert!((100_000..100_050).contains(&of(part)), "{part}: {}", of(part));
        }
        for part in [
            r#"{"type":"input_audio","input_audio":{"format":"mp3","data":"DATA"}}"#,
            r#"{"inlineData":{"mimeType":"audio/mp3","data":"DATA"}}"#,
            r#"{"inline_data":{"mime_type":"video/mp4","data":"DATA"}}"#,
        ] {
            assert!((3_400..3_500).contains(&of(part)), "{part}: {}", of(part));
        }
        for part in [
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,DATA"}}"#,
            r#"{"inlineData":{"mimeType":"image/png","data":"DATA"}}"#,
            r#"{"image":{"format":"png","source":{"bytes":"DATA"}}}"#,
            r#"{"fileData":{"mimeType":"application/pdf","fileUri":"gs://a/b.pdf"}}"#,
        ] {
            assert!((1_600..1_650).contains(&of(part)), "{part}: {}", of(part));
        }
    }

    #[test]
    fn a_bodys_text_counts_and_its_pictures_hardly() {
        assert_eq!(tokens_of_body(b""), 1);
        let hi = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(tokens_of_body(hi), 15);
        let text = "one and two ".repeat(10_000);
        let long = tokens_of_body(text.as_bytes());
        assert!((29_000..=31_000).contains(&long), "{long}");
        let picture = format!("{{\"text\":\"{}\",\"data\":\"{}\"}}", "a b ".repeat(1_000), "QUJD".repeat(250_000));
        let with = tokens_of_body(picture.as_bytes());
        assert!(with < 20_000, "{with}");
        let wide = "日本語の文章です".repeat(1_000);
        let (sampled, exact) = (tokens_of_body(wide.as_bytes()), tokens_of_text(&wide));
        assert!(sampled.abs_diff(exact) < exact / 20, "{sampled} {exact}");
    }

    #[test]
    fn what_the_provider_said_is_filled_up_and_never_made_less() {
        let said = |output| Usage { input: 10, output, cached_input: 3, ..Usage::default() };
        assert_eq!(used_so_far(None, 7, 13), Some(Usage { input: 7, output: 4, ..Usage::default() }));
        assert_eq!(used_so_far(None, 7, 0).map(|usage| usage.output), Some(1));
        assert_eq!(used_so_far(Some(said(1)), 7, 13), Some(said(4)));
        assert_eq!(used_so_far(Some(said(40)), 7, 13), None);
    }

    #[test]
    fn what_is_no_call_is_refused_and_depth_is_bounded() {
        assert!(tokens_of_messages(b"[]").is_err());
        assert!(tokens_of_messages(b"{").is_err());
        let deep = format!("{{\"messages\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(tokens_of_messages(deep.as_bytes()).is_err());
    }
}
