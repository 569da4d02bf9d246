//! The transcoder of a stream on its way back: bytes pass as they are, or are put into the caller's dialect.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sluicegate_dialects::hub::{Delta, Event, PartKind, ProviderError, ServiceTier, Usage};
use sluicegate_dialects::observe::{ObserverMode, StreamObserver};
use sluicegate_dialects::{Dialect, Reframer, StreamDecoder, StreamEncoder, StreamOptions};

use crate::cache::Recorder;

use super::event_tail::{EventTail, ends_event, last_event};
use super::inbound::InboundCall;
use super::passed_stream::PassedStream;
use super::sealed_stream::{Keep, SealedStream, last_answer};
use super::write_buffer::WriteBuffer;

/// The engine that turns the provider's bytes into the caller's.
pub(super) enum Transcoder {
    /// The provider speaks the caller's dialect.
    Verbatim(Box<Verbatim>),
    /// It does not.
    Translated(Box<Translated>),
    /// It is no conversation.
    Passed(Box<PassedStream>),
}

/// Bytes pass; events are passed whole, so that an error can be said after any of them.
pub(super) struct Verbatim {
    dialect: Dialect,
    observer: StreamObserver,
    pieces: Vec<Bytes>,
    /// The beginning of an event whose end is still to come.
    tail: EventTail,
    /// The beginning of an event has passed, as it was too long to be held, and its end has not.
    amid: bool,
    /// True if it is one JSON array, and not server-sent events.
    array: bool,
    /// True if it is no server-sent events: then the observer holds what is not whole.
    raw: bool,
    /// The engine that frames the provider's events as the caller's are, where they are framed otherwise.
    reframer: Option<Box<Reframer>>,
    /// The engine that seals the ids in them, where they are sealed.
    sealed: Option<Box<SealedStream>>,
}

/// Bytes → events → bytes.
pub(super) struct Translated {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    /// True if what is written is no text: then it ends between two events, always.
    binary: bool,
    events: Vec<Event>,
    first_token: bool,
    ended: bool,
    usage: Option<Usage>,
    model: Option<String>,
    error: Option<ProviderError>,
    /// Of the answer itself, so far.
    text: u64,
    /// The id and the model that an answer is told by whose provider names neither.
    names: (String, String),
    /// Keeps the answer, and the id that it is told by then.
    keep: Option<(Keep, String)>,
}

/// The form in which the caller's dialect is written.
pub(super) fn options(call: &InboundCall) -> StreamOptions {
    let body = call.dialect().repeats_the_call().then(|| call.body.clone());
    let array = call.context.caller.array;
    StreamOptions { include_usage: call.passes_usage(), created: now(), array, goes_on: None, call: body, answer: None }
}

/// Names an answer whose provider does not: by the call's id, and the model as the caller calls it.
pub(super) fn named(call: &InboundCall, id: &mut String, model: &mut String) {
    fill(id, call.context.caller.request_id.to_str().unwrap_or_default());
    fill(model, call.model());
}

fn fill(empty: &mut String, text: &str) {
    if empty.is_empty() {
        text.clone_into(empty);
    }
}

/// Seconds since 1970.
pub(super) fn now() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

impl Transcoder {
    pub(super) fn new(call: &InboundCall, provider: Dialect, usage_is_ours: bool) -> Self {
        let caller = call.dialect();
        if provider.is_kin(caller) {
            return Self::verbatim(call, usage_is_ours && !call.passes_usage(), provider.reframer(caller));
        }
        Self::Translated(Box::new(Translated {
            decoder: provider.stream_decoder(),
            encoder: caller.stream_encoder(options(call)),
            binary: caller.habits().is_binary,
            events: Vec::new(),
            first_token: false,
            ended: false,
            usage: None,
            model: None,
            error: None,
            text: 0,
            names: (call.context.caller.request_id.to_str().unwrap_or_default().to_owned(), call.model().to_owned()),
            keep: None,
        }))
    }

    /// Of an answer that passes unread.
    pub(super) fn passed(call: &InboundCall, has_events: bool) -> Self {
        Self::Passed(Box::new(PassedStream::new(call, has_events)))
    }

