//! The observer of what passes: usage, first token, end and errors of a stream's events, and what a whole answer is
//! known by.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error;
use super::usage::MessagesUsage;
use crate::observe::{AnswerShape, Observed, SeenAnswer};
use crate::scan;
use crate::sse::Frame;

/// The marks of a whole answer. The model may have nothing to say, and says why it stopped.
pub(super) const ANSWER: AnswerShape = AnswerShape {
    core: "content",
    core_is_object: false,
    may_be_empty_beside: Some("stop_reason"),
    may_be_missing: false,
    usage: usage_of_whole,
    error: |body| error::decode(0, body),
    failure: |_| None,
};

fn usage_of_whole(body: &[u8]) -> Option<SeenAnswer<'_>> {
    let (seen, [core]) = scan::counts_beside(body, (b"usage", [ANSWER.core.as_bytes()]), MessagesUsage::PLACES).ok()?;
    let usage = seen.and_then(|seen| MessagesUsage::read(&seen)).map(|counts| counts.usage());
    Some(SeenAnswer { usage, core })
}

/// Takes one event to what is known. None of them is there only for what was asked.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    if !frame.name.is_empty() {
        observe_named(observed, frame.name, frame.data);
        return false;
    }
    // An event without a name has it in its data.
    if let Ok(ObservedType { r#type }) = serde_json::from_slice(frame.data) {
        observe_named(observed, r#type.as_bytes(), frame.data);
    }
    false
}

fn observe_named(observed: &mut Observed, name: &[u8], data: &[u8]) {
    match name {
        b"message_start" => {
            if let Ok(ObservedStart { message: ObservedUsage { usage: Some(counts) } }) = serde_json::from_slice(data) {
                count(observed, counts);
                observed.usage_is_early = true;
            }
        }
        b"message_delta" => {
            observed.first_token = true;
            if serde_json::from_slice(data).is_ok_and(|delta: ObservedDelta| delta.finishes()) {
                observed.answer(0, true);
            }
            if let Ok(ObservedUsage { usage: Some(counts) }) = serde_json::from_slice(data) {
                observed.usage_is_early &= !counts.counts_output();
                count(observed, counts);
            }
        }
        b"content_block_start" => {
            if let Ok(ObservedBlockStart { content_block: block }) = serde_json::from_slice(data) {
                observed.first_token |= block.says_something();
                observed.thought |= block.holds_thoughts();
            }
        }
        b"content_block_delta" => observed.first_token = true,
        // Half an event is no end, whatever its name is.
        b"message_stop" => observed.ended |= serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok(),
        b"error" => {
            // Of an answer that never began the vendor counts nothing, whatever it has said of the prompt.
            if !observed.first_token && !observed.thought {
                (observed.usage, observed.counts) = (None, Default::default());
            }
            observed.fail(|| error::decode(0, data));
        }
        _ => {}
    }
}

/// The counts of all events so far are those of the answer.
fn count(observed: &mut Observed, later: MessagesUsage) {
    let mut counts = MessagesUsage::of_counts(observed.counts);
    counts.update(later);
    observed.counts = counts.counts();
    observed.usage = Some(counts.usage());
}

#[derive(Deserialize)]
struct ObservedType<'a> {
    #[serde(borrow)]
    r#type: &'a str,
}

/// `message_start`, as far as it counts.
#[derive(Deserialize)]
struct ObservedStart {
    message: ObservedUsage,
}

/// `message_delta`, as far as it says why the answer finished.
#[derive(Deserialize)]
struct ObservedDelta {
    delta: Option<ObservedStop>,
}

#[derive(Deserialize)]
struct ObservedStop {
    stop_reason: Option<String>,
}

impl ObservedDelta {
    fn finishes(&self) -> bool {
        let reason = self.delta.as_ref().and_then(|delta| delta.stop_reason.as_ref());
        reason.is_some_and(|reason| !reason.is_empty())
    }
}

/// An object that has a `usage`.
#[derive(Deserialize)]
struct ObservedUsage {
    usage: Option<MessagesUsage>,
}

#[derive(Deserialize)]
struct ObservedBlockStart<'a> {
    #[serde(borrow)]
    content_block: ObservedBlock<'a>,
}

#[derive(Deserialize)]
struct ObservedBlock<'a> {
    #[serde(borrow)]
    r#type: &'a str,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

impl ObservedBlock<'_> {
    /// Text and thoughts begin empty; every other block begins with something: a tool's name, a result.
    fn says_something(&self) -> bool {
        match self.r#type {
            "text" => self.text.is_some_and(|text| text.get() != "\"\""),
            "thinking" => false,
            _ => true,
        }
    }

    /// They may be hidden, and are paid for all the same.
    fn holds_thoughts(&self) -> bool {
        matches!(self.r#type, "thinking" | "redacted_thinking")
    }
}
