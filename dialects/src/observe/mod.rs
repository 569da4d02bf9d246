//! The observer of the verbatim lane: follows a streamed answer's bytes as they pass and knows its usage, first token, end
//! and errors. The bookkeeping is here; each dialect's part says what an event means.
//!
//! No tree is built and no chunk is copied unless an event is cut by it.

mod observed;
mod text;
mod whole;

use bytes::Bytes;

use crate::answered_by::AnsweredBy;
use crate::codec::{AnswerName, Malformed};
use crate::frames::FrameDecoder;
use crate::hub::{ProviderError, ServiceTier, Usage};
use crate::sse;

pub(crate) use observed::{COUNTS, ObserveEvent, Observed};
pub(crate) use whole::{AnswerShape, SeenAnswer, error_of_whole, is_answer, usage_of_whole};

/// The work that an observer does beside watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObserverMode {
    /// Nothing.
    Watch,
    /// Holds an event back until it is whole and sound, so that an error can be said in its place.
    HoldEvents,
    /// Takes OpenAI's usage chunk (`choices: []`) out of what passes: the gateway asked for it, the caller did not.
    DropUsage,
}

/// Observes one streamed answer.
#[derive(Debug)]
pub struct StreamObserver {
    mode: ObserverMode,
    frames: FrameDecoder,
    observe: ObserveEvent,
    observed: Observed,
    /// The beginning of an event that is not whole yet, kept back until it is known whether it passes.
    held: Vec<u8>,
    /// Set when the framing is broken: nothing of what comes then passes, where events are held.
    damage: Option<Malformed>,
}

impl StreamObserver {
    /// At a stream's beginning.
    pub(crate) fn new(observe: ObserveEvent, text_key: &'static str, mode: ObserverMode) -> Self {
        let frames = FrameDecoder::lenient(sse::MAX_EVENT);
        Self { mode, frames, observe, observed: Observed::new(text_key), held: Vec::new(), damage: None }
    }

    /// At the beginning of a stream that is messages of a binary event stream, whatever its first byte says.
    pub(crate) fn of_messages(self) -> Self {
        Self { frames: FrameDecoder::of_messages(), ..self }
    }

    /// Watches for the models behind the answer, too.
    pub fn watch_models(&mut self) {
        self.observed.behind = Some(Box::default());
    }

    /// The models behind the answer as far as it has come, where they are watched for.
    #[must_use]
    pub fn answered_by(&self) -> Option<&AnsweredBy> {
        self.observed.behind.as_deref()
    }

