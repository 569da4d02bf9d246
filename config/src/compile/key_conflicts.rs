//! Keys that two consumers have: the older one is known by it, then the one with the smaller id. The other is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Consumer, KeyDigest, ObjectId};

/// A consumer that holds a key: when it was created, and its id.
type KeyHolder = (i64, ObjectId);

/// The holders of each key, of all consumers that serve.
#[derive(Debug, Default, Clone)]
pub struct KeyConflicts {
    holders: HashMap<KeyDigest, BTreeSet<KeyHolder>>,
    of: HashMap<ObjectId, (i64, BTreeSet<KeyDigest>)>,
}

impl KeyConflicts {
    /// Of all these consumers.
    pub fn of<'a>(consumers: impl IntoIterator<Item = (&'a ObjectId, &'a Consumer)>) -> Self {
        let mut holders = Self::default();
        for (id, consumer) in consumers {
            holders.enter(id, consumer);
        }
        holders
    }

    /// Sets what serves of a consumer; `None`: nothing does. Gives back the others of which another is known now by a key
    /// of theirs, or no other any more.
    pub fn set(&mut self, id: &ObjectId, consumer: Option<&Consumer>) -> BTreeSet<ObjectId> {
        let old = self.of.get(id).map(|(_, keys)| keys.clone()).unwrap_or_default();
        let new = consumer.map(keys).unwrap_or_default();
        let before: Vec<(KeyDigest, Option<KeyHolder>)> =
            old.union(&new).map(|key| (*key, self.first(key, |_| false).cloned())).collect();
        self.take_out(id);
        if let Some(consumer) = consumer {
            self.enter(id, consumer);
        }
        let turned = before.iter().filter(|(key, first)| self.first(key, |_| false) != first.as_ref());
        let holders = turned.filter_map(|(key, _)| self.holders.get(key)).flatten();
        holders.map(|(_, other)| other).filter(|other| *other != id).cloned().collect()
    }

    fn enter(&mut self, id: &ObjectId, consumer: &Consumer) {
        let keys = keys(consumer);
        for key in &keys {
            self.holders.entry(*key).or_default().insert((consumer.created, id.clone()));
        }
        self.of.insert(id.clone(), (consumer.created, keys));
    }

    fn take_out(&mut self, id: &ObjectId) {
        let Some((created, keys)) = self.of.remove(id) else { return };
        let holder = (created, id.clone());
        for key in keys {
            if let Some(holders) = self.holders.get_mut(&key) {
                holders.remove(&holder);
                if holders.is_empty() {
                    self.holders.remove(&key);
                }
            }
        }
    }

    fn first(&self, key: &KeyDigest, leaves_out: impl Fn(&ObjectId) -> bool) -> Option<&KeyHolder> {
        self.holders.get(key)?.iter().find(|(_, id)| !leaves_out(id))
    }
}

fn keys(consumer: &Consumer) -> BTreeSet<KeyDigest> {
    consumer.keys.iter().map(|key| key.digest).collect()
}

/// Says on each of these consumers which of its keys, by name, another consumer is known by. `others` knows the consumers
/// that are not among them, and perhaps what these were before.
pub(super) fn judge(
    consumers: &BTreeMap<ObjectId, Consumer>,
    others: Option<&KeyConflicts>,
    mut report: impl FnMut(&ObjectId, &str, &ObjectId),
) {
    let own = KeyConflicts::of(consumers);
    for (id, consumer) in consumers {
        let mut told = BTreeSet::new();
        for key in consumer.keys.iter().filter(|key| told.insert(key.digest)) {
            let inside = own.first(&key.digest, |_| false);
            let outside = others.and_then(|others| others.first(&key.digest, |id| consumers.contains_key(id)));
            if let Some((_, first)) = inside.into_iter().chain(outside).min().filter(|(_, first)| first != id) {
                report(id, &key.name, first);
            }
        }
    }
}
