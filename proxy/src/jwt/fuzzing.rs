//! Checks of what must hold for any token, and for whatever an issuer publishes as its keys.

use std::sync::LazyLock;

use sluicegate_config::{ConsumerJwt, RequiredClaim};

use super::{KeySet, TokenRules, seconds, untrusted};

static RULES: LazyLock<TokenRules> = LazyLock::new(|| {
    TokenRules::new(&ConsumerJwt {
        issuer: "https://x".to_owned(),
        audiences: vec!["gateway".to_owned()],
        jwks_url: None,
        jwks: None,
        ca_pem: None,
        subjects: None,
        claims: vec![RequiredClaim { name: "realm.roles".to_owned(), values: vec!["caller".to_owned()] }],
        algorithms: ["RS256", "ES256", "EdDSA", "PS512"].map(str::to_owned).into(),
        clock_skew: 60,
    })
});

/// A public key whose other half nobody has kept.
const KEYS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Tokens: whatever one says of itself is read or not, and none that nobody has signed is good. Sets of keys: few, and none that is
/// a secret.
///
/// # Panics
/// When what must hold does not.
pub fn tokens(data: &[u8]) {
    if let Some(said) = untrusted(data) {
        let _ = (said.issuer().is_some(), RULES.select(&said));
    }
    let Ok(keys) = KeySet::read(KEYS) else { return };
    assert!(RULES.verify(data, &keys).is_err(), "a token that nobody has signed");
    if let Ok(keys) = KeySet::read(data) {
        assert!((1..=64).contains(&keys.len()) && keys.ids().count() <= keys.len());
        let _ = RULES.verify(data, &keys).is_ok();
    }
    if let Ok(claims) = serde_json::from_slice(data) {
        let _ = (seconds(&claims, "exp"), seconds(&claims, "iat"));
    }
}
