//! Writes a streamed answer: one block after another, why it ended, and what it used last.

use std::collections::VecDeque;

use crate::bedrock_converse::{blocks, wire};
use crate::bedrock_invoke::error;
use crate::call_id;
use crate::event_stream::{self, MessageKind};
use crate::hub::{Delta, ErrorKind, Event, PartKind, ProviderError, Stop, Usage};
use crate::json::Writer;
use crate::spoke::EncodeStream;

/// The event for the caller of a silent stream: it says once more that an answer begins, which no client minds. One of a name that
/// they do not know is an error to some. Written out, as it has to last.
pub(crate) const KEEP_ALIVE: &[u8] = b"\x00\x00\x00v\x00\x00\x00R\x96\xd5\xfa\xde\x0b:event-type\x07\x00\x0cmessageStart\x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event{\x22role\x22:\x22assistant\x22}o\xa8\xc5\x99";

/// The most bytes of deltas that are held back while another block is on the wire.
const MOST_HELD: usize = 4 << 20;
/// The most blocks that are held back.
const MOST_BLOCKS: usize = 128;

/// Writes one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct ConverseEncoder {
    started: bool,
    next_index: u32,
    /// The block on the wire.
    current: Option<CurrentBlock>,
    /// Those that have to wait for it: other dialects tell several tool calls by turns.
    waiting: VecDeque<WaitingBlock>,
    held: usize,
    stop: Option<Stop>,
    usage: Option<Usage>,
    skipped: usize,
    /// The last event is written; whatever comes now would be wrong.
    over: bool,
}

#[derive(Debug)]
struct CurrentBlock {
    part: u32,
    kind: PartKind,
    /// Its index, once something of it is said.
    index: Option<u32>,
}

#[derive(Debug)]
struct WaitingBlock {
    part: u32,
    kind: PartKind,
    deltas: Vec<Delta>,
    ended: bool,
}

