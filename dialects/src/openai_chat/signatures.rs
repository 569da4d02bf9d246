//! Signatures that Google's and Anthropic's models have made, where servers tell them in Chat Completions: Google's on a call of a
//! tool (`extra_content`), OpenRouter's in a list of their own (`reasoning_details`). Here they are the thoughts that they
//! are of, as everywhere else.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::ThoughtBlock;
use crate::hub::{Content, Fields, Part};
use crate::json::Writer;
use crate::mark::GEMINIS;
use crate::text::Text;
use crate::thoughts::is_marked;

/// Google's field of a call.
pub(super) const ON_A_CALL: &str = "extra_content";
/// OpenRouter's field of a turn.
pub(super) const IN_A_LIST: &str = "reasoning_details";
/// The makers of details, as OpenRouter names them.
const OF_GOOGLE: &str = "google-gemini-v1";
const OF_ANTHROPIC: &str = "anthropic-claude-v1";

/// A thought that is signed or encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// The call that it belongs to, where it names one.
    pub(super) call: Option<String>,
    /// The thoughts that it is of; encrypted ones are nothing else.
    pub(super) thought: ThoughtBlock,
}

impl Signature {
    /// As a part of a turn.
    pub(super) fn content(self) -> Content {
        match self.thought {
            ThoughtBlock::Signed { text, signature } => Content::Thinking { text, signature },
            ThoughtBlock::Redacted(data) => Content::RedactedThinking(data),
        }
    }

    /// True if it has the text of its thoughts.
    pub(super) fn says(&self) -> bool {
        matches!(&self.thought, ThoughtBlock::Signed { text, .. } if !text.is_empty())
    }

    /// The same, whole.
    pub(super) fn part(self) -> Part {
        Part::new(self.content())
    }
}

/// The signature that Google's models put on a call; `None`: there is none.
pub(super) fn of_call(extra_content: &RawValue) -> Option<ThoughtBlock> {
    #[derive(Deserialize)]
    struct ExtraContent {
        #[serde(alias = "vertex")]
        google: Option<CallSignature>,
    }
    #[derive(Deserialize)]
    struct CallSignature {
        thought_signature: Option<String>,
    }
    let said: ExtraContent = serde_json::from_str(extra_content.get()).ok()?;
    let wire = said.google?.thought_signature.filter(|wire| !wire.is_empty())?;
    Some(ThoughtBlock::Signed { text: String::new(), signature: Some(format!("{GEMINIS}{wire}")) })
}

/// The signatures in a list of details. Thoughts without one are told beside the list too.
pub(super) fn of_list(details: &RawValue) -> Vec<Signature> {
    #[derive(Deserialize)]
    struct Detail {
        text: Option<Text>,
        signature: Option<String>,
        data: Option<String>,
        format: Option<String>,
        id: Option<String>,
    }
    let details: Vec<&RawValue> = serde_json::from_str(details.get()).unwrap_or_default();
    let read = |raw: &RawValue| {
        let Detail { text, signature, data, format, id } = serde_json::from_str(raw.get()).ok()?;
        let format = format.unwrap_or_default();
        let is_googles = format.starts_with("google");
        let said = |text: &String| !text.is_empty();
        let thought = match (signature.filter(said), data.filter(said)) {
            (Some(signature), _) if is_googles => {
                ThoughtBlock::Signed { text: whole(text), signature: Some(format!("{GEMINIS}{signature}")) }
            }
            (Some(signature), _) => ThoughtBlock::Signed { text: whole(text), signature: Some(signature) },
            (None, Some(data)) if is_googles => {
                ThoughtBlock::Signed { text: String::new(), signature: Some(format!("{GEMINIS}{data}")) }
            }
            (None, Some(data)) if format.starts_with("anthropic") => ThoughtBlock::Redacted(data),
            // Nobody but its vendor has a use for it, and it can do without.
            _ => return None,
        };
        Some(Signature { call: id.filter(|_| is_googles), thought })
    };
    details.into_iter().filter_map(read).collect()
}

fn whole(text: Option<Text>) -> String {
    text.map(Text::whole).unwrap_or_default()
}

/// Puts signatures where they belong: what names a call, or stands on one, right before it, all else before the calls.
pub(super) fn before_calls(calls: Vec<Part>, signatures: Vec<Signature>) -> Vec<Part> {
    let mut placed = Vec::with_capacity(calls.len() + signatures.len());
    let names = |signature: &Signature, part: &Part| match (&part.content, &signature.call) {
        (Content::ToolCall(call), Some(id)) => call.id == *id,
        _ => false,
    };
    let (mut named, others): (Vec<_>, Vec<_>) =
        signatures.into_iter().partition(|signature| calls.iter().any(|part| names(signature, part)));
    placed.extend(others.into_iter().map(Signature::part));
    for mut part in calls {
        let (own, rest): (Vec<_>, Vec<_>) = named.into_iter().partition(|signature| names(signature, &part));
        named = rest;
        let on_it = taken_of_call(&mut part.extra).filter(|_| own.is_empty());
        placed.extend(own.into_iter().map(Signature::part));
        placed.extend(on_it.map(|thought| Signature { call: None, thought }.part()));
        placed.push(part);
    }
    placed
}

fn taken_of_call(extra: &mut Fields) -> Option<ThoughtBlock> {
    let thought = of_call(extra.get(ON_A_CALL)?)?;
    extra.remove(ON_A_CALL);
    Some(thought)
}

/// A signature of Google's, as Google itself writes it; `None`: it is another's.
pub(super) fn googles(content: &Content) -> Option<&str> {
    match content {
        Content::Thinking { signature: Some(signature), .. } => signature.strip_prefix(GEMINIS),
        _ => None,
    }
}

