//! One of several keys of a provider, as proxies run on them.

use serde::{Deserialize, Serialize};

use crate::concurrency::Concurrency;
use crate::ids::CredentialId;
use crate::limits::RateLimit;

/// One of several keys of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderKey {
    /// Unique in its provider.
    pub name: String,
    /// The credential to send; its value travels apart.
    pub credential: CredentialId,
    /// Its rate limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<RateLimit>,
    /// The most calls with it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}
