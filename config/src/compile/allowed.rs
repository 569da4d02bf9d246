//! The pools that the routes of a namespace may name.

use std::collections::BTreeMap;

use sluicegate_crds::{self as crds, rules};

use super::inputs::{Inputs, Labels};
use super::kubernetes_names;
use super::report::Report;
use crate::{AllowedRoutes, LabelMatch, LabelOperator, ObjectId, Pool};

/// The label with a namespace's own name; an API server keeps it on every one.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The pools as a namespace sees them. What it may not name is not there for it.
pub(super) struct Reachable<'a> {
    namespace: &'a str,
    labels: Option<&'a Labels>,
    pools: &'a BTreeMap<ObjectId, Pool>,
}

impl<'a> Reachable<'a> {
    pub(super) fn new(namespace: &'a str, inputs: &'a Inputs<'_>, pools: &'a BTreeMap<ObjectId, Pool>) -> Self {
        Self { namespace, labels: inputs.namespaces.get(namespace), pools }
    }

    /// A pool that exists and lets this namespace in.
    pub(super) fn get(&self, id: &ObjectId) -> Option<&'a Pool> {
        let pool = self.pools.get(id)?;
        (self.is_own(id) || self.is_let_in(&pool.allowed_routes)).then_some(pool)
    }

    /// True if a pool is of this namespace.
    pub(super) fn is_own(&self, id: &ObjectId) -> bool {
        id.0.split_once('/').is_some_and(|(namespace, _)| namespace == self.namespace)
    }

    pub(super) const fn namespace(&self) -> &'a str {
        self.namespace
    }

    fn is_let_in(&self, allowed: &AllowedRoutes) -> bool {
        match allowed {
            AllowedRoutes::Same => false,
            AllowedRoutes::All => true,
            AllowedRoutes::Selector(matches) => matches.iter().all(|one| one.holds(self.label(&one.key))),
        }
    }

    fn label(&self, key: &str) -> Option<&str> {
        if key == NAME_LABEL {
            return Some(self.namespace);
        }
        self.labels?.get(key).map(String::as_str)
    }
}

/// Compiles what a pool says about the routes that may name it; what is wrong about it is told by its rules.
pub(super) fn compile(spec: &crds::AllowedRoutes) -> AllowedRoutes {
    let crds::RouteNamespaces { from, selector } = &spec.namespaces;
    match (from, selector) {
        (crds::NamespacesFrom::Same, _) | (crds::NamespacesFrom::Selector, None) => AllowedRoutes::Same,
        (crds::NamespacesFrom::All, _) => AllowedRoutes::All,
        (crds::NamespacesFrom::Selector, Some(selector)) => AllowedRoutes::Selector(matches(selector)),
    }
}

fn matches(selector: &crds::LabelSelector) -> Vec<LabelMatch> {
    let crds::LabelSelector { match_labels, match_expressions } = selector;
    labels(match_labels, match_expressions)
}

/// Says what is wrong with a requirement on a label.
pub(super) fn check(one: &crds::LabelRequirement, path: &str, report: &mut Report<'_>) {
    let takes_values = matches!(one.operator, crds::LabelOperator::In | crds::LabelOperator::NotIn);
    report.rule(path, rules::SELECTOR_VALUES, takes_values != one.values.is_empty());
    kubernetes_names::label_key(&one.key, &format!("{path}.key"), report);
    for (index, value) in one.values.iter().enumerate() {
        kubernetes_names::label_value(value, &format!("{path}.values[{index}]"), report);
    }
}

/// Labels and requirements on labels as one list of conditions.
pub(super) fn labels(match_labels: &Labels, match_expressions: &[crds::LabelRequirement]) -> Vec<LabelMatch> {
    let exact = match_labels.iter().map(|(key, value)| LabelMatch {
        key: key.clone(),
        operator: LabelOperator::In,
        values: vec![value.clone()],
    });
    let expressions = match_expressions.iter().map(|crds::LabelRequirement { key, operator, values }| {
        let mut values = values.clone();
        values.sort_unstable();
        values.dedup();
        let operator = match operator {
            crds::LabelOperator::In => LabelOperator::In,
            crds::LabelOperator::NotIn => LabelOperator::NotIn,
            crds::LabelOperator::Exists => LabelOperator::Exists,
            crds::LabelOperator::DoesNotExist => LabelOperator::DoesNotExist,
        };
        LabelMatch { key: key.clone(), operator, values }
    });
    exact.chain(expressions).collect()
}
