//! The routes that may name a pool: those of its own namespace, of all, or of namespaces chosen by their labels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{self, validations};

/// The routes that may name a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AllowedRoutes {
    /// By the namespaces they are in.
    pub namespaces: RouteNamespaces,
}

/// Namespaces of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::SELECTOR_WITH_FROM])))]
pub struct RouteNamespaces {
    /// `Same` (the pool's own), `All`, or `Selector` (the pool's own, and those whose labels match `selector`). Default:
    /// `Same`.
    pub from: NamespacesFrom,
    /// For `Selector`: the labels a namespace must have. An empty one takes every namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// The namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub enum NamespacesFrom {
    /// The pool's own.
    #[default]
    Same,
    /// All of them.
    All,
    /// The pool's own, and those whose labels match.
    Selector,
}

/// A test of labels: everything in here must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = label_value()))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

pub(crate) fn label_value() -> serde_json::Value {
    serde_json::json!({"type": "string", "maxLength": 63})
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::SELECTOR_VALUES])))]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// `In` (its value is one of `values`), `NotIn` (it is none of them, or there is no such label), `Exists` or
    /// `DoesNotExist`.
    pub operator: LabelOperator,
    /// For `In` and `NotIn`: the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<String>,
}

/// A test of a label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// Its value is one of these.
    In,
    /// It is none of them, or there is no such label.
    NotIn,
    /// It is there.
    Exists,
    /// It is not.
    DoesNotExist,
}
