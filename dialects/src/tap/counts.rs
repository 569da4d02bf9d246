//! Where Anthropic's counts are: in whole answers and in a stream's events.

use serde::Deserialize;

use crate::anthropic;

/// `message_start`, as far as it counts.
#[derive(Deserialize)]
pub(super) struct AnthropicStart {
    pub(super) message: AnthropicUsage,
}

/// What has a `usage`.
#[derive(Deserialize)]
pub(super) struct AnthropicUsage {
    pub(super) usage: Option<anthropic::Tally>,
}
