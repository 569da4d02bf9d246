//! Tokens of an issuer (JWT) by which a consumer is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::Duration;

/// Tokens of an issuer: whoever brings one of this issuer, for one of these audiences and with all of these claims, is this
/// consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::JWT_DISCOVERY, rules::JWT_KEYS_ONCE, rules::JWT_CERTIFICATE, rules::JWT_SKEW])))]
pub struct ConsumerJwt {
    /// The issuer, letter by letter as tokens have it in `iss`, such as `https://login.example.com`.
    #[schemars(length(min = 1, max = 512))]
    pub issuer: String,
    /// The audiences that stand for this gateway: a token has one of them in `aud`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub audiences: Vec<String>,
    /// The address of the issuer's public keys (JWKS). Left out: as `.well-known/openid-configuration` under the issuer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = patterns::URL))]
    pub jwks_url: Option<String>,
    /// The issuer's public keys themselves (JWKS, as JSON), where proxies are not to fetch them: they are those until this is written anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub jwks: Option<String>,
    /// PEM certificates of authorities to trust beside the system's where the issuer's description and keys are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_certificate: Option<String>,
    /// Each subject of these tokens is a consumer of its own, made by this one as a template when it calls first: limits and budgets
    /// count each by itself. Left out: all holders of such tokens are this one consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<JwtSubjects>,
    /// The claims that a token must have, all of them. Left out: every token of the issuer for the audience is this consumer's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub claims: Vec<RequiredClaim>,
    /// The algorithms that a token may be signed with. Left out: `RS256` and `ES256`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9), extend("x-kubernetes-list-type" = "set"))]
    pub algorithms: Vec<JwtAlgorithm>,
    /// The time by which the issuer's clock may differ from a proxy's, up to `5m`. Left out: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<Duration>,
}

/// Subjects of tokens as consumers of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtSubjects {
    /// The claim that names the subject, as a text; with dots between them the names of claims within claims. Default: `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub claim: Option<String>,
    /// The most subjects that each proxy knows at once: of more the one that called longest ago is made anew when it calls again, and
    /// what it used is not forgotten where there is a Redis. Default: 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 100_000))]
    pub max: Option<u32>,
}

/// A claim that a token must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredClaim {
    /// Its name, such as `groups`; with dots between them the names of claims within claims, such as `realm_access.roles`.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// One of these is its value, or one of its values where it is a list.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<String>,
}

/// An algorithm of signatures by an issuer's private key. None is by a secret that both know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JwtAlgorithm {
    /// RSA, PKCS #1, SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA, PKCS #1, SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA, PKCS #1, SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA, PSS, SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA, PSS, SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA, PSS, SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA, P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA, P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl JwtAlgorithm {
    /// As tokens and resources have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}
