//! Requests that a rule changes before anybody is asked, and conditions on how much a call asks for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::provider::Header;
use crate::rules::{self, validations};

/// Changes of a call before it is looked up in the cache, counted and sent: in the caller's own dialect, whoever answers. Everything
/// else of it stays as it came, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::REQUEST_EMPTY])))]
pub struct RequestChanges {
    /// Top-level fields that are put in where the call has none of that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub defaults: Vec<RequestField>,
    /// Top-level fields that are put in whatever the call says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub overrides: Vec<RequestField>,
    /// Names of top-level fields that are taken out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128), regex(pattern = patterns::FIELD_NAME)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub remove: Vec<String>,
    /// The most tokens that an answer may have: a call that lets it have more, or says nothing, lets it have so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_tokens_cap: Option<u64>,
    /// System text before what the call says to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub prepend: Option<String>,
    /// System text behind the system text of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub append: Option<String>,
    /// Headers towards providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<RequestHeaders>,
}

/// A top-level field of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestField {
    /// Its name in the caller's dialect, such as `temperature`.
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::FIELD_NAME))]
    pub field: String,
    /// Its value, as JSON in quotes, such as `"0.2"` or `'"flex"'`.
    #[schemars(length(min = 1, max = 8192))]
    pub value: String,
}

/// Headers of a call towards providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::HEADERS_ONCE])))]
pub struct RequestHeaders {
    /// Added, or written over what the caller sent. Not for keys: a key belongs in a pool's `credentials`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub set: Vec<Header>,
    /// Names of headers taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub remove: Vec<String>,
}

/// Conditions on how much a call asks for; all of them must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::COMPLEXITY_EMPTY])))]
pub struct Complexity {
    /// The prompt has at most so many tokens, by the gateway's estimate (about four letters each).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_input_tokens: Option<u64>,
    /// The conversation has at most so many turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_messages: Option<u64>,
    /// The call offers tools, or it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// There are images in it, or there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// The answer is to be streamed, or it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The model is asked to think first, or nothing is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<bool>,
}
