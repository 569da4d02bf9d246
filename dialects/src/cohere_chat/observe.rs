//! The observer of what passes: usage, first token, end and errors of a stream's events, and what a whole answer is known by.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{error, wire};
use crate::hub::{ProviderError, Usage};
use crate::observe::{AnswerShape, Observed, SeenAnswer};
use crate::scan;
use crate::sse::Frame;

/// The marks of a whole answer.
pub(super) const ANSWER: AnswerShape = AnswerShape {
    core: "message",
    core_is_object: true,
    may_be_empty_beside: None,
    may_be_missing: false,
    usage: usage_of_whole,
    error: |body| error::decode(0, body),
    failure,
};

fn failure(body: &[u8]) -> Option<ProviderError> {
    let mut failed = false;
    scan::members(body, |name, value| {
        let word = body.get(value).and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
        failed |= name == b"finish_reason"
            && word.and_then(|word| std::str::from_utf8(word).ok()).is_some_and(wire::is_failure);
    })
    .ok()?;
    failed.then(|| error::decode(0, b""))
}

fn usage_of_whole(body: &[u8]) -> Option<SeenAnswer<'_>> {
    let (mut usage, mut core): (_, &[u8]) = (None, b"");
    scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        match name {
            b"usage" => usage = usage_of(value),
            // Answers without a message have it there, as those with vectors.
            b"meta" => {
                usage = usage.take().or_else(|| usage_of(value).filter(|usage| usage.input > 0 || usage.output > 0));
            }
            _ if name == ANSWER.core.as_bytes() => core = value,
            _ => {}
        }
    })
    .ok()?;
    Some(SeenAnswer { usage, core })
}

fn usage_of(json: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Option<wire::CohereUsage>>(json).ok().flatten().map(Usage::from)
}

#[derive(Deserialize)]
struct ObservedPiece<'a> {
    #[serde(borrow)]
    r#type: Option<&'a str>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct MessageEnd<'a> {
    pub(super) error: Option<String>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a str>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

/// Takes one event to what is known. None of them is there for the usage alone.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    let data = frame.data.trim_ascii();
    if data == b"[DONE]" {
        observed.ended = true;
        return false;
    }
    let Ok(piece) = serde_json::from_slice::<ObservedPiece<'_>>(data) else { return false };
    match piece.r#type.unwrap_or_default() {
        "content-delta" | "tool-plan-delta" | "tool-call-start" | "tool-call-delta" => {
            observed.first_token = true;
            observed.answer(0, false);
        }
        "message-end" => {
            let end = piece.delta.and_then(|delta| serde_json::from_str::<MessageEnd<'_>>(delta.get()).ok());
            let Some(MessageEnd { error, finish_reason, usage }) = end else { return false };
            if error.is_some() || finish_reason.is_some_and(wire::is_failure) {
                observed.fail(|| failed(error));
                return false;
            }
            observed.usage = usage.and_then(wire::usage).or(observed.usage);
            observed.first_token = true;
            observed.answer(0, true);
        }
        _ => {}
    }
    false
}

/// The error that a stream ends in.
pub(super) fn failed(message: Option<String>) -> crate::hub::ProviderError {
    let message = message.unwrap_or_else(|| "the provider could not go on".to_owned());
    let body = serde_json::json!({ "message": message }).to_string();
    error::decode(500, body.as_bytes())
}
