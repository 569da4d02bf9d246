//! Between a whole reply and its stream: a kept reply told as events, a recorded stream folded into a reply.

use bytes::Bytes;
use sluicegate_dialects::fold::{Fold, Unfolded, unfold};
use sluicegate_dialects::hub::{Delta, Event, Reply, Usage};
use sluicegate_dialects::{Dialect, StreamDecoder, StreamOptions};

use super::stats::Refused;

/// What a fold may hold beside the content that is counted here: a small delta costs it more than its text.
const FOLD_OVERHEAD: usize = 64;

/// The bytes of a stream that says what this whole reply says; `None`: it is not a reply of that dialect.
#[must_use]
pub fn stream(dialect: Dialect, whole: &[u8], include_usage: bool) -> Option<Bytes> {
    let reply = dialect.decode_reply(whole).ok()?;
    let mut encoder = dialect.stream_encoder(StreamOptions { include_usage, created: reply.created });
    let mut out = Vec::with_capacity(whole.len() * 2);
    for event in unfold(&reply) {
        encoder.push(&event, &mut out);
    }
    // It is kept: without the room it did not need.
    out.shrink_to_fit();
    Some(Bytes::from(out))
}

/// Folds a stream as it is recorded.
#[derive(Debug)]
pub struct Folding {
    decoder: StreamDecoder,
    fold: Fold,
    events: Vec<Event>,
    content: u64,
    max_bytes: u64,
}

impl Folding {
    /// Of a stream in this dialect, which gives up beyond `max_bytes` of content.
    #[must_use]
    pub fn new(dialect: Dialect, max_bytes: u64) -> Self {
        let bound = usize::try_from(max_bytes).unwrap_or(usize::MAX).saturating_mul(FOLD_OVERHEAD);
        let (decoder, fold) = (dialect.stream_decoder(), Fold::new(dialect, bound));
        Self { decoder, fold, events: Vec::new(), content: 0, max_bytes }
    }

    /// Takes the next bytes, cut anywhere.
    ///
    /// # Errors
    /// The stream is not what its dialect allows, or holds too much.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let decoded = self.decoder.push(bytes, &mut self.events);
        self.take()?;
        decoded.map_err(|_| Refused::Malformed)
    }

    /// The reply, once the stream has come to its clean end; `usage` is what it used where the stream does not say so.
    ///
    /// # Errors
    /// It has not come to its clean end, or can not be folded.
    pub fn finish(mut self, usage: Option<Usage>) -> Result<Reply, Refused> {
        let decoded = self.decoder.finish(&mut self.events);
        self.take()?;
        decoded.map_err(|_| Refused::Malformed)?;
        let mut reply = self.fold.finish().map_err(|why| match why {
            Unfolded::Cut | Unfolded::Failed(_) => Refused::Cut,
            Unfolded::TooLarge(_) => Refused::Large,
            Unfolded::Unknown => Refused::Malformed,
        })?;
        reply.usage = reply.usage.or(usage);
        Ok(reply)
    }

    fn take(&mut self) -> Result<(), Refused> {
        for event in self.events.drain(..) {
            if let Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text) | Delta::Signature(text), .. } =
                &event
            {
                self.content = self.content.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
            }
            self.fold.push(&event);
        }
        if self.content > self.max_bytes { Err(Refused::Large) } else { Ok(()) }
    }
}
