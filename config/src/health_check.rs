//! Endpoints that are asked whether they are well, compiled.

use serde::{Deserialize, Serialize};

use crate::millis::Millis;

/// Endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// The path that is asked for.
    pub path: String,
    /// The time from one question to the next.
    pub interval: Millis,
    /// The time for an answer.
    pub timeout: Millis,
    /// So many good answers in a row, and it is well again.
    pub healthy_after: u32,
    /// So many bad ones in a row, and it is not.
    pub unhealthy_after: u32,
}
