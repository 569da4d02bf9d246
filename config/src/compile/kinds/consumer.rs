//! `LLMConsumer` as a kind: it names Secrets.

use std::collections::BTreeSet;

use sluicegate_crds::LLMConsumerSpec;

use super::super::generated_keys;
use super::super::generated_secret::WantedKey;
use super::super::inputs::{Inputs, Manifest};
use super::super::verdict::Reason;
use super::limit_list::{places, rates};
use super::step::{Beside, Reference, TypedSteps};
use crate::{Budget, CompiledForm, Consumer, CountedLimit, ObjectId};

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

    fn is_idle(form: &Consumer, Beside { compiled, id, now }: &Beside<'_>) -> Option<&'static str> {
        if form.jwt.is_some() || form.members.is_some() {
            return None;
        }
        if form.keys.is_empty() {
            return Some(
                "none of its keys can be had, so nobody is known by it (see ResolvedRefs): it heals by itself when one can",
            );
        }
        if Self::end_of(form).is_some_and(|end| end <= *now) {
            return Some(
                "all of its keys have expired, so nobody is known by it: write another key, or a later expiresAt",
            );
        }
        let verdicts = compiled.verdicts.of(Consumer::KIND, id);
        let anothers = verdicts.filter(|verdict| verdict.reason == Reason::DuplicateKey).count();
        (anothers >= form.keys.len())
            .then_some("each of its keys is another consumer's, who is known by it (see Accepted): write another key")
    }

    fn end_of(form: &Consumer) -> Option<i64> {
        if form.jwt.is_some() || form.members.is_some() {
            return None;
        }
        let ends: Option<Vec<i64>> = form.keys.iter().map(|key| key.expires_at).collect();
        ends?.into_iter().max()
    }

    fn budgets_of(form: &Consumer) -> Vec<&Budget> {
        form.budgets.iter().collect()
    }

    fn limits_of(form: &Consumer, id: &ObjectId) -> Vec<CountedLimit> {
        let of = || (format!("LLMConsumer {}", id.0), None);
        rates(&form.limits, of).chain(places(form.concurrency.as_ref(), of)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps;
    use crate::compile::{compile, manifests};
    use crate::{Kind, ObjectId};

    fn idle(keys: &str, now: i64) -> (Option<&'static str>, Option<i64>) {
        let key = |name: &str, key: &str| {
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{key: {key}}}\n---\n")
        };
        let consumer = |name: &str, keys: &str| {
            format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{keys: [{keys}]}}\n---\n"
            )
        };
        let text = [
            key("one", "sk-one-0123456789abcdef"),
            key("two", "sk-two-0123456789abcdef"),
            consumer("a", "{name: k, secretRef: {name: one, key: key}}"),
            consumer("b", keys),
        ];
        let (inputs, _) = manifests::read(&[("c.yaml".to_owned(), text.concat())]);
        let (compiled, id) = (compile(&inputs), ObjectId("default/b".to_owned()));
        let steps = steps(Kind::LlmConsumer);
        (steps.idle(&compiled, &id, now), steps.ends_at(&compiled.snapshot, &id))
    }

    #[test]
    fn a_consumer_that_nobody_can_be_is_idle() {
        let (other, same) =
            ("{name: k, secretRef: {name: two, key: key}}", "{name: l, secretRef: {name: one, key: key}}");
        assert_eq!(idle(other, 0), (None, None));
        assert_eq!(idle(&format!("{same}, {other}"), 0), (None, None), "one of two is its own");
        assert!(idle(same, 0).0.unwrap().contains("another consumer's"));
        assert!(idle("{name: k, secretRef: {name: none, key: key}}", 0).0.unwrap().contains("can be had"));
        let ends = "{name: k, secretRef: {name: two, key: key}, expiresAt: \"2027-01-31T00:00:00Z\"}";
        let end = 1_801_353_600;
        assert_eq!(idle(ends, end - 1), (None, Some(end)));
        let (why, at) = idle(ends, end);
        assert!(why.unwrap().contains("have expired") && at == Some(end), "{why:?}");
    }
}
