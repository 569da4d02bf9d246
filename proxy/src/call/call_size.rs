//! The size of a call, as far as somebody has looked at it: each part is looked for once.

use std::cell::OnceCell;
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The size of a call, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct CallSize {
    pub(super) prompt: OnceCell<u64>,
    pub(super) answers: OnceCell<u64>,
    pub(super) extras: OnceCell<PricedExtras>,
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
    pub(super) fn of(body: &[u8]) -> Self {
        static WORDS: LazyLock<[Finder<'static>; 4]> =
            LazyLock::new(|| ["audio", "image", "\"1h\"", "\"priority\""].map(Finder::new));
        let [audio, images, hour, priority] = WORDS.each_ref().map(|word| word.find(body).is_some());
        Self { audio, images, hour, priority }
    }
}
