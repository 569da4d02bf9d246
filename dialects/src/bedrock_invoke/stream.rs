//! A streamed answer: Anthropic's events, each in a chunk of a binary event stream.

use super::error;
use crate::anthropic_messages::stream::{MessagesEncoder, MessagesReader};
use crate::codec::{Malformed, StreamOptions};
use crate::content_policy;
use crate::event_stream::{self, MessageKind};
use crate::frames::FrameDecoder;
use crate::hub::{Event, ProviderError, Stop};
use crate::spoke::{DecodeStream, EncodeStream, GuardrailWord};
use crate::sse::{Frame, SseDecoder};

/// A chunk that says nothing; written out, as it has to last.
pub(super) const PING: &[u8] = b"\x00\x00\x00{\x00\x00\x00K\x0a.\x96\xaf\x0b:event-type\x07\x00\x05chunk\x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event{\x22bytes\x22:\x22eyJ0eXBlIjoicGluZyJ9\x22}\xa0\x1fV\xc4";
/// The end of a whole stream.
pub(super) const END: &[u8] = b"\x00\x00\x00\x87\x00\x00\x00K\x87\xea+\xf3\x0b:event-type\x07\x00\x05chunk\x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event{\x22bytes\x22:\x22eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=\x22}\xbaH\xab\x22";

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(super) struct InvokeDecoder {
    frames: FrameDecoder,
    reader: GuardedReader,
}

impl DecodeStream for InvokeDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.push(bytes, |frame| reader.frame(frame, out))
    }

    fn held(&self) -> usize {
        self.frames.held()
    }

    fn is_finished(&self) -> bool {
        self.reader.inner.is_finished()
    }

    fn usage_is_early(&self) -> bool {
        self.reader.inner.usage_is_early()
    }

    fn guardrail(&self) -> GuardrailWord {
        if self.reader.spoken { GuardrailWord::Spoken } else { GuardrailWord::Unsaid }
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.finish(|frame| reader.frame(frame, out))?;
        reader.tell(out);
        reader.inner.finish(out);
        Ok(())
    }
}

/// Anthropic's reader. A guardrail's word comes with any chunk, also with the one behind the event that says why the answer ended:
/// that event waits for it.
#[derive(Debug, Default)]
struct GuardedReader {
    inner: MessagesReader,
    spoken: bool,
    /// The event that waits.
    finish: Option<Event>,
    /// True if it has been told: what a guardrail says behind it comes too late.
    told: bool,
}

impl GuardedReader {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if let Some(error) = error::of_event(frame.name, frame.data) {
            self.tell(out);
            self.inner.fail(error, out);
            return Ok(());
        }
        self.spoken |= !self.told && content_policy::is_guardrails_chunk(frame.data);
        self.tell(out);
        let from = out.len();
        let read = self.inner.frame(frame.name, frame.data, out);
        let finish = out.iter().skip(from).position(|event| matches!(event, Event::Finish { .. }));
        if let Some(finish) = finish.filter(|_| !self.told) {
            self.finish = Some(out.remove(from + finish));
        }
        read
    }

    /// Tells why the answer ended, where that waits.
    fn tell(&mut self, out: &mut Vec<Event>) {
        let Some(event) = self.finish.take() else { return };
        self.told = true;
        out.push(match event {
            Event::Finish { choice, stop: _ } if self.spoken => Event::Finish { choice, stop: Stop::Refusal },
            event => event,
        });
    }
}

/// Writes one streamed answer.
#[derive(Debug)]
pub(super) struct InvokeEncoder {
    inner: MessagesEncoder,
    events: Vec<u8>,
}

impl InvokeEncoder {
    pub(super) fn new(options: &StreamOptions) -> Self {
        Self { inner: MessagesEncoder::new(options), events: Vec::new() }
    }
}

impl EncodeStream for InvokeEncoder {
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if let Event::Error(error) = event {
            return self.error(error, out);
        }
        self.events.clear();
        self.inner.push(event, &mut self.events);
        chunks(&self.events, out);
    }

    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        let (name, payload) = error::event(error);
        event_stream::write(MessageKind::Exception, name, &payload, out);
    }

    fn skipped(&self) -> usize {
        self.inner.skipped()
    }

    fn held(&self) -> usize {
        self.inner.held() + self.events.capacity()
    }
}

/// Puts whole events into chunks; an error becomes an exception.
pub(crate) fn chunks(events: &[u8], out: &mut Vec<u8>) {
    let mut decoder = SseDecoder::default();
    // These are ours, and whole.
    let _ = decoder.push(events, |frame| {
        chunk(frame, out);
        Ok(())
    });
}

/// Puts one event into a chunk; an error becomes an exception.
pub(crate) fn chunk(frame: Frame<'_>, out: &mut Vec<u8>) {
    if frame.name == b"error" {
        let (name, payload) = error::event(&(crate::anthropic_messages::SPOKE.decode_error)(500, frame.data));
        event_stream::write(MessageKind::Exception, name, &payload, out);
    } else if !frame.data.is_empty() {
        event_stream::write_chunk(frame.data, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_is_what_would_be_written() {
        for (written, data) in [(PING, r#"{"type":"ping"}"#), (END, r#"{"type":"message_stop"}"#)] {
            let mut out = Vec::new();
            event_stream::write_chunk(data.as_bytes(), &mut out);
            assert_eq!(out.escape_ascii().to_string(), written.escape_ascii().to_string());
        }
    }
}