    /// True if nothing is known of its text.
    pub(super) const fn passes_unread(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    fn verbatim(call: &InboundCall, drops_usage: bool, reframer: Option<Reframer>) -> Self {
        let (dialect, array) = (call.dialect(), call.context.caller.array);
        let raw = array || dialect.habits().is_binary;
        let mode = match (raw, drops_usage) {
            (true, _) => ObserverMode::HoldEvents,
            (false, true) => ObserverMode::DropUsage,
            (false, false) => ObserverMode::Watch,
        };
        Self::Verbatim(Box::new(Verbatim {
            dialect,
            observer: dialect.observer(mode),
            pieces: Vec::new(),
            tail: EventTail::default(),
            amid: false,
            array,
            raw,
            reframer: reframer.map(Box::new),
            sealed: None,
        }))
    }

    /// Of an answer that stands in the caller's dialect already, with its usage in it.
    pub(super) fn shared(call: &InboundCall) -> Self {
        Self::verbatim(call, !call.sees_usage(), None)
    }

    /// The provider's bytes in the caller's framing, where the two speak of the same events, and what is wrong behind them, if they
    /// are not what the provider's framing allows.
    pub(super) fn reframed(&mut self, data: Bytes) -> (Bytes, Result<(), String>) {
        if let Self::Passed(stream) = self {
            return (stream.sealed(data), Ok(()));
        }
        let Self::Verbatim(transcoder) = self else { return (data, Ok(())) };
        if let Some(sealed) = &mut transcoder.sealed {
            return (sealed.pass(data), Ok(()));
        }
        let Some(reframer) = &mut transcoder.reframer else { return (data, Ok(())) };
        let mut out = Vec::with_capacity(data.len() * 2);
        let read = reframer.push(&data, &mut out).map_err(|error| error.message);
        (out.into(), read)
    }

    /// The provider's last bytes, where they were held until their event is whole.
    pub(super) fn held_back(&mut self) -> Bytes {
        if let Self::Passed(stream) = self {
            return stream.rest();
        }
        let Self::Verbatim(transcoder) = self else { return Bytes::new() };
        transcoder.sealed.as_mut().map_or_else(Bytes::new, |sealed| sealed.rest())
    }

    /// Seals the ids in a stream that passes.
    pub(super) fn seal(&mut self, sealed: Option<Box<SealedStream>>) {
        if let Self::Verbatim(transcoder) = self {
            transcoder.sealed = sealed;
        }
    }

    /// Keeps an answer that is translated, under an id of the gateway's own.
    pub(super) fn keep(&mut self, keep: Option<Keep>, own: Option<&str>) {
        if let Self::Translated(transcoder) = self {
            transcoder.keep = keep.zip(own.map(str::to_owned));
        }
    }

    /// Adds what tells the caller of a silent stream that it goes on; `false`: its writer has nothing of its own to say.
    pub(super) fn keep_alive(&mut self, out: &mut Vec<u8>) -> bool {
        if let Self::Translated(transcoder) = self {
            transcoder.encoder.push(&Event::Alive, out);
        }
        !out.is_empty()
    }

    /// True if nothing of an event is left open behind these bytes, which go out.
    pub(super) fn is_between(&self, out: &[u8]) -> bool {
        match self {
            Self::Verbatim(transcoder) if transcoder.raw => !transcoder.amid,
            Self::Translated(transcoder) if transcoder.binary => true,
            Self::Passed(_) => false,
            _ => ends_event(out),
        }
    }

    /// Takes the provider's next bytes and adds what goes to the caller.
    ///
    /// # Errors
    /// They are not what the provider's dialect allows.
    pub(super) fn feed(
        &mut self,
        data: Bytes,
        out: &mut WriteBuffer,
        recorder: Option<&mut Recorder>,
    ) -> Result<(), String> {
        match self {
            Self::Verbatim(transcoder) => {
                recorder.into_iter().for_each(|recorder| recorder.push(&data));
                transcoder.feed(data, out);
                transcoder.observer.damage().map_or(Ok(()), |damage| Err(damage.message.clone()))
            }
            Self::Translated(transcoder) => {
                let read = transcoder.decoder.push(&data, &mut transcoder.events);
                transcoder.write(out, recorder);
                read.map_err(|error| error.message)
            }
            Self::Passed(stream) => {
                stream.feed(data, out);
                Ok(())
            }
        }
    }

    /// True if a recorder that begins later needs the provider's bytes from before.
    pub(super) const fn needs_early(&self) -> bool {
        matches!(self, Self::Verbatim(_))
    }

    /// Gives a recorder what passed before it began.
    pub(super) fn catch_up(&self, early: Vec<u8>, out: &mut WriteBuffer, recorder: &mut Recorder) {
        match self {
            Self::Verbatim(_) | Self::Passed(_) => recorder.push(&early.into()),
            // Nothing has gone out yet: what is there is everything.
            Self::Translated(_) => recorder.push(&Bytes::copy_from_slice(out.rest())),
        }
    }

    /// The provider's bytes have come to their clean end. Says whether the answer is whole.
    ///
    /// # Errors
    /// They end in the middle of something.
    pub(super) fn finish(&mut self, out: &mut WriteBuffer, recorder: Option<&mut Recorder>) -> Result<bool, String> {
        match self {
            Self::Verbatim(transcoder) => Ok(transcoder.finish(out)),
            Self::Translated(transcoder) => {
                let read = transcoder.decoder.finish(&mut transcoder.events);
                transcoder.write(out, recorder);
                read.map_err(|error| error.message)?;
                Ok(transcoder.ended)
            }
            // HTTP's own end is all that says it.
            Self::Passed(stream) => Ok(stream.began()),
        }
    }

    /// True if something of the answer itself has come.
    pub(super) fn first_token(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.first_token_seen(),
            Self::Translated(transcoder) => transcoder.first_token,
            Self::Passed(stream) => stream.began(),
        }
    }

