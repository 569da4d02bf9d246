//! What happens to a stream's bytes on their way back: they pass as they are, or are put into the caller's dialect.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sluicegate_dialects::hub::{Delta, Event, ProviderError, Usage};
use sluicegate_dialects::tap::{Mode, UsageTap};
use sluicegate_dialects::{Dialect, StreamDecoder, StreamEncoder, StreamOptions};

use crate::cache::Recorder;

use super::asked::Asked;
use super::event_tail::{EventTail, ends_event};
use super::gather::Gather;

/// A stream's way back.
pub(super) enum Lane {
    /// The provider speaks the caller's dialect.
    Verbatim(Box<Verbatim>),
    /// It does not.
    Translated(Box<Translated>),
}

/// Bytes pass; events are passed whole, so that an error can be said after any of them.
pub(super) struct Verbatim {
    dialect: Dialect,
    tap: UsageTap,
    pieces: Vec<Bytes>,
    /// The beginning of an event whose end is still to come.
    tail: EventTail,
    /// The beginning of an event has passed, as it was too long to be held, and its end has not.
    amid: bool,
}

/// Bytes → events → bytes.
pub(super) struct Translated {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    events: Vec<Event>,
    first_token: bool,
    ended: bool,
    usage: Option<Usage>,
    model: Option<String>,
    error: Option<ProviderError>,
    /// Of the answer itself, so far.
    text: u64,
}

/// How the caller's dialect is written.
pub(super) fn options(asked: &Asked<'_>) -> StreamOptions {
    StreamOptions { include_usage: asked.sees_usage(), created: now() }
}

/// Seconds since 1970.
pub(super) fn now() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

impl Lane {
    pub(super) fn new(asked: &Asked<'_>, provider: Dialect, usage_is_ours: bool) -> Self {
        let caller = asked.dialect();
        if provider == caller {
            let mode = if usage_is_ours { Mode::DropUsage } else { Mode::Watch };
            return Self::Verbatim(Box::new(Verbatim {
                dialect: caller,
                tap: UsageTap::new(caller, mode),
                pieces: Vec::new(),
                tail: EventTail::default(),
                amid: false,
            }));
        }
        Self::Translated(Box::new(Translated {
            decoder: provider.stream_decoder(),
            encoder: caller.stream_encoder(options(asked)),
            events: Vec::new(),
            first_token: false,
            ended: false,
            usage: None,
            model: None,
            error: None,
            text: 0,
        }))
    }

    /// Takes the provider's next bytes and adds what goes to the caller.
    ///
    /// # Errors
    /// They are not what the provider's dialect allows.
    pub(super) fn feed(&mut self, data: Bytes, out: &mut Gather, tape: Option<&mut Recorder>) -> Result<(), String> {
        match self {
            Self::Verbatim(lane) => {
                tape.into_iter().for_each(|tape| tape.push(&data));
                lane.feed(data, out);
                Ok(())
            }
            Self::Translated(lane) => {
                let read = lane.decoder.push(&data, &mut lane.events);
                lane.write(out, tape);
                read.map_err(|error| error.message)
            }
        }
    }

    /// Whether a tape that begins later needs the provider's bytes from before.
    pub(super) const fn needs_early(&self) -> bool {
        matches!(self, Self::Verbatim(_))
    }

    /// Gives a tape what passed before it began.
    pub(super) fn catch_up(&self, early: Vec<u8>, out: &mut Gather, tape: &mut Recorder) {
        match self {
            Self::Verbatim(_) => tape.push(&early.into()),
            // Nothing has gone out yet: what is there is everything.
            Self::Translated(_) => tape.push(&Bytes::copy_from_slice(out.rest())),
        }
    }

    /// The provider's bytes have come to their clean end. Says whether the answer is whole.
    ///
    /// # Errors
    /// They end in the middle of something.
    pub(super) fn finish(&mut self, out: &mut Gather, tape: Option<&mut Recorder>) -> Result<bool, String> {
        match self {
            Self::Verbatim(lane) => Ok(lane.finish(out)),
            Self::Translated(lane) => {
                let read = lane.decoder.finish(&mut lane.events);
                lane.write(out, tape);
                read.map_err(|error| error.message)?;
                Ok(lane.ended)
            }
        }
    }

