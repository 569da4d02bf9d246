//! The reasons why an answer ends: one table, read in both directions.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::Stop;

/// `stop_details`, as far as others have words for it.
#[derive(Deserialize)]
struct StopDetails {
    explanation: Option<String>,
}

/// The words in which a refusal says why, which is all that an answer of nothing else says; `None`: there are none.
pub(super) fn explanation(stop: &Stop, details: Option<&RawValue>) -> Option<String> {
    let details = details.filter(|_| *stop == Stop::Refusal)?;
    let StopDetails { explanation } = serde_json::from_str(details.get()).ok()?;
    explanation.filter(|text| !text.trim().is_empty())
}

/// Reads `stop_reason` with the `stop_sequence` beside it.
pub(super) fn read(reason: &str, sequence: Option<String>) -> Stop {
    match reason {
        // Look-alikes that give no reason give an empty one.
        "end_turn" | "" => Stop::End,
        "max_tokens" => Stop::Length,
        "stop_sequence" => Stop::Sequence(sequence),
        "tool_use" => Stop::Tools,
        "pause_turn" => Stop::Pause,
        "refusal" => Stop::Refusal,
        "model_context_window_exceeded" => Stop::ContextLength,
        other => Stop::Other(other.to_owned()),
    }
}

/// Writes `stop_reason` and `stop_sequence`. A plain end of an answer that holds a refusal is a `refusal`: other dialects
/// say that in the content. Where no tool is called nobody is to wait for a call.
pub(super) fn write(stop: &Stop, refused: bool, called: bool) -> (&str, Option<&str>) {
    match stop {
        Stop::Tools if called => ("tool_use", None),
        Stop::End | Stop::Tools if refused => ("refusal", None),
        Stop::End | Stop::Tools => ("end_turn", None),
        Stop::Length => ("max_tokens", None),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.as_deref()),
        Stop::Refusal => ("refusal", None),
        Stop::Pause => ("pause_turn", None),
        Stop::ContextLength => ("model_context_window_exceeded", None),
        Stop::Other(word) => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reason_is_a_plain_end_and_an_unknown_one_passes() {
        assert_eq!(read("", Some("x".to_owned())), Stop::End);
        assert_eq!(write(&read("new_reason", None), false, false), ("new_reason", None));
    }

    #[test]
    fn a_tool_is_the_reason_only_where_one_is_called() {
        assert_eq!(write(&Stop::Tools, false, true), ("tool_use", None));
        assert_eq!(write(&Stop::Tools, false, false), ("end_turn", None));
        assert_eq!(write(&Stop::Tools, true, false), ("refusal", None));
    }
}