    /// Observes the next bytes, cut anywhere; `pass` is for modes that hold some back. Gives where in them the stream is over.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let Self { frames, observe, observed, .. } = self;
        let mut over = None;
        // Neither the framing nor the observer refuses anything: what is too large to be held passes unparsed.
        let _ = frames.push(bytes, |frame| {
            if over.is_none() {
                observed.event(*observe, frame);
                over = observed.is_over().then_some(frame.end);
            }
            Ok(())
        });
        over
    }

    /// Observes the next bytes and appends what goes on to the caller: the chunk itself, uncopied, unless something
    /// is taken out of it or it ends inside an event. What comes behind the stream's end, or an error, does not pass.
    pub fn pass(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        if chunk.is_empty() || self.is_over() || self.damage.is_some() {
            return;
        }
        if self.mode == ObserverMode::Watch {
            match self.push(&chunk) {
                Some(over) => give(&chunk, 0, over, out),
                None => out.push(chunk),
            }
            return;
        }
        let Self { mode, frames, observe, observed, held, damage } = self;
        let (mut kept_from, mut boundary, mut over) = (0, 0, false);
        let framed = frames.push(&chunk, |frame| {
            if over {
                return Ok(());
            }
            if observed.event(*observe, frame) && *mode == ObserverMode::DropUsage {
                // The event began at the boundary, or before this chunk.
                held.clear();
                give(&chunk, kept_from, boundary, out);
                kept_from = frame.end;
            } else if !held.is_empty() {
                out.push(std::mem::take(held).into());
            }
            boundary = frame.end;
            over = observed.is_over();
            Ok(())
        });
        if !over && *mode == ObserverMode::HoldEvents {
            *damage = framed.err();
        }
        if over || damage.is_some() {
            give(&chunk, kept_from, boundary, out);
            held.clear();
            return;
        }
        if self.frames.at_boundary() || self.frames.skips() {
            // Comments end no event; they pass at once, for they keep connections alive. An event too large to be held
            // passes as it comes.
            boundary = chunk.len();
        }
        if boundary > 0 && !self.held.is_empty() {
            out.push(std::mem::take(&mut self.held).into());
        }
        give(&chunk, kept_from, boundary, out);
        self.held.extend_from_slice(chunk.get(boundary..).unwrap_or_default());
    }

    /// Says that the body ended, cleanly or cut, and appends what was kept back.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let Self { frames, observe, observed, held, .. } = self;
        let mode = self.mode;
        let _ = frames.finish(|frame| {
            // What stands behind an error is no end.
            if observed.is_over() {
                return Ok(());
            }
            if observed.event(*observe, frame) && mode == ObserverMode::DropUsage {
                held.clear();
            }
            Ok(())
        });
        if self.mode == ObserverMode::HoldEvents {
            // Half an event is none.
            self.held.clear();
        }
        if !self.held.is_empty() {
            out.push(std::mem::take(&mut self.held).into());
        }
    }

    /// The damage for which nothing more passes, where events are held.
    #[must_use]
    pub const fn damage(&self) -> Option<&Malformed> {
        self.damage.as_ref()
    }

    /// True if the bytes so far end between two events.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.frames.at_boundary()
    }

    /// True if the beginning of an event has passed and its end has not: it is too large to be held.
    #[must_use]
    pub fn is_amid(&self) -> bool {
        self.frames.skips()
    }

    /// True if the stream is a JSON array whose closing bracket has not come.
    #[must_use]
    pub fn is_open_array(&self) -> bool {
        self.frames.is_open_array()
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.frames.held() + self.held.capacity()
    }

    /// The number of bytes that have been searched for an event's end.
    #[cfg(test)]
    pub(crate) fn searched(&self) -> usize {
        self.frames.searched()
    }

    /// True if something of the answer itself went by: text, thoughts, a tool call, a refusal or a finish. A role, an
    /// opening or a ping is not.
    #[must_use]
    pub fn first_token_seen(&self) -> bool {
        self.observed.first_token
    }

    /// True if thoughts have begun, whatever is shown of them, where the dialect gives them a part of their own.
    #[must_use]
    pub fn thought_seen(&self) -> bool {
        self.observed.thought
    }

    /// The length of the answer's own text so far, in bytes: close, not exact.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.observed.text_bytes()
    }

    /// The usage, by what the provider has said so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.observed.usage.map(|usage| Usage { tier: usage.tier.or(self.observed.tier), ..usage })
    }

    /// True if the usage was said at the answer's beginning alone: how long the answer would be nobody knew then.
    #[must_use]
    pub fn usage_is_early(&self) -> bool {
        self.observed.usage_is_early
    }

    /// The service tier that answers, as far as the provider has said it.
    #[must_use]
    pub fn tier(&self) -> ServiceTier {
        self.observed.usage.map_or(self.observed.tier, |usage| usage.tier.or(self.observed.tier))
    }

    /// The number that the last event had, where the dialect numbers them.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.observed.number
    }

    /// The name of the stream's answer, where its dialect says it in each event that tells of the answer.
    #[must_use]
    pub fn answer_name(&self) -> Option<&AnswerName> {
        self.observed.answer.as_deref()
    }

    /// True if the stream said that it is whole: `[DONE]`, `message_stop`.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.observed.ended
    }

    /// True if the stream said that it is whole, or an error: nothing stands behind either.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.observed.is_over()
    }

    /// True if each of the answers said why it finished: a stream that ends so is whole, `[DONE]` or `message_stop` or
    /// not.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.observed.is_finished()
    }

    /// True if the provider said in mid-stream that it failed.
    #[must_use]
    pub fn errored(&self) -> bool {
        self.observed.error.is_some()
    }

    /// The error that the provider said in mid-stream, the first one.
    #[must_use]
    pub fn error(&self) -> Option<&ProviderError> {
        self.observed.error.as_ref()
    }
}

fn give(chunk: &Bytes, from: usize, to: usize, out: &mut Vec<Bytes>) {
    if from == 0 && to == chunk.len() {
        out.push(chunk.clone());
    } else if from < to && to <= chunk.len() {
        out.push(chunk.slice(from..to));
    }
}
