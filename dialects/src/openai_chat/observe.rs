//! The observer of what passes: usage, first token, end and errors of a stream's chunks, and what a whole answer is
//! known by.
//!
//! Until the first token every chunk is read; after it only those that can hold usage, a finish or an error, found by their
//! words. A quote inside a JSON string is always escaped, so `"usage"` in an answer's text never looks like the key.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error;
use super::wire::{self, ChatUsage};
use crate::hub::{ProviderError, ServiceTier, Usage};
use crate::json::{Object, ROOT};
use crate::observe::{AnswerShape, Observed, SeenAnswer};
use crate::scan;
use crate::sse::Frame;

/// The marks of a whole answer.
pub(crate) const ANSWER: AnswerShape = AnswerShape {
    core: "choices",
    core_is_object: false,
    may_be_empty_beside: None,
    may_be_missing: false,
    usage: usage_of_whole,
    error: |body| error::decode(0, body),
    failure,
};

/// The error of one of the answers, as OpenRouter says that its own provider broke off.
fn failure(body: &[u8]) -> Option<ProviderError> {
    WORDS.error.find(body)?;
    let answer = serde_json::from_slice::<FailedAnswer<'_>>(body).ok()?;
    let choices = answer.choices.unwrap_or_default();
    choices.iter().find_map(ObservedChoice::failure).map(|failure| error::decode(0, failure.as_bytes()))
}

#[derive(Deserialize)]
struct FailedAnswer<'a> {
    #[serde(borrow)]
    choices: Option<Vec<ObservedChoice<'a>>>,
}

fn usage_of_whole(body: &[u8]) -> Option<SeenAnswer<'_>> {
    let beside = [&b"service_tier"[..], ANSWER.core.as_bytes()];
    let (seen, [tier, core]) = scan::counts_beside(body, (b"usage", beside), ChatUsage::PLACES).ok()?;
    let usage = seen.and_then(|seen| ChatUsage::read(&seen)).map(Usage::from);
    let usage = usage.map(|usage| Usage { tier: ServiceTier::of_json(tier), ..usage });
    Some(SeenAnswer { usage, core })
}

/// The words by which a chunk that says something is found.
struct Words {
    usage: Finder<'static>,
    error: Finder<'static>,
    finish: Finder<'static>,
    index: Finder<'static>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    usage: Finder::new(b"\"usage\""),
    error: Finder::new(b"\"error\""),
    finish: Finder::new(b"\"finish_reason\""),
    index: Finder::new(b"\"index\""),
});

/// Takes one chunk to what is known; true when it is nothing but the usage that was asked for.
pub(crate) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    let data = frame.data.trim_ascii();
    if data == b"[DONE]" {
        observed.ended = true;
        return false;
    }
    if observed.first_token && frame.name != b"error" && !says_more(data) {
        return false;
    }
    let Ok(chunk) = serde_json::from_slice::<ObservedChunk<'_>>(data) else {
        if frame.name == b"error" {
            observed.fail(|| error::decode(0, data));
        }
        return false;
    };
    if chunk.error.is_some() || frame.name == b"error" {
        observed.fail(|| error::decode(0, data));
        return false;
    }
    let choices = chunk.choices.unwrap_or_default();
    if let Some(failure) = choices.iter().find_map(ObservedChoice::failure) {
        observed.fail(|| error::decode(0, failure.as_bytes()));
        return false;
    }
    observed.tier = chunk.service_tier.or(observed.tier);
    choices.iter().for_each(|choice| observed.answer(choice.index(), choice.finishes()));
    observed.first_token = observed.first_token || choices.iter().any(ObservedChoice::says_something);
    if let Some(usage) = chunk.usage.and_then(wire::usage) {
        observed.usage = Some(usage);
        return choices.is_empty();
    }
    let within = wire::usage_within(choices.iter().map(|choice| choice.usage), chunk.x_groq);
    observed.usage = within.and_then(wire::usage).or(observed.usage);
    false
}

/// True if a chunk may hold more than a piece of the first answer.
fn says_more(data: &[u8]) -> bool {
    let said = |word: &Finder<'_>, nothing: &[u8]| {
        let length = word.needle().len();
        word.find_iter(data).any(|at| !stands_behind(nothing, data, at + length))
    };
    let words = &*WORDS;
    words.error.find(data).is_some()
        || said(&words.usage, b"null")
        // Most chunks go on with the first answer.
        || said(&words.finish, b"null")
        || said(&words.index, b"0")
}

/// True if a key's value begins so, the key ending at `at`.
fn stands_behind(value: &[u8], data: &[u8], at: usize) -> bool {
    let rest = data.get(at..).unwrap_or_default().trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(value))
}

#[derive(Deserialize)]
struct ObservedChunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<ObservedChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    service_tier: ServiceTier,
    error: Option<IgnoredAny>,
    /// Groq's own words.
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ObservedChoice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    /// Legacy Completions have it in a delta's place.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Moonshot has it here.
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl ObservedChoice<'_> {
    fn index(&self) -> u32 {
        self.index.and_then(|index| index.get().parse().ok()).unwrap_or(0)
    }

    /// The error of this answer alone, or nothing more than that there was one.
    fn failure(&self) -> Option<&str> {
        let named = self.finish_reason.is_some_and(|reason| reason.get() == "\"error\"");
        self.error.map(RawValue::get).or(named.then_some(""))
    }

    /// Some look-alikes give an empty reason with every chunk.
    fn finishes(&self) -> bool {
        self.finish_reason.is_some_and(|reason| !matches!(reason.get(), "null" | "\"\""))
    }

    /// True if it finishes, or its delta holds more than a role and empty values.
    fn says_something(&self) -> bool {
        let is_empty = |raw: &RawValue| matches!(raw.get(), "null" | "\"\"" | "[]" | "{}");
        self.finishes()
            || self.text.is_some_and(|text| !is_empty(text))
            || self
                .delta
                .and_then(|delta| Object::read(delta.get(), &ROOT).ok())
                .is_some_and(|delta| delta.members().any(|(name, raw)| name != "role" && !is_empty(raw)))
    }
}
