//! The conditions by which a rule takes calls.

use serde::{Deserialize, Serialize};

use crate::access::ConsumerMatch;
use crate::request::Complexity;

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// On the model's name.
    pub model: Option<ModelMatch>,
    /// On headers, all of them.
    pub headers: Vec<HeaderMatch>,
    /// On the consumer that calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<ConsumerMatch>,
    /// On how much the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Complexity>,
}

/// A condition on the model's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelMatch {
    /// This name.
    Exact(String),
    /// Names that begin so.
    Prefix(String),
    /// Names that match (the compiler has checked it and anchored it on both sides).
    Regex(String),
}

/// A condition on one header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Lower case.
    pub name: String,
    /// On its value.
    pub value: HeaderValueMatch,
}

/// A condition on a header's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HeaderValueMatch {
    /// This value.
    Exact(String),
    /// Values that match (checked and anchored by the compiler).
    Regex(String),
    /// Any value, as long as the header is there.
    Present,
}