    /// Whether something of the answer itself has come.
    pub(super) fn first_token(&self) -> bool {
        match self {
            Self::Verbatim(lane) => lane.tap.first_token_seen(),
            Self::Translated(lane) => lane.first_token,
        }
    }

    /// Whether the provider has said that the answer is whole.
    pub(super) fn ended(&self) -> bool {
        match self {
            Self::Verbatim(lane) => lane.tap.ended(),
            Self::Translated(lane) => lane.ended,
        }
    }

    /// Whether every answer in the stream has said why it ended: what is still to come is no more than its usage.
    pub(super) fn finished(&self) -> bool {
        match self {
            Self::Verbatim(lane) => lane.tap.finished(),
            Self::Translated(lane) => lane.decoder.is_finished(),
        }
    }

    /// Ends a stream whose answers have all finished and whose provider does not say so.
    pub(super) fn complete(&mut self, out: &mut Gather, tape: Option<&mut Recorder>) {
        match self {
            Self::Verbatim(lane) => lane.complete(out),
            Self::Translated(lane) => {
                // Half an event behind the answers' end changes nothing.
                let _ = lane.decoder.finish(&mut lane.events);
                if !lane.ended && !matches!(lane.events.last(), Some(Event::End)) {
                    lane.events.push(Event::End);
                }
                lane.write(out, tape);
            }
        }
    }

    /// The error that the provider said in mid-stream.
    pub(super) fn error(&self) -> Option<&ProviderError> {
        match self {
            Self::Verbatim(lane) => lane.tap.error(),
            Self::Translated(lane) => lane.error.as_ref(),
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Verbatim(lane) => lane.tap.usage(),
            Self::Translated(lane) => lane.usage,
        }
    }

    /// How long the answer's own text is so far, in bytes, roughly.
    pub(super) fn text_bytes(&self) -> u64 {
        match self {
            Self::Verbatim(lane) => lane.tap.text_bytes(),
            Self::Translated(lane) => lane.text,
        }
    }

    /// The model as the provider names it, where it was read.
    pub(super) fn model(&self) -> Option<&str> {
        match self {
            Self::Verbatim(_) => None,
            Self::Translated(lane) => lane.model.as_deref(),
        }
    }

    /// The memory that unfinished events take.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Verbatim(lane) => lane.tap.held() + lane.tail.held(),
            Self::Translated(lane) => lane.decoder.held(),
        }
    }

    /// Adds the caller's dialect's error event; `false`: it can not be said, as half an event has passed.
    pub(super) fn write_error(&mut self, error: &ProviderError, out: &mut Gather) -> bool {
        match self {
            Self::Verbatim(lane) if lane.amid => return false,
            Self::Verbatim(lane) => {
                let mut encoder = lane.dialect.stream_encoder(StreamOptions::default());
                encoder.error(error, out.rest());
            }
            Self::Translated(lane) => lane.encoder.error(error, out.rest()),
        }
        true
    }
}

impl Verbatim {
    fn feed(&mut self, data: Bytes, out: &mut Gather) {
        self.tap.pass(data, &mut self.pieces);
        self.give(out);
        if self.tap.is_over() {
            // At most the last line end of its last event is not here.
            out.push(self.tail.take());
        }
    }

    fn give(&mut self, out: &mut Gather) {
        let mut pieces = std::mem::take(&mut self.pieces);
        for whole in pieces.drain(..).filter_map(|piece| self.tail.pass(piece)) {
            self.amid = !ends_event(&whole);
            out.push(whole);
        }
        self.pieces = pieces;
    }

    fn finish(&mut self, out: &mut Gather) -> bool {
        self.tap.finish(&mut self.pieces);
        self.give(out);
        let whole = self.tap.ended() || self.tap.finished();
        if whole && !self.tap.ended() && self.tail.is_empty() {
            self.complete(out);
        } else if whole {
            // The last event lacks its empty line: clients take it all the same.
            out.push(self.tail.take());
        }
        whole
    }

    /// Says the dialect's end, which the provider does not; half an event before it is left out.
    fn complete(&mut self, out: &mut Gather) {
        self.tail.take();
        if !self.amid {
            out.push(Bytes::from_static(self.dialect.stream_end()));
        }
    }
}

