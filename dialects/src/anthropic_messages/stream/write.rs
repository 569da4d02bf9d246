//! A streamed answer written out of the hub's events, in exactly the order Anthropic's SDKs expect.
//!
//! `message_start`, then each block whole before the next one begins, `message_delta` with the stop reason and the final
//! counts, `message_stop`. Other dialects interleave tool calls and count after they finish, so blocks that begin while one is
//! open are held back, within bounds, and the closing events wait for `End`.

use super::held::Held;
use crate::anthropic_messages::blocks_out::unshown;
use crate::anthropic_messages::usage::MessagesUsage;
use crate::anthropic_messages::{error, reply, stop};
use crate::call_id;
use crate::codec::StreamOptions;
use crate::dialect::Dialect;
use crate::hub::{Delta, ErrorKind, Event, PartKind, ProviderError, Stop, Usage};
use crate::json::one_line;
use crate::spoke::EncodeStream;
use crate::sse;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Writes one streamed answer.
#[derive(Debug)]
pub(crate) struct MessagesEncoder {
    state: Phase,
    start: PendingStart,
    usage: Usage,
    stop: Stop,
    refused: bool,
    /// True if a tool is called.
    called: bool,
    /// The part that is on the wire now.
    open: Option<WrittenPart>,
    /// The index it has there, or the next one will have.
    index: u32,
    held: Held,
    /// The parts that the dialect has no words for.
    skipped: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `message_start` is not written: it waits for the counts that some dialects give next.
    Waiting,
    Begun,
    /// The last event is written; whatever comes now would be wrong.
    Over,
}

#[derive(Debug, Clone, Copy)]
struct WrittenPart {
    part: u32,
    /// True if its text is thoughts.
    thinks: bool,
}

#[derive(Debug, Default)]
struct PendingStart {
    id: String,
    model: String,
    /// The tokens of the prompt, about: clients show them before the counts come.
    prompt: Option<u64>,
}

impl MessagesEncoder {
    /// At the beginning. The options are other dialects': this one always says what was used and never when.
    #[must_use]
    pub(crate) fn new(options: &StreamOptions) -> Self {
        let StreamOptions { include_usage: _, created: _, array: _, goes_on: _, call: _, prompt, answer: _ } = options;
        Self {
            state: Phase::Waiting,
            start: PendingStart { prompt: *prompt, ..PendingStart::default() },
            usage: Usage::default(),
            stop: Stop::End,
            refused: false,
            called: false,
            open: None,
            index: 0,
            held: Held::default(),
            skipped: 0,
        }
    }
}

