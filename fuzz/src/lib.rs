//! What must hold for any bytes from outside: one module per fuzz target, each a `check` that panics when it does not.
//!
//! Inputs are the bytes as they come on the wire, with nothing before them, so that fixtures are seeds and a crash can
//! be read. Whatever else a check needs (where to cut) comes of a hash of the input: the same input, the same run.

pub mod cache_entry;
pub mod cache_key;
pub mod error;
pub mod event_stream;
pub mod fold;
pub mod http1;
pub mod manifests;
pub mod observe;
pub mod pieces;
pub mod reply;
pub mod request;
pub mod sse;
pub mod stream;
pub mod verbatim;

/// The proxy's cache files that read bytes, without the proxy: instrumented, its 200 crates would take longer to build
/// than to fuzz.
#[path = "../../proxy/src/cache"]
pub mod cache {
    pub mod entry;
    pub mod key;
    pub mod stats;
}

/// The codings that answers are kept in.
#[path = "../../proxy/src/compression/mod.rs"]
pub mod compression;

/// What the cache counts with.
#[path = "../../proxy/src/count.rs"]
pub mod count;

/// The proxy's files that read a provider's HTTP/1.1, likewise.
#[path = "../../proxy/src/upstream"]
#[expect(dead_code, reason = "requests, and what a connection's end means, are the proxy's")]
mod upstream {
    pub(crate) mod framing;
    pub(crate) mod head;
}

use sluicegate_dialects::Dialect;

/// Every dialect.
pub const DIALECTS: &[Dialect] = Dialect::ALL;

/// Whether it is JSON at all; numbers too large for any type and lone surrogates are, as they pass through raw.
#[must_use]
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// Bytes for a message.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
