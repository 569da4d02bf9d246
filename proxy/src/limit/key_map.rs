//! The maps that each call with limits or budgets looks into, several times.

use std::collections::HashMap;

/// A map by digests, and by what holds one: its hash is quick, and seeded anew in each process.
pub(super) type KeyMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
