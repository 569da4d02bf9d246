//! The caching of answers. Nothing here has a default in the schema: a rule's cache is laid over its route's, field by
//! field, and a filled-in default would hide what the route says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{ByteSize, Duration};

/// The caching of answers. On a rule it is laid over the route's, field by field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cache {
    /// The time that an answer is good for; `0s` caches nothing. Default: 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// The callers that share an answer (the schema takes the words from the type).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<CacheScope>,
    /// The layer in each proxy's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryCache>,
    /// The layer in Redis, shared by all proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisCache>,
    /// The rule by which an answer from Redis is copied into memory. Left out: at its first hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
    /// The parts that make two requests the same. Left out: every byte that can change the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<CacheKey>,
    /// The answers that are stored, beside their success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
    /// The stored answers that are compressed. Left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Raise it, and every proxy forgets every answer at once. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub generation: Option<u32>,
}

/// The callers that share an answer: `Consumer` (calls of the same consumer, by whichever of its keys; where no consumer calls,
/// those with the same keys) or `Route` (every call of the route). Default: `Consumer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CacheScope {
    /// Calls of the same consumer, or else with the same keys.
    Consumer,
    /// Every call of the route.
    Route,
}

/// The layer in each proxy's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemoryCache {
    /// The most answers kept by one proxy; 0 turns this layer off. Default: 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub max_entries: Option<u32>,
    /// The most bytes kept by one proxy, such as `64Mi`; 0 turns this layer off. Default: 64Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
}

/// The layer in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RedisCache {
    /// True if it is used, where the gateway has a Redis. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The rule by which an answer from Redis is copied into memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Promotion {
    /// After this many hits … Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub hits: Option<u32>,
    /// … within this time. Default: 300s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
}

/// The parts that make two requests the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CacheKey {
    /// White space at both ends of texts does not count, and a run of it counts as one space. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<bool>,
    /// The case of texts does not count. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowercase: Option<bool>,
    /// Temperatures that round to the same at this many decimals are the same. Left out: as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 6))]
    pub temperature_decimals: Option<u32>,
    /// Top-level fields of a request that do not count, such as `user` and `metadata`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub ignore: Option<Vec<String>>,
}

/// The answers that are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Store {
    /// Answers with less text than this, in characters, are not stored. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub min_content_length: Option<u32>,
    /// True if answers that ran into their token limit are stored, too; not where `key.ignore` names the limit. Default:
    /// false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<bool>,
    /// Answers larger than this are not stored, in bytes, such as `1Mi`. Default: 1Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
}

/// The stored answers that are compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Compression {
    /// Those over this many bytes. Default: 1Ki.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<ByteSize>,
}
