//! The observer of what passes: usage, first token, finish and errors of a stream's events, and what a whole answer is known by.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::ConverseUsage;
use crate::bedrock_invoke::error;
use crate::hub::Usage;
use crate::observe::{AnswerShape, Observed};
use crate::scan;
use crate::sse::Frame;

/// The marks of a whole answer.
pub(super) const ANSWER: AnswerShape = AnswerShape {
    core: "\"output\"",
    core_is_object: true,
    may_be_empty_beside: None,
    usage: usage_of_whole,
    error: error::decode,
};

fn usage_of_whole(body: &[u8]) -> Option<Option<Usage>> {
    let mut usage = None;
    scan::members(body, |name, value| {
        if name == b"usage" {
            usage = serde_json::from_slice::<Option<ConverseUsage>>(body.get(value).unwrap_or_default()).ok().flatten();
        }
    })
    .ok()?;
    Some(usage.map(Usage::from))
}

#[derive(Deserialize)]
struct ObservedBlockDelta<'a> {
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ObservedMetadata {
    usage: Option<ConverseUsage>,
}

/// Takes one event to what is known. None of them is there for the usage alone that a caller could miss.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    match frame.name {
        b"messageStart" => observed.answer(0, false),
        b"contentBlockStart" => observed.first_token = true,
        b"contentBlockDelta" if !observed.first_token => {
            let delta = serde_json::from_slice::<ObservedBlockDelta<'_>>(frame.data).ok().and_then(|event| event.delta);
            observed.first_token = delta.is_some_and(|delta| delta.get() != "{\"text\":\"\"}");
        }
        b"messageStop" => {
            observed.first_token = true;
            observed.answer(0, true);
        }
        b"metadata" => {
            let said = serde_json::from_slice::<ObservedMetadata>(frame.data).ok().and_then(|event| event.usage);
            if let Some(usage) = said {
                observed.usage = Some(usage.into());
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
