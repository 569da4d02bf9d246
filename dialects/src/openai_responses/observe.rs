//! The observer's part: usage, first token, end and errors of a stream's events, and what a whole answer is known by.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error;
use super::wire::{self, ResponseUsage};
use crate::codec::AnswerName;
use crate::hub::{ProviderError, ServiceTier, Usage};
use crate::observe::{AnswerShape, Observed, SeenAnswer};
use crate::scan;
use crate::sse::Frame;

/// The signs of a whole answer. One that is made in the background says its status and nothing yet.
pub(super) const ANSWER: AnswerShape = AnswerShape {
    core: "output",
    core_is_object: false,
    may_be_empty_beside: Some("status"),
    may_be_missing: false,
    usage: usage_of_whole,
    error: error::decode_said,
    failure,
};

fn failure(body: &[u8]) -> Option<ProviderError> {
    memchr::memmem::find(body, b"\"failed\"")?;
    let (mut failed, mut said) = (false, false);
    scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        failed |= name == b"status" && value == b"\"failed\"";
        said |= name == b"error" && value != b"null";
    })
    .ok()?;
    (failed && said).then(|| error::decode_said(body))
}

fn usage_of_whole(body: &[u8]) -> Option<SeenAnswer<'_>> {
    let beside = [&b"service_tier"[..], ANSWER.core.as_bytes()];
    let (seen, [tier, core]) = scan::counts_beside(body, (b"usage", beside), ResponseUsage::PLACES).ok()?;
    let usage = seen.and_then(|seen| ResponseUsage::read(&seen)).map(Usage::from);
    let usage = usage.map(|usage| Usage { tier: ServiceTier::of_json(tier), ..usage });
    Some(SeenAnswer { usage, core })
}

#[derive(Deserialize)]
struct ObservedName<'a> {
    #[serde(borrow)]
    r#type: &'a str,
}

#[derive(Deserialize)]
struct ObservedEnding<'a> {
    #[serde(borrow)]
    response: Option<ObservedResponse<'a>>,
}

#[derive(Deserialize)]
struct ObservedResponse<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    service_tier: ServiceTier,
}

#[derive(Deserialize)]
struct ObservedBeginning {
    response: ObservedAnswer,
}

#[derive(Deserialize)]
struct ObservedAnswer {
    id: String,
    #[serde(default)]
    model: String,
    created_at: Option<u64>,
}

#[derive(Deserialize)]
struct ObservedItem<'a> {
    #[serde(borrow)]
    item: ObservedName<'a>,
}

/// The number of an event: a quote inside a text is always escaped, so no text looks like it.
static NUMBER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"sequence_number\":"));

fn number(data: &[u8]) -> Option<u64> {
    let at = NUMBER.find(data)? + NUMBER.needle().len();
    let rest = data.get(at..)?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

/// Takes one event to what is known; no event is nothing but usage.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    observed.number = observed.number.max(number(frame.data));
    match frame.name {
        // An event without a name has it in its data.
        b"" | b"message" => {
            if let Ok(ObservedName { r#type }) = serde_json::from_slice(frame.data) {
                named(observed, r#type.as_bytes(), frame.data);
            }
        }
        name => named(observed, name, frame.data),
    }
    false
}

fn named(observed: &mut Observed, name: &[u8], data: &[u8]) {
    match name {
        // What is told of the answer before it begins holds for one that is cut.
        b"response.created" | b"response.in_progress" => {
            if let Ok(ObservedEnding { response: Some(response) }) = serde_json::from_slice(data) {
                observed.tier = response.service_tier.or(observed.tier);
            }
            if let Ok(ObservedBeginning { response }) = serde_json::from_slice(data) {
                let ObservedAnswer { id, model, created_at } = response;
                observed.answer.get_or_insert_with(|| AnswerName { id, model, created: created_at }.into());
            }
        }
        b"response.completed" | b"response.incomplete" => {
            // Half an event is no end, whatever its name is.
            let Ok(ObservedEnding { response }) = serde_json::from_slice(data) else { return };
            if let Some(ObservedResponse { usage: Some(raw), service_tier }) = response {
                observed.usage = wire::usage_at(raw, service_tier).or(observed.usage);
            }
            (observed.first_token, observed.ended) = (true, true);
            observed.answer(0, true);
        }
        // The answer that failed is told behind the error.
        b"error" => {
            observed.fail(|| error::decode_said(data));
            observed.error_goes_on = true;
        }
        b"response.failed" => {
            if let Ok(ObservedEnding { response: Some(ObservedResponse { usage: Some(raw), service_tier }) }) =
                serde_json::from_slice(data)
            {
                observed.usage = wire::usage_at(raw, service_tier).or(observed.usage);
            }
            observed.fail(|| error::decode_said(data));
            observed.error_goes_on = false;
        }
        b"response.output_item.done" => observed.first_token = true,
        b"response.output_item.added" if !observed.first_token => {
            // Messages and thoughts begin empty; every other item begins with something: a tool's name, a search.
            observed.first_token = serde_json::from_slice(data)
                .is_ok_and(|added: ObservedItem<'_>| !matches!(added.item.r#type, "message" | "reasoning"));
        }
        name if name.ends_with(b".delta") => observed.first_token = true,
        _ => {}
    }
}
