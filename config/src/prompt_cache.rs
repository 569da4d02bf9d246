//! Breakpoints of a provider's prompt cache, compiled.

use serde::{Deserialize, Serialize};

/// The breakpoints that a rule puts into its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptCache {
    /// One behind the tools.
    pub tools: bool,
    /// One behind the instructions.
    pub system: bool,
    /// One behind each of so many of the caller's last turns.
    pub turns: u8,
    /// True if what is written is to be kept for an hour.
    pub for_an_hour: bool,
}