    /// True if the provider has said that the answer is whole.
    pub(super) fn ended(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.ended(),
            Self::Translated(transcoder) => transcoder.ended,
            Self::Passed(_) => false,
        }
    }

    /// True if every answer in the stream has said why it ended: what is still to come is no more than its usage.
    pub(super) fn finished(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.finished(),
            Self::Translated(transcoder) => transcoder.decoder.is_finished(),
            Self::Passed(_) => false,
        }
    }

    /// Ends a stream whose answers have all finished and whose provider does not say so.
    pub(super) fn complete(&mut self, out: &mut WriteBuffer, recorder: Option<&mut Recorder>) {
        match self {
            Self::Verbatim(transcoder) => transcoder.complete(out),
            Self::Translated(transcoder) => {
                // Half an event behind the answers' end changes nothing.
                let _ = transcoder.decoder.finish(&mut transcoder.events);
                if !transcoder.ended && !matches!(transcoder.events.last(), Some(Event::End)) {
                    transcoder.events.push(Event::End);
                }
                transcoder.write(out, recorder);
            }
            Self::Passed(_) => {}
        }
    }

    /// The error that the provider said in mid-stream.
    pub(super) fn error(&self) -> Option<&ProviderError> {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.error(),
            Self::Translated(transcoder) => transcoder.error.as_ref(),
            Self::Passed(_) => None,
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.usage(),
            Self::Translated(transcoder) => transcoder.usage,
            Self::Passed(stream) => stream.usage(),
        }
    }

    /// The service tier that answers, where the provider says it apart from its usage.
    pub(super) fn tier(&self) -> ServiceTier {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.tier(),
            Self::Translated(transcoder) => transcoder.decoder.tier(),
            Self::Passed(_) => ServiceTier::Unsaid,
        }
    }

    /// The length of the answer's own text so far, in bytes, roughly.
    pub(super) fn text_bytes(&self) -> u64 {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.text_bytes(),
            Self::Translated(transcoder) => transcoder.text,
            Self::Passed(_) => 0,
        }
    }

    /// The model as the provider names it, where it was read.
    pub(super) fn model(&self) -> Option<&str> {
        match self {
            Self::Verbatim(_) | Self::Passed(_) => None,
            Self::Translated(transcoder) => transcoder.model.as_deref(),
        }
    }

    /// The number of parts that the caller was not given: its dialect has no words for them.
    pub(super) fn skipped(&self) -> usize {
        match self {
            Self::Verbatim(_) | Self::Passed(_) => 0,
            Self::Translated(transcoder) => transcoder.encoder.skipped(),
        }
    }

    /// The memory that unfinished events take.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Verbatim(transcoder) => {
                let reframed = transcoder.reframer.as_ref().map_or(0, |reframer| reframer.held());
                let sealed = transcoder.sealed.as_ref().map_or(0, |sealed| sealed.held());
                transcoder.observer.held() + transcoder.tail.held() + reframed + sealed
            }
            Self::Translated(transcoder) => transcoder.decoder.held() + transcoder.encoder.held(),
            Self::Passed(stream) => stream.held(),
        }
    }

    /// Ends a stream whose provider said an error that has passed: nothing of what stood behind it has, and where the stream is an
    /// array that lacks its bracket.
    pub(super) fn close_after_error(&mut self, out: &mut WriteBuffer) {
        if let Self::Verbatim(transcoder) = self
            && transcoder.array
            && !transcoder.amid
        {
            out.push(Bytes::from_static(b"]"));
        }
    }

    /// Adds the caller's dialect's error event; `false`: it can not be said, as half an event has passed.
    pub(super) fn write_error(&mut self, error: &ProviderError, out: &mut WriteBuffer) -> bool {
        match self {
            Self::Verbatim(transcoder) if transcoder.amid => return false,
            Self::Verbatim(transcoder) => {
                let mut encoder = transcoder.rest(transcoder.observer.number().map(|last| last.saturating_add(1)));
                encoder.error(error, out.rest());
            }
            Self::Translated(transcoder) => transcoder.encoder.error(error, out.rest()),
            Self::Passed(stream) => return stream.write_error(error, out),
        }
        true
    }
}

