//! References of objects, so that a change is compiled with everything that it touches and nothing else.
//!
//! `compile` on part of the objects gives those the same bytes and verdicts as on all of them, if the part is closed: the
//! pools that changed, the routes that name them, and all pools that those routes name; with the Secrets and Services
//! that these pools name. An object's previous form counts as well as what it says now, since it may be what serves.

use std::collections::BTreeSet;

use sluicegate_crds::{Credentials, LLMRouteSpec, PoolRef, ProviderPoolSpec, SecretKeyRef};

use crate::{ObjectId, Pool, Provider, Route};

/// The pools that a route in a namespace names.
#[must_use]
pub fn references(spec: &LLMRouteSpec, namespace: &str) -> BTreeSet<ObjectId> {
    let targets = spec.rules.iter().flat_map(|rule| &rule.targets).map(|target| &target.pool_ref);
    let fallbacks = spec.rules.iter().flat_map(|rule| &rule.fallbacks).map(|fallback| &fallback.pool_ref);
    let mirrors = spec.rules.iter().filter_map(|rule| rule.mirror.as_ref()).map(|mirror| &mirror.pool_ref);
    targets.chain(fallbacks).chain(mirrors).map(|reference| pool_id(reference, namespace)).collect()
}

/// The pools that a compiled route names.
#[must_use]
pub fn references_of_compiled(route: &Route) -> BTreeSet<ObjectId> {
    route.rules.iter().flat_map(crate::Rule::named).map(|target| target.pool.clone()).collect()
}

/// True if two compiled forms of a pool are the same to the routes that name it, so that these need not be compiled anew:
/// when only its endpoints, timeouts and the like differ. A pod that comes or goes then costs one pool, whatever number of
/// routes name it.
#[must_use]
pub fn reads_alike(before: Option<&Pool>, after: Option<&Pool>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => {
            let same_models = models(before) == models(after) && unpriced(before) == unpriced(after);
            let serve_alike = before.has_endpoints() == after.has_endpoints();
            before.allowed_routes == after.allowed_routes && same_models && serve_alike
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The models that a pool serves; `None`: any.
fn models(pool: &Pool) -> Option<BTreeSet<&str>> {
    let serves_any = pool.providers.iter().any(|provider| provider.models.is_empty());
    (!serves_any)
        .then(|| pool.providers.iter().flat_map(|provider| provider.models.keys().map(String::as_str)).collect())
}

/// The models that a provider serves without a price, and the providers that list none: budgets of routes refuse them.
fn unpriced(pool: &Pool) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let serving = || pool.providers.iter().filter(|provider| provider.weight > 0);
    let models = serving().flat_map(|provider| &provider.models).filter(|(_, model)| model.price.is_none());
    let lists_none = serving().filter(|provider| provider.models.is_empty());
    (models.map(|(name, _)| name.as_str()).collect(), lists_none.map(|provider| provider.name.as_str()).collect())
}

/// The Secrets and Services that a pool needs, by `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Secrets with its credentials.
    pub secrets: BTreeSet<ObjectId>,
    /// Services whose pods it calls.
    pub services: BTreeSet<ObjectId>,
}

/// The needs of a pool in a namespace.
#[must_use]
pub fn needs(spec: &ProviderPoolSpec, namespace: &str) -> Needs {
    let id = |name: &str| ObjectId(format!("{namespace}/{name}"));
    let secrets = spec.providers.iter().filter_map(|provider| provider.credentials.as_ref());
    let services = spec.providers.iter().filter_map(|provider| provider.service_ref.as_ref());
    Needs {
        secrets: secrets.flat_map(named).map(|secret| id(&secret.name)).collect(),
        services: services.map(|service| id(&service.name)).collect(),
    }
}

fn named(credentials: &Credentials) -> impl Iterator<Item = &SecretKeyRef> {
    let keys = credentials.keys.iter().flatten().map(|key| &key.secret_ref);
    credentials.secret_ref.iter().chain(keys)
}

/// The needs of a compiled pool.
#[must_use]
pub fn needs_of_compiled(pool: &Pool) -> Needs {
    let secrets = pool.providers.iter().flat_map(Provider::credentials);
    let services = pool.providers.iter().filter_map(|provider| provider.service.as_ref());
    Needs {
        secrets: secrets.filter_map(|id| id.0.rsplit_once('/')).map(|(id, _)| ObjectId(id.to_owned())).collect(),
        services: services.map(|service| service.id.clone()).collect(),
    }
}

/// The pool that a reference in a namespace names.
pub(super) fn pool_id(reference: &PoolRef, namespace: &str) -> ObjectId {
    ObjectId(format!("{}/{}", reference.namespace.as_deref().unwrap_or(namespace), reference.name))
}

#[cfg(test)]
mod tests {
    use super::super::{compile, manifests};
    use super::*;

    fn pool(spec: &str) -> Option<Pool> {
        let head = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec:";
        let (inputs, _) = manifests::read(&[("p.yaml".to_owned(), format!("{head} {{{spec}}}"))]);
        compile(&inputs).snapshot.pools.into_values().next()
    }

    #[test]
    fn routes_see_of_a_pool_that_it_is_there_its_models_and_its_permission() {
        let any = pool("providers: [{name: a, type: Simulated}]");
        let one = pool("providers: [{name: a, type: Simulated, models: [{name: m}]}]");
        assert!(any.is_some() && one.is_some());
        for (what, before, after, expected) in [
            ("nothing", None, None, true),
            ("it came", None, any.as_ref(), false),
            ("it went", any.as_ref(), None, false),
            ("models", any.as_ref(), one.as_ref(), false),
            (
                "the same models by two",
                one.as_ref(),
                pool("providers: [{name: a, type: Simulated, models: [{name: m}]}, {name: b, type: Simulated, models: [{name: m}]}]")
                    .as_ref(),
                true,
            ),
            (
                "a price",
                one.as_ref(),
                pool("providers: [{name: a, type: Simulated, models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '1'}}]}]")
                    .as_ref(),
                false,
            ),
            (
                "permission",
                any.as_ref(),
                pool("allowedRoutes: {namespaces: {from: All}}, providers: [{name: a, type: Simulated}]").as_ref(),
                false,
            ),
            (
                "timeouts and addresses",
                any.as_ref(),
                pool("timeouts: {total: 5m}, providers: [{name: a, type: OpenAI, url: \"https://a\"}]").as_ref(),
                true,
            ),
        ] {
            assert_eq!(reads_alike(before, after), expected, "{what}");
        }
    }
}
