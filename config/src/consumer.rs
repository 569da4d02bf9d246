//! A compiled `LLMConsumer`: who calls, known by digests of keys or by tokens of an issuer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::ConsumerMatch;
use crate::concurrency::Concurrency;
use crate::ids::CredentialId;
use crate::jwt::ConsumerJwt;
use crate::limits::{Budget, RateLimit};
use crate::matching::ModelMatch;

/// The beginning of every key that an operator makes, by which people, scanners of secrets and proxies know it.
pub const GENERATED_KEY_PREFIX: &str = "sgk_";

/// One compiled `LLMConsumer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// `FORMAT` of the compiler that wrote it.
    pub format: u32,
    /// Hash of everything below.
    pub revision: String,
    /// The [`FEATURES`](crate::FEATURES) that a proxy must know to run it as it is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Creation time in seconds since 1970 (0 from files): of two with one key the older has it.
    pub created: i64,
    /// Its keys are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Its keys, those that could be had.
    pub keys: Vec<ConsumerKey>,
    /// The tokens that it is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<ConsumerJwt>,
    /// Of a group, which calls nothing itself: the consumers whose calls its budgets count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<ConsumerMatch>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The names of labels that are told of its calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chargeback: Vec<String>,
    /// Those labels go to providers that have a place for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chargeback_to_providers: bool,
    /// The models that it may ask for; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelMatch>,
    /// The limits of its calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RateLimit>,
    /// The budgets of its calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Its place in queues: higher numbers go first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// The most of its calls that providers work on at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A key of a consumer, of which nothing but its digest is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerKey {
    /// Unique in its consumer.
    pub name: String,
    /// The place that it was read from.
    pub secret: CredentialId,
    /// The digest that it is known by.
    pub digest: KeyDigest,
    /// From this time on, in seconds since 1970, it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl ConsumerKey {
    /// Its name as it is written, also of the one before a generated key.
    #[must_use]
    pub fn written_name(&self) -> &str {
        // No name that is written has a dot.
        self.name.split('.').next().unwrap_or_default()
    }
}

/// SHA-256 of a key. Keys are long and random, so nobody finds one by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "std::borrow::Cow<'_, str>")]
pub struct KeyDigest(pub [u8; 32]);

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        let letter = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        digest.0.iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect()
    }
}

impl TryFrom<std::borrow::Cow<'_, str>> for KeyDigest {
    type Error = &'static str;

    fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Self, Self::Error> {
        let nibble = |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| Some((nibble(*high)? << 4) | nibble(*low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let whole = bytes.filter(|_| rest.is_empty()).and_then(|bytes| bytes.try_into().ok());
        whole.map(Self).ok_or("not 64 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = KeyDigest(std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        let text = serde_json::to_string(&digest).unwrap();
        assert!(text.starts_with("\"0008101820"), "{text}");
        assert_eq!(serde_json::from_str::<KeyDigest>(&text).unwrap(), digest);
        for bad in ["", "00", "zz", &"0".repeat(63), &"0".repeat(66), &"é".repeat(32)] {
            assert!(serde_json::from_str::<KeyDigest>(&format!("{bad:?}")).is_err(), "{bad}");
        }
    }
}
