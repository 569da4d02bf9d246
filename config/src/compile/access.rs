//! The callers that a route is for, and the consumers that a match means.

use sluicegate_crds::{self as crds, rules};

use super::report::Report;
use super::{allowed, kubernetes_names};
use crate::{Access, ConsumerMatch};

/// Compiles the callers of a route in a namespace.
pub(super) fn compile(spec: &crds::Access, namespace: &str, report: &mut Report<'_>) -> Access {
    let crds::Access { from, selector } = spec;
    let is_selector = *from == crds::AccessFrom::Selector;
    report.rule("spec.access", rules::ACCESS_SELECTOR, is_selector == selector.is_some());
    let selected = selector.as_ref().map(|selector| consumers(selector, namespace, "spec.access.selector", report));
    match (from, selected) {
        (crds::AccessFrom::Anyone, _) => Access::Anyone,
        (crds::AccessFrom::Selector, Some(selected)) => Access::Selector(selected),
        (crds::AccessFrom::Known | crds::AccessFrom::Selector, _) => Access::Known,
    }
}

/// Compiles a selector of consumers. Where it names no namespace, those of the route's own are meant: what another
/// namespace calls its consumers, and which labels it gives them, is nobody's word here.
pub(super) fn consumers(
    spec: &crds::ConsumerSelector,
    namespace: &str,
    path: &str,
    report: &mut Report<'_>,
) -> ConsumerMatch {
    let crds::ConsumerSelector { namespaces, names, match_labels, match_expressions } = spec;
    let is_empty = namespaces.is_empty() && names.is_empty() && match_labels.is_empty() && match_expressions.is_empty();
    report.rule(path, rules::CONSUMERS_EMPTY, !is_empty);
    kubernetes_names::namespaces(namespaces, &format!("{path}.namespaces"), report);
    kubernetes_names::consumers(names, &format!("{path}.names"), report);
    kubernetes_names::labels(match_labels, &format!("{path}.matchLabels"), report);
    for (index, one) in match_expressions.iter().enumerate() {
        allowed::check(one, &format!("{path}.matchExpressions[{index}]"), report);
    }
    let own = [namespace.to_owned()];
    ConsumerMatch {
        namespaces: sorted(if namespaces.is_empty() { &own } else { namespaces }),
        names: sorted(names),
        labels: allowed::labels(match_labels, match_expressions),
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names
}
