//! One answer of a stream: deltas become parts that begin, grow and end, one at a time.

use serde_json::value::RawValue;

use crate::call_id;
use crate::codec::Malformed;
use crate::dialect::Dialect;
use crate::hub::{Delta, Event, PartKind, Source};
use crate::openai_chat::signatures::{self, Signature};
use crate::openai_chat::wire::{self, ThoughtBlock};
use crate::text::{Seam, Text};
use crate::thoughts::is_marked;

use super::chunk::{ChunkCall, ChunkDelta, ChunkFunction};
use super::late::{GrowingKind, Late, LatePieces};
use super::waiting::{Balance, CallPiece, Queue, Waiting};

/// The index of an answer, and the stream that it is of.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) choice: u32,
    pub(super) reply_id: &'a str,
}

/// One answer as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct ChoiceRead {
    next_part: u32,
    open: Option<GrowingPart>,
    waiting: Queue,
    late: LatePieces,
    /// Signatures whose calls have not been told.
    signatures: Vec<Signature>,
    called_tools: bool,
    finished: bool,
}

/// The part that is growing.
#[derive(Debug)]
struct GrowingPart {
    part: u32,
    kind: GrowingKind,
    arguments: Balance,
    seam: Seam,
}

impl ChoiceRead {
    /// True if it has said why it ended.
    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn delta(&mut self, at: At<'_>, delta: ChunkDelta<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let ChunkDelta {
            content,
            refusal,
            reasoning_content,
            reasoning,
            thinking_blocks,
            reasoning_details,
            tool_calls,
            function_call,
            images,
            audio,
            annotations,
        } = delta;
        if let Some(text) = [reasoning_content, reasoning].into_iter().flatten().find_map(Text::of) {
            self.text(at, GrowingKind::Thinking, text, out);
        } else {
            let alone = reasoning_details.map(signatures::plain_texts).into_iter().flatten();
            alone.for_each(|text| self.text(at, GrowingKind::Thinking, text, out));
        }
        if let Some(raw) = thinking_blocks {
            wire::thoughts(raw).into_iter().for_each(|thought| self.thought(at, thought, out));
        }
        for signature in reasoning_details.map(signatures::of_list).unwrap_or_default() {
            self.signature(at.choice, signature, out);
        }
        if let Some(raw) = content {
            let pieces = wire::pieces(raw).ok_or_else(|| Malformed::new("a delta's `content` is not text"))?;
            for piece in pieces {
                match piece {
                    wire::ContentPiece::Text(text) => self.text(at, GrowingKind::Text, text, out),
                    wire::ContentPiece::Thinking(text) => self.text(at, GrowingKind::Thinking, text, out),
                    wire::ContentPiece::Other(raw) => out.push(other("content", raw)),
                }
            }
        }
        if let Some(text) = refusal {
            self.text(at, GrowingKind::Refusal, text, out);
        }
        images.map(wire::pictures).into_iter().flatten().for_each(|url| self.picture(at, url, out));
        out.extend(audio.map(|raw| other("audio", raw)));
        out.extend(annotations.filter(|raw| raw.get() != "[]").map(|raw| other("annotations", raw)));
        // The deprecated form has one call and no ids.
        let deprecated = function_call.map(|function| ChunkCall { function: Some(function), ..ChunkCall::default() });
        for call in tool_calls.into_iter().flatten().chain(deprecated) {
            self.call(at, call, out)?;
        }
        Ok(())
    }

    /// More log probabilities, of the text that they belong to.
    pub(super) fn logprobs(&mut self, choice: u32, raw: &RawValue, out: &mut Vec<Event>) {
        let Some(Late::Logprobs(raw)) = self.later(Late::Logprobs(raw.to_owned())) else { return };
        let part = self.begin(choice, GrowingKind::Text, out);
        out.push(Event::Delta { choice, part, delta: Delta::Logprobs(raw) });
    }

    pub(super) fn finish(&mut self, at: At<'_>, (word, by): (&str, Option<String>), out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.finished, true) {
            self.tell_late(at, out);
            self.tell_waiting(at, out);
            self.end(at.choice, out);
            std::mem::take(&mut self.signatures).into_iter().for_each(|late| self.sign(at.choice, late, out));
            out.push(Event::Finish { choice: at.choice, stop: wire::stop(word, by, self.called_tools) });
        }
    }

    fn text(&mut self, at: At<'_>, kind: GrowingKind, text: Text, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let Some(Late::Text(kind, text)) = self.later(Late::Text(kind, text)) else { return };
        let part = self.begin(at.choice, kind, out);
        let text = self.open.as_mut().map(|open| open.seam.join(text)).unwrap_or_default();
        if !text.is_empty() {
            out.push(Event::Delta { choice: at.choice, part, delta: Delta::Text(text) });
        }
    }

    /// A picture by its bytes; of one by its address nothing is known that a stream of another dialect could say.
    fn picture(&mut self, at: At<'_>, url: String, out: &mut Vec<Event>) {
        let Some(Late::Picture(url)) = self.later(Late::Picture(url)) else { return };
        if let Source::Base64 { media_type, data } = Source::of_url(url) {
            self.end(at.choice, out);
            self.begin_as(at.choice, GrowingKind::Text, PartKind::Picture { media_type, data }, out);
            self.end(at.choice, out);
        }
    }

    /// `thinking_blocks` stand beside `reasoning_content`, which has the same text.
    fn thought(&mut self, At { choice, .. }: At<'_>, thought: ThoughtBlock, out: &mut Vec<Event>) {
        if matches!(thought, ThoughtBlock::Signed { signature: None, .. }) {
            return;
        }
        let Some(Late::Thought(thought)) = self.later(Late::Thought(thought)) else { return };
        match thought {
            ThoughtBlock::Signed { signature, .. } => {
                let part = self.begin(choice, GrowingKind::Thinking, out);
                out.extend(signature.map(|own| Event::Delta { choice, part, delta: Delta::Signature(own) }));
            }
            ThoughtBlock::Redacted(data) => {
                self.begin_as(choice, GrowingKind::Thinking, PartKind::RedactedThinking(data), out);
            }
        }
        self.end(choice, out);
    }

    /// Lets a piece wait while a call is being told that is not whole; gives back what can be told.
    fn later(&mut self, piece: Late) -> Option<Late> {
        if self.is_calling() { self.late.hold(piece) } else { Some(piece) }
    }

    /// True if a call is being told of which more can come.
    fn is_calling(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| matches!(open.kind, GrowingKind::Tool { .. }) && !open.arguments.is_whole())
    }

    /// Tells the pieces that came before the end of a call, which it ends.
    fn tell_late(&mut self, at: At<'_>, out: &mut Vec<Event>) {
        if self.late.is_empty() {
            return;
        }
        self.end(at.choice, out);
        for piece in self.late.take() {
            match piece {
                Late::Text(kind, text) => self.text(at, kind, text, out),
                Late::Thought(thought) => self.thought(at, thought, out),
                Late::Picture(url) => self.picture(at, url, out),
                Late::Logprobs(raw) => self.logprobs(at.choice, &raw, out),
            }
        }
    }

    /// Tells a signature, or lets it wait: for the call that it names, or for the end of one that is being told.
    fn signature(&mut self, choice: u32, signature: Signature, out: &mut Vec<Event>) {
        // The text has been told beside it.
        let signature = Signature { thought: signature.thought.without_text(), ..signature };
        let calling = self.open.as_ref().is_some_and(|open| matches!(open.kind, GrowingKind::Tool { .. }));
        if calling || signature.call.is_some() {
            self.signatures.push(signature);
            return;
        }
        match signature.thought {
            // The text before it is what it signs.
            ThoughtBlock::Signed { signature: Some(signature), .. } if !is_marked(&signature) => {
                let part = self.begin(choice, GrowingKind::Thinking, out);
                out.push(Event::Delta { choice, part, delta: Delta::Signature(signature) });
                self.end(choice, out);
            }
            // Google's is of all that was said.
            thought => self.sign(choice, Signature { call: None, thought }, out),
        }
    }

    /// Tells the signatures of the call that is told next.
    fn sign_call(&mut self, choice: u32, id: Option<&str>, on_it: Option<ThoughtBlock>, out: &mut Vec<Event>) {
        let waiting = std::mem::take(&mut self.signatures).into_iter();
        let (own, others) = waiting.partition(|waits| waits.call.as_deref().is_none_or(|call| Some(call) == id));
        self.signatures = others;
        let on_it = on_it.map(|thought| Signature { call: None, thought }).filter(|_| own.is_empty());
        own.into_iter().chain(on_it).for_each(|signature| self.sign(choice, signature, out));
    }

    /// Tells a signature whole.
    fn sign(&mut self, choice: u32, signature: Signature, out: &mut Vec<Event>) {
        match signature.thought {
            ThoughtBlock::Signed { text: _, signature } => {
                let part = self.begin_as(choice, GrowingKind::Thinking, PartKind::Thinking, out);
                out.extend(signature.map(|own| Event::Delta { choice, part, delta: Delta::Signature(own) }));
            }
            ThoughtBlock::Redacted(data) => {
                self.begin_as(choice, GrowingKind::Thinking, PartKind::RedactedThinking(data), out);
            }
        }
        self.end(choice, out);
    }

    fn call(&mut self, at: At<'_>, call: ChunkCall<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let ChunkCall { index, id, function, custom, extra_content } = call;
        if let Some(raw) = custom {
            self.called_tools = true;
            out.push(other("tool_calls", raw));
            return Ok(());
        }
        let ChunkFunction { name, arguments } = function.unwrap_or(ChunkFunction { name: None, arguments: None });
        let (id, name) = (id.filter(|id| !id.is_empty()), name.filter(|name| !name.is_empty()));
        // Some look-alikes give the object itself rather than its text.
        let text = arguments.map_or(Text::from(""), |raw| Text::of(raw).unwrap_or_else(|| raw.get().into()));
        let signature = extra_content.and_then(signatures::of_call);
        let piece = CallPiece { index, id, name, text, signature };
        if self.goes_on(&piece) {
            self.signatures.extend(piece.signature.map(|thought| Signature { call: None, thought }));
            self.arguments(at.choice, piece.text, out);
        } else {
            let nothing = piece.text.is_blank();
            if !self.waiting.take(piece, self.next_part)? && !nothing {
                return Err(Malformed::new("arguments of a tool call that is not being made"));
            }
        }
        if !self.is_calling() {
            self.tell_late(at, out);
        }
        self.tell_ready(at, out);
        Ok(())
    }

    /// True if a piece is more of the call that is being told.
    fn goes_on(&self, piece: &CallPiece) -> bool {
        let Some(GrowingPart { kind: GrowingKind::Tool { index, id, made }, arguments, .. }) = &self.open else {
            return false;
        };
        // Named and argued for again after its end, it is another that has the same index and no id.
        let another = piece.name.is_some() && !piece.text.is_blank() && arguments.is_whole();
        let same_id = piece.id.as_ref().map_or(!another, |said| said == id || (*made && !another));
        same_id && piece.index.is_none_or(|said| said == *index)
    }

    /// True if a call of another index is being told that is not whole yet.
    fn tells_another(&self, index: u32) -> bool {
        match &self.open {
            Some(GrowingPart { kind: GrowingKind::Tool { index: open, .. }, arguments, .. }) => {
                *open != index && !arguments.is_whole()
            }
            _ => false,
        }
    }

    /// Tells the calls whose turn it is.
    fn tell_ready(&mut self, at: At<'_>, out: &mut Vec<Event>) {
        while self.waiting.ready().is_some_and(|index| !self.tells_another(index)) {
            if let Some(call) = self.waiting.pop() {
                self.tell(at, call, out);
            }
        }
    }

    /// Tells all that waits, as it is: nothing more of it can come in order.
    fn tell_waiting(&mut self, at: At<'_>, out: &mut Vec<Event>) {
        while let Some(call) = self.waiting.pop() {
            self.tell(at, call, out);
        }
    }

    /// Begins a call with what is known of it. One without a name is none.
    fn tell(&mut self, At { choice, reply_id }: At<'_>, call: Waiting, out: &mut Vec<Event>) {
        let Waiting { index, id, name: Some(name), arguments, seam, signature } = call else { return };
        self.called_tools = true;
        self.tell_late(At { choice, reply_id }, out);
        self.sign_call(choice, id.as_deref(), signature, out);
        let made = id.is_none();
        let id = id.unwrap_or_else(|| call_id::made(reply_id, choice, self.next_part));
        let begun = PartKind::ToolCall { id: id.clone(), name };
        self.begin_as(choice, GrowingKind::Tool { index, id, made }, begun, out);
        self.arguments(choice, Text::from(&*arguments), out);
        if let Some(open) = &mut self.open {
            open.seam = seam;
        }
    }

    /// More arguments of the call that is being told.
    fn arguments(&mut self, choice: u32, text: Text, out: &mut Vec<Event>) {
        let Some(open) = &mut self.open else { return };
        let text = open.seam.join(text);
        if text.is_empty() {
            return;
        }
        open.arguments.push(&text);
        out.push(Event::Delta { choice, part: open.part, delta: Delta::Arguments(text) });
    }

    /// The open part when it is of this kind, or a new one.
    fn begin(&mut self, choice: u32, kind: GrowingKind, out: &mut Vec<Event>) -> u32 {
        if let Some(open) = self.open.as_ref().filter(|open| open.kind == kind) {
            return open.part;
        }
        let begun = match kind {
            GrowingKind::Refusal => PartKind::Refusal,
            GrowingKind::Thinking => PartKind::Thinking,
            GrowingKind::Text | GrowingKind::Tool { .. } => PartKind::Text,
        };
        self.begin_as(choice, kind, begun, out)
    }

    fn begin_as(&mut self, choice: u32, kind: GrowingKind, begun: PartKind, out: &mut Vec<Event>) -> u32 {
        self.end(choice, out);
        let part = self.next_part;
        self.next_part += 1;
        self.open = Some(GrowingPart { part, kind, arguments: Balance::default(), seam: Seam::default() });
        out.push(Event::PartStart { choice, part, kind: begun });
        part
    }

    fn end(&mut self, choice: u32, out: &mut Vec<Event>) {
        let Some(GrowingPart { part, kind, mut seam, .. }) = self.open.take() else { return };
        if let Some(half) = seam.end().map(String::from) {
            let delta =
                if matches!(kind, GrowingKind::Tool { .. }) { Delta::Arguments(half) } else { Delta::Text(half) };
            out.push(Event::Delta { choice, part, delta });
        }
        out.push(Event::PartEnd { choice, part });
    }
}

/// A value that the hub has no word for, by the field it stood in.
fn other(field: &str, raw: &RawValue) -> Event {
    Event::Other { dialect: Dialect::OpenAiChat, name: Some(field.to_owned()), data: raw.get().to_owned() }
}
