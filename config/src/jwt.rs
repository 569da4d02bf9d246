//! The compiled form of the tokens that a consumer is known by.

use serde::{Deserialize, Serialize};

/// Tokens of an issuer that are a consumer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerJwt {
    /// As tokens have it in `iss`.
    pub issuer: String,
    /// A token has one of them in `aud`.
    pub audiences: Vec<String>,
    /// The address of the issuer's keys; `None`: it is discovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// The issuer's keys themselves; `None`: they are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Authorities that are trusted beside the system's, in PEM, where keys are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Each subject is a consumer of its own; `None`: all are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<JwtSubjects>,
    /// A token has all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<RequiredClaim>,
    /// The names of the algorithms that it may be signed with.
    pub algorithms: Vec<String>,
    /// The clocks may differ by so many seconds.
    pub clock_skew: u64,
}

/// Subjects of tokens as consumers of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JwtSubjects {
    /// The claim that names the subject, or a path of names.
    pub claim: String,
    /// The most that a proxy knows at once.
    pub max: u32,
}

/// A claim that a token must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredClaim {
    /// Its name, or a path of names.
    pub name: String,
    /// One of these is its value.
    pub values: Vec<String>,
}