impl Translated {
    fn write(&mut self, out: &mut Gather, tape: Option<&mut Recorder>) {
        if self.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        let text = out.rest();
        let before = text.len();
        for event in events.drain(..) {
            self.note(&event);
            self.encoder.push(&event, text);
        }
        self.events = events;
        if let Some(tape) = tape {
            tape.push(&Bytes::copy_from_slice(text.get(before..).unwrap_or_default()));
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Start { model, .. } => self.model = Some(model.clone()),
            Event::Delta { delta, .. } => {
                self.first_token = true;
                if let Delta::Text(text) | Delta::Arguments(text) = delta {
                    self.text += text.len() as u64;
                }
            }
            Event::Finish { .. } => self.first_token = true,
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(error) => self.error = Some(error.clone()),
            Event::End => self.ended = true,
            Event::PartStart { .. } | Event::PartEnd { .. } | Event::Alive | Event::Other { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(dialect: Dialect) -> Verbatim {
        Verbatim {
            dialect,
            tap: UsageTap::new(dialect, Mode::Watch),
            pieces: Vec::new(),
            tail: EventTail::default(),
            amid: false,
        }
    }

    #[test]
    fn events_pass_whole_however_they_are_cut() {
        let text = b"data: {\"choices\":[]}\n\n: hm\n\ndata: {\"choices\":[1]}\r\n\r\ndata: {\"choices\":[2]}\r\rdata: [DONE]\n\n";
        for cut in 0..text.len() {
            let mut lane = lane(Dialect::OpenAiChat);
            let mut out = Gather::default();
            lane.feed(Bytes::copy_from_slice(&text[..cut]), &mut out);
            let first = out.take();
            assert!(first.is_empty() || ends_event(&first), "{cut}");
            lane.feed(Bytes::copy_from_slice(&text[cut..]), &mut out);
            assert!(lane.finish(&mut out));
            assert_eq!([first, out.take()].concat(), text);
        }
    }

    #[test]
    fn an_event_beyond_every_bound_passes_and_the_stream_is_whole() {
        let large = format!("data: {{\"choices\":[{{\"delta\":{{\"image\":\"{}\"}}}}]}}\n\n", "x".repeat(17 << 20));
        let body = format!("data: {{\"choices\":[]}}\n\n{large}data: [DONE]\n\n");
        for mode in [Mode::Watch, Mode::DropUsage] {
            let mut lane = Verbatim { tap: UsageTap::new(Dialect::OpenAiChat, mode), ..lane(Dialect::OpenAiChat) };
            let (mut out, mut passed) = (Gather::default(), Vec::new());
            for piece in body.as_bytes().chunks(64 << 10) {
                lane.feed(Bytes::copy_from_slice(piece), &mut out);
                passed.extend_from_slice(&out.take());
                assert!(lane.tail.held() <= 2 << 20);
            }
            assert!(lane.finish(&mut out));
            passed.extend_from_slice(&out.take());
            assert!(passed == body.as_bytes(), "{mode:?}: the bytes are not those that came");
        }
    }

    #[test]
    fn a_stream_without_done_is_whole_if_all_of_it_said_why_it_finished() {
        let piece = |index: u32, reason: &str| {
            format!(
                "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"x\"}},\"finish_reason\": {reason}}}]}}\n\n"
            )
        };
        let usage = "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n: bye\n\n";
        let (on, stop, nothing) = ("null", "\"stop\"", "\"\"");
        let bare = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned();
        for (text, whole) in [
            (bare, true),
            (piece(0, on) + &piece(0, stop), true),
            (piece(0, on) + &piece(0, stop) + usage, true),
            (piece(0, on) + &piece(0, on), false),
            (piece(0, nothing) + &piece(0, nothing), false),
            (piece(0, on) + &piece(1, on) + &piece(0, stop), false),
            (piece(0, on) + &piece(0, on) + &piece(1, on) + &piece(0, stop) + &piece(1, "\"length\""), true),
            (usage.to_owned(), false),
        ] {
            for size in [1, 7, text.len()] {
                let mut lane = lane(Dialect::OpenAiChat);
                let mut out = Gather::default();
                for piece in text.as_bytes().chunks(size) {
                    lane.feed(Bytes::copy_from_slice(piece), &mut out);
                }
                assert_eq!(lane.finish(&mut out), whole, "in pieces of {size}: {text}");
                // What is not whole may end in the middle of an event.
                assert!(!whole || out.take() == text.clone() + "data: [DONE]\n\n");
            }
        }
    }
}
