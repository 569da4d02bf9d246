//! The size of a call's prompt, where nobody has counted it yet.

use sluicegate_dialects::estimate;

use super::inbound::InboundCall;
use super::passed;

impl InboundCall {
    /// The tokens of the prompt, about, as what providers have counted for its model corrects them.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.context.worker.limiter.shared().prompts.corrected(self.model(), self.prompt_estimate())
    }

    /// The tokens of the prompt by its letters.
    pub(super) fn prompt_estimate(&self) -> u64 {
        if self.named().is_some() {
            return 0;
        }
        if self.boundary().is_some() {
            passed::tokens_of_form(&self.body)
        } else {
            estimate::tokens_of_body(&self.body)
        }
    }
}
