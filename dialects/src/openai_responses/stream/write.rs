//! A streamed answer written out of the hub's events, with every event of the vendor's in the vendor's order.
//!
//! `response.created`, `response.in_progress`, then each item from `response.output_item.added` to `response.output_item.done`,
//! and last the answer whole. Texts that follow one another are pieces of one message.

use crate::codec::{AnswerName, StreamOptions};
use crate::dialect::Dialect;
use crate::hub::{Delta, ErrorKind, Event, PartKind, ProviderError, Stop, Usage};
use crate::json::Writer;
use crate::openai_responses::compaction::Summary;
use crate::openai_responses::echo::{Echo, Form};
use crate::openai_responses::item::{
    Called, Item, MessagePiece, ResponseFrame, list, or_empty_object, picture, write_summary,
};
use crate::openai_responses::{error, sealed, wire};
use crate::spoke::{EncodeStream, FollowedItems};
use crate::sse::KEEP_ALIVE;

/// The last event tells the answer whole, so it is held until then, up to so many bytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// The most items and pieces of one answer.
const MOST_PARTS: usize = 4096;

/// Writes one streamed answer.
#[derive(Debug)]
pub(crate) struct ResponsesEncoder {
    echo: Echo,
    /// The answer, where it is a shorter conversation: one item, which is told when it is whole.
    summary: Option<Summary>,
    id: String,
    model: String,
    created: u64,
    /// The number of the next event.
    number: u64,
    begun: bool,
    items: Vec<Item>,
    /// The part that is growing.
    open: Option<GrowingItem>,
    /// True if the last item is a message that is not closed yet.
    message_open: bool,
    /// True if the message's last piece has been told whole by another one, but for its end.
    piece_unclosed: bool,
    usage: Option<Usage>,
    stop: Option<Stop>,
    held: usize,
    parts: usize,
    /// The parts that the dialect has no words for.
    skipped: usize,
    /// The last event is written; whatever comes now would be wrong.
    over: bool,
}

/// The part that is growing.
#[derive(Debug)]
struct GrowingItem {
    part: u32,
    /// The arguments as they come, or a signature.
    beside: String,
    /// True if something of a summary has been said.
    summed: bool,
}

impl ResponsesEncoder {
    /// At the beginning.
    #[must_use]
    pub(crate) fn new(options: StreamOptions) -> Self {
        let StreamOptions { include_usage: _, created, array: _, goes_on, call, prompt: _, answer } = options;
        let named = AnswerName { id: "resp_".to_owned(), model: String::new(), created };
        let AnswerName { id, model, created } = answer.unwrap_or(named);
        let echo = call.map(|body| Echo::of(&body)).unwrap_or_default();
        Self {
            summary: echo.is_summary.then(Summary::default),
            echo,
            id,
            model,
            created: created.unwrap_or(0),
            number: goes_on.unwrap_or_default(),
            begun: false,
            items: Vec::new(),
            open: None,
            message_open: false,
            piece_unclosed: false,
            usage: None,
            stop: None,
            held: 0,
            parts: 0,
            skipped: 0,
            over: false,
        }
    }
}

impl EncodeStream for ResponsesEncoder {
    /// The memory that the answer so far takes.
    fn held(&self) -> usize {
        self.held
    }