impl EncodeStream for MessagesEncoder {
    /// Appends what this event is on the wire; some events are nothing there, or only later. Should more than the bounds be
    /// held back, the stream ends with an error event.
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.state == Phase::Over {
            return;
        }
        match event {
            Event::Start { id, model, created: _ } => {
                self.start.id = reply::message_id(id).into_owned();
                self.start.model.clone_from(model);
                return;
            }
            Event::Usage(usage) => {
                self.usage = *usage;
                return;
            }
            Event::Error(error) => return self.error(error, out),
            // A ping before the answer begins has nothing to say yet.
            Event::Alive if self.start.id.is_empty() && self.state == Phase::Waiting => return,
            _ => self.begin(out),
        }
        match event {
            Event::PartStart { choice: 0, part, kind } => self.part(*part, kind, out),
            Event::Delta { choice: 0, part, delta } => self.delta(*part, delta, out),
            Event::PartEnd { choice: 0, part } => self.part_end(*part, out),
            Event::Finish { choice: 0, stop } => self.stop = stop.clone(),
            Event::Alive => sse::write(Some("ping"), br#"{"type":"ping"}"#, out),
            Event::End => self.end(out),
            Event::Other { dialect: Dialect::AnthropicMessages, name, data } => {
                sse::write(name.as_deref(), data.as_bytes(), out);
            }
            // The dialect has one answer, and no words for other dialects' events.
            Event::PartStart { .. } => self.skipped += 1,
            Event::Delta { .. }
            | Event::PartEnd { .. }
            | Event::Finish { .. }
            | Event::Other { .. }
            | Event::Start { .. }
            | Event::Usage(_)
            | Event::Error(_) => {}
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    /// Appends the error event. Nothing follows it: the body ends, without `message_stop`.
    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        if self.state != Phase::Over {
            sse::write(Some("error"), &error::encode(error, ""), out);
            self.state = Phase::Over;
        }
    }
}

impl MessagesEncoder {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.state != Phase::Waiting {
            return;
        }
        self.state = Phase::Begun;
        let PendingStart { id, model, prompt } = std::mem::take(&mut self.start);
        let id = if id.is_empty() { Cow::Borrowed("msg_") } else { Cow::Owned(id) };
        let counted = self.usage;
        let said = match prompt.filter(|_| counted.input == 0) {
            Some(input) => Usage { input, ..counted },
            None => counted,
        };
        let message = StartedMessage {
            id,
            r#type: "message",
            role: "assistant",
            model: &model,
            content: [],
            stop_reason: None,
            stop_sequence: None,
            usage: MessagesUsage::of(said),
        };
        write("message_start", &MessageStart { r#type: "message_start", message }, out);
    }

    fn part(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        // A part without a block is nowhere, and its deltas find nobody.
        let Some(begins) = begins(kind) else {
            self.skipped += 1;
            return;
        };
        self.refused |= matches!(kind, PartKind::Refusal);
        self.called |= matches!(kind, PartKind::ToolCall { .. });
        let thinks = matches!(kind, PartKind::Thinking);
        if self.open.is_none() {
            self.open(WrittenPart { part, thinks }, &begins, out);
        } else if self.held.begin(part, thinks, begins).is_err() {
            return self.overflow(out);
        }
        if let PartKind::Picture { media_type, data: _ } = kind {
            self.delta(part, &Delta::Text(unshown(media_type)), out);
        }
    }

    fn open(&mut self, open: WrittenPart, begins: &[u8], out: &mut Vec<u8>) {
        self.open = Some(open);
        out.extend_from_slice(b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
        number(self.index, out);
        out.extend_from_slice(b",\"content_block\":");
        out.extend_from_slice(begins);
        out.extend_from_slice(b"}\n\n");
    }

    fn delta(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        if let Some(open) = self.open.filter(|open| open.part == part) {
            let before = out.len();
            self.delta_head(out);
            if write_delta(delta, open.thinks, out) {
                out.extend_from_slice(b"}\n\n");
            } else {
                out.truncate(before);
            }
            return;
        }
        let Some(thinks) = self.held.thinks(part) else { return };
        let mut held = Vec::new();
        if write_delta(delta, thinks, &mut held) && self.held.push(part, held).is_err() {
            self.overflow(out);
        }
    }

    fn delta_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
        number(self.index, out);
        out.extend_from_slice(b",\"delta\":");
    }

    fn part_end(&mut self, part: u32, out: &mut Vec<u8>) {
        if self.open.is_none_or(|open| open.part != part) {
            self.held.end(part);
            return;
        }
        self.close(out);
        // What was held back now has its turn, up to the first block that goes on.
        while let Some(next) = self.held.next() {
            self.open(WrittenPart { part: next.part, thinks: next.thinks }, &next.begins, out);
            for delta in &next.deltas {
                self.delta_head(out);
                out.extend_from_slice(delta);
                out.extend_from_slice(b"}\n\n");
            }
            if !next.whole {
                return;
            }
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
        number(self.index, out);
        out.extend_from_slice(b"}\n\n");
        self.open = None;
        self.index = self.index.saturating_add(1);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        // Parts that nobody ended are ended by the end.
        while let Some(open) = self.open {
            self.part_end(open.part, out);
        }
        let (stop_reason, stop_sequence) = stop::write(&self.stop, self.refused, self.called);
        let event = MessageDelta {
            r#type: "message_delta",
            delta: ClosingOut { stop_reason, stop_sequence },
            usage: MessagesUsage::of(self.usage),
        };
        write("message_delta", &event, out);
        sse::write(Some("message_stop"), br#"{"type":"message_stop"}"#, out);
        self.state = Phase::Over;
    }

    fn overflow(&mut self, out: &mut Vec<u8>) {
        let error = ProviderError {
            kind: ErrorKind::BadGateway,
            message: "the provider streams more blocks at once than can be put in order".to_owned(),
            r#type: None,
            code: None,
            param: None,
        };
        self.error(&error, out);
    }
}

#[derive(Serialize)]
struct MessageStart<'a> {
    r#type: &'static str,
    message: StartedMessage<'a>,
}

#[derive(Serialize)]
struct StartedMessage<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: Option<&'a str>,
    stop_sequence: Option<&'a str>,
    usage: MessagesUsage,
}

#[derive(Serialize)]
struct MessageDelta<'a> {
    r#type: &'static str,
    delta: ClosingOut<'a>,
    usage: MessagesUsage,
}

#[derive(Serialize)]
struct ClosingOut<'a> {
    stop_reason: &'a str,
    stop_sequence: Option<&'a str>,
}

