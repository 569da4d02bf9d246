//! Maps and lists whose copies are cheap: a copy shares everything, and a change copies only the part it falls in. So
//! one changed route among thousands makes a new configuration without a new copy of the others.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Parts of a map.
const SHARDS: usize = 256;
/// Places of a part of a list.
const CHUNK: usize = 64;

type Shard<K, V> = Arc<HashMap<K, V, Keyed>>;

/// A map by names.
#[derive(Debug)]
pub(crate) struct Map<K, V> {
    shards: Arc<[Shard<K, V>; SHARDS]>,
    len: usize,
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { shards: Arc::clone(&self.shards), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        let empty = Shard::default();
        Self { shards: Arc::new(std::array::from_fn(|_| Arc::clone(&empty))), len: 0 }
    }
}

impl<K: Borrow<str> + Hash + Eq + Clone, V: Clone> Map<K, V> {
    /// What stands under a name.
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.shards.get(shard(key))?.get(key)
    }

    /// Puts something under a name; gives back what stood there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.shard_mut(key.borrow())?.insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes away what stands under a name.
    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        self.get(key)?;
        let before = self.shard_mut(key)?.remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// Lets a list under a name be changed, an empty one if there is none; what is empty afterwards goes.
    pub(crate) fn change<T: Clone>(&mut self, key: K, change: impl FnOnce(&mut Vec<T>))
    where
        V: Borrow<[T]> + From<Vec<T>>,
    {
        let mut list = self.get(key.borrow()).map(|list| list.borrow().to_vec()).unwrap_or_default();
        change(&mut list);
        if list.is_empty() {
            self.remove(key.borrow());
        } else {
            self.insert(key, list.into());
        }
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Everything, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn shard_mut(&mut self, key: &str) -> Option<&mut HashMap<K, V, Keyed>> {
        Arc::make_mut(&mut self.shards).get_mut(shard(key)).map(Arc::make_mut)
    }
}

/// Where a name belongs: bits of its hash that the map within looks at for nothing else.
fn shard(key: &str) -> usize {
    usize::from(Keyed::default().hash_one(key).to_be_bytes()[1])
}

/// Hashes names with a key that this process alone knows. Names come from a configuration; callers only ask for some, and
/// what they ask for is never kept, so nobody can fill a map with names that collide.
#[derive(Debug, Clone, Copy)]
struct Keyed(u64);

impl Default for Keyed {
    fn default() -> Self {
        static KEY: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(SHARDS));
        Self(*KEY)
    }
}

impl BuildHasher for Keyed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// What ends a name: with nothing but one name to hash there is nothing to tell it from.
    fn write_u8(&mut self, end: u8) {
        self.0 ^= u64::from(end);
    }
}

/// A list by places.
#[derive(Debug)]
pub(crate) struct List<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks) }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { chunks: Arc::default() }
    }
}

impl<T: Clone> List<T> {
    /// What stands at a place.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        full + self.chunks.last().map_or(0, |last| last.len())
    }

    /// Puts something at a place that is there, or at the one after the last.
    pub(crate) fn set(&mut self, at: usize, value: T) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.last().is_none_or(|last| last.len() == CHUNK) && at / CHUNK == chunks.len() {
            chunks.push(Arc::default());
        }
        let Some(chunk) = chunks.get_mut(at / CHUNK).map(Arc::make_mut) else { return };
        if chunk.len() == at % CHUNK {
            chunk.push(value);
        } else if let Some(place) = chunk.get_mut(at % CHUNK) {
            *place = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_is_a_map_and_its_copies_stay_what_they_were(steps in prop::collection::vec(("[a-c]{0,20}", any::<Option<u8>>()), 0..200)) {
            let (mut map, mut plain) = (Map::<String, u8>::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (key, value) in steps {
                copies.push((map.clone(), plain.clone()));
                match value {
                    Some(value) => prop_assert_eq!(map.insert(key.clone(), value), plain.insert(key, value)),
                    None => prop_assert_eq!(map.remove(&key), plain.remove(&key)),
                }
            }
            copies.push((map, plain));
            for (map, plain) in copies {
                let held: BTreeMap<_, _> = map.iter().map(|(key, value)| (key.clone(), *value)).collect();
                prop_assert_eq!(map.len(), plain.len());
                prop_assert_eq!(held, plain);
            }
        }

        #[test]
        fn a_list_is_a_list(steps in prop::collection::vec((0_usize..300, any::<u8>()), 0..600)) {
            let (mut list, mut plain) = (List::default(), Vec::new());
            for (at, value) in steps {
                let copy = list.clone();
                let at = at.min(plain.len());
                if at == plain.len() { plain.push(value) } else { plain[at] = value }
                list.set(at, value);
                prop_assert!(copy.len() <= list.len());
                prop_assert_eq!((list.get(at), list.len()), (Some(&value), plain.len()));
            }
            prop_assert!(plain.iter().enumerate().all(|(at, value)| list.get(at) == Some(value)));
            prop_assert_eq!(list.get(plain.len()), None);
        }
    }

    #[test]
    fn names_spread() {
        for names in [
            (0..5_000).map(|n| format!("model-{n:05}")).collect::<Vec<_>>(),
            (0..5_000).map(|n| format!("team-{n}/gpt-4o")).collect(),
            (0..5_000).map(|n| format!("namespace-of-somebody/route-{n}-of-theirs-with-an-ending")).collect(),
        ] {
            let mut filled = [0; SHARDS];
            names.iter().for_each(|name| filled[shard(name)] += 1);
            assert!(filled.iter().all(|count| *count < 120), "{} in one", filled.iter().max().unwrap());
        }
    }
}
