//! The consumers that a route is for, and those that a match means.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::allowed::{LabelRequirement, label_value};
use crate::rules::{self, validations};

/// A selector of consumers: everything that is written here must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::CONSUMERS_EMPTY])))]
pub struct ConsumerSelector {
    /// The namespaces that they are in. Left out: that of the resource itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Their names, any of these. Left out: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<String>,
    /// Labels (of `spec.labels`) with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = label_value()))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// The callers that a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::ACCESS_SELECTOR])))]
pub struct Access {
    /// `Anyone`, `Known` (every consumer of the gateway), or `Selector` (the consumers that `selector` selects).
    pub from: AccessFrom,
    /// For `Selector`: the consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<ConsumerSelector>,
}

/// Callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessFrom {
    /// With a key or without.
    Anyone,
    /// Every consumer of the gateway.
    Known,
    /// The consumers that are selected.
    Selector,
}
