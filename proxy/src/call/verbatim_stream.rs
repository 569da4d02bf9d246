//! The engine of a stream whose provider speaks the caller's dialect: bytes pass, in whole events.

use bytes::Bytes;
use sluicegate_dialects::hub::ProviderError;
use sluicegate_dialects::observe::StreamObserver;
use sluicegate_dialects::{CustomCalls, Dialect, FlatContent, Reframer, StreamEncoder, StreamOptions, StreamShadow};

use super::event_tail::{EventTail, ends_event, events, last_event, last_message};
use super::provider_secret::ProviderSecret;
use super::sealed_stream::SealedStream;
use super::write_buffer::WriteBuffer;

/// Bytes pass; events are passed whole, so that an error can be said after any of them.
pub(super) struct Verbatim {
    pub(super) dialect: Dialect,
    pub(super) observer: StreamObserver,
    pub(super) pieces: Vec<Bytes>,
    /// The beginning of an event whose end is still to come.
    pub(super) tail: EventTail,
    /// The beginning of an event has passed, as it was too long to be held, and its end has not.
    pub(super) amid: bool,
    /// True if it is one JSON array, and not server-sent events.
    pub(super) array: bool,
    /// True if it is no server-sent events: then the observer holds what is not whole.
    pub(super) raw: bool,
    /// The engine that frames the provider's events as the caller's are, where they are framed otherwise.
    pub(super) reframer: Option<Box<Reframer>>,
    /// The engine that makes text of content, where the provider says a list of pieces.
    pub(super) flat: Option<Box<FlatContent>>,
    /// The engine that tells calls of custom tools, where the provider knows functions only.
    pub(super) custom: Option<Box<CustomCalls>>,
    /// The engine that seals the ids in them, where they are sealed.
    pub(super) sealed: Option<Box<SealedStream>>,
    /// The shadow of what passes, where somebody else may have to go on with it.
    pub(super) shadow: Option<Box<Shadowed>>,
    /// The thing that the provider is called with, which no error tells.
    pub(super) secret: ProviderSecret,
}

/// The shadow of a stream that passes.
pub(super) struct Shadowed {
    pub(super) shadow: StreamShadow,
    /// The beginning of an event, before anybody looks at it.
    pub(super) early: EventTail,
    /// True if the provider has said an error that has not passed: somebody else may go on.
    pub(super) holds_error: bool,
}

impl Shadowed {
    /// The memory that it takes.
    pub(super) fn held(&self) -> usize {
        self.shadow.held() + self.early.held()
    }
}

impl Verbatim {
    /// The provider's next bytes as its caller's clients know them; `is_end`: what was held of them, too.
    pub(super) fn as_clients_know(&mut self, data: Bytes, is_end: bool) -> Bytes {
        let data = match &mut self.flat {
            Some(flat) => {
                let mut out = Vec::with_capacity(data.len());
                flat.push(&data, &mut out);
                if is_end {
                    flat.finish(&mut out);
                }
                out.into()
            }
            None => data,
        };
        let Some(custom) = &mut self.custom else { return data };
        let mut out = Vec::with_capacity(data.len());
        custom.push(&data, &mut out);
        if is_end {
            custom.finish(&mut out);
        }
        out.into()
    }

    pub(super) fn feed(&mut self, data: Bytes, out: &mut WriteBuffer) {
        match &mut self.shadow {
            None => self.pass(data, out),
            Some(shadowed) if shadowed.holds_error => {}
            Some(shadowed) if self.raw => {
                // What is binary, or an array, is not told apart: up to an error it is written anew.
                let anew = Bytes::copy_from_slice(shadowed.shadow.follow(&data));
                self.observer.pass(data, &mut self.pieces);
                match self.holds_error_back() {
                    true => out.push(anew),
                    false => self.give(out),
                }
            }
            Some(shadowed) => {
                let whole = shadowed.early.pass(data).unwrap_or_default();
                for event in events(whole) {
                    if self.error_is_held() {
                        return;
                    }
                    if let Some(shadowed) = &mut self.shadow {
                        shadowed.shadow.follow(&event);
                    }
                    self.pass(event, out);
                }
            }
        }
    }

