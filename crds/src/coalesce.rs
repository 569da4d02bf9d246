//! Identical calls that share one answer while it comes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sharing of one answer by identical calls that come while it is under way. Who shares with whom, and what makes two calls
/// the same, is the cache's to say (`cache.scope`, `cache.key`), also where its `ttl` is `0s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coalesce {
    /// The reach of one answer: `Cluster` (identical calls that all proxies have under way are one call to a provider; without Redis, as
    /// `Pod`), `Pod` (those of one proxy are) or `Off` (each is a call of its own, as where nothing is said).
    pub scope: CoalesceScope,
}

/// The reach of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CoalesceScope {
    /// The calls of all proxies, by their shared Redis.
    Cluster,
    /// The calls of one proxy.
    Pod,
    /// None.
    Off,
}
