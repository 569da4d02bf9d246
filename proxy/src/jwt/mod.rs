//! Tokens of issuers by which callers are known: whether one is good, and the issuers' keys, which are fetched and renewed off the
//! way of calls.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod keeper;
mod key_set;
mod source;
mod verify;

pub(crate) use keeper::JwksKeeper;
pub(crate) use key_set::KeySet;
pub(crate) use source::JwksSource;
pub(crate) use verify::{Claims, TokenRules, is_too_long, text, untrusted};

/// Seconds since 1970 in a claim, whole or not.
pub(crate) fn seconds(claims: &Claims, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX)).or_else(|| {
        let text = format!("{:.0}", value.as_f64()?.trunc());
        text.parse().ok()
    })
}
