//! The settings that vendors and look-alikes take and refuse, as tables of data with their sources, and pure functions
//! over them.
//!
//! Nothing here knows a wire: the dialects ask, and write. A wrong row is mended here, and here alone; a user overrides
//! one in the provider's `compatibility`.

mod attribution;
mod bedrock;
mod claude;
mod gemini;
mod kimi;
mod look_alikes;
mod openai;
mod policy;
mod thinkers;

pub(crate) use attribution::without_attribution;
pub(crate) use bedrock::{
    BedrockModel, ConverseThinking, ConverseTopK, ForcedCall, SignatureUse, bedrock, bedrock_mark, openais_name,
};
pub(crate) use claude::{Claude, SamplingTaken, ThinkingMode, claude, omits_thoughts, refuses_prefill};
pub(crate) use gemini::{Gemini, GeminiThinking, UNSIGNED, gemini};
pub(crate) use kimi::numbers_calls;
pub use look_alikes::{
    CallHabit, CallIds, HostFieldRule, KeyUse, LookAlike, MessageFields, OffWord, PrefillMark, ReasoningBack,
    SideOperation, SignaturePlace, SystemMessages, UsageHabit,
};
pub(crate) use openai::{Beside, is_openais, openai, takes_logprobs, takes_stops};
pub use policy::{FieldAction, FieldPolicy};
pub(crate) use thinkers::thinker;

/// The efforts that may be asked for, from little to much.
const EFFORTS: [&str; 6] = ["minimal", "low", "medium", "high", "xhigh", "max"];

/// The effort of those `known` that comes next to the `wanted` one: the highest that asks for no more, else the lowest.
/// `None`: none is known, or nobody knows the one that is wanted.
pub(crate) fn nearest(wanted: &str, known: &[&'static str]) -> Option<&'static str> {
    let rank = |effort: &str| EFFORTS.iter().position(|known| *known == effort);
    let most = rank(wanted)?;
    let ranked = || known.iter().filter_map(|effort| Some((rank(effort)?, *effort)));
    let below = ranked().filter(|(rank, _)| *rank <= most).max();
    below.or_else(|| ranked().min()).map(|(_, effort)| effort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_becomes_the_next_one_that_is_known() {
        for (wanted, known, effort) in [
            ("medium", &["low", "medium", "high"][..], Some("medium")),
            ("max", &["none", "low", "medium", "high", "xhigh"], Some("xhigh")),
            ("minimal", &["low", "medium", "high"], Some("low")),
            ("medium", &["high"], Some("high")),
            ("medium", &[], None),
            ("enormous", &["high"], None),
        ] {
            assert_eq!(nearest(wanted, known), effort, "{wanted} of {known:?}");
        }
    }

    #[test]
    fn resellers_and_fine_tuned_names_are_the_models_they_are_made_of() {
        assert_eq!(openai("openai/gpt-4o-mini").max_output, Some(16_384));
        assert_eq!(openai("ft:gpt-4o-2024-08-06:acme::x").max_output, Some(16_384));
        assert_eq!(openai("llama-4").max_output, None);
        assert_eq!(claude("anthropic/claude-3-haiku-20240307").max_output, Some(4096));
    }

    #[test]
    fn models_that_reason_take_no_stop_texts_since_o3() {
        for model in ["gpt-4o", "o1", "o3-mini", "gpt-5-chat-latest", "gpt-oss-120b", "grok-4-fast-non-reasoning", "q"]
        {
            assert!(takes_stops(model), "{model}");
        }
        for model in
            ["o3", "o4-mini", "openai/gpt-5.1", "gpt-5.5", "gpt-6-astra", "grok-4", "grok-4.3", "grok-code-fast-1"]
        {
            assert!(!takes_stops(model), "{model}");
        }
    }

    #[test]
    fn the_first_row_that_matches_is_the_most_exact_one() {
        for (model, efforts) in [
            ("gpt-4o", &[][..]),
            ("gpt-5", &["minimal", "low", "medium", "high"]),
            ("gpt-5-mini", &["minimal", "low", "medium", "high"]),
            ("gpt-5-pro", &["high"]),
            ("gpt-5.1", &["none", "low", "medium", "high"]),
            ("gpt-5.2-2025-12-11", &["none", "low", "medium", "high", "xhigh"]),
            ("o3-mini", &["low", "medium", "high"]),
            ("some-other-model", &[]),
        ] {
            assert_eq!(openai(model).efforts, efforts, "{model}");
        }
        for (model, thinking) in [
            ("claude-3-7-sonnet-latest", ThinkingMode::Budget),
            ("claude-3-5-haiku-latest", ThinkingMode::Never),
            ("claude-opus-4-1", ThinkingMode::Budget),
            ("claude-opus-4-6", ThinkingMode::Adaptive),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", ThinkingMode::Budget),
            ("claude-of-tomorrow", ThinkingMode::Adaptive),
        ] {
            assert_eq!(claude(model).thinking, thinking, "{model}");
        }
    }
}
