//! The index of consumers by the digests of their keys, with that by tokens beside it. Copies are cheap, and share what did not change.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sluicegate_config::{Consumer, KeyDigest, ObjectId};
use subtle::ConstantTimeEq as _;

use super::identified::Identified;
use super::known::KnownConsumer;
use super::tokens::TokenIndex;
use crate::account::ConsumerName;
use crate::concurrency::PreparedGate;
use crate::jwt::JwksKeeper;
use crate::limit::SharedLimits;
use crate::persistent::{self, PersistentMap};

/// A consumer that holds a key, the one that is known by it first.
#[derive(Clone)]
struct Holder {
    consumer: Arc<KnownConsumer>,
    digest: KeyDigest,
    expires_at: Option<i64>,
    key: Arc<str>,
}

/// All consumers.
#[derive(Clone, Default)]
pub(crate) struct Consumers {
    by_id: PersistentMap<Arc<str>, Arc<KnownConsumer>>,
    by_key: PersistentMap<[u8; 32], Arc<[Holder]>>,
    tokens: TokenIndex,
    /// The groups of each namespace.
    groups: PersistentMap<Box<str>, Arc<[Arc<KnownConsumer>]>>,
}

impl Consumers {
    /// True if there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A consumer, new or in another form.
    pub(crate) fn insert(&mut self, id: &Arc<ObjectId>, from: &Consumer, limits: &SharedLimits) {
        let before = self.by_id.get(id.0.as_str()).cloned();
        if before.as_ref().is_some_and(|before| *before.revision == *from.revision) {
            return;
        }
        let name = match &before {
            Some(before) => Arc::clone(&before.name),
            None => Arc::new(ConsumerName::new(Arc::clone(id))),
        };
        self.take_out(before.as_deref());
        let consumer = Arc::new(KnownConsumer::new(name, from, limits));
        PreparedGate::lift(before.iter().flat_map(|before| &before.concurrency), &consumer.concurrency);
        for (digest, expires_at, key) in &consumer.keys {
            let (consumer, key) = (Arc::clone(&consumer), Arc::clone(key));
            let holder = Holder { consumer, digest: *digest, expires_at: *expires_at, key };
            self.change(*digest, |list| {
                let at = list.partition_point(|other| other.consumer.order() < holder.consumer.order());
                list.insert(at, holder);
            });
        }
        if consumer.members.is_some() {
            persistent::change(&mut self.groups, namespace(id).into(), |list| list.push(Arc::clone(&consumer)));
        }
        self.by_id.insert_mut(id.0.as_str().into(), consumer);
    }

    /// The tokens that a consumer is known by, after it was inserted.
    pub(crate) fn know_tokens(
        &mut self,
        id: &ObjectId,
        from: &Consumer,
        (keeper, limits): (&JwksKeeper, &Arc<SharedLimits>),
    ) {
        let consumer = self.by_id.get(id.0.as_str()).cloned();
        if let Some((consumer, jwt)) = consumer.zip(from.jwt.as_ref())
            && !self.tokens.holds(&consumer)
        {
            self.tokens.insert(&consumer, (from, jwt), (keeper, limits));
        }
    }

    /// A consumer that is gone.
    pub(crate) fn remove(&mut self, id: &ObjectId) {
        let before = self.by_id.get(id.0.as_str()).cloned();
        PreparedGate::lift(before.iter().flat_map(|before| &before.concurrency), None);
        self.take_out(before.as_deref());
        self.by_id.remove_mut(id.0.as_str());
    }

    /// A consumer as it is by now, or the template that it was made of; `None`: it is gone.
    pub(crate) fn current(&self, consumer: &KnownConsumer) -> Option<&KnownConsumer> {
        let found = self.by_id.get(consumer.id().0.as_str());
        found.or_else(|| self.by_id.get(consumer.selected_as().0.as_str())).map(|found| &**found)
    }

    /// The ids of all.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Arc<ObjectId>> {
        self.by_id.values().map(|consumer| consumer.id())
    }

    fn take_out(&mut self, before: Option<&KnownConsumer>) {
        before.into_iter().for_each(|before| self.tokens.remove(before));
        for group in before.into_iter().filter(|before| before.members.is_some()) {
            let keep = |other: &Arc<KnownConsumer>| other.id() != group.id();
            persistent::change(&mut self.groups, namespace(group.id()).into(), |list| list.retain(keep));
        }
        for (digest, _, _) in before.into_iter().flat_map(|before| &before.keys) {
            let id = before.map(KnownConsumer::id);
            self.change(*digest, |list| list.retain(|holder| Some(holder.consumer.id()) != id));
        }
    }

    fn change(&mut self, digest: KeyDigest, change: impl FnOnce(&mut Vec<Holder>)) {
        persistent::change(&mut self.by_key, digest.0, change);
    }

    /// The groups that a consumer is a member of.
    pub(crate) fn groups_of(&self, consumer: &KnownConsumer) -> impl Iterator<Item = &Arc<KnownConsumer>> {
        let groups = if self.groups.is_empty() { None } else { self.groups.get(namespace(consumer.id())) };
        let counts =
            |group: &&Arc<KnownConsumer>| group.members.as_ref().is_some_and(|members| consumer.is_selected(members));
        groups.into_iter().flat_map(|groups| groups.iter()).filter(counts)
    }

    /// The consumer that is known by a key or a token at a time, in seconds since 1970. One hash of the key and one look-up, whatever the number of
    /// consumers.
    pub(crate) fn known_by(&self, key: &[u8], now: impl FnOnce() -> i64) -> Identified {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let holder = self.by_key.get(&digest).and_then(|holders| holders.first());
        // How long the look-up takes tells at most of digests, of which nobody can make a key.
        let holder = holder.filter(|holder| bool::from(holder.digest.0.ct_eq(&digest)));
        let Some(Holder { consumer, expires_at, key: name, .. }) = holder else {
            return self.tokens.known_by(key, &digest, now);
        };
        if consumer.disabled || expires_at.is_some_and(|end| end <= now()) {
            return Identified::Refused;
        }
        Identified::Known(Arc::clone(consumer), Some(Arc::clone(name)))
    }
}