    /// Appends what this event is on the wire. Should more than the bounds have to be held, the stream ends with an error.
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        if std::mem::take(&mut self.piece_unclosed) {
            self.piece_closed(out);
        }
        match event {
            Event::Start { id, model, created } => self.start(id, model, *created, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Alive => self.alive(out),
            Event::Error(error) => self.error(error, out),
            Event::PartStart { .. } | Event::Delta { .. } | Event::PartEnd { .. } if self.summary.is_some() => {
                self.begin(out);
                self.held += self.summary.as_mut().map_or(0, |summary| summary.see(event) * 3);
            }
            Event::PartStart { choice: 0, part, kind } => {
                self.begin(out);
                self.part_start(*part, kind, out);
            }
            Event::Delta { choice: 0, part, delta } => self.delta(*part, delta, out),
            Event::PartEnd { choice: 0, part } if self.open.as_ref().is_some_and(|open| open.part == *part) => {
                self.part_end(out);
            }
            Event::Finish { choice: 0, stop } => self.stop = Some(stop.clone()),
            Event::End => self.end(out),
            // The dialect has one answer, and no words for other dialects' events.
            Event::PartStart { .. } => self.skipped += 1,
            Event::Delta { .. } | Event::PartEnd { .. } | Event::Finish { .. } | Event::Other { .. } => {}
        }
        if self.held > MOST_BYTES || self.parts > MOST_PARTS {
            self.overflow(out);
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    fn go_on_from(&mut self, followed: FollowedItems) {
        let FollowedItems { number, whole, open, is_said } = followed;
        self.number = number.map_or(self.number, |number| number.saturating_add(1));
        let growing = self.items.pop().filter(|_| self.message_open);
        self.items = whole.into_iter().map(Item::Raw).collect();
        match (growing, open) {
            (Some(Item::Message { id: _, pieces }), Some(id)) => {
                self.piece_unclosed = is_said && !pieces.is_empty();
                self.items.push(Item::Message { id, pieces });
            }
            // Its provider has said that the last message is whole: what comes is another one.
            _ => (self.message_open, self.open) = (false, None),
        }
    }

    /// Appends the error events: the one that SDKs raise, and the answer, which failed. Nothing follows them.
    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.event("error", out, |json, _| error::write_event(error, json));
        self.whole("response.failed", Some(error), out);
    }
}

impl ResponsesEncoder {
    fn start(&mut self, id: &str, model: &str, created: Option<u64>, out: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.id = wire::response_id(id).into_owned();
        model.clone_into(&mut self.model);
        self.created = created.unwrap_or(self.created);
        self.begin(out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.whole("response.created", None, out);
            self.whole("response.in_progress", None, out);
        }
    }

    /// Says that a silent answer goes on, as OpenAI does: clients that wait for the next event (Codex) hear no comment. Before an answer
    /// has begun nothing else is its first event.
    fn alive(&mut self, out: &mut Vec<u8>) {
        if self.begun {
            self.event("keepalive", out, |_, _| {});
        } else {
            out.extend_from_slice(KEEP_ALIVE);
        }
    }

    fn part_start(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        // Parts come one after another; one that was not ended is ended by the next.
        self.part_end(out);
        let said = match kind {
            PartKind::Text => Some(MessagePiece::text(String::new())),
            PartKind::Refusal => Some(MessagePiece::Refusal(String::new())),
            _ => None,
        };
        match said {
            Some(piece) => self.piece_start(piece, out),
            None => self.message_end(out),
        }
        let place = self.items.len();
        match kind {
            PartKind::Text | PartKind::Refusal => {}
            PartKind::Thinking => {
                let id = wire::item_id("rs", &self.id, place);
                self.add(Item::Reasoning { id, text: String::new(), encrypted: String::new() }, out);
            }
            PartKind::RedactedThinking(data) => {
                let id = wire::item_id("rs", &self.id, place);
                self.held += data.len();
                self.add(Item::Reasoning { id, text: String::new(), encrypted: sealed::redacted(data) }, out);
                return self.item_end("completed", out);
            }
            PartKind::ToolCall { id, name } => {
                let call = Called::new(&self.echo, id, name);
                let id = wire::item_id(call.id_kind(), &self.id, place);
                match call.form {
                    Form::Function | Form::FreeText => self.add(Item::Call { id, call }, out),
                    // There are no events that tell it bit by bit.
                    Form::Client(_) => self.items.push(Item::Call { id, call }),
                }
            }
            PartKind::Other { dialect: Dialect::OpenAiResponses, raw } => {
                self.held += raw.get().len();
                self.add(Item::Raw(raw.clone()), out);
                return self.item_end("completed", out);
            }
            PartKind::Picture { media_type, data } => {
                self.held += data.len();
                if let Some(raw) = picture(&wire::item_id("ig", &self.id, place), media_type, data) {
                    self.add(Item::Raw(raw), out);
                    self.item_end("completed", out);
                }
                return;
            }
            // A part without an item is nowhere, and its deltas find nobody.
            PartKind::Other { .. } => {
                self.skipped += 1;
                return;
            }
        }
        self.open = Some(GrowingItem { part, beside: String::new(), summed: false });
    }

