//! The settings that OpenAI's models take on Chat Completions, by the beginning of their name.
//!
//! Sources, read in November 2026: developers.openai.com/api/docs/models (limits), …/api/docs/guides/reasoning and the
//! API reference of `reasoning_effort` (efforts), and the refusals that the API gives ("Function tools with
//! reasoning_effort are not supported for … in /v1/chat/completions", since GPT-5.4).

/// The efforts that may stand beside function tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Any.
    Any,
    /// Only `none`, which has to be said: the model's own default is refused too.
    OnlyNone,
}

/// A model, or a family of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenAi {
    beginning: &'static str,
    /// The values of `reasoning_effort` that it takes; none: it does not take the field.
    pub(crate) efforts: &'static [&'static str],
    /// The efforts that may stand beside function tools.
    pub(crate) beside_tools: Beside,
    /// True if it takes `temperature`, `top_p` and the penalties; models that reason do not.
    pub(crate) sampling: bool,
    /// The most tokens that it answers with; `None`: nobody has said.
    pub(crate) max_output: Option<u64>,
}

impl OpenAi {
    /// True if it thinks before it answers.
    pub(crate) const fn reasons(&self) -> bool {
        !self.sampling || !self.efforts.is_empty()
    }
}

const fn plain(beginning: &'static str, max_output: u64) -> OpenAi {
    OpenAi { beginning, efforts: &[], beside_tools: Beside::Any, sampling: true, max_output: Some(max_output) }
}

const fn reasons(beginning: &'static str, efforts: &'static [&'static str], max_output: u64) -> OpenAi {
    OpenAi { beginning, efforts, beside_tools: Beside::Any, sampling: false, max_output: Some(max_output) }
}

const fn tools_at_rest(beginning: &'static str, efforts: &'static [&'static str]) -> OpenAi {
    OpenAi { beside_tools: Beside::OnlyNone, ..reasons(beginning, efforts, 128_000) }
}

/// The first that matches counts.
const MODELS: [OpenAi; 36] = [
    plain("gpt-3.5", 4096),
    plain("gpt-4-turbo", 4096),
    plain("gpt-4-1106", 4096),
    plain("gpt-4-0125", 4096),
    plain("gpt-4o-2024-05-13", 4096),
    plain("gpt-4o", 16_384),
    plain("chatgpt-4o", 16_384),
    plain("gpt-4.1", 32_768),
    plain("gpt-4.5", 16_384),
    plain("gpt-4", 8192),
    reasons("o1-mini", &[], 65_536),
    reasons("o1-preview", &[], 32_768),
    reasons("o1", &["low", "medium", "high"], 100_000),
    reasons("o3", &["low", "medium", "high"], 100_000),
    reasons("o4", &["low", "medium", "high"], 100_000),
    plain("gpt-5-chat", 16_384),
    reasons("gpt-5.1-chat", &[], 16_384),
    reasons("gpt-5.2-chat", &[], 16_384),
    reasons("gpt-5.3-chat", &[], 16_384),
    reasons("gpt-5-pro", &["high"], 272_000),
    reasons("gpt-5-codex", &["low", "medium", "high"], 128_000),
    reasons("gpt-5.1-codex-max", &["low", "medium", "high", "xhigh"], 128_000),
    reasons("gpt-5.1-codex", &["low", "medium", "high"], 128_000),
    reasons("gpt-5.1", &["none", "low", "medium", "high"], 128_000),
    reasons("gpt-5.2-pro", &["medium", "high", "xhigh"], 128_000),
    reasons("gpt-5.2", &["none", "low", "medium", "high", "xhigh"], 128_000),
    reasons("gpt-5.3", &["low", "medium", "high", "xhigh"], 128_000),
    tools_at_rest("gpt-5.4", &["none", "low", "medium", "high", "xhigh"]),
    tools_at_rest("gpt-5.5", &["none", "low", "medium", "high", "xhigh"]),
    tools_at_rest("gpt-5.6", &["none", "low", "medium", "high", "xhigh", "max"]),
    // It can not be told to rest: callers of other dialects ask it by the Responses API.
    tools_at_rest("gpt-6-astra", &["low", "medium", "high", "xhigh", "max"]),
    tools_at_rest("gpt-6", &["none", "low", "medium", "high", "xhigh", "max"]),
    reasons("gpt-5", &["minimal", "low", "medium", "high"], 128_000),
    // Open weights, behind whichever server.
    OpenAi { max_output: None, sampling: true, ..reasons("gpt-oss", &["low", "medium", "high"], 0) },
    // xAI's that can be told; others refuse to be (docs.x.ai/developers/model-capabilities/text/reasoning, vercel/ai's `xai` 4.0).
    OpenAi { max_output: None, sampling: true, ..reasons("grok-4.3", &["none", "low", "medium", "high"], 0) },
    OpenAi { max_output: None, sampling: true, ..reasons("grok-3-mini", &["low", "high"], 0) },
];

/// A model that the table does not know. It is sent no effort: left out, a model that reasons chooses for itself, while
/// one that does not would refuse every call.
const UNKNOWN: OpenAi =
    OpenAi { beginning: "", efforts: &[], beside_tools: Beside::Any, sampling: true, max_output: None };

/// The name that a table knows a model by: without the folders that resellers put before it (`openai/gpt-4o`) and what
/// a fine-tuned model wears (`ft:gpt-4o:org::id`).
fn known_by(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix("ft:").unwrap_or(name)
}

/// The facts known of a model.
pub(crate) fn openai(model: &str) -> &'static OpenAi {
    let name = known_by(model);
    MODELS.iter().find(|row| name.starts_with(row.beginning)).unwrap_or(&UNKNOWN)
}
