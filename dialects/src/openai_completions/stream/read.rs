//! Reads a streamed answer: chunks of text become the hub's events.

use crate::codec::Malformed;
use crate::hub::{Delta, Event, PartKind};
use crate::openai_chat::{error, wire};
use crate::openai_completions::wire::{WireChoice, WireCompletion};
use crate::spoke::DecodeStream;
use crate::sse::{self, Frame};
use crate::text::Seam;

/// The most answers one stream may hold; OpenAI's own limit of `n`.
const MOST_CHOICES: u32 = 128;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct CompletionDecoder {
    frames: sse::SseDecoder,
    state: CompletionRead,
}

impl DecodeStream for CompletionDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.push(bytes, |frame| state.frame(frame, out))
    }

    fn held(&self) -> usize {
        self.frames.held()
    }

    fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    /// Without `[DONE]` the stream is whole all the same when every answer has said why it ended.
    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.finish(|frame| state.frame(frame, out))?;
        if state.is_finished() && !std::mem::replace(&mut state.ended, true) {
            out.push(Event::End);
        }
        Ok(())
    }
}

/// The part of the answer that has been read.
#[derive(Debug, Default)]
struct CompletionRead {
    started: bool,
    /// Whole or failed: what comes now is nothing.
    ended: bool,
    texts: Vec<TextRead>,
}

/// One of the answers.
#[derive(Debug, Default)]
struct TextRead {
    begun: bool,
    finished: bool,
    seam: Seam,
}

impl CompletionRead {
    fn is_finished(&self) -> bool {
        !self.texts.is_empty() && self.texts.iter().all(|text| text.finished)
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let data = frame.data.trim_ascii();
        let is_error = frame.name == b"error";
        if self.ended || (data.is_empty() && !is_error) {
            return Ok(());
        }
        if is_error {
            self.ended = true;
            out.push(Event::Error(error::decode(0, data)));
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.done(out);
        }
        // serde's own message may quote the answer.
        let chunk: WireCompletion<'_> = serde_json::from_slice(data).map_err(|error| Malformed {
            message: "a chunk of the stream is not what the dialect allows".to_owned(),
            at: Some(error.column()),
        })?;
        self.chunk(chunk, data, out)
    }

    fn done(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.texts.is_empty() {
            return Err(Malformed::new("the stream holds no answer"));
        }
        for (choice, text) in (0..).zip(&mut self.texts) {
            text.finish(choice, wire::stop("", None, false), out);
        }
        self.ended = true;
        out.push(Event::End);
        Ok(())
    }

    fn chunk(&mut self, chunk: WireCompletion<'_>, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let WireCompletion { id, model, created, choices, usage, service_tier, error } = chunk;
        if error.is_some() {
            self.ended = true;
            out.push(Event::Error(error::decode(0, data)));
            return Ok(());
        }
        let (choices, usage) = (choices.unwrap_or_default(), usage.and_then(|raw| wire::usage_at(raw, service_tier)));
        if choices.is_empty() && usage.is_none() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            let created = created.as_ref().and_then(wire::seconds);
            out.push(Event::Start { id: id.unwrap_or_default(), model: model.unwrap_or_default(), created });
        }
        for choice in choices {
            self.choice(choice, out)?;
        }
        out.extend(usage.map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, choice: WireChoice<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let WireChoice { index, text, finish_reason, stop_reason, matched_stop, logprobs, error } = choice;
        let choice = index.unwrap_or(0);
        if choice >= MOST_CHOICES {
            return Err(Malformed::new(format!("a chunk of the stream is for answer {choice}")));
        }
        let reason = finish_reason.filter(|word| !word.is_empty());
        if error.is_some() || reason.as_deref().is_some_and(wire::is_failure) {
            self.ended = true;
            out.push(Event::Error(error::decode(0, error.map_or("", |raw| raw.get()).as_bytes())));
            return Ok(());
        }
        while self.texts.len() <= choice as usize {
            self.texts.push(TextRead::default());
        }
        let Some(state) = self.texts.get_mut(choice as usize).filter(|state| !state.finished) else { return Ok(()) };
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            state.begin(choice, out);
            let text = state.seam.join(text);
            if !text.is_empty() {
                out.push(Event::Delta { choice, part: 0, delta: Delta::Text(text) });
            }
        }
        if let Some(raw) = logprobs {
            state.begin(choice, out);
            out.push(Event::Delta { choice, part: 0, delta: Delta::Logprobs(raw.to_owned()) });
        }
        if let Some(word) = reason {
            state.finish(choice, wire::stop(&word, wire::stop_text([stop_reason, matched_stop]), false), out);
        }
        Ok(())
    }
}

impl TextRead {
    fn begin(&mut self, choice: u32, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.push(Event::PartStart { choice, part: 0, kind: PartKind::Text });
        }
    }

    fn finish(&mut self, choice: u32, stop: crate::hub::Stop, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if self.begun {
            // Half a character whose other half never came.
            let last = self.seam.end().map(|text| Delta::Text(String::from(text)));
            out.extend(last.map(|delta| Event::Delta { choice, part: 0, delta }));
            out.push(Event::PartEnd { choice, part: 0 });
        }
        out.push(Event::Finish { choice, stop });
    }
}
