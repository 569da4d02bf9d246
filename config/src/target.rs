//! A pool that calls may go to.

use serde::{Deserialize, Serialize};

use crate::ids::ObjectId;

/// A pool that may take a rule's calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The pool; the compiler makes sure that the snapshot holds it.
    pub pool: ObjectId,
    /// Share of the calls; 0 takes none.
    pub weight: u32,
    /// The model to ask for instead of the caller's.
    pub model: Option<String>,
    /// Of a fallback: the reasons to try it, sorted; empty: no target could serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<FallbackReason>,
}

/// A reason to try a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FallbackReason {
    /// No target could serve.
    Unavailable,
    /// The prompt is too long for the targets.
    ContextWindow,
    /// A content filter refused the call.
    ContentPolicy,
    /// A budget that goes on with fallbacks has no room.
    Budget,
}
