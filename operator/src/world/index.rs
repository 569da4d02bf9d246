//! References both ways: an object by what it says, and by what is published of it.

use std::collections::{BTreeSet, HashMap};

pub use sluicegate_config::compile::Reference as Named;

use super::key::Key;

/// References of many objects, found from either end.
#[derive(Debug, Default)]
pub struct Index {
    names: HashMap<Key, Box<[Named]>>,
    named_by: HashMap<Named, BTreeSet<Key>>,
}

impl Index {
    /// Sets all that an object names. Gives back what it names no longer.
    pub fn set(&mut self, key: &Key, named: BTreeSet<Named>) -> Vec<Named> {
        let before = match self.names.get(key) {
            Some(before) if before.iter().eq(named.iter()) => return Vec::new(),
            Some(before) => before.to_vec(),
            None => Vec::new(),
        };
        let dropped: Vec<Named> = before.into_iter().filter(|name| !named.contains(name)).collect();
        for name in &dropped {
            if let Some(keys) = self.named_by.get_mut(name) {
                keys.remove(key);
                if keys.is_empty() {
                    self.named_by.remove(name);
                }
            }
        }
        for name in &named {
            self.named_by.entry(name.clone()).or_default().insert(key.clone());
        }
        if named.is_empty() {
            self.names.remove(key);
        } else {
            self.names.insert(key.clone(), named.into_iter().collect());
        }
        dropped
    }

    /// The things that an object names.
    pub fn names(&self, key: &Key) -> &[Named] {
        self.names.get(key).map_or(&[], |named| named)
    }

    /// The objects that name it.
    pub fn by(&self, named: &Named) -> impl Iterator<Item = &Key> {
        self.named_by.get(named).into_iter().flatten()
    }

    /// The number of objects that name it.
    pub fn count(&self, named: &Named) -> usize {
        self.named_by.get(named).map_or(0, BTreeSet::len)
    }

    /// Everything that is named.
    pub fn all(&self) -> impl Iterator<Item = &Named> {
        self.named_by.keys()
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::{Kind, ObjectId};

    use super::*;

    #[test]
    fn references_are_found_from_both_ends_and_forgotten() {
        let key = |name: &str| Key { kind: Kind::LlmRoute, id: ObjectId(format!("a/{name}")) };
        let pool = |name: &str| Named::Object(Kind::ProviderPool, ObjectId(format!("a/{name}")));
        let mut index = Index::default();
        assert!(index.set(&key("r"), [pool("one"), pool("two")].into()).is_empty());
        assert!(index.set(&key("s"), [pool("two")].into()).is_empty());
        assert_eq!(index.by(&pool("two")).collect::<Vec<_>>(), [&key("r"), &key("s")]);
        assert_eq!(index.set(&key("r"), [pool("one")].into()), [pool("two")]);
        assert_eq!(index.names(&key("r")), [pool("one")]);
        assert_eq!(index.count(&pool("two")), 1);
        assert_eq!(index.set(&key("s"), BTreeSet::new()), [pool("two")]);
        assert_eq!(index.all().collect::<Vec<_>>(), [&pool("one")]);
    }
}