    /// True if somebody else could go on with it from here.
    pub(super) fn may_go_on(&self) -> bool {
        !self.amid && self.shadow.as_ref().is_some_and(|shadowed| shadowed.shadow.said().text().is_some())
    }

    /// True if its provider has said an error that has not passed.
    pub(super) fn error_is_held(&self) -> bool {
        self.shadow.as_ref().is_some_and(|shadowed| shadowed.holds_error)
    }

    /// An error that has just come does not pass, if somebody else could go on.
    fn holds_error_back(&mut self) -> bool {
        let is_own = self.observer.error().is_some_and(|error| !error.is_context_overflow());
        if !is_own || !self.may_go_on() {
            return false;
        }
        self.pieces.clear();
        self.shadow.iter_mut().for_each(|shadowed| shadowed.holds_error = true);
        true
    }

    /// Tells the error that was held.
    pub(super) fn tell_held_error(&mut self, out: &mut WriteBuffer) {
        if let Some(error) = self.error() {
            let mut encoder = self.rest(self.observer.number());
            encoder.error(&error, out.rest());
        }
    }

    /// The error that its provider has said, as callers may be told it.
    fn error(&self) -> Option<ProviderError> {
        self.observer.error().map(|error| self.secret.out_of_error(error.clone()))
    }

    /// Whole events: where an error is among them, without the provider's secret.
    fn told(&self, events: Bytes) -> Bytes {
        if self.observer.errored() { self.secret.out_of(events) } else { events }
    }

    fn pass(&mut self, data: Bytes, out: &mut WriteBuffer) {
        self.observer.pass(data, &mut self.pieces);
        if !self.raw && self.observer.error().is_some_and(ProviderError::is_context_overflow) {
            self.retell(out);
        }
        if self.shadow.is_some() && self.holds_error_back() {
            return;
        }
        self.give(out);
        if self.observer.is_over() {
            // At most the last line end of its last event is not here.
            let rest = self.tail.take();
            out.push(self.told(rest));
        }
    }

    /// The last event says that the prompt does not fit: where its words are not those that agents act on, it is told in them.
    fn retell(&mut self, out: &mut WriteBuffer) {
        let Some(error) = self.error().filter(|_| !self.amid) else { return };
        let mut held = self.tail.take().to_vec();
        self.pieces.drain(..).for_each(|piece| held.extend_from_slice(&piece));
        let event = last_event(&held);
        let (before, event) = held.split_at(event.min(held.len()));
        if self.dialect.tells_overflow(&data_of(event)) {
            self.pieces.push(held.into());
            return;
        }
        let mut encoder = self.rest(self.observer.number());
        out.push(self.told(Bytes::copy_from_slice(before)));
        encoder.error(&error, out.rest());
    }

    /// An error in the last event of what is no text: it goes out without the provider's secret. A binary message is told anew then, as
    /// its sums are of every byte.
    fn retell_raw(&mut self, error: &ProviderError, out: &mut WriteBuffer) {
        let mut held = Vec::new();
        self.pieces.drain(..).for_each(|piece| held.extend_from_slice(&piece));
        if self.array {
            return out.push(self.secret.out_of(held.into()));
        }
        let message = held.split_off(last_message(&held));
        let tells = self.observer.error() != Some(error) || self.secret.is_in(&message);
        out.push(held.into());
        match tells {
            true => self.rest(self.observer.number()).error(error, out.rest()),
            false => out.push(message.into()),
        }
    }

    /// A writer of what is said in the provider's place, whose first event has this number.
    pub(super) fn rest(&self, number: Option<u64>) -> StreamEncoder {
        let goes_on = Some(number.unwrap_or_default());
        let answer = self.observer.answer_name().cloned();
        let options = StreamOptions { array: self.array, goes_on, answer, ..StreamOptions::default() };
        self.dialect.stream_encoder(options)
    }

