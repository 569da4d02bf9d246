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
    /// On the path of a call that the gateway has no words for. Such calls match nothing else, and this matches no other ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
}

/// A condition on the path of a call that passes unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// Paths that begin so; it ends in a slash.
    Prefix(String),
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

impl PathMatch {
    /// True if it holds of a path.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Prefix(prefix) => path.len() > prefix.len() && path.starts_with(prefix.as_str()),
        }
    }
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
