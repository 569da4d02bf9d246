//! `LLMConsumer` as a kind: it names Secrets.

use std::collections::BTreeSet;

use sluicegate_crds::LLMConsumerSpec;

use super::super::generated_keys;
use super::super::generated_secret::WantedKey;
use super::super::inputs::{Inputs, Manifest};
use super::limit_list::{places, rates};
use super::step::{Reference, TypedSteps};
use crate::{Budget, Consumer, CountedLimit, ObjectId};

/// The steps of consumers.
pub(super) struct ConsumerSteps;

impl TypedSteps for ConsumerSteps {
    type Spec = LLMConsumerSpec;
    type Form = Consumer;

    fn manifests<'i>(inputs: &'i Inputs<'_>) -> &'i Vec<Manifest<LLMConsumerSpec>> {
        &inputs.consumers
    }

    fn manifests_mut<'i>(inputs: &'i mut Inputs<'_>) -> &'i mut Vec<Manifest<LLMConsumerSpec>> {
        &mut inputs.consumers
    }

    fn named(spec: &LLMConsumerSpec, namespace: &str) -> BTreeSet<Reference> {
        let names = spec.keys.iter().flat_map(|key| {
            let read = key.secret_ref.as_ref().map(|secret| &secret.name);
            read.into_iter().chain(key.generate.as_ref().map(|generated| &generated.secret_name))
        });
        names.map(|name| Reference::Secret(ObjectId(format!("{namespace}/{name}")))).collect()
    }

    fn named_by_form(form: &Consumer) -> BTreeSet<Reference> {
        let ids = form.keys.iter().filter_map(|key| key.secret.0.rsplit_once('/'));
        ids.map(|(id, _)| Reference::Secret(ObjectId(id.to_owned()))).collect()
    }

    fn generated(spec: &LLMConsumerSpec, namespace: &str) -> Vec<WantedKey> {
        generated_keys::wanted(spec, namespace)
    }

    fn is_idle(form: &Consumer) -> Option<&'static str> {
        (form.keys.is_empty() && form.jwt.is_none() && form.members.is_none()).then_some(
            "none of its keys can be had, so nobody is known by it (see ResolvedRefs): it heals by itself when one can",
        )
    }

    fn budgets_of(form: &Consumer) -> Vec<&Budget> {
        form.budgets.iter().collect()
    }

    fn limits_of(form: &Consumer, id: &ObjectId) -> Vec<CountedLimit> {
        let of = || (format!("LLMConsumer {}", id.0), None);
        rates(&form.limits, of).chain(places(form.concurrency.as_ref(), of)).collect()
    }
}