impl Verbatim {
    fn feed(&mut self, data: Bytes, out: &mut WriteBuffer) {
        self.observer.pass(data, &mut self.pieces);
        if !self.raw && self.observer.error().is_some_and(ProviderError::is_context_overflow) {
            self.retell(out);
        }
        self.give(out);
        if self.observer.is_over() {
            // At most the last line end of its last event is not here.
            out.push(self.tail.take());
        }
    }

    /// The last event says that the prompt does not fit: where its words are not those that agents act on, it is told in them.
    fn retell(&mut self, out: &mut WriteBuffer) {
        let Some(error) = self.observer.error().filter(|_| !self.amid) else { return };
        let mut held = self.tail.take().to_vec();
        self.pieces.drain(..).for_each(|piece| held.extend_from_slice(&piece));
        let event = last_event(&held);
        let (before, event) = held.split_at(event.min(held.len()));
        if self.dialect.tells_overflow(&data_of(event)) {
            self.pieces.push(held.into());
            return;
        }
        let mut encoder = self.rest(self.observer.number());
        out.push(Bytes::copy_from_slice(before));
        encoder.error(error, out.rest());
    }

    /// A writer of what is said in the provider's place, whose first event has this number.
    fn rest(&self, number: Option<u64>) -> StreamEncoder {
        let goes_on = Some(number.unwrap_or_default());
        let answer = self.observer.answer_name().cloned();
        let options = StreamOptions { array: self.array, goes_on, answer, ..StreamOptions::default() };
        self.dialect.stream_encoder(options)
    }

    fn give(&mut self, out: &mut WriteBuffer) {
        let mut pieces = std::mem::take(&mut self.pieces);
        if self.raw {
            self.amid = self.observer.is_amid();
            pieces.drain(..).for_each(|piece| out.push(piece));
            self.pieces = pieces;
            return;
        }
        for whole in pieces.drain(..).filter_map(|piece| self.tail.pass(piece)) {
            self.amid = !ends_event(&whole);
            out.push(whole);
        }
        self.pieces = pieces;
    }

    fn finish(&mut self, out: &mut WriteBuffer) -> bool {
        self.observer.finish(&mut self.pieces);
        self.give(out);
        let whole = self.observer.ended() || self.observer.finished();
        if whole && !self.observer.ended() && self.tail.is_empty() {
            self.complete(out);
        } else if whole {
            // The last event lacks its empty line: clients take it all the same.
            out.push(self.tail.take());
        }
        whole
    }

    /// Says the dialect's end, which the provider does not; half an event before it is left out.
    fn complete(&mut self, out: &mut WriteBuffer) {
        self.tail.take();
        if !self.amid {
            out.push(Bytes::from_static(self.dialect.stream_end()));
        }
        if self.array && !self.amid && self.observer.is_open_array() {
            out.push(Bytes::from_static(b"]"));
        }
    }
}

