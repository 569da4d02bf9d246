//! Calls that are copied to another pool, compiled.

use serde::{Deserialize, Serialize};

use crate::target::Target;

/// A share of a rule's calls is copied to another pool; what that answers is thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// The pool, and the model to ask it for.
    #[serde(flatten)]
    pub target: Target,
    /// The share, in percent.
    pub percent: u32,
}