impl ConverseEncoder {
    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            out.extend_from_slice(KEEP_ALIVE);
        }
    }

    fn part_start(&mut self, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        self.start(out);
        if self.current.is_none() {
            return self.begin(part, kind.clone(), out);
        }
        if self.waiting.len() >= MOST_BLOCKS {
            return self.overflow(out);
        }
        self.waiting.push_back(WaitingBlock { part, kind: kind.clone(), deltas: Vec::new(), ended: false });
    }

    fn begin(&mut self, part: u32, kind: PartKind, out: &mut Vec<u8>) {
        let mut current = CurrentBlock { part, kind, index: None };
        match &current.kind {
            PartKind::ToolCall { id, name } => {
                let start = |json: &mut Writer| {
                    json.open_field("toolUse", b'{');
                    json.text_field("toolUseId", &call_id::plain(id, call_id::LONGEST_IN_ITEMS));
                    json.text_field("name", name);
                    json.close(b'}');
                };
                current.index = Some(self.index());
                self.block("contentBlockStart", ("start", current.index), start, out);
            }
            PartKind::RedactedThinking(data) => {
                let delta = |json: &mut Writer| {
                    json.open_field("reasoningContent", b'{');
                    json.text_field("redactedContent", data);
                    json.close(b'}');
                };
                current.index = Some(self.index());
                self.block("contentBlockDelta", ("delta", current.index), delta, out);
            }
            PartKind::Picture { media_type, data } => match blocks::image_format(media_type) {
                Some(format) => {
                    current.index = Some(self.index());
                    let start = |json: &mut Writer| {
                        json.open_field("image", b'{');
                        json.text_field("format", format);
                        json.close(b'}');
                    };
                    self.block("contentBlockStart", ("start", current.index), start, out);
                    let delta = |json: &mut Writer| {
                        json.open_field("image", b'{');
                        blocks::write_bytes(data, json);
                        json.close(b'}');
                    };
                    self.block("contentBlockDelta", ("delta", current.index), delta, out);
                }
                None => self.skipped += 1,
            },
            PartKind::Other { .. } => self.skipped += 1,
            PartKind::Text | PartKind::Refusal | PartKind::Thinking => {}
        }
        self.current = Some(current);
    }

    fn index(&mut self) -> u32 {
        let index = self.next_index;
        self.next_index = index.saturating_add(1);
        index
    }

    /// An event of a block.
    fn block(
        &self,
        name: &str,
        (member, index): (&str, Option<u32>),
        write: impl FnOnce(&mut Writer),
        out: &mut Vec<u8>,
    ) {
        let mut json = Writer::with_capacity(128);
        json.open(b'{');
        json.value_field("contentBlockIndex", index.unwrap_or_default());
        json.open_field(member, b'{');
        write(&mut json);
        json.close(b'}');
        json.close(b'}');
        event_stream::write(MessageKind::Event, name, &json.into_bytes(), out);
    }

    fn delta(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        if self.current.as_ref().is_some_and(|current| current.part == part) {
            return self.tell(delta, out);
        }
        let Some(waiting) = self.waiting.iter_mut().find(|block| block.part == part && !block.ended) else { return };
        let more = match delta {
            Delta::Text(text) | Delta::Arguments(text) | Delta::Signature(text) => text.len(),
            Delta::Citation(_) | Delta::Logprobs(_) | Delta::Other { .. } => return,
        };
        waiting.deltas.push(delta.clone());
        self.held += more + size_of::<Delta>();
        if self.held > MOST_HELD {
            self.overflow(out);
        }
    }

    /// Writes a delta of the block on the wire.
    fn tell(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let Some(CurrentBlock { kind, .. }) = &self.current else { return };
        let (place, text) = match (kind, delta) {
            (PartKind::Text | PartKind::Refusal, Delta::Text(text)) if !text.is_empty() => ((None, "text"), text),
            (PartKind::ToolCall { .. }, Delta::Arguments(text)) => ((Some("toolUse"), "input"), text),
            (PartKind::Thinking, Delta::Text(text)) if !text.is_empty() => ((Some("reasoningContent"), "text"), text),
            (PartKind::Thinking, Delta::Signature(text)) => ((Some("reasoningContent"), "signature"), text),
            _ => return,
        };
        self.write_delta(place, text, out);
    }

    /// Writes a text at this place of a delta: a member of it, or of a member's.
    fn write_delta(&mut self, (member, name): (Option<&str>, &str), text: &str, out: &mut Vec<u8>) {
        let index = self.current.as_ref().and_then(|current| current.index).unwrap_or(self.next_index);
        let write = |json: &mut Writer| {
            if let Some(member) = member {
                json.open_field(member, b'{');
            }
            json.text_field(name, text);
            if member.is_some() {
                json.close(b'}');
            }
        };
        self.block("contentBlockDelta", ("delta", Some(index)), write, out);
        self.next_index = self.next_index.max(index.saturating_add(1));
        if let Some(current) = &mut self.current {
            current.index = Some(index);
        }
    }

    fn part_end(&mut self, part: u32, out: &mut Vec<u8>) {
        if self.current.as_ref().is_none_or(|current| current.part != part) {
            let block = self.waiting.iter_mut().find(|block| block.part == part);
            return block.into_iter().for_each(|block| block.ended = true);
        }
        self.close(out);
        while self.current.is_none()
            && let Some(WaitingBlock { part, kind, deltas, ended }) = self.waiting.pop_front()
        {
            self.begin(part, kind, out);
            deltas.iter().for_each(|delta| self.tell(delta, out));
            if ended {
                self.close(out);
            }
        }
        if self.waiting.is_empty() {
            self.held = 0;
        }
    }

    /// Ends the block on the wire, if anything of it is there.
    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(CurrentBlock { index: Some(index), .. }) = self.current.take() {
            let payload = format!("{{\"contentBlockIndex\":{index}}}");
            event_stream::write(MessageKind::Event, "contentBlockStop", payload.as_bytes(), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        // Blocks that nobody ended are ended by the end.
        self.waiting.iter_mut().for_each(|block| block.ended = true);
        if let Some(part) = self.current.as_ref().map(|current| current.part) {
            self.part_end(part, out);
        }
        let mut json = Writer::with_capacity(64);
        json.open(b'{');
        json.text_field("stopReason", wire::stop_reason(self.stop.as_ref().unwrap_or(&Stop::End)));
        json.close(b'}');
        event_stream::write(MessageKind::Event, "messageStop", &json.into_bytes(), out);
        let mut json = Writer::with_capacity(128);
        json.open(b'{');
        wire::write_usage(&self.usage.unwrap_or_default(), &mut json);
        wire::write_metrics(&mut json);
        json.close(b'}');
        event_stream::write(MessageKind::Event, "metadata", &json.into_bytes(), out);
        self.over = true;
    }

    /// Says that a silent answer goes on. An answer begins once; in a block it is a delta that adds nothing to it. A text of
    /// which nothing is there is left so: Bedrock refuses blank ones when they come back.
    fn alive(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            return self.start(out);
        }
        let Some(CurrentBlock { kind, index, part: _ }) = &self.current else { return };
        let (member, name) = match (kind, index) {
            (PartKind::Text | PartKind::Refusal, Some(_)) => (None, "text"),
            (PartKind::ToolCall { .. }, _) => (Some("toolUse"), "input"),
            (PartKind::Thinking, _) => (Some("reasoningContent"), "text"),
            _ => return,
        };
        self.write_delta((member, name), "", out);
    }

    fn overflow(&mut self, out: &mut Vec<u8>) {
        let error = ProviderError {
            kind: ErrorKind::BadGateway,
            message: "the provider streams more blocks at once than can be held back".to_owned(),
            r#type: None,
            code: None,
            param: None,
        };
        self.error(&error, out);
    }
}

