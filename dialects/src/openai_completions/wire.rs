//! The words that whole and streamed answers share.

use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use crate::hub::{Choice, Content, ServiceTier, Stop};
use crate::json::Writer;
use crate::openai_chat::wire::{finish_reason, write_stop_text};
use crate::text::Text;

/// One of the answers, whole or a piece of it.
#[derive(Deserialize)]
pub(super) struct WireChoice<'a> {
    pub(super) index: Option<u32>,
    pub(super) text: Option<Text>,
    pub(super) finish_reason: Option<String>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) matched_stop: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// An answer, or a chunk of one.
#[derive(Deserialize)]
pub(super) struct WireCompletion<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) created: Option<Number>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<WireChoice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) service_tier: ServiceTier,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// The text of an answer of another dialect: what it says, without its thoughts.
pub(super) fn text_of(choice: &Choice) -> String {
    choice.parts.iter().filter_map(|part| said(&part.content)).collect()
}

/// The text of a part; `None`: the dialect has no words for it.
pub(super) fn said(content: &Content) -> Option<&str> {
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => Some(text),
        _ => None,
    }
}

/// Writes one of the answers, or a piece of it.
pub(super) fn write_choice(index: u32, text: &str, logprobs: Option<&str>, stop: Option<&Stop>, json: &mut Writer) {
    json.open(b'{');
    json.text_field("text", text);
    json.value_field("index", index);
    json.key("logprobs");
    json.raw(logprobs.unwrap_or("null"));
    match stop {
        Some(stop) => {
            json.text_field("finish_reason", finish_reason(stop, false));
            write_stop_text(stop, json);
        }
        None => json.value_field("finish_reason", "null"),
    }
    json.close(b'}');
}
