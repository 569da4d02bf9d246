//! A provider's differences from its dialect's vendor, as proxies run on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A provider's differences from its dialect's vendor, beyond what is known of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// The look-alike that it is, by name; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The policy for top-level fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldAction>,
    /// The policy for values of `anthropic-beta`, by name or, with `*` at its end, by its beginning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub betas: BTreeMap<String, BetaAction>,
    /// True if tools that another vendor runs itself are left out rather than refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_server_tools: bool,
    /// True if they are refused, each of them; else a search of the web that a model need not use is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuse_server_tools: bool,
    /// True if text may be a list of parts; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_lists: Option<bool>,
    /// True if instructions in mid-conversation stay where they are; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_in_place: Option<bool>,
    /// The policy for sending the model's thoughts back to it; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<ReasoningContent>,
}

impl Compatibility {
    /// True if nothing differs.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The policy for a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldAction {
    /// It goes on, also where the translation would leave it out.
    Pass,
    /// It is left out.
    Drop,
    /// A call that has it is refused.
    Refuse,
    /// It goes on under this name.
    Rename(String),
}

/// The policy for a beta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BetaAction {
    /// It goes on.
    Pass,
    /// It is left out.
    Drop,
    /// A call that has it is refused.
    Refuse,
}

/// The policy for sending the model's thoughts back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningContent {
    /// No.
    Never,
    /// Sent where the caller has them.
    Sent,
    /// Also empty in turns that call tools.
    Required,
}
