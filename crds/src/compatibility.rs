//! A provider's differences from its dialect's vendor: fields that it refuses, words that it has another name for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};

/// A provider's differences from its dialect's vendor. The gateway knows many by the host of their address
/// (docs/providers.md); what is said here goes over that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compatibility {
    /// The look-alike that it is, by its name in docs/providers.md, such as `vLLM` or `Mistral`, where its host does not say so;
    /// for type `OpenAICompatible`. Proxies that know none of that name reject the pool. Left out: as its host is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = patterns::PROFILE))]
    pub profile: Option<String>,
    /// The policy for top-level fields of the requests it is sent, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<FieldRule>,
    /// The policy for values of a caller's header `anthropic-beta`, by name; for type `Anthropic`. What is not named
    /// passes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub betas: Vec<BetaRule>,
    /// True if tools that another vendor runs itself are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tools: Option<ServerTools>,
    /// The form of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentForm>,
    /// The place of instructions in mid-conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_messages: Option<SystemMessages>,
    /// The policy for sending the model's thoughts back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<ReasoningContent>,
}

/// The policy for a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::FIELD_TO, rules::FIELD_RESERVED])))]
pub struct FieldRule {
    /// The field, such as `context_management`.
    #[schemars(length(min = 1, max = 64), regex(pattern = crate::patterns::FIELD_NAME))]
    pub name: String,
    /// `Pass` (it goes on as it is, also where the translation would leave it out), `Drop` (it is left out), `Refuse`
    /// (a call that has it is not sent here; with no other provider left the caller gets status 400) or `Rename` (it
    /// goes on as `to`).
    pub action: FieldAction,
    /// For the action `Rename`: the provider's name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = crate::patterns::FIELD_NAME))]
    pub to: Option<String>,
}

/// The policy for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FieldAction {
    /// It goes on as it is.
    Pass,
    /// It is left out.
    Drop,
    /// A call that has it is refused.
    Refuse,
    /// It goes on under another name.
    Rename,
}

/// The policy for a beta.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BetaRule {
    /// The value, such as `context-management-2025-06-27`; with `*` at its end all that begin so. The longest that matches
    /// counts.
    #[schemars(length(min = 1, max = 128), regex(pattern = crate::patterns::BETA))]
    pub name: String,
    /// `Pass` (it goes on), `Drop` (it is left out) or `Refuse` (a call that has it is not sent here).
    pub action: BetaAction,
}

/// The policy for a beta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BetaAction {
    /// It goes on.
    Pass,
    /// It is left out.
    Drop,
    /// A call that has it is refused.
    Refuse,
}

/// Tools that the caller's vendor runs itself, such as code execution, where this provider has none: `Refuse` (status 400,
/// naming the tool) or `Drop` (the call goes without them). Left out: `Refuse`, but for OpenAI's `web_search`, which agents
/// offer with every call: without it the call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerTools {
    /// The call is refused.
    Refuse,
    /// The call goes without them.
    Drop,
}

/// Text in translated calls: `Text` (one string) or `Parts` (a list of parts where there are several); for type
/// `OpenAICompatible`. Left out: as the host is known, else `Text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ContentForm {
    /// As one string.
    Text,
    /// As a list of parts where there are several.
    Parts,
}

/// Instructions in mid-conversation in translated calls: `First` (they join the message at the beginning) or `InPlace`; for
/// type `OpenAICompatible`. Left out: as the host is known, else `First`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SystemMessages {
    /// Into the message at the beginning.
    First,
    /// They stay where they are.
    InPlace,
}

/// The model's earlier thoughts in translated calls, as `reasoning_content`: `Never`, `Sent` (where the caller has them) or
/// `Required` (also empty in turns that call tools, for servers that refuse such a turn without the field); for type
/// `OpenAICompatible`. Left out: as the host is known, else `Never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReasoningContent {
    /// No.
    Never,
    /// Sent where the caller has them.
    Sent,
    /// Also empty in turns that call tools.
    Required,
}
