//! Conditions on labels, of namespaces and of consumers.

use serde::{Deserialize, Serialize};

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelMatch {
    /// The label's key.
    pub key: String,
    /// The test of the label's value.
    pub operator: LabelOperator,
    /// For `In` and `NotIn`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A test of a label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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

impl LabelMatch {
    /// True if it holds of a value; `None`: there is no such label. As `LabelSelector` of Kubernetes: `NotIn` also holds
    /// where there is none.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let is_listed = || value.is_some_and(|value| self.values.iter().any(|listed| listed == value));
        match self.operator {
            LabelOperator::In => is_listed(),
            LabelOperator::NotIn => !is_listed(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}
