//! Where Anthropic's counts are: in whole answers and in a stream's events.

use serde::Deserialize;

use crate::anthropic;

/// `message_start`, as far as it counts.
#[derive(Deserialize)]
pub(super) struct AnthropicStart {
    pub(super) message: AnthropicUsage,
}

/// `message_delta`, as far as it says why the answer finished.
#[derive(Deserialize)]
pub(super) struct AnthropicDelta {
    delta: Option<Closing>,
}

#[derive(Deserialize)]
struct Closing {
    stop_reason: Option<String>,
}

impl AnthropicDelta {
    pub(super) fn finishes(&self) -> bool {
        let reason = self.delta.as_ref().and_then(|delta| delta.stop_reason.as_ref());
        reason.is_some_and(|reason| !reason.is_empty())
    }
}

/// What has a `usage`.
#[derive(Deserialize)]
pub(super) struct AnthropicUsage {
    pub(super) usage: Option<anthropic::Tally>,
}
