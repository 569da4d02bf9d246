//! A streamed answer folded into a whole one, and a whole one told as a stream, both in one dialect's own words.
//!
//! No hub stands between: what the hub has no word for would be lost on the way, and a kept answer is given again as it
//! was or not at all.

use crate::dialect::Dialect;
use crate::hub::Usage;
use crate::seam::Malformed;
use crate::sse;
use crate::{anthropic, openai};

pub use crate::seam::Unfolded;

/// Folds one stream, as its bytes come.
#[derive(Debug)]
pub struct Fold {
    frames: sse::Decoder,
    spoke: Spoke,
    held: usize,
    most: usize,
}

#[derive(Debug)]
enum Spoke {
    OpenAi(openai::fold::Fold),
    Anthropic(anthropic::fold::Fold),
}

impl Fold {
    /// Of a stream in this dialect, which gives up when it has to hold more than `most` bytes.
    #[must_use]
    pub fn new(dialect: Dialect, most: usize) -> Self {
        let spoke = match dialect {
            Dialect::OpenAiChat => Spoke::OpenAi(openai::fold::Fold::default()),
            Dialect::AnthropicMessages => Spoke::Anthropic(anthropic::fold::Fold::default()),
        };
        Self { frames: sse::Decoder::default(), spoke, held: 0, most }
    }

    /// Takes the next bytes, cut anywhere.
    ///
    /// # Errors
    /// The stream can not be folded.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Unfolded> {
        self.frames(|frames, each| frames.push(bytes, each))
    }

    /// The whole answer, once the stream's body has come to its clean end. `usage` is what it used, where the stream does
    /// not say so.
    ///
    /// # Errors
    /// The stream was cut, or can not be folded.
    pub fn finish(mut self, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        self.frames(|frames, each| frames.finish(each))?;
        match self.spoke {
            Spoke::OpenAi(fold) => fold.finish(usage),
            Spoke::Anthropic(fold) => fold.finish(),
        }
    }

    fn frames(
        &mut self,
        read: impl FnOnce(
            &mut sse::Decoder,
            &mut dyn FnMut(sse::Frame<'_>) -> Result<(), Malformed>,
        ) -> Result<(), Malformed>,
    ) -> Result<(), Unfolded> {
        let Self { frames, spoke, held, most } = self;
        let mut failed = None;
        let read = read(frames, &mut |frame| {
            let taken = match spoke {
                Spoke::OpenAi(fold) => fold.push(&frame),
                Spoke::Anthropic(fold) => fold.push(&frame),
            };
            let taken = taken.and_then(|more| {
                *held = held.saturating_add(more);
                if *held > *most { Err(Unfolded::TooLarge(*most)) } else { Ok(()) }
            });
            taken.map_err(|why| {
                failed = Some(why);
                Malformed::new("the stream can not be folded")
            })
        });
        match (failed, read) {
            (Some(why), _) => Err(why),
            (None, Err(_)) => Err(Unfolded::Malformed),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// The bytes of a stream that says what this whole answer says; `None`: a stream of that dialect has no words for
/// something in it. `include_usage` is OpenAI's: Anthropic's streams always tell it.
#[must_use]
pub fn tell(dialect: Dialect, whole: &[u8], include_usage: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(whole.len() * 2);
    match dialect {
        Dialect::OpenAiChat => openai::fold::tell(whole, include_usage, &mut out)?,
        Dialect::AnthropicMessages => anthropic::fold::tell(whole, &mut out)?,
    }
    Some(out)
}

/// Whether a whole answer says why it ended; each of its answers, where it has several.
#[must_use]
pub fn says_why(dialect: Dialect, whole: &[u8]) -> bool {
    match dialect {
        Dialect::OpenAiChat => openai::fold::says_why(whole),
        Dialect::AnthropicMessages => anthropic::fold::says_why(whole),
    }
}

#[cfg(test)]
mod tests;
