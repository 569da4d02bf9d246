//! A streamed answer folded into a whole one, in one dialect's own words: the framing and the bound, whichever the dialect.
//!
//! No hub stands between: what the hub has no word for would be lost on the way, and a kept answer is given again as it
//! was or not at all.

use crate::codec::Malformed;
use crate::frames::FrameDecoder;
use crate::hub::Usage;
use crate::sse;

pub use crate::codec::Unfolded;

/// A dialect's part of it: what each event adds to the answer.
pub trait FoldEvents: std::fmt::Debug + Send {
    /// Takes the next event; gives how many bytes are held for it.
    ///
    /// # Errors
    /// It can not be folded, is none of the dialect's, or says that the provider failed.
    fn push(&mut self, frame: &sse::Frame<'_>) -> Result<usize, Unfolded>;

    /// The whole answer. `usage` is what it used, where the stream does not say so.
    ///
    /// # Errors
    /// The stream was cut, or its pieces make no whole.
    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded>;
}

/// Folds one stream, as its bytes come.
#[derive(Debug)]
pub struct StreamFold {
    frames: FrameDecoder,
    events: Box<dyn FoldEvents>,
    held: usize,
    most: usize,
}

impl StreamFold {
    /// Of a stream whose events these are, which gives up when it has to hold more than `most` bytes.
    pub(crate) fn new(events: Box<dyn FoldEvents>, most: usize) -> Self {
        Self { frames: FrameDecoder::default(), events, held: 0, most }
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
        self.events.finish(usage)
    }

    fn frames(
        &mut self,
        read: impl FnOnce(
            &mut FrameDecoder,
            &mut dyn FnMut(sse::Frame<'_>) -> Result<(), Malformed>,
        ) -> Result<(), Malformed>,
    ) -> Result<(), Unfolded> {
        let Self { frames, events, held, most } = self;
        let mut failed = None;
        let read = read(frames, &mut |frame| {
            let taken = events.push(&frame).and_then(|more| {
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
