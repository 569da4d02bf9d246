//! Reads a streamed answer: chunks of deltas become parts that begin, grow and end.
//!
//! A push state machine, tolerant of look-alikes: usage beside choices or in a chunk of its own, no role, chunks
//! without choices, tool calls whole in one chunk, all with index 0 or told by turns, `content: null`, no `[DONE]`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::{Delta, Event, PartKind};
use crate::json::string;
use crate::openai::{error, wire};
use crate::seam::Malformed;
use crate::sse::{self, Frame};

use super::waiting::{Balance, Queue, Waiting};

/// The most answers one stream may hold; OpenAI's own limit of `n`.
const MOST_CHOICES: u32 = 128;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: sse::Decoder,
    state: State,
}

impl Decoder {
    /// At the beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere, and appends the events they complete. Errors: a chunk is not what the
    /// dialect allows.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let state = &mut self.state;
        self.frames.push(bytes, |frame| state.frame(frame, out))
    }

    /// Says that the body came to its clean end. Without `[DONE]` the stream is whole all the same when every answer
    /// in it has finished; otherwise no `Event::End` comes: it was cut.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let state = &mut self.state;
        self.frames.finish(|frame| state.frame(frame, out))?;
        if !state.ended && state.started && state.choices.iter().all(|choice| choice.finished) {
            state.ended = true;
            out.push(Event::End);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    ended: bool,
    id: String,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    next_part: u32,
    open: Option<Open>,
    waiting: Queue,
    called_tools: bool,
    finished: bool,
}

/// The part that is growing.
#[derive(Debug)]
struct Open {
    part: u32,
    kind: Kind,
    arguments: Balance,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    Tool { index: u32, id: String },
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    delta: Option<ChunkDelta<'a>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct ChunkDelta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ChunkCall<'a>>>,
}

#[derive(Deserialize)]
struct ChunkCall<'a> {
    index: Option<u32>,
    id: Option<String>,
    #[serde(borrow)]
    function: Option<ChunkFunction<'a>>,
}

#[derive(Deserialize)]
struct ChunkFunction<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl State {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let data = frame.data.trim_ascii();
        // An event called an error is one, also when it says nothing more.
        if self.ended || (data.is_empty() && frame.name != b"error") {
            return Ok(());
        }
        if data == b"[DONE]" {
            // What said `[DONE]` is whole, also where a look-alike gave no reason.
            for (choice, state) in (0..).zip(&mut self.choices) {
                state.finish(choice, &self.id, "", out);
            }
            self.ended = true;
            out.push(Event::End);
            return Ok(());
        }
        if frame.name == b"error" {
            out.push(Event::Error(error::decode(0, data)));
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

    fn chunk(&mut self, chunk: Chunk<'_>, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Chunk { id, model, created, choices, usage, error } = chunk;
        if error.is_some() {
            out.push(Event::Error(error::decode(0, data)));
            return Ok(());
        }
        let choices = choices.unwrap_or_default();
        let usage = usage.and_then(wire::usage);
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
        let ChunkChoice { index, delta, finish_reason, logprobs } = chunk;
        let index = index.unwrap_or(0);
        if index >= MOST_CHOICES {
            return Err(Malformed::new(format!("a chunk of the stream is for answer {index}")));
        }
        while self.choices.len() <= index as usize {
            self.choices.push(ChoiceState::default());
        }
        let Some(state) = self.choices.get_mut(index as usize) else { return Ok(()) };
        state.delta(index, &self.id, delta.unwrap_or_default(), out)?;
        if let Some(raw) = logprobs {
            let part = state.begin(index, Kind::Text, out);
            out.push(Event::Delta { choice: index, part, delta: Delta::Logprobs(raw.to_owned()) });
        }
        // Some look-alikes give an empty one with every chunk.
        if let Some(word) = finish_reason.filter(|word| !word.is_empty()) {
            state.finish(index, &self.id, &word, out);
        }
        Ok(())
    }
}

impl ChoiceState {
    fn delta(
        &mut self,
        choice: u32,
        reply_id: &str,
        delta: ChunkDelta<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let ChunkDelta { content, refusal, reasoning_content, reasoning, tool_calls } = delta;
        if let Some(text) = reasoning_content.or_else(|| reasoning.and_then(string)) {
            self.text((choice, reply_id), Kind::Thinking, text, out);
        }
        if let Some(raw) = content {
            let pieces = wire::pieces(raw).ok_or_else(|| Malformed::new("a delta's `content` is not text"))?;
            for piece in pieces {
                match piece {
                    wire::Piece::Text(text) => self.text((choice, reply_id), Kind::Text, text, out),
                    wire::Piece::Thinking(text) => self.text((choice, reply_id), Kind::Thinking, text, out),
                }
            }
        }
        if let Some(text) = refusal {
            self.text((choice, reply_id), Kind::Refusal, text, out);
        }
        for call in tool_calls.unwrap_or_default() {
            self.call(choice, reply_id, call, out)?;
        }
        Ok(())
    }