    fn add(&mut self, item: Item, out: &mut Vec<u8>) {
        let place = self.items.len();
        self.parts += 1;
        self.event("response.output_item.added", out, |json, _| {
            json.key("item");
            item.write_begun(json);
            json.value_field("output_index", place);
        });
        self.items.push(item);
    }

    fn piece_start(&mut self, piece: MessagePiece, out: &mut Vec<u8>) {
        if !self.message_open {
            let id = wire::item_id("msg", &self.id, self.items.len());
            self.add(Item::Message { id, pieces: Vec::new() }, out);
            self.message_open = true;
        }
        self.parts += 1;
        let place = self.piece_place().map_or(0, |place| place + 1);
        self.item_event("response.content_part.added", out, |json| {
            json.value_field("content_index", place);
            json.key("part");
            piece.write_empty(json);
        });
        if let Some(Item::Message { pieces, .. }) = self.items.last_mut() {
            pieces.push(piece);
        }
    }

    /// The place of the message's last piece.
    fn piece_place(&self) -> Option<usize> {
        match self.items.last() {
            Some(Item::Message { pieces, .. }) => pieces.len().checked_sub(1),
            _ => None,
        }
    }

    fn delta(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(open) = self.open.as_mut().filter(|open| open.part == part) else { return };
        let place = match self.items.last() {
            Some(Item::Message { pieces, .. }) => pieces.len().saturating_sub(1),
            _ => 0,
        };
        match (self.items.last_mut(), delta) {
            (Some(Item::Message { pieces, .. }), Delta::Text(more)) if !more.is_empty() => {
                self.held += more.len();
                let name = match pieces.last_mut() {
                    Some(MessagePiece::Text { text, .. }) => {
                        text.push_str(more);
                        "response.output_text.delta"
                    }
                    Some(MessagePiece::Refusal(text)) => {
                        text.push_str(more);
                        "response.refusal.delta"
                    }
                    None => return,
                };
                self.text_delta(name, place, more, out);
            }
            (Some(Item::Message { pieces, .. }), Delta::Logprobs(raw)) => {
                if let Some(MessagePiece::Text { logprobs, .. }) = pieces.last_mut() {
                    self.held += raw.get().len();
                    logprobs.extend(list(raw));
                }
            }
            (Some(Item::Reasoning { text, .. }), Delta::Text(more)) if !more.is_empty() => {
                self.held += more.len() * 3;
                text.push_str(more);
                let first = !std::mem::replace(&mut open.summed, true);
                self.summary_delta(first, more, out);
            }
            (Some(Item::Reasoning { .. }), Delta::Signature(more)) => {
                self.held += more.len() * 2;
                open.beside.push_str(more);
            }
            (Some(Item::Call { call, .. }), Delta::Arguments(more)) if !more.is_empty() => {
                self.held += more.len() * 2;
                open.beside.push_str(more);
                // Free text stands inside of JSON, and is told when that is whole.
                if call.form == Form::Function {
                    self.said_delta("response.function_call_arguments.delta", more, out);
                }
            }
            // Citations are other dialects' own.
            _ => {}
        }
    }

    fn text_delta(&mut self, name: &str, place: usize, more: &str, out: &mut Vec<u8>) {
        let text = name.ends_with("output_text.delta");
        self.item_event(name, out, |json| {
            json.value_field("content_index", place);
            json.text_field("delta", more);
            if text {
                json.open_field("logprobs", b'[');
                json.close(b']');
            }
        });
    }

