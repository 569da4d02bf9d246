//! Look-alikes: servers that speak OpenAI Chat Completions and are not OpenAI, by the host of their address.
//!
//! A row says where a server differs from what most of them take. What no row names is a server of an unknown make, which
//! gets the most careful form. Sources stand beside the rows, read in November 2026.

use std::collections::BTreeMap;

/// The policy for top-level fields on their way to a provider, by name.
pub type FieldPolicy = BTreeMap<String, FieldAction>;

/// The policy for a top-level field on its way to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldAction {
    /// It goes on as it is, also where a rule or a row would leave it out.
    Pass,
    /// It is left out.
    Drop,
    /// A call that has it is refused.
    Refuse,
    /// It goes on under another name.
    Rename(String),
}

/// The way in which the model's earlier thoughts go back to it, as `reasoning_content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningBack {
    /// No.
    Never,
    /// They go back where the caller has them.
    Sent,
    /// They go back where the caller has them, and empty in turns that call tools where he has not: the server refuses
    /// such a turn without the field.
    Required,
}

/// The place that instructions in mid-conversation go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemMessages {
    /// Into the one message at the beginning: many prompt templates take no other.
    First,
    /// They stay where they are.
    InPlace,
}

/// The way to speak to a look-alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookAlike {
    /// True if it takes text as a list of parts; else text alone is one string.
    pub content_lists: bool,
    /// The place that instructions in mid-conversation go to.
    pub system_messages: SystemMessages,
    /// The way in which the model's thoughts go back to it.
    pub reasoning: ReasoningBack,
    /// The values of `reasoning_effort` that it takes, whichever the model; `None`: as the table of models says.
    pub efforts: Option<&'static [&'static str]>,
    /// True if it has legacy Completions beside Chat Completions.
    pub completions: bool,
    /// The rules for top-level fields, in its own words.
    pub fields: &'static [(&'static str, HostFieldRule)],
}

/// A row's rule for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFieldRule {
    /// It is left out: the server refuses it, and it only steers.
    Drop,
    /// The server has another name for it.
    Rename(&'static str),
}

/// A server of an unknown make.
const UNKNOWN: LookAlike = LookAlike {
    content_lists: false,
    system_messages: SystemMessages::First,
    reasoning: ReasoningBack::Never,
    efforts: None,
    // vLLM, SGLang, llama.cpp, TGI, LM Studio and Ollama all have it.
    completions: true,
    fields: &[],
};

/// A server without legacy Completions.
const CHAT_ONLY: LookAlike = LookAlike { completions: false, ..UNKNOWN };

impl Default for LookAlike {
    fn default() -> Self {
        UNKNOWN
    }
}

const THINKS: LookAlike = LookAlike { reasoning: ReasoningBack::Required, ..CHAT_ONLY };

/// A host and all below it.
const HOSTS: [(&str, LookAlike); 10] = [
    // api-docs.deepseek.com/guides/thinking_mode: a turn that calls tools is refused without its `reasoning_content`,
    // and an empty one is taken; efforts `high` and `max` (lower ones are taken as `high`).
    ("api.deepseek.com", LookAlike { efforts: Some(&["low", "medium", "high", "max"]), ..THINKS }),
    // platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model: the same refusal; no efforts before K3.
    ("api.moonshot.ai", LookAlike { efforts: Some(&[]), ..THINKS }),
    ("api.moonshot.cn", LookAlike { efforts: Some(&[]), ..THINKS }),
    // docs.z.ai/guides/capabilities/thinking-mode: thoughts are taken back, and not asked for.
    ("api.z.ai", LookAlike { reasoning: ReasoningBack::Sent, efforts: Some(&[]), ..CHAT_ONLY }),
    ("open.bigmodel.cn", LookAlike { reasoning: ReasoningBack::Sent, efforts: Some(&[]), ..CHAT_ONLY }),
    // docs.mistral.ai/api/endpoint/chat: unknown fields are refused (422, `extra_forbidden`).
    (
        "api.mistral.ai",
        LookAlike {
            content_lists: true,
            fields: &[
                ("seed", HostFieldRule::Rename("random_seed")),
                ("max_completion_tokens", HostFieldRule::Rename("max_tokens")),
                ("stream_options", HostFieldRule::Drop),
                ("user", HostFieldRule::Drop),
                ("store", HostFieldRule::Drop),
                ("service_tier", HostFieldRule::Drop),
                ("top_k", HostFieldRule::Drop),
            ],
            ..CHAT_ONLY
        },
    ),
    // console.groq.com/docs/openai.
    ("api.groq.com", LookAlike { content_lists: true, fields: &[("top_k", HostFieldRule::Drop)], ..CHAT_ONLY }),
    // inference-docs.cerebras.ai/resources/openai: these are refused.
    (
        "api.cerebras.ai",
        LookAlike {
            fields: &[
                ("frequency_penalty", HostFieldRule::Drop),
                ("presence_penalty", HostFieldRule::Drop),
                ("service_tier", HostFieldRule::Drop),
                ("top_k", HostFieldRule::Drop),
            ],
            ..UNKNOWN
        },
    ),
    // openrouter.ai/docs/guides/best-practices/reasoning-tokens: any effort, mapped to what the model behind it takes.
    (
        "openrouter.ai",
        LookAlike {
            content_lists: true,
            system_messages: SystemMessages::InPlace,
            efforts: Some(&["minimal", "low", "medium", "high", "xhigh"]),
            ..UNKNOWN
        },
    ),
    // ai.google.dev/gemini-api/docs/openai.
    (
        "generativelanguage.googleapis.com",
        LookAlike { content_lists: true, efforts: Some(&["low", "medium", "high"]), ..UNKNOWN },
    ),
];

impl LookAlike {
    /// Its rules for fields, as a policy that a user's own goes over.
    #[must_use]
    pub fn policy(&self) -> FieldPolicy {
        let action = |rule: &HostFieldRule| match rule {
            HostFieldRule::Drop => FieldAction::Drop,
            HostFieldRule::Rename(to) => FieldAction::Rename((*to).to_owned()),
        };
        self.fields.iter().map(|(name, rule)| ((*name).to_owned(), action(rule))).collect()
    }
}

/// The way to speak to the look-alike at this host.
#[must_use]
pub fn look_alike(host: &str) -> LookAlike {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    HOSTS.iter().find(|(name, _)| below(name)).map_or(UNKNOWN, |(_, row)| *row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_those_below_it_are_known_and_no_other() {
        assert_eq!(look_alike("api.deepseek.com").reasoning, ReasoningBack::Required);
        assert_eq!(look_alike("EU.Api.DeepSeek.com.").reasoning, ReasoningBack::Required);
        for other in ["notapi.deepseek.com", "api.deepseek.com.example", "10.0.0.1", ""] {
            assert_eq!(look_alike(other), LookAlike::default(), "{other}");
        }
    }
}
