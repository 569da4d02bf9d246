//! `ProviderPool` as a kind: it names Secrets and Services, and has credentials.

use std::collections::BTreeSet;

use sluicegate_crds::ProviderPoolSpec;

use super::super::inputs::{Credentials, Inputs, Manifest};
use super::super::price_list::in_words;
use super::super::references::{Needs, needs, needs_of_compiled, reads_alike};
use super::limit_list::{places, rates};
use super::step::{Beside, Reference, TypedSteps};
use crate::{CountedLimit, ObjectId, Pool};

/// The steps of pools.
pub(super) struct PoolSteps;

impl TypedSteps for PoolSteps {
    type Spec = ProviderPoolSpec;
    type Form = Pool;

    fn manifests<'i>(inputs: &'i Inputs<'_>) -> &'i Vec<Manifest<ProviderPoolSpec>> {
        &inputs.pools
    }

    fn manifests_mut<'i>(inputs: &'i mut Inputs<'_>) -> &'i mut Vec<Manifest<ProviderPoolSpec>> {
        &mut inputs.pools
    }

    fn named(spec: &ProviderPoolSpec, namespace: &str) -> BTreeSet<Reference> {
        references(needs(spec, namespace))
    }

    fn named_by_form(form: &Pool) -> BTreeSet<Reference> {
        references(needs_of_compiled(form))
    }

    fn credentials_of(form: &Pool, all: &Credentials) -> Credentials {
        let named: BTreeSet<_> = form.providers.iter().flat_map(crate::Provider::credentials).collect();
        let found = named.into_iter().filter_map(|id| Some((id.clone(), all.get(id)?.clone())));
        found.collect()
    }

    fn are_alike(one: &str, other: &str) -> bool {
        let but_for_endpoints = |text: &str| {
            let mut pool: Pool = serde_json::from_str(text).ok()?;
            pool.revision.clear();
            let providers = pool.providers.iter_mut();
            providers.for_each(|provider| provider.endpoints = provider.endpoints.take().map(|_| Vec::new()));
            Some(pool)
        };
        but_for_endpoints(one).is_some_and(|one| Some(one) == but_for_endpoints(other))
    }

    fn limits_of(form: &Pool, id: &ObjectId) -> Vec<CountedLimit> {
        let of = |name: &str| (format!("ProviderPool {}/{name}", id.0), Some(name.to_owned()));
        form.providers
            .iter()
            .flat_map(|provider| {
                let name = &provider.name;
                let of_keys = provider.keys.iter().flat_map(move |key| {
                    let name = format!("{name}/keys/{}", key.name);
                    rates(&key.rate, move || of(&name))
                });
                rates(&provider.rate, move || of(name))
                    .chain(of_keys)
                    .chain(places(provider.concurrency.as_ref(), move || of(name)))
            })
            .collect()
    }

    fn is_idle(form: &Pool, _beside: &Beside<'_>) -> Option<&'static str> {
        (!form.has_endpoints()).then_some(
            "none of its providers has a pod that takes calls, so its calls are refused (see ResolvedRefs): it heals by itself \
             when one has",
        )
    }

    fn prices_of(form: &Pool) -> Option<String> {
        in_words(form)
    }

    fn read_alike(before: Option<&Pool>, after: Option<&Pool>) -> bool {
        reads_alike(before, after)
    }
}

fn references(Needs { secrets, services }: Needs) -> BTreeSet<Reference> {
    secrets.into_iter().map(Reference::Secret).chain(services.into_iter().map(Reference::Service)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{compile, manifests};

    #[test]
    fn statuses_tell_of_the_limits_of_providers_and_of_their_keys() {
        let manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {api-key: x}\n---\napiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec: {providers: [{name: a, type: OpenAI, \
             url: \"https://x\", limits: {rate: [{unit: Requests, amount: 5}], concurrency: {max: 2}}, \
             credentials: {keys: [{name: k, secretRef: {name: s}, limits: {rate: [{unit: Cost, amount: \"1.5\", window: 1h}]}}]}}]}";
        let (inputs, _) = manifests::read(&[("p.yaml".to_owned(), manifest.to_owned())]);
        let (id, pool) = compile(&inputs).snapshot.pools.into_iter().next().unwrap();
        let told: Vec<_> =
            PoolSteps::limits_of(&pool, &id).into_iter().map(|limit| (limit.part.clone(), limit.identity())).collect();
        let of = |part: &str, identity: &str| (Some(part.to_owned()), identity.to_owned());
        assert_eq!(
            told,
            [
                of("a", "rate|ProviderPool default/p/a|requests|60000|provider"),
                of("a/keys/k", "rate|ProviderPool default/p/a/keys/k|cost|3600000|provider"),
                of("a", "concurrency|ProviderPool default/p/a"),
            ]
        );
    }
}