impl EncodeStream for ConverseEncoder {
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { .. } => self.start(out),
            Event::PartStart { choice: 0, part, kind } => self.part_start(*part, kind, out),
            Event::Delta { choice: 0, part, delta } => self.delta(*part, delta, out),
            Event::PartEnd { choice: 0, part } => self.part_end(*part, out),
            Event::Finish { choice: 0, stop } => self.stop = Some(stop.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Alive => self.alive(out),
            Event::Error(error) => self.error(error, out),
            Event::End => self.end(out),
            // One answer is all that there is.
            Event::PartStart { .. } => self.skipped += 1,
            Event::Delta { .. } | Event::PartEnd { .. } | Event::Finish { .. } | Event::Other { .. } => {}
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let (name, payload) = error::event(error);
        event_stream::write(MessageKind::Exception, name, &payload, out);
    }

    fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_is_what_would_be_written() {
        let mut out = Vec::new();
        event_stream::write(MessageKind::Event, "messageStart", br#"{"role":"assistant"}"#, &mut out);
        assert_eq!(out.escape_ascii().to_string(), KEEP_ALIVE.escape_ascii().to_string());
    }

    /// The names of what is written for these events.
    fn written(events: &[Event]) -> Vec<(String, String)> {
        let (mut encoder, mut out, mut seen) = (ConverseEncoder::default(), Vec::new(), Vec::new());
        events.iter().for_each(|event| encoder.push(event, &mut out));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut decoder = event_stream::EventStreamDecoder::default();
        let read = decoder.push(&out, |frame| {
            seen.push((text(frame.name), text(frame.data)));
            Ok(())
        });
        read.unwrap();
        seen
    }

    #[test]
    fn an_answer_begins_once_however_often_it_is_said_to_be_alive() {
        let start = Event::Start { id: "i".into(), model: "m".into(), created: None };
        let part = |kind: PartKind| Event::PartStart { choice: 0, part: 0, kind };
        let delta = |delta: Delta| Event::Delta { choice: 0, part: 0, delta };
        let call = PartKind::ToolCall { id: "c".into(), name: "f".into() };
        for (kind, said, alive) in [
            (PartKind::Text, Some(Delta::Text("x".into())), Some(r#"{"text":""}"#)),
            (PartKind::Text, None, None),
            (PartKind::Thinking, None, Some(r#"{"reasoningContent":{"text":""}}"#)),
            (call, Some(Delta::Arguments("{".into())), Some(r#"{"toolUse":{"input":""}}"#)),
        ] {
            let mut events = vec![Event::Alive, start.clone(), Event::Alive, part(kind.clone())];
            events.extend(said.map(delta));
            events.extend([Event::Alive, Event::PartEnd { choice: 0, part: 0 }, Event::Alive, Event::End]);
            let seen = written(&events);
            let count = |name: &str| seen.iter().filter(|event| event.0 == name).count();
            assert_eq!((count("messageStart"), count("messageStop")), (1, 1), "{seen:?}");
            let empty = seen.iter().filter(|event| event.1.contains(":\"\"")).map(|event| event.1.as_str());
            let expected = alive.map(|delta| format!("{{\"contentBlockIndex\":0,\"delta\":{delta}}}"));
            assert_eq!(empty.collect::<Vec<_>>(), expected.as_deref().into_iter().collect::<Vec<_>>(), "{kind:?}");
        }
    }
}