/// True if a part can be told in a list of details to this model: its own family made it.
pub(super) fn is_detail(content: &Content, model: &str) -> bool {
    match content {
        Content::Thinking { signature: Some(_), .. } if googles(content).is_some() => is_of("gemini", model),
        Content::Thinking { signature: Some(signature), .. } => !is_marked(signature) && is_of("claude", model),
        Content::RedactedThinking(data) => !is_marked(data) && is_of("claude", model),
        _ => false,
    }
}

/// The beginning of the format of details that stand for the thoughts themselves, which are told nowhere else (MiniMax's).
const THOUGHTS_ALONE: &str = "MiniMax";

/// The thoughts that a list of details alone tells.
pub(super) fn plain_texts(details: &RawValue) -> Vec<Text> {
    #[derive(Deserialize)]
    struct ToldDetail {
        text: Option<Text>,
        format: Option<String>,
    }
    let details: Vec<&RawValue> = serde_json::from_str(details.get()).unwrap_or_default();
    let read = |raw: &RawValue| {
        let ToldDetail { text, format } = serde_json::from_str(raw.get()).ok()?;
        text.filter(|_| format.is_some_and(|format| format.starts_with(THOUGHTS_ALONE)))
    };
    details.into_iter().filter_map(read).collect()
}

/// Writes thoughts as a list of one detail, as MiniMax tells them and wants them back.
pub(super) fn write_plain_detail(text: &str, json: &mut Writer) {
    json.open_field(IN_A_LIST, b'[');
    json.open(b'{');
    json.text_field("type", "reasoning.text");
    json.text_field("id", "reasoning-text-1");
    json.text_field("format", "MiniMax-response-v1");
    json.value_field("index", 0);
    json.text_field("text", text);
    json.close(b'}');
    json.close(b']');
}

/// True if a model's name says that it is of this family.
pub(super) fn is_of(family: &str, model: &str) -> bool {
    model.to_ascii_lowercase().contains(family)
}

/// Writes a detail. `call`: the one that it belongs to.
pub(super) fn write_detail(content: &Content, (index, call): (usize, Option<&str>), json: &mut Writer) {
    json.open(b'{');
    let (format, belongs) = match (content, googles(content)) {
        (Content::Thinking { text, .. }, Some(own)) if text.is_empty() => {
            json.text_field("type", "reasoning.encrypted");
            json.text_field("data", own);
            (OF_GOOGLE, call)
        }
        (Content::Thinking { text, signature }, own) => {
            json.text_field("type", "reasoning.text");
            json.text_field("text", text);
            json.text_field("signature", own.or(signature.as_deref()).unwrap_or_default());
            (if own.is_some() { OF_GOOGLE } else { OF_ANTHROPIC }, None)
        }
        (Content::RedactedThinking(data), _) => {
            json.text_field("type", "reasoning.encrypted");
            json.text_field("data", data);
            (OF_ANTHROPIC, None)
        }
        _ => (OF_ANTHROPIC, None),
    };
    if let Some(id) = belongs {
        json.text_field("id", id);
    }
    json.text_field("format", format);
    json.value_field("index", index);
    json.close(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn signed(text: &str, signature: &str) -> ThoughtBlock {
        ThoughtBlock::Signed { text: text.to_owned(), signature: Some(signature.to_owned()) }
    }

    #[test]
    fn a_signature_on_a_call_is_googles() {
        for maker in ["google", "vertex"] {
            let said = raw(&format!(r#"{{"{maker}":{{"thought_signature":"S"}}}}"#));
            assert_eq!(of_call(&said), Some(signed("", "gemini:S")), "{maker}");
        }
        for other in ["null", "1", "{}", r#"{"google":1}"#, r#"{"google":{"thought_signature":""}}"#] {
            assert_eq!(of_call(&raw(other)), None, "{other}");
        }
    }

    #[test]
    fn details_are_read_by_their_makers() {
        let of = |call: Option<&str>, thought| Signature { call: call.map(str::to_owned), thought };
        let details = raw(r#"[{"type":"reasoning.text","text":"Hm.","format":"google-gemini-v1","index":0},
                {"type":"reasoning.encrypted","data":"S","id":"c1","format":"google-gemini-v1"},
                {"type":"reasoning.text","text":"So.","signature":"T","format":"anthropic-claude-v1"},
                {"type":"reasoning.encrypted","data":"R","id":"x","format":"anthropic-claude-v1"},
                {"type":"reasoning.encrypted","data":"O","id":"rs_1","format":"openai-responses-v1"},
                {"type":"reasoning.summary","summary":"s"},null,7]"#);
        let expected = [
            of(Some("c1"), signed("", "gemini:S")),
            of(None, signed("So.", "T")),
            of(None, ThoughtBlock::Redacted("R".to_owned())),
        ];
        assert_eq!(of_list(&details), expected);
        assert!(of_list(&raw("{}")).is_empty());
    }

    #[test]
    fn a_detail_is_told_to_its_own_family() {
        let googles = Content::Thinking { text: String::new(), signature: Some("gemini:S".to_owned()) };
        let claudes = Content::Thinking { text: "Hm.".to_owned(), signature: Some("S".to_owned()) };
        let openais = Content::RedactedThinking("sluicegate.r1.x".to_owned());
        for (content, families) in [(&googles, [true, false]), (&claudes, [false, true]), (&openais, [false, false])] {
            let told = ["google/gemini-3-pro", "anthropic/Claude-sonnet-5"].map(|model| is_detail(content, model));
            assert_eq!(told, families, "{content:?}");
        }
    }
}
