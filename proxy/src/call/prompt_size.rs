//! The size of a call, where nobody has counted it yet.

use sluicegate_dialects::estimate;

use super::call_size::PricedExtras;
use super::inbound::InboundCall;
use super::passed;

impl InboundCall {
    /// The tokens of the prompt, about, as what providers have counted for its model corrects them.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.context.worker.limiter.shared().prompts.corrected(self.model(), self.prompt_estimate())
    }

    /// The tokens of the prompt by its letters.
    pub(super) fn prompt_estimate(&self) -> u64 {
        *self.size.prompt.get_or_init(|| {
            if self.named().is_some() {
                0
            } else if self.boundary().is_some() {
                passed::tokens_of_form(&self.body)
            } else {
                estimate::tokens_of_body(&self.body)
            }
        })
    }

    /// The number of answers that it asks for.
    pub(super) fn answers(&self) -> u64 {
        if !self.peek.marks.may_ask_for_several() {
            return 1;
        }
        *self.size.answers.get_or_init(|| estimate::answers_of_body(&self.body))
    }

    /// The words in it that may make it dearer.
    pub(super) fn extras(&self) -> PricedExtras {
        *self.size.extras.get_or_init(|| PricedExtras::of(&self.body))
    }
}
