//! Kept answers: any bytes out of Redis are an entry or a miss, and what is written is read back.

use std::sync::Arc;

use bytes::Bytes;
use sluicegate_dialects::hub::Usage;
use xxhash_rust::xxh3::xxh3_64;

use super::super::entry::{CacheEntry, Meta, Wall};
use crate::compression::Codec;
use sluicegate_dialects::Dialect;

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let codec = Codec::default();
    read(&Bytes::copy_from_slice(data), &codec);
    // No bytes get past the checksum by chance.
    for magic in [&b"SGC\x01\x01"[..], b""] {
        let mut summed = [magic, data].concat();
        summed.extend_from_slice(&xxh3_64(&summed).to_le_bytes());
        read(&Bytes::from(summed), &codec);
    }
    for dialect in Dialect::ALL.iter().copied() {
        let (body, packed) = codec.pack(&Bytes::copy_from_slice(data), Some(16));
        let usage = Some(Usage { input: 3, ..Usage::default() });
        let meta = Meta { dialect, model: "m".into(), usage, stored_at: Wall(5), ttl: 1_000 };
        let entry = CacheEntry { meta: Arc::new(meta), body, packed };
        let again = CacheEntry::decode(&Bytes::from(entry.encode())).expect("what is written is read");
        assert_eq!(again, entry);
        assert_eq!(again.whole(&codec).as_deref(), Some(data));
        let _ = again.stream(&codec, true);
    }
}

fn read(bytes: &Bytes, codec: &Codec) {
    let Some(entry) = CacheEntry::decode(bytes) else { return };
    let _ = (entry.whole(codec), entry.stream(codec, false), entry.size());
    assert!(CacheEntry::decode(&Bytes::from(entry.encode())).is_some(), "what is written is read");
}
