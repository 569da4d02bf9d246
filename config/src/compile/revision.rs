//! Revisions: equal content, equal revision.

use serde::Serialize;

/// The first 128 bits of BLAKE3 over the content as JSON, in hex. The JSON is canonical: fields are in the order of
/// their declaration, maps are sorted.
pub(super) fn of<T: Serialize>(content: &T) -> String {
    // Plain values and string keys: writing them to memory has no way to fail; an empty revision would say so.
    let json = serde_json::to_vec(content).unwrap_or_default();
    blake3::hash(&json).to_hex().chars().take(32).collect()
}
