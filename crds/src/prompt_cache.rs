//! Breakpoints of a provider's prompt cache that are put into calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Breakpoints for the prompt caches of vendors that cache where they are asked to (Anthropic's models, by whichever host, and models at
/// Bedrock that take `cachePoint`). There are at most four with the caller's own; other providers are sent none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromptCache {
    /// True if one stands behind the tools. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// True if one stands behind the instructions. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// One stands behind each of so many of the caller's last turns. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4))]
    pub turns: Option<u8>,
    /// The time for which what is written is kept, as the vendor counts it: `5m` or `1h`, which costs more. Default: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<PromptCacheTtl>,
}

/// The time for which a prompt is kept: `5m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PromptCacheTtl {
    /// Five minutes.
    #[serde(rename = "5m")]
    Minutes,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
}
