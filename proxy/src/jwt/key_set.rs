//! The public keys of an issuer (JWKS), read from what it publishes. Pure.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that are read; issuers have a few.
const MOST_KEYS: usize = 64;
/// The most keys that a signature is held against, where a token does not name one.
const MOST_TRIED: usize = 4;

/// The keys of an issuer by which signatures can be checked.
pub(crate) struct KeySet {
    keys: Box<[SetKey]>,
    /// Of what was read: the same again is no other set.
    pub(super) digest: blake3::Hash,
}

struct SetKey {
    id: Option<Box<str>>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct PublishedKeys {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads what an issuer publishes. Keys that are for something else, or of a kind that is not known, are passed over;
    /// secrets that both sides know are never taken: whoever reads them could sign.
    ///
    /// # Errors
    /// It is no set of keys, or none of them can be used.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let published: PublishedKeys =
            serde_json::from_slice(bytes).map_err(|_| "it is no set of keys (JWKS)".to_owned())?;
        let keys = published.keys.into_iter().take(MOST_KEYS);
        let keys: Box<[SetKey]> = keys.filter_map(key).collect();
        if keys.is_empty() {
            return Err("none of its keys can be used".to_owned());
        }
        Ok(Self { keys, digest: blake3::hash(bytes) })
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The names of its keys.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.id.as_deref())
    }

    /// The keys that a token may be signed with which names this one, or none, and this algorithm.
    pub(crate) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&SetKey| {
            let is_named = id.is_none_or(|id| key.id.as_deref() == Some(id));
            let is_for_it = key.algorithm.is_none_or(|own| own == algorithm);
            is_named && is_for_it && key.key.family() == algorithm.family()
        };
        self.keys.iter().filter(fits).map(|key| &key.key).take(MOST_TRIED)
    }
}

fn key(value: Value) -> Option<SetKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_secret = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    if is_secret || !signs {
        return None;
    }
    // One that says it is for something that is no algorithm of signatures is for nothing here.
    let algorithm = jwk.common.key_algorithm.map(Algorithm::try_from).transpose().ok()?;
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(SetKey { id: jwk.common.key_id.map(Into::into), algorithm, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_public_key_for_signatures_is_passed_over() {
        let rsa = r#""kty":"RSA","n":"AQAB","e":"AQAB""#;
        let ec = r#""kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB""#;
        let set = format!(
            r#"{{"keys":[{{{rsa},"kid":"a","alg":"RS256","use":"sig"}},{{{rsa},"kid":"b","use":"enc"}},{{{rsa},"kid":"c","alg":"RSA-OAEP"}},
            {{"kty":"oct","k":"c2VjcmV0","kid":"d","alg":"HS256"}},{{{ec},"kid":"e"}},{{"kty":"new","kid":"f"}},7,{{}}]}}"#
        );
        let set = KeySet::read(set.as_bytes()).unwrap();
        assert_eq!(set.len(), 2);
        let found = |id, algorithm| set.candidates(id, algorithm).count();
        assert_eq!((found(Some("a"), Algorithm::RS256), found(Some("a"), Algorithm::PS256)), (1, 0), "by its own word");
        assert_eq!((found(Some("e"), Algorithm::ES256), found(Some("e"), Algorithm::RS256)), (1, 0), "by its kind");
        assert_eq!((found(None, Algorithm::RS256), found(Some("d"), Algorithm::HS256)), (1, 0));
        assert_eq!(found(Some("a"), Algorithm::HS256), 0, "a public key is no secret");
        for bad in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":{}}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
            assert!(KeySet::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
