//! Entries come back as they went, and nothing else comes back at all.

use proptest::prelude::*;

use super::*;

fn entry(body: &'static [u8], packed: Option<u32>) -> CacheEntry {
    let usage = Some(Usage { input: 1, cached_input: 2, cache_write: 3, output: 4, reasoning: 5, ..Usage::default() });
    let meta = Meta {
        dialect: Dialect::AnthropicMessages,
        model: "claude".into(),
        usage,
        stored_at: Wall(1_700_000_000_000),
        ttl: 60_000,
    };
    CacheEntry { meta: Arc::new(meta), body: Bytes::from_static(body), packed }
}

#[test]
fn an_entry_comes_back_as_it_went() {
    for (usage, packed) in [(true, None), (false, Some(17))] {
        let mut entry = entry(b"{\"a\":1}", packed);
        if !usage {
            entry.meta = Arc::new(Meta { usage: None, dialect: Dialect::OpenAiChat, ..(*entry.meta).clone() });
        }
        assert_eq!(CacheEntry::decode(&Bytes::from(entry.encode())), Some(entry));
    }
}

#[test]
fn another_version_is_a_miss_even_with_a_right_checksum() {
    let mut bytes = entry(b"{}", None).encode();
    bytes[3] = 2;
    let told = bytes.len() - 8;
    let sum = xxh3_64(&bytes[..told]).to_le_bytes();
    bytes[told..].copy_from_slice(&sum);
    assert_eq!(CacheEntry::decode(&Bytes::from(bytes)), None);
}

#[test]
fn an_entry_that_claims_to_be_huge_is_a_miss() {
    let huge = entry(b"x", Some(u32::MAX));
    assert_eq!(CacheEntry::decode(&Bytes::from(huge.encode())), None);
    assert_eq!(huge.whole(&Codec::default()), None);
}

#[test]
fn broken_compression_is_a_miss() {
    let codec = Codec::default();
    assert_eq!(entry(b"not zstd at all", Some(100)).whole(&codec), None);
    let whole = Bytes::from("a".repeat(5000));
    let (packed, length) = codec.pack(&whole, Some(1000));
    assert_eq!(length, Some(5000));
    let wrong = CacheEntry { body: packed.clone(), packed: Some(4999), ..entry(b"", None) };
    assert_eq!(wrong.whole(&codec), None);
    let right = CacheEntry { body: packed, packed: length, ..wrong };
    assert_eq!(right.whole(&codec), Some(whole));
}

#[test]
fn only_what_is_over_the_threshold_and_gains_by_it_is_compressed() {
    let codec = Codec::default();
    let text = Bytes::from("abc ".repeat(500));
    assert_eq!(codec.pack(&text, None).1, None);
    assert_eq!(codec.pack(&text, Some(2000)).1, None);
    let (packed, length) = codec.pack(&text, Some(1999));
    assert_eq!(length, Some(2000));
    assert!(packed.len() < 100);
    let noise: Vec<u8> = (0..2000_u32).map(|i| blake3::hash(&i.to_le_bytes()).as_bytes()[0]).collect();
    let noise = Bytes::from(noise);
    assert_eq!(codec.pack(&noise, Some(0)), (noise, None));
}

#[test]
fn freshness_is_the_shorter_of_both_lifetimes() {
    let meta = &entry(b"", None).meta;
    let at = |seconds: u64| Wall(1_700_000_000_000 + seconds * 1000);
    assert!(meta.fresh(at(59), Duration::from_secs(3600)));
    assert!(!meta.fresh(at(60), Duration::from_secs(3600)));
    assert!(!meta.fresh(at(10), Duration::from_secs(10)));
    assert!(meta.fresh(Wall(0), Duration::from_secs(10)), "a clock behind the writer's");
    assert!(!meta.fresh(at(0), Duration::ZERO));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = CacheEntry::decode(&Bytes::from(bytes));
    }

    #[test]
    fn a_changed_byte_is_a_miss(at in 0_usize..1000, flip in 1_u8..) {
        let mut bytes = entry(b"{\"text\":\"some answer\"}", None).encode();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        prop_assert_eq!(CacheEntry::decode(&Bytes::from(bytes)), None);
    }

    #[test]
    fn a_cut_entry_is_a_miss(cut in 0_usize..1000) {
        let mut bytes = entry(b"{\"text\":\"some answer\"}", None).encode();
        bytes.truncate(cut % bytes.len());
        prop_assert_eq!(CacheEntry::decode(&Bytes::from(bytes)), None);
    }

    #[test]
    fn no_bytes_with_a_right_checksum_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        // As from a writer of another version, or a hostile one.
        bytes.splice(0..0, MAGIC);
        let sum = xxh3_64(&bytes).to_le_bytes();
        bytes.extend_from_slice(&sum);
        if let Some(entry) = CacheEntry::decode(&Bytes::from(bytes)) {
            let _ = entry.whole(&Codec::default());
        }
    }
}
