//! Ids of tool calls as Moonshot's models have learnt them.
//!
//! Sources: github.com/MoonshotAI/Kimi-K2, docs/tool_call_guidance.md (`functions.NAME:NUMBER`, the number counts all calls of the
//! conversation); github.com/getkimchi/kimchi/pull/1066 (replayed: with other ids nine of ten turns ended without a call, with these none),
//! github.com/sgl-project/sglang/pull/10607 (the number has to go on counting).

/// True if a model, wherever it runs, ends its turn or writes its next call as text where the calls before have other ids than it gives.
/// Kimi K3, whose ids begin anew in each turn, takes any.
pub(crate) fn numbers_calls(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.get(..FAMILY.len()).is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
}

const FAMILY: &str = "kimi-k2";

#[cfg(test)]
mod tests {
    use super::numbers_calls;

    #[test]
    fn a_model_is_known_by_the_beginning_of_its_name() {
        for model in ["kimi-k2-0905-preview", "moonshotai/Kimi-K2-Thinking", "accounts/fireworks/models/kimi-k2p6"] {
            assert!(numbers_calls(model), "{model}");
        }
        for model in ["kimi-k3", "kimi-latest", "", "kimi", "gpt-5.6"] {
            assert!(!numbers_calls(model), "{model}");
        }
    }
}
