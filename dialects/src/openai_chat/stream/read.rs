//! Reads a streamed answer: chunks become the hub's events.
//!
//! A push state machine, tolerant of look-alikes: usage beside choices or in a chunk of its own, no role, chunks
//! without choices, tool calls whole in one chunk, all with index 0 or told by turns, their id or name in a later piece,
//! `function_call`, `content: null` or a list of pieces, pairs of surrogates cut in two, no `[DONE]`.

use crate::codec::Malformed;
use crate::hub::{Event, ProviderError, ServiceTier};
use crate::json::string;
use crate::openai_chat::{error, wire};
use crate::spoke::DecodeStream;
use crate::sse::{self, Frame};

use super::choice::{At, ChoiceRead};
use super::chunk::{Chunk, ChunkChoice};

/// The most answers one stream may hold; OpenAI's own limit of `n`.
const MOST_CHOICES: u32 = 128;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct ChatDecoder {
    frames: sse::SseDecoder,
    state: ReadState,
}

impl ChatDecoder {
    /// At the beginning.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl DecodeStream for ChatDecoder {
    /// Takes the next bytes, cut anywhere, and appends the events they complete. Errors: a chunk is not what the
    /// dialect allows.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let state = &mut self.state;
        self.frames.push(bytes, |frame| state.frame(frame, out))
    }

    /// The memory that the unfinished event takes.
    fn held(&self) -> usize {
        self.frames.held()
    }

    /// Says that the body came to its clean end. Without `[DONE]` the stream is whole all the same when every answer
    /// in it has finished; otherwise no `Event::End` comes: it was cut.
    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let state = &mut self.state;
        self.frames.finish(|frame| state.frame(frame, out))?;
        if !state.ended && state.is_finished() {
            state.ended = true;
            out.push(Event::End);
        }
        Ok(())
    }

    /// True if every answer in it has said why it ended: at most the usage is still to come.
    fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    fn tier(&self) -> ServiceTier {
        self.state.tier
    }
}

#[derive(Debug, Default)]
struct ReadState {
    started: bool,
    /// Whole or failed: what comes now is nothing.
    ended: bool,
    id: String,
    tier: ServiceTier,
    choices: Vec<ChoiceRead>,
}

impl ReadState {
    fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(ChoiceRead::is_finished)
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let data = frame.data.trim_ascii();
        // An event called an error is one, also when it says nothing more.
        if self.ended || (data.is_empty() && frame.name != b"error") {
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.done(out);
        }
        if frame.name == b"error" {
            self.fail(error::decode(0, data), out);
            return Ok(());
        }
        let text = std::str::from_utf8(data).map_err(|error| Malformed {
            message: "a chunk of the stream is not UTF-8".to_owned(),
            at: Some(error.valid_up_to()),
        })?;
        // serde's own message may quote the answer.
        let chunk: Chunk<'_> = serde_json::from_str(text).map_err(|error| Malformed {
            message: "a chunk of the stream is not what the dialect allows".to_owned(),
            at: Some(error.column()),
        })?;
        self.chunk(chunk, data, out)
    }

    /// Ends a stream that said `[DONE]`, which is whole also where a look-alike gave no reason; but an answer has to be
    /// there.
    fn done(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.choices.is_empty() {
            return Err(Malformed::new("the stream holds no answer"));
        }
        for (choice, state) in (0..).zip(&mut self.choices) {
            state.finish(At { choice, reply_id: &self.id }, ("", None), out);
        }
        self.ended = true;
        out.push(Event::End);
        Ok(())
    }

    /// The provider failed: nothing behind it is an answer's end, whatever it says.
    fn fail(&mut self, error: ProviderError, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Error(error));
    }

    fn chunk(&mut self, chunk: Chunk<'_>, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Chunk { id, model, created, choices, usage, service_tier, error, x_groq } = chunk;
        if error.is_some() {
            self.fail(error::decode(0, data), out);
            return Ok(());
        }
        let choices = choices.unwrap_or_default();
        self.tier = service_tier.or(self.tier);
        let usage = usage.or_else(|| wire::usage_within(choices.iter().map(|choice| choice.usage), x_groq));
        let usage = usage.and_then(|raw| wire::usage_at(raw, self.tier));
        if choices.is_empty() && usage.is_none() {
            // Azure opens with a chunk of filter results, which has no id yet.
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            self.id = id.and_then(string).unwrap_or_default();
            out.push(Event::Start {
                id: self.id.clone(),
                model: model.and_then(string).unwrap_or_default(),
                created: created
                    .and_then(|raw| serde_json::from_str(raw.get()).ok())
                    .and_then(|number| wire::seconds(&number)),
            });
        }
        for choice in choices {
            self.choice(choice, out)?;
        }
        out.extend(usage.map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, chunk: ChunkChoice<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let ChunkChoice { index, delta, finish_reason, stop_reason, matched_stop, logprobs, error, usage: _ } = chunk;
        let choice = index.unwrap_or(0);
        if choice >= MOST_CHOICES {
            return Err(Malformed::new(format!("a chunk of the stream is for answer {choice}")));
        }
        if self.ended {
            return Ok(());
        }
        while self.choices.len() <= choice as usize {
            self.choices.push(ChoiceRead::default());
        }
        let Some(state) = self.choices.get_mut(choice as usize) else { return Ok(()) };
        let at = At { choice, reply_id: &self.id };
        state.delta(at, delta.unwrap_or_default(), out)?;
        if let Some(raw) = logprobs {
            state.logprobs(choice, raw, out);
        }
        // Some look-alikes give an empty one with every chunk.
        let reason = finish_reason.filter(|word| !word.is_empty());
        if error.is_some() || reason.as_deref().is_some_and(wire::is_failure) {
            self.fail(error::decode(0, error.map_or("", |raw| raw.get()).as_bytes()), out);
        } else if let Some(word) = reason {
            state.finish(at, (&word, wire::stop_text([stop_reason, matched_stop])), out);
        }
        Ok(())
    }
}
