//! Streams that go on elsewhere, compiled.

use serde::{Deserialize, Serialize};

/// A stream that breaks half-way goes on at another provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFailover {
    /// True if only models go on with it that take what was said as the beginning of their own answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefill_only: bool,
    /// The most times that a stream does.
    pub attempts: u32,
}