    fn give(&mut self, out: &mut WriteBuffer) {
        if let Some(error) = self.error().filter(|_| self.raw) {
            self.retell_raw(&error, out);
        }
        let mut pieces = std::mem::take(&mut self.pieces);
        if self.raw {
            self.amid = self.observer.is_amid();
            pieces.drain(..).for_each(|piece| out.push(piece));
            self.pieces = pieces;
            return;
        }
        for piece in pieces.drain(..) {
            let Some(whole) = self.tail.pass(piece) else { continue };
            self.amid = !ends_event(&whole);
            out.push(self.told(whole));
        }
        self.pieces = pieces;
    }

    pub(super) fn finish(&mut self, out: &mut WriteBuffer) -> bool {
        let early = self.shadow.as_mut().map(|shadowed| shadowed.early.take()).unwrap_or_default();
        if !early.is_empty() && !self.error_is_held() {
            self.pass(early, out);
        }
        self.observer.finish(&mut self.pieces);
        self.give(out);
        let whole = self.observer.ended() || self.observer.finished();
        if whole && !self.observer.ended() && self.tail.is_empty() {
            self.complete(out);
        } else if whole {
            // The last event lacks its empty line: clients take it all the same.
            let rest = self.tail.take();
            out.push(self.told(rest));
        }
        whole
    }

    /// Says the dialect's end, which the provider does not; half an event before it is left out.
    pub(super) fn complete(&mut self, out: &mut WriteBuffer) {
        self.tail.take();
        if !self.amid {
            out.push(Bytes::from_static(self.dialect.stream_end()));
        }
        if self.array && !self.amid && self.observer.is_open_array() {
            out.push(Bytes::from_static(b"]"));
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
    use sluicegate_dialects::observe::ObserverMode;

    use super::super::provider_secret;
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
            flat: None,
            custom: None,
            sealed: None,
            shadow: None,
            secret: ProviderSecret::default(),
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
    fn no_error_tells_its_providers_secret_however_it_is_cut() {
        const KEY: &str = "sk-secret-of-provider";
        let array = Dialect::Gemini;
        let text = r#"[{"candidates":[{"content":{"parts":[{"text":"one"}]}}]},
{"error":{"code":500,"message":"KEY, \u0073k-secret-of-provider","status":"INTERNAL"}}"#;
        let converse = {
            let mut said = Vec::new();
            let mut encoder = Dialect::BedrockConverse.stream_encoder(StreamOptions::default());
            let start = sluicegate_dialects::hub::Event::Start { id: "i".into(), model: "m".into(), created: None };
            encoder.push(&start, &mut said);
            encoder.error(&error(format!("bad {KEY}")), &mut said);
            said
        };
        let events = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"error\":{\"message\":\"KEY\",\"code\":\"KEY\"}}\n\n";
        for (dialect, said, raw) in [
            (Dialect::OpenAiChat, events.replace("KEY", KEY).into_bytes(), false),
            (array, text.replace("KEY", KEY).into_bytes(), true),
            (Dialect::BedrockConverse, converse, true),
        ] {
            for size in [1, 2, 7, 30, said.len()] {
                let mode = if raw { ObserverMode::HoldEvents } else { ObserverMode::Watch };
                let secret = provider_secret::tests::secret("Bearer sk-secret-of-provider");
                let observer = dialect.observer(mode);
                let is_array = dialect == array;
                let mut transcoder = Verbatim { observer, array: is_array, raw, secret, ..transcoder(dialect) };
                let mut out = WriteBuffer::default();
                said.chunks(size).for_each(|piece| transcoder.feed(Bytes::copy_from_slice(piece), &mut out));
                transcoder.finish(&mut out);
                let told = out.take();
                let shown = String::from_utf8_lossy(&told);
                assert!(shown.contains("***") && !shown.contains("ecret-of-provider"), "{size}: {shown}");
                let mut again = dialect.observer(mode);
                assert!(again.push(&told).is_some() && again.errored(), "{size}: {shown}");
            }
        }
    }

    fn error(message: String) -> ProviderError {
        let kind = sluicegate_dialects::hub::ErrorKind::Unavailable;
        ProviderError { kind, message, r#type: None, code: None, param: None }
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
