//! The events of a stream, however they are framed: server-sent events, the elements of a JSON array, or messages of a binary
//! event stream. Which of them it is, its first byte says.

use crate::codec::Malformed;
use crate::event_stream::EventStreamDecoder;
use crate::json_array::ArrayDecoder;
use crate::sse::{Frame, SseDecoder};

/// Reads events out of bytes cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder {
    events: SseDecoder,
    array: Option<ArrayDecoder>,
    messages: Option<EventStreamDecoder>,
    begun: bool,
}

impl FrameDecoder {
    /// A reader that lets events beyond a limit go by: of such an event only its end is told.
    pub(crate) fn lenient(limit: usize) -> Self {
        Self { events: SseDecoder::lenient(limit), ..Self::default() }
    }

    /// A reader of messages of a binary event stream, whatever the first byte says.
    pub(crate) fn of_messages() -> Self {
        Self { messages: Some(EventStreamDecoder::default()), begun: true, ..Self::default() }
    }

    /// Takes the next bytes and gives each event they complete to `each`. Errors: an event is too large, or what `each`
    /// says.
    pub(crate) fn push<F>(&mut self, bytes: &[u8], each: F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        if !self.begun
            && let Some(first) = bytes.trim_ascii_start().first()
        {
            self.begun = true;
            self.array = (*first == b'[').then(ArrayDecoder::default);
            self.messages = (*first == 0).then(EventStreamDecoder::default);
        }
        match (&mut self.array, &mut self.messages) {
            (Some(array), _) => array.push(bytes, each),
            (None, Some(messages)) => messages.push(bytes, each),
            (None, None) => self.events.push(bytes, each),
        }
    }

    /// Says that the body ended. Errors: as `push`.
    pub(crate) fn finish<F>(&mut self, each: F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        // An element that has not ended is cut.
        if self.array.is_some() || self.messages.is_some() { Ok(()) } else { self.events.finish(each) }
    }

    /// True if the bytes so far end between two events.
    pub(crate) fn at_boundary(&self) -> bool {
        let array = self.array.as_ref().map(ArrayDecoder::at_boundary);
        let framed = array.or_else(|| self.messages.as_ref().map(EventStreamDecoder::at_boundary));
        framed.unwrap_or_else(|| self.events.at_boundary())
    }

    /// True if an event beyond the limit is going by.
    pub(crate) fn skips(&self) -> bool {
        self.array.as_ref().map_or_else(|| self.events.skips(), ArrayDecoder::skips)
    }

    /// True if it is an array whose closing bracket has not come.
    pub(crate) fn is_open_array(&self) -> bool {
        self.array.as_ref().is_some_and(|array| !array.has_ended())
    }

    /// The memory that the unfinished event takes.
    pub(crate) fn held(&self) -> usize {
        let messages = self.messages.as_ref().map_or(0, EventStreamDecoder::held);
        self.events.held() + self.array.as_ref().map_or(0, ArrayDecoder::held) + messages
    }

    /// The number of bytes that have been searched for an event's end.
    #[cfg(test)]
    pub(crate) fn searched(&self) -> usize {
        self.events.searched
    }
}
