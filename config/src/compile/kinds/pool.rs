//! `ProviderPool` as a kind: it names Secrets and Services, and has credentials.

use std::collections::BTreeSet;

use super::super::compiled::Compiled;
use super::super::inputs::{Credentials, Inputs, Manifest};
use super::super::references::{Needs, needs, needs_of_compiled, reads_alike};
use super::step::{Form, KindSteps, Reference, Resource, form};
use crate::{ObjectId, Pool, Snapshot};

/// The steps of pools.
pub(super) struct PoolSteps;

impl KindSteps for PoolSteps {
    fn references(&self, spec: &str, namespace: &str) -> BTreeSet<Reference> {
        serde_json::from_str(spec).map(|spec| named(needs(&spec, namespace))).unwrap_or_default()
    }

    fn references_of_compiled(&self, text: &str) -> Option<(String, BTreeSet<Reference>)> {
        let pool: Pool = serde_json::from_str(text).ok()?;
        let needs = needs_of_compiled(&pool);
        Some((pool.revision, named(needs)))
    }

    fn give(&self, inputs: &mut Inputs<'_>, resource: Resource<'_>) {
        let Resource { id, created, source, spec } = resource;
        inputs.pools.push(Manifest { id, created, source, spec: spec.read() });
    }

    fn recall(&self, snapshot: &mut Snapshot, id: &ObjectId, text: &str) {
        snapshot.pools.extend(serde_json::from_str(text).ok().map(|pool| (id.clone(), pool)));
    }

    fn form(&self, compiled: &Compiled, id: &ObjectId) -> Option<Form> {
        compiled.snapshot.pools.get(id).and_then(|pool| form(&pool.revision, pool))
    }

    fn serves(&self, snapshot: &Snapshot, id: &ObjectId) -> bool {
        snapshot.pools.contains_key(id)
    }

    fn all<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a ObjectId, &'a str)> {
        snapshot.pools.iter().map(|(id, pool)| (id, pool.revision.as_str())).collect()
    }

    fn credentials(&self, compiled: &Compiled, id: &ObjectId) -> Credentials {
        let providers = compiled.snapshot.pools.get(id).into_iter().flat_map(|pool| &pool.providers);
        let named: BTreeSet<_> = providers.filter_map(|provider| provider.credential.as_ref()).collect();
        let found = named.into_iter().filter_map(|id| Some((id.clone(), compiled.credentials.get(id)?.clone())));
        found.collect()
    }

    fn answers_alike(&self, one: &str, other: &str) -> bool {
        let but_for_endpoints = |text: &str| {
            let mut pool: Pool = serde_json::from_str(text).ok()?;
            pool.revision.clear();
            let providers = pool.providers.iter_mut();
            providers.for_each(|provider| provider.endpoints = provider.endpoints.take().map(|_| Vec::new()));
            Some(pool)
        };
        one == other || but_for_endpoints(one).is_some_and(|one| Some(one) == but_for_endpoints(other))
    }

    fn reads_alike(&self, before: Option<&str>, compiled: &Compiled, id: &ObjectId) -> bool {
        let before: Option<Pool> = before.and_then(|text| serde_json::from_str(text).ok());
        reads_alike(before.as_ref(), compiled.snapshot.pools.get(id))
    }
}

fn named(Needs { secrets, services }: Needs) -> BTreeSet<Reference> {
    secrets.into_iter().map(Reference::Secret).chain(services.into_iter().map(Reference::Service)).collect()
}