fn namespace(id: &ObjectId) -> &str {
    id.0.split_once('/').map_or("", |(namespace, _)| namespace)
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile::{compile, manifests};

    use super::*;

    fn consumer(name: &str, keys: &[&str], further: &str) -> (Arc<ObjectId>, Consumer) {
        let mut text = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  keys:\n"
        );
        let mut secrets = String::new();
        for (at, key) in keys.iter().enumerate() {
            text += &format!("  - {{name: k{at}, secretRef: {{name: {name}-{at}}}{further}}}\n");
            secrets += &format!(
                "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}-{at}}}\nstringData: {{api-key: {key}}}\n"
            );
        }
        let compiled = compile(&manifests::read(&[("all.yaml".to_owned(), text + &secrets)]).0);
        let (id, consumer) = compiled.snapshot.consumers.into_iter().next().unwrap();
        (Arc::new(id), consumer)
    }

    fn known(consumers: &Consumers, key: &str) -> String {
        match consumers.known_by(key.as_bytes(), || 1_000) {
            Identified::Known(consumer, _) => consumer.id().0.clone(),
            Identified::Refused => "refused".to_owned(),
            Identified::Unverifiable(_) => "unverifiable".to_owned(),
            Identified::Unknown => "unknown".to_owned(),
        }
    }

    const ONE: &str = "one-key-that-is-long-enough";
    const TWO: &str = "two-key-that-is-long-enough";

    #[test]
    fn consumers_come_change_and_go_with_their_keys() {
        let mut consumers = Consumers::default();
        let (id, both) = consumer("a", &[ONE, TWO], "");
        consumers.insert(&id, &both, &SharedLimits::default());
        assert_eq!((known(&consumers, ONE), known(&consumers, TWO)), ("default/a".to_owned(), "default/a".to_owned()));
        let before = consumers.clone();
        let (id, one) = consumer("a", &[ONE], "");
        consumers.insert(&id, &one, &SharedLimits::default());
        assert_eq!((known(&consumers, ONE), known(&consumers, TWO)), ("default/a".to_owned(), "unknown".to_owned()));
        assert_eq!(known(&before, TWO), "default/a", "a call holds the one it began under");
        consumers.remove(&id);
        assert!(consumers.is_empty() && consumers.by_key.is_empty());
        assert_eq!(known(&consumers, ONE), "unknown");
    }

    #[test]
    fn of_two_with_one_key_the_older_is_known_by_it_whatever_the_order() {
        let ((a, mut older), (b, mut younger)) = (consumer("b", &[ONE], ""), consumer("a", &[ONE], ""));
        (older.created, younger.created) = (1, 2);
        for order in [[(&a, &older), (&b, &younger)], [(&b, &younger), (&a, &older)]] {
            let mut consumers = Consumers::default();
            order.iter().for_each(|(id, consumer)| consumers.insert(id, consumer, &SharedLimits::default()));
            assert_eq!(known(&consumers, ONE), "default/b");
            consumers.remove(&a);
            assert_eq!(known(&consumers, ONE), "default/a");
        }
    }

    #[test]
    fn a_key_that_is_over_and_one_of_a_disabled_consumer_are_refused() {
        let mut consumers = Consumers::default();
        let (a, over) = consumer("a", &[ONE], ", expiresAt: '1970-01-01T00:16:40Z'");
        consumers.insert(&a, &over, &SharedLimits::default());
        assert_eq!(known(&consumers, ONE), "refused");
        let (b, mut disabled) = consumer("b", &[TWO], ", expiresAt: '1970-01-01T00:16:41Z'");
        consumers.insert(&b, &disabled, &SharedLimits::default());
        assert_eq!(known(&consumers, TWO), "default/b");
        (disabled.disabled, disabled.revision) = (true, "other".to_owned());
        consumers.insert(&b, &disabled, &SharedLimits::default());
        assert_eq!(known(&consumers, TWO), "refused");
    }
}
