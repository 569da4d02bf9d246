//! The callers that routes are for, as routes say it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::labels::LabelMatch;

/// A selector of consumers: everything in here must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerMatch {
    /// Of these namespaces, sorted.
    pub namespaces: Vec<String>,
    /// Of these names, sorted; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Of labels that are so, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelMatch>,
}

/// The callers that a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// With a key or without.
    Anyone,
    /// Every consumer.
    Known,
    /// These consumers.
    Selector(ConsumerMatch),
}

impl ConsumerMatch {
    /// True if it holds of a consumer.
    #[must_use]
    pub fn holds(&self, (namespace, name): (&str, &str), labels: &BTreeMap<String, String>) -> bool {
        let is_named = self.names.is_empty() || self.names.iter().any(|one| one == name);
        let is_there = self.namespaces.iter().any(|one| one == namespace);
        is_named && is_there && self.labels.iter().all(|one| one.holds(labels.get(&one.key).map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelOperator;

    #[test]
    fn everything_that_a_selector_says_must_hold() {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let team = |value: &str| LabelMatch {
            key: "team".to_owned(),
            operator: LabelOperator::In,
            values: vec![value.to_owned()],
        };
        let select = |names: &[&str], labels: Vec<LabelMatch>| ConsumerMatch {
            namespaces: vec!["x".to_owned()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            labels,
        };
        for (selector, namespace, expected) in [
            (select(&[], vec![]), "x", true),
            (select(&[], vec![]), "y", false),
            (select(&["bob", "eve"], vec![team("a")]), "x", true),
            (select(&["eve"], vec![team("a")]), "x", false),
            (select(&["bob"], vec![team("b")]), "x", false),
        ] {
            assert_eq!(selector.holds((namespace, "bob"), &labels), expected, "{selector:?}");
        }
    }
}
