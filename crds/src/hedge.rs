//! A second attempt elsewhere, where the first keeps its caller waiting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{self, validations};
use crate::scalar::Duration;

/// A second attempt at another endpoint of the pool, where the first keeps its caller waiting: the first token counts, and the other
/// attempt is let go of. Both are paid for. A call that asks its provider to keep something is never made twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::HEDGE_POSITIVE])))]
pub struct Hedge {
    /// The time after which it is made. Left out: as long as 95 of 100 calls for the model have lately waited at most, as each proxy
    /// has seen it; until it has seen twenty, no second attempt is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// Second attempts may be at most this share of the pool's calls in the last minute that might have one, in percent. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: u32,
    /// Second attempts may cost at most this share of what the calls that might have one cost in the last minute, in percent, by the prices
    /// of the pool's models; to a model without a price none is made. Left out: whatever they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_cost_percent: Option<u32>,
}

const fn five() -> u32 {
    5
}
