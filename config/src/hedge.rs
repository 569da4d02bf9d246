//! Second attempts elsewhere, compiled.

use serde::{Deserialize, Serialize};

use crate::millis::Millis;

/// A second attempt at another endpoint, where the first keeps its caller waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hedge {
    /// The time after which it is made; `None`: as long as 95 of 100 calls for the model have waited at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Millis>,
    /// The most of a pool's calls that have one, in percent.
    pub max_percent: u32,
    /// The most that second attempts cost, in percent of what those calls cost; `None`: whatever they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_percent: Option<u32>,
}