    fn summary_delta(&mut self, first: bool, more: &str, out: &mut Vec<u8>) {
        if first {
            self.item_event("response.reasoning_summary_part.added", out, |json| {
                json.value_field("summary_index", 0);
                json.key("part");
                write_summary("", json);
            });
        }
        self.item_event("response.reasoning_summary_text.delta", out, |json| {
            json.value_field("summary_index", 0);
            json.text_field("delta", more);
        });
    }

    fn said_delta(&mut self, name: &str, more: &str, out: &mut Vec<u8>) {
        self.item_event(name, out, |json| json.text_field("delta", more));
    }

    fn part_end(&mut self, out: &mut Vec<u8>) {
        let Some(GrowingItem { part: _, beside, summed }) = self.open.take() else { return };
        match self.items.last_mut() {
            Some(Item::Message { .. }) => self.piece_end(out),
            Some(Item::Reasoning { text, encrypted, .. }) => {
                *encrypted = sealed::thought(text, Some(&beside));
                let text = std::mem::take(text);
                if summed {
                    self.summary_end(&text, out);
                }
                if let Some(Item::Reasoning { text: place, .. }) = self.items.last_mut() {
                    *place = text;
                }
                self.item_end("completed", out);
            }
            Some(Item::Call { call, .. }) => {
                call.say(&beside);
                let (form, name, said) = (call.form, call.name.clone(), call.said.clone());
                self.call_end(form, (&name, &said), &beside, out);
                self.item_end("completed", out);
            }
            Some(Item::Raw(_)) | None => {}
        }
    }

    fn summary_end(&mut self, text: &str, out: &mut Vec<u8>) {
        self.item_event("response.reasoning_summary_text.done", out, |json| {
            json.value_field("summary_index", 0);
            json.text_field("text", text);
        });
        self.item_event("response.reasoning_summary_part.done", out, |json| {
            json.value_field("summary_index", 0);
            json.key("part");
            write_summary(text, json);
        });
    }

    fn call_end(&mut self, form: Form, (name, said): (&str, &str), sent: &str, out: &mut Vec<u8>) {
        match form {
            Form::Function => {}
            Form::FreeText => {
                self.said_delta("response.custom_tool_call_input.delta", said, out);
                return self.item_event("response.custom_tool_call_input.done", out, |json| {
                    json.text_field("input", said);
                });
            }
            Form::Client(_) => {
                let item = self.items.pop();
                return item.into_iter().for_each(|item| self.add(item, out));
            }
        }
        if or_empty_object(sent) != sent {
            self.said_delta("response.function_call_arguments.delta", said, out);
        }
        self.item_event("response.function_call_arguments.done", out, |json| {
            json.text_field("arguments", said);
            json.text_field("name", name);
        });
    }

    fn piece_end(&mut self, out: &mut Vec<u8>) {
        let place = self.piece_place().unwrap_or(0);
        let Some(Item::Message { pieces, .. }) = self.items.last_mut() else { return };
        let Some(piece) = pieces.pop() else { return };
        let (name, field, text) = match &piece {
            MessagePiece::Text { text, .. } => ("response.output_text.done", "text", text),
            MessagePiece::Refusal(text) => ("response.refusal.done", "refusal", text),
        };
        self.item_event(name, out, |json| {
            json.value_field("content_index", place);
            json.text_field(field, text);
            if let MessagePiece::Text { logprobs, .. } = &piece {
                json.open_field("logprobs", b'[');
                logprobs.iter().for_each(|raw| json.raw(&crate::json::one_line(raw)));
                json.close(b']');
            }
        });
        if let Some(Item::Message { pieces, .. }) = self.items.last_mut() {
            pieces.push(piece);
        }
        self.piece_closed(out);
    }

