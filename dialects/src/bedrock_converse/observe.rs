//! The observer of what passes: usage, first token, finish and errors of a stream's events, and what a whole answer is known by.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::ConverseUsage;
use crate::bedrock_invoke::error;
use crate::hub::{ServiceTier, Usage};
use crate::observe::{AnswerShape, Observed, SeenAnswer};
use crate::scan;
use crate::sse::Frame;

/// The marks of a whole answer.
pub(super) const ANSWER: AnswerShape = AnswerShape {
    core: "output",
    core_is_object: true,
    may_be_empty_beside: None,
    may_be_missing: false,
    usage: usage_of_whole,
    error: |body| error::decode(0, body),
    failure: |_| None,
};

fn usage_of_whole(body: &[u8]) -> Option<SeenAnswer<'_>> {
    let (mut usage, mut tier, mut core): (_, _, &[u8]) = (None, ServiceTier::Unsaid, b"");
    scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        match name {
            b"usage" => usage = serde_json::from_slice::<Option<ConverseUsage>>(value).ok().flatten(),
            b"serviceTier" => tier = serde_json::from_slice(value).unwrap_or_default(),
            _ if name == ANSWER.core.as_bytes() => core = value,
            _ => {}
        }
    })
    .ok()?;
    Some(SeenAnswer { usage: usage.map(|usage| Usage { tier, ..usage.into() }), core })
}

#[derive(Deserialize)]
struct ObservedBlockDelta<'a> {
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObservedMetadata {
    usage: Option<ConverseUsage>,
    #[serde(default)]
    service_tier: ServiceTier,
}

/// Takes one event to what is known. None of them is there for the usage alone that a caller could miss.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    match frame.name {
        b"messageStart" => observed.answer(0, false),
        b"contentBlockStart" => observed.first_token = true,
        b"contentBlockDelta" if !observed.first_token || !observed.thought => {
            // A quote inside a text is always escaped, so no text looks like it.
            observed.thought |= memchr::memmem::find(frame.data, b"\"reasoningContent\":").is_some();
            if observed.first_token {
                return false;
            }
            let delta = serde_json::from_slice::<ObservedBlockDelta<'_>>(frame.data).ok().and_then(|event| event.delta);
            observed.first_token = delta.is_some_and(|delta| delta.get() != "{\"text\":\"\"}");
        }
        b"messageStop" => {
            observed.first_token = true;
            observed.answer(0, true);
        }
        b"metadata" => {
            if let Ok(ObservedMetadata { usage: Some(usage), service_tier }) = serde_json::from_slice(frame.data) {
                observed.usage = Some(Usage { tier: service_tier, ..usage.into() });
            }
            observed.ended = true;
        }
        name => {
            if let Some(error) = error::of_event(name, frame.data) {
                observed.fail(|| error);
            }
        }
    }
    false
}
