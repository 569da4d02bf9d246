//! Requests that a rule changes, and conditions on how much a call asks for, compiled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Changes of a call before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestChanges {
    /// Top-level fields, and their values in JSON, where the call has none of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<String, String>,
    /// The same, whatever the call says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
    /// Top-level fields that are taken out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// The most tokens that an answer may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// System text before what the call says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepend: Option<String>,
    /// System text behind that of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
    /// Headers added to or replaced in the request, lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, String>,
    /// Headers taken out of the request, lower case, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_headers: Vec<String>,
}

/// Conditions on how much a call asks for; all of them must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Complexity {
    /// The prompt has at most so many tokens, about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The conversation has at most so many turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// It offers tools, or does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// There are images in it, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// The answer is streamed, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The model is asked to think, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<bool>,
}
