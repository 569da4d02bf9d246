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
}
