//! The observer of what passes: usage, first token, finish and errors of a stream's events, and what a whole answer is
//! known by.
//!
//! Every event tells what was used so far, so every one is read, but for what is said in it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error;
use super::wire::UsageMetadata;
use crate::hub::Usage;
use crate::observe::{AnswerShape, Observed, SeenAnswer};
use crate::scan;
use crate::sse::Frame;

/// The marks of a whole answer: a prompt that was blocked has no candidates.
pub(super) const ANSWER: AnswerShape = AnswerShape {
    core: "candidates",
    core_is_object: false,
    may_be_empty_beside: Some("promptFeedback"),
    may_be_missing: true,
    usage: usage_of_whole,
    error: |body| error::decode(0, body),
    failure: |_| None,
};

fn usage_of_whole(body: &[u8]) -> Option<SeenAnswer<'_>> {
    let (mut usage, mut core): (_, &[u8]) = (None, b"");
    scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        match name {
            b"usageMetadata" => usage = serde_json::from_slice::<Option<UsageMetadata>>(value).ok().flatten(),
            _ if name == ANSWER.core.as_bytes() => core = value,
            _ => {}
        }
    })
    .ok()?;
    Some(SeenAnswer { usage: usage.map(Usage::from), core })
}

/// Takes one event to what is known. None of them is there for the usage alone.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    let data = frame.data.trim_ascii();
    let Ok(event) = serde_json::from_slice::<ObservedEvent<'_>>(data) else { return false };
    let ObservedEvent { candidates, prompt_feedback, usage_metadata, error } = event;
    if error.is_some() {
        observed.fail(|| error::decode(0, data));
        return false;
    }
    for candidate in candidates.iter().flatten() {
        observed.answer(candidate.index.unwrap_or(0), candidate.finishes());
        observed.first_token = observed.first_token || candidate.says_something();
    }
    if candidates.is_none() && prompt_feedback.is_some_and(|feedback| feedback.get().contains("\"blockReason\"")) {
        observed.answer(0, true);
        observed.first_token = true;
    }
    if let Some(usage) = usage_metadata {
        observed.usage = Some(usage.into());
    }
    false
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObservedEvent<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<ObservedCandidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<&'a RawValue>,
    usage_metadata: Option<UsageMetadata>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObservedCandidate<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    content: Option<ObservedContent<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ObservedContent<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ObservedText<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

impl ObservedCandidate<'_> {
    fn finishes(&self) -> bool {
        self.finish_reason.is_some_and(|reason| !matches!(reason.get(), "null" | "\"\""))
    }

    /// True if it finishes, or a part of it is more than an empty text.
    fn says_something(&self) -> bool {
        let says = |part: &&RawValue| {
            serde_json::from_str::<ObservedText<'_>>(part.get())
                .is_ok_and(|part| part.text.is_none_or(|text| text.get() != "\"\""))
        };
        self.finishes()
            || self
                .content
                .as_ref()
                .and_then(|content| content.parts.as_ref())
                .is_some_and(|parts| parts.iter().any(says))
    }
}
