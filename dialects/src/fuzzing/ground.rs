//! That which all checks stand on.

use crate::Dialect;

/// Every dialect.
pub(super) const DIALECTS: &[Dialect] = Dialect::ALL;

/// True if it is JSON at all; numbers too large for any type and lone surrogates are, as they pass through raw.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// Bytes for a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