impl Translated {
    fn write(&mut self, out: &mut WriteBuffer, recorder: Option<&mut Recorder>) {
        if self.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        let text = out.rest();
        let before = text.len();
        for mut event in events.drain(..) {
            self.note(&event);
            if let Event::Start { id, model, .. } = &mut event {
                self.keep.iter().for_each(|(_, own)| own.clone_into(id));
                fill(id, &self.names.0);
                fill(model, &self.names.1);
            }
            self.encoder.push(&event, text);
        }
        self.events = events;
        if let Some((keep, own)) = &self.keep
            && let Some(answer) = last_answer(text.get(before..).unwrap_or_default())
        {
            keep(own, answer);
        }
        if let Some(recorder) = recorder {
            recorder.push(&Bytes::copy_from_slice(text.get(before..).unwrap_or_default()));
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Start { model, .. } => self.model = Some(model.clone()).filter(|model| !model.is_empty()),
            Event::Delta { delta, .. } => {
                self.first_token = true;
                if let Delta::Text(text) | Delta::Arguments(text) = delta {
                    self.text += text.len() as u64;
                }
            }
            Event::Finish { .. } | Event::PartStart { kind: PartKind::Picture { .. }, .. } => self.first_token = true,
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(error) => self.error = Some(error.clone()),
            Event::End => self.ended = true,
            Event::PartStart { .. } | Event::PartEnd { .. } | Event::Alive | Event::Other { .. } => {}
        }
    }
}

/// The text of an event's `data` lines.
fn data_of(event: &[u8]) -> Vec<u8> {
    let lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
    let data = lines.filter_map(|line| line.strip_prefix(b"data:"));
    data.collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcoder(dialect: Dialect) -> Verbatim {
        Verbatim {
            dialect,
            observer: dialect.observer(ObserverMode::Watch),
            pieces: Vec::new(),
            tail: EventTail::default(),
            amid: false,
            array: false,
            raw: false,
            reframer: None,
            sealed: None,
        }
    }

    #[test]
    fn events_pass_whole_however_they_are_cut() {
        let text = b"data: {\"choices\":[]}\n\n: hm\n\ndata: {\"choices\":[1]}\r\n\r\ndata: {\"choices\":[2]}\r\rdata: [DONE]\n\n";
        for cut in 0..text.len() {
            let mut transcoder = transcoder(Dialect::OpenAiChat);
            let mut out = WriteBuffer::default();
            transcoder.feed(Bytes::copy_from_slice(&text[..cut]), &mut out);
            let first = out.take();
            assert!(first.is_empty() || ends_event(&first), "{cut}");
            transcoder.feed(Bytes::copy_from_slice(&text[cut..]), &mut out);
            assert!(transcoder.finish(&mut out));
            assert_eq!([first, out.take()].concat(), text);
        }
    }

    #[test]
    fn an_event_beyond_every_bound_passes_and_the_stream_is_whole() {
        let large = format!("data: {{\"choices\":[{{\"delta\":{{\"image\":\"{}\"}}}}]}}\n\n", "x".repeat(17 << 20));
        let body = format!("data: {{\"choices\":[]}}\n\n{large}data: [DONE]\n\n");
        for mode in [ObserverMode::Watch, ObserverMode::DropUsage] {
            let mut transcoder =
                Verbatim { observer: Dialect::OpenAiChat.observer(mode), ..transcoder(Dialect::OpenAiChat) };
            let (mut out, mut passed) = (WriteBuffer::default(), Vec::new());
            for piece in body.as_bytes().chunks(64 << 10) {
                transcoder.feed(Bytes::copy_from_slice(piece), &mut out);
                passed.extend_from_slice(&out.take());
                assert!(transcoder.tail.held() <= 2 << 20);
            }
            assert!(transcoder.finish(&mut out));
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
                let mut transcoder = transcoder(Dialect::OpenAiChat);
                let mut out = WriteBuffer::default();
                for piece in text.as_bytes().chunks(size) {
                    transcoder.feed(Bytes::copy_from_slice(piece), &mut out);
                }
                assert_eq!(transcoder.finish(&mut out), whole, "in pieces of {size}: {text}");
                // What is not whole may end in the middle of an event.
                assert!(!whole || out.take() == text.clone() + "data: [DONE]\n\n");
            }
        }
    }
}
