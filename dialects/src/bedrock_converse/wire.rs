//! The words that whole and streamed answers share: usage, and the reasons why an answer ended.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::content_policy;
use crate::hub::{ErrorKind, ProviderError, Stop, Usage};
use crate::json::Writer;
use crate::token_count;

/// Token counts as Converse writes them: what the prompt cache had a part in stands beside the input.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConverseUsage {
    #[serde(default, deserialize_with = "token_count::read")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cache_write_input_tokens: Option<u64>,
    cache_details: Option<Vec<CacheDetail>>,
}

/// The tokens written for one lifetime.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail {
    ttl: Option<String>,
    #[serde(default, deserialize_with = "token_count::read")]
    input_tokens: Option<u64>,
}

impl From<ConverseUsage> for Usage {
    fn from(wire: ConverseUsage) -> Self {
        let ConverseUsage {
            input_tokens,
            output_tokens,
            cache_read_input_tokens,
            cache_write_input_tokens,
            cache_details,
        } = wire;
        let (read, written) = (cache_read_input_tokens.unwrap_or(0), cache_write_input_tokens.unwrap_or(0));
        let hourly = cache_details.iter().flatten().filter(|detail| detail.ttl.as_deref() == Some("1h"));
        let hourly = hourly.filter_map(|detail| detail.input_tokens).fold(0, u64::saturating_add);
        Self {
            input: input_tokens.unwrap_or(0).saturating_add(read).saturating_add(written),
            cached_input: read,
            cache_write: written,
            cache_write_1h: hourly.min(written),
            output: output_tokens.unwrap_or(0),
            ..Self::default()
        }
    }
}

/// Writes the member `"usage":{…}`.
pub(super) fn write_usage(usage: &Usage, json: &mut Writer) {
    // The dialect counts neither audio nor images apart.
    let Usage {
        input,
        cached_input,
        cache_write,
        cache_write_1h,
        output,
        reasoning: _,
        audio_input: _,
        cached_audio: _,
        image_input: _,
        audio_output: _,
        image_output: _,
        longest_input: _,
        tier: _,
    } = usage;
    json.open_field("usage", b'{');
    json.value_field("inputTokens", input.saturating_sub(cached_input.saturating_add(*cache_write)));
    json.value_field("outputTokens", output);
    json.value_field("totalTokens", input.saturating_add(*output));
    if *cached_input > 0 {
        json.value_field("cacheReadInputTokens", cached_input);
    }
    if *cache_write > 0 {
        json.value_field("cacheWriteInputTokens", cache_write);
    }
    if *cache_write_1h > 0 {
        json.open_field("cacheDetails", b'[');
        json.open(b'{');
        json.text_field("ttl", "1h");
        json.value_field("inputTokens", cache_write_1h);
        json.close(b'}');
        json.close(b']');
    }
    json.close(b'}');
}

/// Writes the member `"metrics":{…}`, which clients take for granted: how long the model took, nobody here knows.
pub(super) fn write_metrics(json: &mut Writer) {
    json.open_field("metrics", b'{');
    json.value_field("latencyMs", 0_u64);
    json.close(b'}');
}

/// The `stopReason` of an answer in which a guardrail had a word.
pub(super) const GUARDED: &str = "guardrail_intervened";

/// Reads the `stopReason` of an answer in which a guardrail had a word, with what it tells of itself: where it has masked words and
/// no more, the answer is the model's.
pub(super) fn guarded_stop(trace: Option<&RawValue>, called: bool) -> Stop {
    match trace {
        Some(trace) if content_policy::masks_alone(trace.get().as_bytes()) => {
            if called {
                Stop::Tools
            } else {
                Stop::End
            }
        }
        _ => Stop::Refusal,
    }
}

/// Reads a `stopReason`. Some models there (OpenAI's) say a plain end beside a call, which nobody would run then.
pub(super) fn stop(word: &str, called: bool) -> Stop {
    match word {
        "end_turn" if called => Stop::Tools,
        "end_turn" => Stop::End,
        "max_tokens" => Stop::Length,
        "tool_use" => Stop::Tools,
        "stop_sequence" => Stop::Sequence(None),
        GUARDED | "content_filtered" => Stop::Refusal,
        "model_context_window_exceeded" => Stop::ContextLength,
        other => Stop::Other(other.to_owned()),
    }
}

/// The error that an answer is which can not be used, by its `stopReason`; `None`: it can.
pub(super) fn broken(word: &str) -> Option<ProviderError> {
    matches!(word, "malformed_tool_use" | "malformed_model_output").then(|| ProviderError {
        kind: ErrorKind::BadGateway,
        message: format!("the model's answer can not be used ({word})"),
        r#type: None,
        code: None,
        param: None,
    })
}

/// Writes a `stopReason`: what Converse has no word for becomes the nearest it has.
pub(super) fn stop_reason(stop: &Stop) -> &str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length | Stop::Pause => "max_tokens",
        Stop::Tools => "tool_use",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Refusal => "content_filtered",
        Stop::ContextLength => "model_context_window_exceeded",
        Stop::Other(word) => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_all_input_and_are_written_as_they_came() {
        let said = r#"{"inputTokens":5,"outputTokens":7,"totalTokens":32,"cacheReadInputTokens":12,"cacheWriteInputTokens":8,"cacheDetails":[{"ttl":"1h","inputTokens":6}]}"#;
        let wire: ConverseUsage =
            serde_json::from_str(&said.replace("[{", r#"[{"ttl":"5m","inputTokens":2},{"#)).unwrap();
        let usage = Usage::from(wire);
        let expected =
            Usage { input: 25, cached_input: 12, cache_write: 8, cache_write_1h: 6, output: 7, ..Usage::default() };
        assert_eq!(usage, expected);
        let mut json = Writer::default();
        json.open(b'{');
        write_usage(&usage, &mut json);
        json.close(b'}');
        assert_eq!(String::from_utf8(json.into_bytes()).unwrap(), format!("{{\"usage\":{said}}}"));
    }

    #[test]
    fn reasons_are_read_and_written() {
        for (word, stop_is, written) in [
            ("end_turn", Stop::End, "end_turn"),
            ("tool_use", Stop::Tools, "tool_use"),
            ("max_tokens", Stop::Length, "max_tokens"),
            ("stop_sequence", Stop::Sequence(None), "stop_sequence"),
            ("guardrail_intervened", Stop::Refusal, "content_filtered"),
            ("content_filtered", Stop::Refusal, "content_filtered"),
            ("model_context_window_exceeded", Stop::ContextLength, "model_context_window_exceeded"),
            ("new_reason", Stop::Other("new_reason".into()), "new_reason"),
        ] {
            assert_eq!((&stop(word, false), stop_reason(&stop(word, false))), (&stop_is, written), "{word}");
        }
        for (word, stop_is) in [("end_turn", Stop::Tools), ("tool_use", Stop::Tools), ("max_tokens", Stop::Length)] {
            assert_eq!(stop(word, true), stop_is, "{word} beside a call");
        }
    }
}
