//! `LLMRoute` as a kind: it names pools.

use std::collections::BTreeSet;

use sluicegate_crds::LLMRouteSpec;

use super::super::inputs::{Inputs, Manifest};
use super::super::references::{references, references_of_compiled};
use super::limit_list::{places, rates};
use super::step::{Reference, TypedSteps};
use crate::{Budget, CountedLimit, Kind, ObjectId, Route, Rule};

/// The steps of routes.
pub(super) struct RouteSteps;

impl TypedSteps for RouteSteps {
    type Spec = LLMRouteSpec;
    type Form = Route;

    fn manifests<'i>(inputs: &'i Inputs<'_>) -> &'i Vec<Manifest<LLMRouteSpec>> {
        &inputs.routes
    }

    fn manifests_mut<'i>(inputs: &'i mut Inputs<'_>) -> &'i mut Vec<Manifest<LLMRouteSpec>> {
        &mut inputs.routes
    }

    fn named(spec: &LLMRouteSpec, namespace: &str) -> BTreeSet<Reference> {
        pools(references(spec, namespace))
    }

    fn named_by_form(form: &Route) -> BTreeSet<Reference> {
        pools(references_of_compiled(form))
    }

    fn is_idle(form: &Route) -> Option<&'static str> {
        (!form.leads_anywhere()).then_some(
            "none of the pools that its rules name can serve, so its calls are refused (see ResolvedRefs): it heals by \
             itself when one of them can",
        )
    }

    fn budgets_of(form: &Route) -> Vec<&Budget> {
        form.rules.iter().flat_map(|rule| &rule.budgets).collect()
    }

    fn limits_of(form: &Route, id: &ObjectId) -> Vec<CountedLimit> {
        let of = |own: bool, rule: &Rule| match own {
            true => (format!("LLMRoute {}/{}", id.0, rule.name), Some(rule.name.clone())),
            false => (format!("LLMRoute {}", id.0), None),
        };
        let all = form.rules.iter().flat_map(|rule| {
            let rates = rates(&rule.limits, move || of(rule.own_limits, rule));
            rates.chain(places(rule.concurrency.as_ref(), move || of(rule.own_concurrency, rule)))
        });
        all.collect()
    }
}

fn pools(ids: BTreeSet<ObjectId>) -> BTreeSet<Reference> {
    ids.into_iter().map(|id| Reference::Object(Kind::ProviderPool, id)).collect()
}