    /// Says that the message's last piece is whole.
    fn piece_closed(&mut self, out: &mut Vec<u8>) {
        let place = self.piece_place().unwrap_or(0);
        let Some(Item::Message { pieces, .. }) = self.items.last_mut() else { return };
        let Some(piece) = pieces.pop() else { return };
        self.item_event("response.content_part.done", out, |json| {
            json.value_field("content_index", place);
            json.key("part");
            piece.write(json);
        });
        if let Some(Item::Message { pieces, .. }) = self.items.last_mut() {
            pieces.push(piece);
        }
    }

    fn message_end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.message_open) {
            self.item_end("completed", out);
        }
    }

    /// Says that the last item is whole.
    fn item_end(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(item) = self.items.pop() else { return };
        let place = self.items.len();
        self.event("response.output_item.done", out, |json, _| {
            json.key("item");
            item.write(status, json);
            json.value_field("output_index", place);
        });
        self.items.push(item);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.part_end(out);
        if let Some(summary) = self.summary.take() {
            let Some(item) = summary.item(&self.id) else { return self.error(&Summary::missing(), out) };
            self.add(Item::Raw(item), out);
            self.item_end("completed", out);
        }
        let stop = self.stop.get_or_insert(Stop::End);
        let (status, _) = wire::status(stop);
        if std::mem::take(&mut self.message_open) {
            self.item_end(status, out);
        }
        self.whole(if status == "completed" { "response.completed" } else { "response.incomplete" }, None, out);
        self.over = true;
    }

    /// Writes an event that tells the answer as it stands.
    fn whole(&mut self, name: &str, error: Option<&ProviderError>, out: &mut Vec<u8>) {
        self.event(name, out, |json, this| {
            let Self { id, model, created, stop, usage, items, echo, .. } = this;
            let (stop, usage) = (stop.as_ref(), usage.as_ref());
            json.key("response");
            ResponseFrame { id, model, created: *created, stop, usage, error }.write(items, echo, json);
        });
    }

    /// Writes an event of the last item.
    fn item_event(&mut self, name: &str, out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer)) {
        self.event(name, out, |json, this| {
            json.text_field("item_id", this.items.last().map_or("", Item::id));
            json.value_field("output_index", this.items.len().saturating_sub(1));
            rest(json);
        });
    }

    fn event(&mut self, name: &str, out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer, &Self)) {
        let mut json = Writer::onto(std::mem::take(out));
        json.open_written(b"event: ");
        json.open_written(name.as_bytes());
        json.open_written(b"\ndata: ");
        json.open(b'{');
        json.text_field("type", name);
        json.value_field("sequence_number", self.number);
        rest(&mut json, self);
        json.close(b'}');
        *out = json.into_bytes();
        out.extend_from_slice(b"\n\n");
        self.number += 1;
    }

    fn overflow(&mut self, out: &mut Vec<u8>) {
        let error = ProviderError {
            kind: ErrorKind::BadGateway,
            message: "the provider's answer is larger than can be told whole".to_owned(),
            r#type: None,
            code: None,
            param: None,
        };
        self.error(&error, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_answer_that_has_begun_is_kept_alive_by_an_event_with_the_next_number() {
        let mut encoder = ResponsesEncoder::new(StreamOptions::default());
        let mut written = |event: Event| {
            let mut out = Vec::new();
            encoder.push(&event, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Event::Alive), ": keep-alive\n");
        let begun = written(Event::Start { id: "i".into(), model: "m".into(), created: None });
        assert!(begun.contains("\"sequence_number\":1") && !begun.contains("\"sequence_number\":2"), "{begun}");
        let alive = "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":2}\n\n";
        assert_eq!(written(Event::Alive), alive);
        let part = written(Event::PartStart { choice: 0, part: 0, kind: PartKind::Thinking });
        assert!(part.contains("\"sequence_number\":3"), "{part}");
        assert!(written(Event::Alive).contains("\"sequence_number\":4"));
        written(Event::End);
        assert_eq!(written(Event::Alive), "", "nothing stands behind the last event");
    }
}
