//! The bounds hold at every moment, forms live and die with their answer.

use proptest::prelude::*;
use sluicegate_dialects::Dialect;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const LIFETIME: Lifetime = Lifetime { ttl: HOUR, max_age: Duration::MAX };

fn memory(max_entries: u64, max_bytes: u64) -> Memory {
    Memory::new(MemoryCache { max_entries, max_bytes }, &Arc::default())
}

fn entry(body: Bytes, ttl: u64) -> CacheEntry {
    let meta = Meta { dialect: Dialect::OpenAiChat, model: "m".into(), usage: None, stored_at: Wall::now(), ttl };
    CacheEntry { meta: Arc::new(meta), body, packed: None }
}

fn key(n: u64) -> Key {
    Key(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

fn body(memory: &Memory, n: u64) -> Option<Bytes> {
    memory.get(&key(n), AnswerForm::Whole, LIFETIME, &Codec::default()).map(|found| found.body)
}

#[test]
fn what_is_put_is_got() {
    let memory = memory(100, 1 << 20);
    memory.put(key(1), entry(Bytes::from_static(b"{}"), 60_000));
    assert_eq!(body(&memory, 1), Some(Bytes::from_static(b"{}")));
    assert_eq!(body(&memory, 2), None);
    memory.put(key(1), entry(Bytes::from_static(b"{1}"), 60_000));
    assert_eq!(body(&memory, 1), Some(Bytes::from_static(b"{1}")));
}

#[test]
fn what_has_lived_its_time_is_gone() {
    let memory = memory(100, 1 << 20);
    memory.put(key(1), entry(Bytes::from_static(b"{}"), 0));
    assert_eq!(memory.filled().0, 1);
    assert_eq!(body(&memory, 1), None);
    assert_eq!(memory.filled().0, 0, "and takes no room");
}

#[test]
fn one_callers_wish_takes_nothing_from_the_others() {
    let memory = memory(100, 1 << 20);
    let old = CacheEntry {
        meta: Arc::new(Meta {
            dialect: Dialect::OpenAiChat,
            model: "m".into(),
            usage: None,
            stored_at: Wall(Wall::now().0 - 60_000),
            ttl: 3_600_000,
        }),
        ..entry(Bytes::from_static(b"{}"), 0)
    };
    memory.put(key(1), old);
    for max_age in [Duration::ZERO, Duration::from_secs(10)] {
        let wish = Lifetime { ttl: HOUR, max_age };
        assert!(memory.get(&key(1), AnswerForm::Whole, wish, &Codec::default()).is_none());
    }
    assert_eq!(body(&memory, 1), Some(Bytes::from_static(b"{}")));
    let route = Lifetime { ttl: Duration::from_secs(10), max_age: Duration::MAX };
    assert!(memory.get(&key(1), AnswerForm::Whole, route, &Codec::default()).is_none());
    assert_eq!(body(&memory, 1), None, "what is too old for all is gone");
}

#[test]
fn a_compressed_answer_is_kept_so_and_unpacked_beside() {
    let codec = Codec::default();
    let memory = memory(100, 1 << 20);
    let whole = Bytes::from("x".repeat(10_000));
    let (packed, length) = codec.pack(&whole, Some(100));
    assert!(length.is_some());
    memory.put(key(1), CacheEntry { packed: length, ..entry(packed, 60_000) });
    assert_eq!(memory.filled().0, 1);
    for _ in 0..3 {
        assert_eq!(body(&memory, 1), Some(whole.clone()));
    }
    assert_eq!(memory.filled().0, 2);
    // A new answer leaves no form of the old one behind.
    memory.put(key(1), entry(Bytes::from_static(b"{}"), 60_000));
    assert_eq!(body(&memory, 1), Some(Bytes::from_static(b"{}")));
    assert_eq!(memory.filled().0, 1);
}

#[test]
fn an_answer_larger_than_all_the_room_is_not_kept() {
    let memory = memory(100, 1000);
    memory.put(key(1), entry(Bytes::from(vec![b' '; 2000]), 60_000));
    assert_eq!(body(&memory, 1), None);
    assert_eq!(memory.filled(), (0, 0));
}

#[test]
fn no_entries_means_none() {
    let memory = memory(0, 1 << 20);
    memory.put(key(1), entry(Bytes::from_static(b"{}"), 60_000));
    assert_eq!(memory.filled().0, 0);
}

#[test]
fn a_resize_keeps_what_fits() {
    let memory = memory(1000, 1 << 24);
    for n in 0..500 {
        memory.put(key(n), entry(Bytes::from_static(b"{}"), 60_000));
    }
    assert_eq!(memory.filled().0, 500);
    memory.resize(MemoryCache { max_entries: 2000, max_bytes: 1 << 24 });
    assert_eq!((0..500).filter(|n| body(&memory, *n).is_some()).count(), 500);
    memory.resize(MemoryCache { max_entries: 50, max_bytes: 1 << 24 });
    let left = (0..500).filter(|n| body(&memory, *n).is_some()).count();
    assert!(left > 25 && left <= 50, "{left}");
}

#[test]
fn a_small_cache_can_be_filled_almost_to_its_bound() {
    let memory = memory(100, 1 << 26);
    for n in 0..100 {
        memory.put(key(n), entry(Bytes::from_static(b"{}"), 60_000));
    }
    assert!(memory.filled().0 >= 95, "{:?}", memory.filled());
}

#[test]
fn evictions_are_counted() {
    let stats = Arc::<Stats>::default();
    let memory = Memory::new(MemoryCache { max_entries: 10, max_bytes: 1 << 20 }, &stats);
    for n in 0..100 {
        memory.put(key(n), entry(Bytes::from_static(b"{}"), 60_000));
    }
    assert_eq!(stats.evictions.get() + memory.filled().0, 100);
}

proptest! {
    #[test]
    fn both_bounds_hold_at_every_moment(
        max_entries in 1_u64..500,
        max_bytes in 1000_u64..1_000_000,
        sizes in prop::collection::vec(0_usize..5000, 1..300),
    ) {
        let memory = memory(max_entries, max_bytes);
        let mut bodies = std::collections::BTreeMap::new();
        for (n, size) in (0..).zip(sizes) {
            memory.put(key(n), entry(Bytes::from(vec![b' '; size]), 60_000));
            bodies.insert(n, size);
            let (entries, bytes) = memory.filled();
            prop_assert!(entries <= max_entries && bytes <= max_bytes, "{} entries, {} bytes", entries, bytes);
        }
        let kept: usize = bodies.iter().filter(|(n, _)| body(&memory, **n).is_some()).map(|(_, size)| size).sum();
        prop_assert!(u64::try_from(kept).unwrap() <= max_bytes);
    }
}
