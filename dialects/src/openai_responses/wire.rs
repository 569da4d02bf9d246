//! Words whole and streamed answers share: usage, ids, why an answer ended.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call_id::{self, LONGEST_IN_ITEMS};
use crate::hub::{ServiceTier, Stop, Usage};
use crate::json::Writer;
use crate::scan::{self, Count, CountPlace, CountsFound};
use crate::token_count;

/// Usage as the Responses API writes it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ResponseUsage {
    #[serde(default, deserialize_with = "token_count::read")]
    input_tokens: Option<u64>,
    input_tokens_details: Option<ResponseInputDetails>,
    #[serde(default, deserialize_with = "token_count::read")]
    output_tokens: Option<u64>,
    output_tokens_details: Option<ResponseOutputDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct ResponseInputDetails {
    #[serde(default, deserialize_with = "token_count::read")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct ResponseOutputDetails {
    #[serde(default, deserialize_with = "token_count::read")]
    reasoning_tokens: Option<u64>,
}

impl ResponseUsage {
    /// The places of the counts on the wire, for [`Self::read`].
    pub(super) const PLACES: &'static scan::Names = &[
        (b"input_tokens", CountPlace::At(0)),
        (
            b"input_tokens_details",
            CountPlace::In(1, &[(b"cached_tokens".as_slice(), 2), (b"cache_write_tokens".as_slice(), 3)]),
        ),
        (b"output_tokens", CountPlace::At(4)),
        (b"output_tokens_details", CountPlace::In(5, &[(b"reasoning_tokens", 6)])),
    ];

    /// Reads a usage object that was looked at: mostly the look has seen all. `None`: it is none.
    pub(super) fn read(seen: &CountsFound<'_, 7>) -> Option<Self> {
        let Some([input, of_input, cached, written, output, of_output, reasoning]) = seen.plain else {
            return serde_json::from_slice(seen.json).ok();
        };
        Some(Self {
            input_tokens: input.number(),
            input_tokens_details: (of_input == Count::Object)
                .then(|| ResponseInputDetails { cached_tokens: cached.number(), cache_write_tokens: written.number() }),
            output_tokens: output.number(),
            output_tokens_details: (of_output == Count::Object)
                .then(|| ResponseOutputDetails { reasoning_tokens: reasoning.number() }),
        })
    }
}

impl From<ResponseUsage> for Usage {
    fn from(wire: ResponseUsage) -> Self {
        let ResponseUsage { input_tokens, input_tokens_details, output_tokens, output_tokens_details } = wire;
        let ResponseInputDetails { cached_tokens, cache_write_tokens } = input_tokens_details.unwrap_or_default();
        let ResponseOutputDetails { reasoning_tokens } = output_tokens_details.unwrap_or_default();
        Self {
            input: input_tokens.unwrap_or(0),
            cached_input: cached_tokens.unwrap_or(0),
            cache_write: cache_write_tokens.unwrap_or(0),
            cache_write_1h: 0,
            output: output_tokens.unwrap_or(0),
            reasoning: reasoning_tokens.unwrap_or(0),
            ..Self::default()
        }
    }
}

/// Reads a usage object; what is none is nothing.
pub(crate) fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: Option<ResponseUsage> = serde_json::from_str(raw.get()).ok()?;
    wire.map(Usage::from)
}

/// Reads the `usage` of an answer, with its `service_tier`, which stands beside it.
pub(super) fn usage_at(raw: &RawValue, tier: ServiceTier) -> Option<Usage> {
    usage(raw).map(|usage| Usage { tier, ..usage })
}

/// Writes a usage object.
pub(super) fn write_usage(usage: &Usage, json: &mut Writer) {
    // The dialect counts neither audio nor images apart.
    let Usage {
        input,
        cached_input,
        cache_write,
        cache_write_1h: _,
        output,
        reasoning,
        audio_input: _,
        cached_audio: _,
        image_input: _,
        audio_output: _,
        image_output: _,
        longest_input: _,
        tier: _,
    } = usage;
    json.open(b'{');
    json.value_field("input_tokens", input);
    json.open_field("input_tokens_details", b'{');
    json.value_field("cache_write_tokens", cache_write);
    json.value_field("cached_tokens", cached_input);
    json.close(b'}');
    json.value_field("output_tokens", output);
    json.open_field("output_tokens_details", b'{');
    json.value_field("reasoning_tokens", reasoning);
    json.close(b'}');
    json.value_field("total_tokens", input.saturating_add(*output));
    json.close(b'}');
}

/// The id of an answer that another dialect's id names.
pub(super) fn response_id(id: &str) -> Cow<'_, str> {
    if id.starts_with("resp_") {
        return Cow::Borrowed(id);
    }
    let bare = ["chatcmpl-", "chatcmpl_", "msg_", "gen-"].iter().find_map(|known| id.strip_prefix(known));
    Cow::Owned(format!("resp_{}", bare.unwrap_or(id)))
}

/// The id of an answer's item.
pub(super) fn item_id(kind: &str, response_id: &str, index: usize) -> String {
    let bare = response_id.strip_prefix("resp_").unwrap_or(response_id);
    let end = format!("_{index}");
    let room = LONGEST_IN_ITEMS.saturating_sub(kind.len() + 1 + end.len());
    format!("{kind}_{}{end}", call_id::short(bare, room))
}

/// The end of an answer: `status`, and `incomplete_details.reason` where it is not whole.
pub(super) fn status(stop: &Stop) -> (&'static str, Option<&'static str>) {
    match stop {
        Stop::End | Stop::Tools | Stop::Sequence(_) | Stop::Other(_) => ("completed", None),
        // A paused turn and a full context are answers that are not whole.
        Stop::Length | Stop::Pause | Stop::ContextLength => ("incomplete", Some("max_output_tokens")),
        Stop::Refusal => ("incomplete", Some("content_filter")),
    }
}

/// Reads how an answer ended.
pub(super) fn stop(status: &str, reason: Option<&str>, called_tools: bool) -> Stop {
    match (status, reason) {
        ("incomplete", Some("content_filter")) => Stop::Refusal,
        ("incomplete", _) => Stop::Length,
        _ if called_tools => Stop::Tools,
        _ => Stop::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_what_tells_answers_apart() {
        for (id, own) in
            [("resp_1", "resp_1"), ("chatcmpl-9x", "resp_9x"), ("msg_01A", "resp_01A"), ("", "resp_"), ("z", "resp_z")]
        {
            assert_eq!(response_id(id), own);
        }
        assert_eq!(item_id("msg", "resp_9x", 2), "msg_9x_2");
        // OpenAI refuses longer ones where the next turn goes to it.
        let long = |index| item_id("fc", &format!("resp_{}", "x".repeat(90)), index);
        assert_eq!((long(3).len(), long(3).get(..5)), (64, Some("fc_xx")));
        assert_ne!(long(3), item_id("fc", &format!("resp_{}y", "x".repeat(89)), 3));
    }

    #[test]
    fn ends_are_the_same_in_both_directions() {
        for end in [Stop::End, Stop::Length, Stop::Refusal] {
            let (status, reason) = status(&end);
            assert_eq!(stop(status, reason, false), end);
        }
        assert_eq!(stop("completed", None, true), Stop::Tools);
    }
}
