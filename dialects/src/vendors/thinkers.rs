//! Models that think unless they are told not to, by the beginning of their names: several vendors and resellers have the same ones.
//!
//! Sources, read in November 2026: api-docs.deepseek.com/guides/thinking_mode, docs.z.ai/guides/capabilities/thinking,
//! platform.kimi.ai/docs/api/models-overview, platform.minimax.io/docs/api-reference/text-openai-api,
//! help.aliyun.com/en/model-studio/deep-thinking; github.com/theopenco/llmgateway/pull/3152 and …/3605 (probed), github.com/earendil-works/pi/pull/2769 (Qwen's
//! defaults), github.com/UKGovernmentBEIS/inspect_ai/pull/5152 (Kimi's choices of tools, probed).

/// A model that thinks unless it is told not to, or a family of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thinker {
    beginning: &'static str,
    /// True if it can be told not to; others refuse to be, or read past it.
    pub(crate) rests: bool,
    /// True if it can be made to call some tool while it thinks, where its vendor lets no other be.
    pub(crate) takes_required: bool,
}

const fn rests(beginning: &'static str) -> Thinker {
    Thinker { beginning, rests: true, takes_required: false }
}

const fn always(beginning: &'static str) -> Thinker {
    Thinker { rests: false, ..rests(beginning) }
}

/// The first that matches counts.
const MODELS: [Thinker; 21] = [
    rests("deepseek-v4"),
    always("deepseek-reasoner"),
    Thinker { takes_required: true, ..always("kimi-k3") },
    always("kimi-k2-thinking"),
    always("kimi-k2.7"),
    rests("kimi-k2.5"),
    rests("kimi-k2.6"),
    always("glm-5.3"),
    rests("glm-5"),
    rests("glm-4.5"),
    rests("glm-4.6"),
    rests("glm-4.7"),
    rests("minimax-m3"),
    always("minimax-m2"),
    rests("qwen3."),
    // With open weights; the commercial ones before 3.5 rest unless they are told to think.
    rests("qwen3-0.6b"),
    rests("qwen3-1.7b"),
    rests("qwen3-8b"),
    rests("qwen3-14b"),
    rests("qwen3-32b"),
    always("qwq"),
];

/// The model, without the folders that resellers put before it; `None`: it does not think unasked, or nobody has said.
pub(crate) fn thinker(model: &str) -> Option<&'static Thinker> {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    MODELS.iter().find(|row| name.starts_with(row.beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_matches_is_the_most_exact_one() {
        for (model, rests) in [
            ("deepseek-v4-flash", Some(true)),
            ("deepseek/deepseek-v4-pro", Some(true)),
            ("deepseek-chat", None),
            ("glm-5.2", Some(true)),
            ("z-ai/GLM-5.3-flash", Some(false)),
            ("kimi-k2-0905-preview", None),
            ("moonshotai/kimi-k2.6", Some(true)),
            ("kimi-k3", Some(false)),
            ("MiniMax-M3", Some(true)),
            ("MiniMax-M2.7", Some(false)),
            ("qwen3.7-plus", Some(true)),
            ("qwen3-max", None),
            ("gpt-5.6", None),
        ] {
            assert_eq!(thinker(model).map(|row| row.rests), rests, "{model}");
        }
    }
}
