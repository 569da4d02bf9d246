//! Facts that are read only when something names them: the data of Secrets, the endpoints of Services. A watch of
//! metadata says when it is out of date; the reading itself happens in `gather`.

use std::collections::HashMap;

/// The number of touches of a thing, taken before it is read: a touch while reading makes what was read old already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(u64);

/// Something read, if it was, and whether that is still so.
#[derive(Debug)]
struct Fact<T> {
    value: Option<T>,
    fresh: bool,
    stamp: Stamp,
}

/// Things by name.
#[derive(Debug)]
pub struct Facts<K, T>(HashMap<K, Fact<T>>);

impl<K, T> Default for Facts<K, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + std::hash::Hash, T> Facts<K, T> {
    /// The stamp to read under, or `None` when what is known is fresh.
    pub fn stale(&self, key: &K) -> Option<Stamp> {
        match self.0.get(key) {
            Some(fact) if fact.fresh => None,
            Some(fact) => Some(fact.stamp),
            None => Some(Stamp::default()),
        }
    }

    /// Takes in what was read.
    pub fn learn(&mut self, key: &K, stamp: Stamp, value: T) {
        match self.0.get_mut(key) {
            Some(fact) => {
                fact.fresh = fact.stamp == stamp;
                fact.value = Some(value);
            }
            None => drop(self.0.insert(key.clone(), Fact { value: Some(value), fresh: true, stamp })),
        }
    }

    /// Takes in what we have written ourselves. The watch tells of it as of any other change.
    pub fn put(&mut self, key: &K, value: T) {
        let stamp = self.0.get(key).map(|fact| fact.stamp).unwrap_or_default();
        self.0.insert(key.clone(), Fact { value: Some(value), fresh: true, stamp });
    }

    /// It has changed.
    pub fn touch(&mut self, key: &K) {
        let fact = self.0.entry(key.clone()).or_insert(Fact { value: None, fresh: false, stamp: Stamp::default() });
        fact.stamp.0 += 1;
        fact.fresh = false;
    }

    /// The value that was last read.
    pub fn get(&self, key: &K) -> Option<&T> {
        self.0.get(key).and_then(|fact| fact.value.as_ref())
    }

    /// Nobody names it any longer.
    pub fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_while_reading_makes_what_was_read_old() {
        let mut facts = Facts::<&str, u8>::default();
        let before = facts.stale(&"a").unwrap();
        facts.touch(&"a");
        facts.learn(&"a", before, 1);
        assert_eq!(facts.get(&"a"), Some(&1));
        let again = facts.stale(&"a").unwrap();
        facts.learn(&"a", again, 2);
        assert_eq!(facts.stale(&"a"), None);
        facts.touch(&"a");
        assert!(facts.stale(&"a").is_some());
    }
}
