//! The size of a call, where nobody has counted it yet: each part is looked for once, and only where somebody wants to know.

use std::cell::OnceCell;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use sluicegate_dialects::estimate;

use super::inbound::InboundCall;
use super::passed;

/// The size of a call, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct CallSize {
    prompt: OnceCell<u64>,
    answers: OnceCell<u64>,
    extras: OnceCell<PricedExtras>,
}

/// The words of a body that may make it dearer than its tokens as texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct PricedExtras {
    /// Sound, sent or asked for.
    pub(super) audio: bool,
    /// Pictures.
    pub(super) images: bool,
    /// Breakpoints that stand for an hour.
    pub(super) hour: bool,
    /// A tier that is served sooner.
    pub(super) priority: bool,
}

impl PricedExtras {
    fn of(body: &[u8]) -> Self {
        static WORDS: LazyLock<[Finder<'static>; 4]> =
            LazyLock::new(|| ["audio", "image", "\"1h\"", "\"priority\""].map(Finder::new));
        let [audio, images, hour, priority] = WORDS.each_ref().map(|word| word.find(body).is_some());
        Self { audio, images, hour, priority }
    }
}

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
        *self.size.answers.get_or_init(|| estimate::answers_of_body(&self.body))
    }

    /// The words in it that may make it dearer.
    pub(super) fn extras(&self) -> PricedExtras {
        *self.size.extras.get_or_init(|| PricedExtras::of(&self.body))
    }
}
