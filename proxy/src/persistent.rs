//! Maps and lists whose copies are cheap: a copy shares everything, and a change copies only the part it falls in. So
//! one changed route among thousands makes a new configuration without a new copy of the others.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use archery::ArcTK;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A map by names.
pub(crate) type PersistentMap<K, V> = rpds::HashTrieMap<K, V, ArcTK, KeyedHash>;
/// A map in the order of its names.
pub(crate) type OrderedMap<K, V> = rpds::RedBlackTreeMap<K, V, ArcTK>;
/// A list by places.
pub(crate) type List<T> = rpds::Vector<T, ArcTK>;

/// Lets the list under a name be changed, an empty one if there is none; what is empty afterwards goes.
pub(crate) fn change<K, V, T>(map: &mut PersistentMap<K, V>, key: K, change: impl FnOnce(&mut Vec<T>))
where
    K: Hash + Eq,
    V: Borrow<[T]> + From<Vec<T>>,
    T: Clone,
{
    let mut list = map.get(&key).map(|list| list.borrow().to_vec()).unwrap_or_default();
    change(&mut list);
    if list.is_empty() {
        map.remove_mut(&key);
    } else {
        map.insert_mut(key, list.into());
    }
}

/// Puts something at a place that is there, or at the one after the last.
pub(crate) fn set<T>(list: &mut List<T>, at: usize, value: T)
where
    T: Clone,
{
    if at == list.len() {
        list.push_back_mut(value);
    } else {
        list.set_mut(at, value);
    }
}

/// Hashes names with a key that this process alone knows. Names come from a configuration; callers only ask for some, and
/// what they ask for is never kept, so nobody can fill a map with names that collide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedHash(u64);

impl Default for KeyedHash {
    fn default() -> Self {
        static KEY: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("names"));
        Self(*KEY)
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for KeyedHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The end of a name: with nothing but one name to hash there is nothing to tell it from.
    fn write_u8(&mut self, end: u8) {
        self.0 ^= u64::from(end);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_list_under_a_name_comes_and_goes_and_copies_stay_what_they_were() {
        let mut map = PersistentMap::<Box<str>, Arc<[u8]>>::default();
        change(&mut map, "one".into(), |list| list.extend([1, 2]));
        let before = map.clone();
        change(&mut map, "one".into(), |list| list.retain(|number| *number > 1));
        assert_eq!(
            (map.get("one").map(|list| &**list), before.get("one").map(|list| &**list)),
            (Some(&[2][..]), Some(&[1, 2][..]))
        );
        change(&mut map, "one".into(), Vec::clear);
        change(&mut map, "two".into(), Vec::clear);
        assert_eq!((map.size(), before.size()), (0, 1));
    }

    #[test]
    fn a_place_is_filled_where_it_is_or_at_the_end() {
        let mut list = List::default();
        for at in [0, 1, 2, 1, 9] {
            set(&mut list, at, at * 10);
        }
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [0, 10, 20]);
    }
}
