//! The settings that OpenAI's models take on Chat Completions, by the beginning of their name.
//!
//! Sources, read in November 2026: developers.openai.com/api/docs/models (limits), …/api/docs/guides/reasoning and the
//! API reference of `reasoning_effort` (efforts), and the refusals that the API gives ("Function tools with
//! reasoning_effort are not supported for … in /v1/chat/completions", since GPT-5.4; "Unsupported parameter: 'stop' is not
//! supported with this model", since o3, as github.com/huggingface/smolagents/issues/1868, github.com/BerriAI/litellm/issues/15244 and
//! github.com/crewAIInc/crewAI/issues/5144 tell them; for xAI's that reason, github.com/huggingface/smolagents/issues/1765).

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
    /// True if it takes `stop`.
    pub(crate) stops: bool,
    /// The most tokens that it answers with; `None`: nobody has said.
    pub(crate) max_output: Option<u64>,
}

impl OpenAi {
    /// True if it thinks before it answers.
    pub(crate) const fn reasons(&self) -> bool {
        !self.sampling || !self.efforts.is_empty()
    }
}

/// True if the model tells log probabilities: one that reasons does so at rest only.
pub(crate) fn takes_logprobs(model: &str) -> bool {
    let row = openai(model);
    row.sampling || row.efforts.contains(&"none")
}

/// True if the model takes `stop`. xAI's that do not reason wear the names of those that do.
pub(crate) fn takes_stops(model: &str) -> bool {
    openai(model).stops || known_by(model).contains("non-reasoning")
}

const fn any(beginning: &'static str) -> OpenAi {
    OpenAi { beginning, efforts: &[], beside_tools: Beside::Any, sampling: true, stops: true, max_output: None }
}

const fn plain(beginning: &'static str, max_output: u64) -> OpenAi {
    OpenAi { max_output: Some(max_output), ..any(beginning) }
}

const fn reasons(beginning: &'static str, efforts: &'static [&'static str], max_output: u64) -> OpenAi {
    OpenAi { efforts, sampling: false, stops: false, ..plain(beginning, max_output) }
}

/// One that reasons, from before those that refuse `stop`.
const fn stops(model: OpenAi) -> OpenAi {
    OpenAi { stops: true, ..model }
}

/// Open weights or another vendor's, which draws as it is told to.
const fn others(beginning: &'static str, efforts: &'static [&'static str], stops: bool) -> OpenAi {
    OpenAi { efforts, stops, ..any(beginning) }
}

const fn tools_at_rest(beginning: &'static str, efforts: &'static [&'static str]) -> OpenAi {
    OpenAi { beside_tools: Beside::OnlyNone, ..reasons(beginning, efforts, 128_000) }
}

/// The first that matches counts.
const MODELS: [OpenAi; 42] = [
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
    stops(reasons("o1-mini", &[], 65_536)),
    stops(reasons("o1-preview", &[], 32_768)),
    stops(reasons("o1", &["low", "medium", "high"], 100_000)),
    stops(reasons("o3-mini", &["low", "medium", "high"], 100_000)),
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
    others("gpt-oss", &["low", "medium", "high"], true),
    // xAI's that can be told; others refuse to be (docs.x.ai/developers/model-capabilities/text/reasoning, vercel/ai's `xai` 4.0).
    others("grok-4.3", &["none", "low", "medium", "high"], false),
    others("grok-4.5", &["low", "medium", "high"], false),
    others("grok-4.6", &["low", "medium", "high", "xhigh"], false),
    others("grok-4.7", &["low", "medium", "high", "xhigh"], false),
    others("grok-3-mini", &["low", "high"], false),
    others("grok-4", &[], false),
    others("grok-code", &[], false),
];

/// A model that the table does not know. It is sent no effort: left out, a model that reasons chooses for itself, while
/// one that does not would refuse every call.
const UNKNOWN: OpenAi = any("");

/// The name that a table knows a model by: without the folders that resellers put before it (`openai/gpt-4o`) and what
/// a fine-tuned model wears (`ft:gpt-4o:org::id`).
fn known_by(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix("ft:").unwrap_or(name)
}

/// True if the table knows the model for one that OpenAI itself has.
pub(crate) fn is_openais(model: &str) -> bool {
    openai(model).max_output.is_some()
}

/// The facts known of a model.
pub(crate) fn openai(model: &str) -> &'static OpenAi {
    let name = known_by(model);
    MODELS.iter().find(|row| name.starts_with(row.beginning)).unwrap_or(&UNKNOWN)
}