/// A block as it begins.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Begun<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    RedactedThinking { data: &'a str },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: Empty },
}

#[derive(Serialize)]
struct Empty {}

/// The beginning of a part, as JSON; `None`: the dialect has no block for it.
fn begins(kind: &PartKind) -> Option<Vec<u8>> {
    let begun = match kind {
        PartKind::Text | PartKind::Refusal | PartKind::Picture { .. } => Begun::Text { text: "" },
        PartKind::Thinking => Begun::Thinking { thinking: "", signature: "" },
        PartKind::RedactedThinking(data) => Begun::RedactedThinking { data },
        PartKind::ToolCall { id, name } => Begun::ToolUse { id: call_id::plain(id, usize::MAX), name, input: Empty {} },
        PartKind::Other { dialect: Dialect::AnthropicMessages, raw } => {
            return Some(one_line(raw).into_owned().into_bytes());
        }
        PartKind::Other { .. } => return None,
    };
    serde_json::to_vec(&begun).ok()
}

/// Appends a delta's object; `false`: the dialect has no word for it, and something half written may be there.
fn write_delta(delta: &Delta, thinks: bool, out: &mut Vec<u8>) -> bool {
    let (head, text): (&[u8], &str) = match delta {
        Delta::Text(text) if text.is_empty() => return false,
        Delta::Text(text) if thinks => (br#"{"type":"thinking_delta","thinking":"#, text),
        Delta::Text(text) => (br#"{"type":"text_delta","text":"#, text),
        Delta::Arguments(text) => (br#"{"type":"input_json_delta","partial_json":"#, text),
        Delta::Signature(text) => (br#"{"type":"signature_delta","signature":"#, text),
        Delta::Citation(raw) if is_ours(raw) => {
            out.extend_from_slice(br#"{"type":"citations_delta","citation":"#);
            out.extend_from_slice(one_line(raw).as_bytes());
            out.push(b'}');
            return true;
        }
        Delta::Other { dialect: Dialect::AnthropicMessages, raw } => {
            out.extend_from_slice(one_line(raw).as_bytes());
            return true;
        }
        Delta::Citation(_) | Delta::Logprobs(_) | Delta::Other { .. } => return false,
    };
    out.extend_from_slice(head);
    let written = serde_json::to_writer(&mut *out, text).is_ok();
    out.push(b'}');
    written
}

/// Anthropic's citations say where in the source they are; other dialects' annotations have other shapes.
fn is_ours(citation: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct CitationKind<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
    }
    serde_json::from_str::<CitationKind<'_>>(citation.get()).is_ok_and(|kind| kind.r#type.ends_with("_location"))
}

fn write(name: &str, event: &impl Serialize, out: &mut Vec<u8>) {
    if let Ok(data) = serde_json::to_vec(event) {
        sse::write(Some(name), &data, out);
    }
}

fn number(value: u32, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = serde_json::to_writer(out, &value);
}
