//! `LLMRoute` as a kind: it names pools.

use std::collections::BTreeSet;

use sluicegate_crds::LLMRouteSpec;

use super::super::inputs::{Inputs, Manifest};
use super::super::references::{references, references_of_compiled};
use super::limit_list::{places, rates};
use super::step::{Beside, Reference, TypedSteps};
use crate::{Budget, CountedLimit, Kind, Match, ModelMatch, ObjectId, Pool, Route, Rule, Target};

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

    fn is_idle(form: &Route, Beside { compiled, .. }: &Beside<'_>) -> Option<&'static str> {
        let pool = |target: &Target| compiled.snapshot.pools.get(&target.pool).filter(|pool| pool.has_endpoints());
        let any = |serves: &dyn Fn(&Rule, &Target) -> bool| {
            form.rules.iter().any(|rule| rule.targets.iter().chain(&rule.fallbacks).any(|target| serves(rule, target)))
        };
        if !any(&|_, target| pool(target).is_some()) {
            return Some(
                "none of the pools that its rules name can serve, so its calls are refused (see ResolvedRefs here, \
                 and theirs): it heals by itself when one of them can",
            );
        }
        let is_served = |rule: &Rule, target: &Target| pool(target).is_some_and(|pool| may_serve(rule, target, pool));
        (!any(&is_served)).then_some(
            "no provider of the pools that its rules name serves a model that they ask for, so its calls are refused (see the \
             warnings under Accepted)",
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

/// True if a provider of a target's pool may serve a call of the rule. Patterns, and calls that need no model, are given the benefit of the
/// doubt.
fn may_serve(rule: &Rule, target: &Target, pool: &Pool) -> bool {
    let serves = |one: &Match| match (&one.path, &target.model, &one.model) {
        (Some(_), ..) => true,
        (None, Some(model), _) | (None, None, Some(ModelMatch::Exact(model))) => pool.serves(model),
        (None, None, _) => true,
    };
    match rule.matches.as_slice() {
        [] => target.model.as_ref().is_none_or(|model| pool.serves(model)),
        matches => matches.iter().any(serves),
    }
}

fn pools(ids: BTreeSet<ObjectId>) -> BTreeSet<Reference> {
    ids.into_iter().map(|id| Reference::Object(Kind::ProviderPool, id)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::steps;
    use crate::compile::inputs::Service;
    use crate::compile::{compile, manifests};
    use crate::{Kind, ObjectId};

    #[test]
    fn what_leads_to_no_pod_is_idle_until_there_is_one() {
        let manifest = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec: {providers: [{name: a, type: OpenAI, \
             serviceRef: {name: vllm, port: 80}}]}\n---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {rules: \
             [{name: all, targets: [{poolRef: {name: p}}]}]}";
        let (mut inputs, _) = manifests::read(&[("p.yaml".to_owned(), manifest.to_owned())]);
        let id = |name: &str| ObjectId(format!("default/{name}"));
        for (pods, is_idle) in [(None, true), (Some(vec![]), true), (Some(vec!["10.0.0.1:80".to_owned()]), false)] {
            let service = pods.map(|pods| Service { ports: [(80, pods)].into(), ..Service::default() });
            inputs.services =
                Some(service.into_iter().map(|service| (id("vllm"), service)).collect::<BTreeMap<_, _>>());
            let compiled = compile(&inputs);
            let idle = |kind, name| steps(kind).idle(&compiled, &id(name), 0).is_some();
            let told = [idle(Kind::ProviderPool, "p"), idle(Kind::LlmRoute, "r")];
            assert_eq!(BTreeSet::from(told), BTreeSet::from([is_idle]), "{compiled:?}");
        }
    }

    #[test]
    fn a_route_none_of_whose_models_is_served_is_idle() {
        for (rules, is_idle) in [
            ("[{name: a, matches: [{model: {exact: m}}], targets: [{poolRef: {name: p}}]}]", false),
            ("[{name: a, matches: [{model: {exact: other}}], targets: [{poolRef: {name: p}}]}]", true),
            ("[{name: a, matches: [{model: {exact: other}}], targets: [{poolRef: {name: p}, model: m}]}]", false),
            ("[{name: a, matches: [{model: {exact: m}}], targets: [{poolRef: {name: p}, model: other}]}]", true),
            ("[{name: a, targets: [{poolRef: {name: p}, model: other}]}]", true),
            (
                "[{name: a, targets: [{poolRef: {name: p}, model: other}], fallbacks: [{poolRef: {name: p}, model: m}]}]",
                false,
            ),
            ("[{name: a, targets: [{poolRef: {name: p}}]}]", false),
            ("[{name: a, matches: [{model: {prefix: o}}], targets: [{poolRef: {name: p}}]}]", false),
            ("[{name: a, matches: [{model: {exact: other}}], targets: [{poolRef: {name: any}}]}]", false),
            (
                "[{name: a, matches: [{model: {exact: other}}, {model: {exact: m}}], targets: [{poolRef: {name: p}}]}]",
                false,
            ),
            (
                "[{name: a, matches: [{model: {exact: other}}], targets: [{poolRef: {name: p}}]}, {name: b, targets: [{poolRef: {name: p}}]}]",
                false,
            ),
        ] {
            let pool = |name: &str, models: &str| {
                format!(
                    "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\nspec: {{providers: [{{name: a, \
                     type: OpenAI, url: \"https://x\"{models}}}]}}\n---\n"
                )
            };
            let route = format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec: {{rules: {rules}}}\n"
            );
            let text = pool("p", ", models: [{name: m}]") + &pool("any", "") + &route;
            let (inputs, _) = manifests::read(&[("p.yaml".to_owned(), text)]);
            let compiled = compile(&inputs);
            let idle = steps(Kind::LlmRoute).idle(&compiled, &ObjectId("default/r".to_owned()), 0);
            assert_eq!(idle.is_some(), is_idle, "{rules}: {idle:?}");
            assert!(idle.is_none_or(|idle| idle.contains("serves a model")), "{idle:?}");
        }
    }
}
