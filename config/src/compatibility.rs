//! Where a provider differs from its dialect's vendor, as proxies run on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a provider differs from its dialect's vendor, beyond what is known of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// What becomes of top-level fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldAction>,
    /// What becomes of values of `anthropic-beta`, by name or, with `*` at its end, by its beginning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub betas: BTreeMap<String, BetaAction>,
    /// Whether tools that another vendor runs itself are left out rather than refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_server_tools: bool,
    /// Whether text may be a list of parts; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_lists: Option<bool>,
    /// Whether instructions in mid-conversation stay where they are; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_in_place: Option<bool>,
    /// Whether the model's thoughts go back to it; `None`: as is known of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<ReasoningContent>,
}

impl Compatibility {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a field.
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

/// What becomes of a beta.
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

/// Whether the model's thoughts go back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningContent {
    /// No.
    Never,
    /// Where the caller has them.
    Sent,
    /// Also empty in turns that call tools.
    Required,
}