    fn text(&mut self, (choice, reply_id): (u32, &str), kind: Kind, text: String, out: &mut Vec<Event>) {
        if !text.is_empty() {
            self.tell_waiting(choice, reply_id, out);
            let part = self.begin(choice, kind, out);
            out.push(Event::Delta { choice, part, delta: Delta::Text(text) });
        }
    }

    fn call(
        &mut self,
        choice: u32,
        reply_id: &str,
        call: ChunkCall<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let ChunkCall { index, id, function } = call;
        let (name, arguments) = function.map_or((None, None), |function| (function.name, function.arguments));
        let id = id.filter(|id| !id.is_empty());
        // Some look-alikes give the object itself rather than its text.
        let text = arguments.map(|raw| string(raw).unwrap_or_else(|| raw.get().to_owned())).unwrap_or_default();
        let told = match &self.open {
            Some(Open { kind: Kind::Tool { index: open, id: open_id }, .. }) => {
                index.is_none_or(|index| index == *open) && id.as_ref().is_none_or(|id| id == open_id)
            }
            _ => false,
        };
        if told {
            self.arguments(choice, reply_id, text, out);
            return Ok(());
        }
        if self.waiting.grow(index, &text)? {
            return Ok(());
        }
        // A call begins with its name. More of a call that has ended would need a part that grows again.
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let nothing = text.trim_ascii().is_empty();
            return if nothing {
                Ok(())
            } else {
                Err(Malformed::new("arguments of a tool call that is not being made"))
            };
        };
        let index = index.unwrap_or(self.next_part);
        let call = Waiting { index, id, name, arguments: text };
        if self.tells_another(index) {
            return self.waiting.push(call);
        }
        self.tell(choice, reply_id, call, out);
        Ok(())
    }

    /// Whether a call of another index is being told that is not whole yet.
    fn tells_another(&self, index: u32) -> bool {
        match &self.open {
            Some(Open { kind: Kind::Tool { index: open, .. }, arguments, .. }) => {
                *open != index && !arguments.is_whole()
            }
            _ => false,
        }
    }

    /// Begins a call with what is known of it.
    fn tell(&mut self, choice: u32, reply_id: &str, call: Waiting, out: &mut Vec<Event>) {
        let Waiting { index, id, name, arguments } = call;
        self.called_tools = true;
        let id = id.unwrap_or_else(|| wire::made_call_id(reply_id, choice, self.next_part));
        let begun = PartKind::ToolCall { id: id.clone(), name };
        self.begin_as(choice, Kind::Tool { index, id }, begun, out);
        self.arguments(choice, reply_id, arguments, out);
    }

    /// More arguments of the call that is being told; when it is whole, those that waited for it have their turn.
    fn arguments(&mut self, choice: u32, reply_id: &str, text: String, out: &mut Vec<Event>) {
        let Some(open) = self.open.as_mut().filter(|_| !text.is_empty()) else { return };
        open.arguments.push(&text);
        out.push(Event::Delta { choice, part: open.part, delta: Delta::Arguments(text) });
        if open.arguments.is_whole()
            && let Some(call) = self.waiting.pop()
        {
            self.tell(choice, reply_id, call, out);
        }
    }

    /// Tells all that waits, as it is: nothing more of it can come in order.
    fn tell_waiting(&mut self, choice: u32, reply_id: &str, out: &mut Vec<Event>) {
        while let Some(call) = self.waiting.pop() {
            self.tell(choice, reply_id, call, out);
        }
    }

    /// The open part when it is of this kind, or a new one.
    fn begin(&mut self, choice: u32, kind: Kind, out: &mut Vec<Event>) -> u32 {
        if let Some(open) = self.open.as_ref().filter(|open| open.kind == kind) {
            return open.part;
        }
        let begun = match kind {
            Kind::Refusal => PartKind::Refusal,
            Kind::Thinking => PartKind::Thinking,
            Kind::Text | Kind::Tool { .. } => PartKind::Text,
        };
        self.begin_as(choice, kind, begun, out)
    }

    fn begin_as(&mut self, choice: u32, kind: Kind, begun: PartKind, out: &mut Vec<Event>) -> u32 {
        self.end(choice, out);
        let part = self.next_part;
        self.next_part += 1;
        self.open = Some(Open { part, kind, arguments: Balance::default() });
        out.push(Event::PartStart { choice, part, kind: begun });
        part
    }

    fn finish(&mut self, choice: u32, reply_id: &str, word: &str, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.finished, true) {
            self.tell_waiting(choice, reply_id, out);
            self.end(choice, out);
            out.push(Event::Finish { choice, stop: wire::stop(word, self.called_tools) });
        }
    }

    fn end(&mut self, choice: u32, out: &mut Vec<Event>) {
        if let Some(open) = self.open.take() {
            out.push(Event::PartEnd { choice, part: open.part });
        }
    }
}
