//! A span of time, as all compiled forms have it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// As the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}
