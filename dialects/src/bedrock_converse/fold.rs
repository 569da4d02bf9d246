//! A streamed answer folded into a whole one, and a whole one told as a stream, in the dialect's own words.
//!
//! Anything that nobody here knows how to put together is not folded: an answer that has lost something is another answer.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{blocks, wire};
use crate::bedrock_invoke::error;
use crate::codec::Unfolded;
use crate::event_stream::{self, MessageKind};
use crate::fold::FoldEvents;
use crate::hub::{Raw, ToolCall, Usage};
use crate::json::{Object, ROOT, Writer, string};
use crate::sse::Frame;

/// Folds one stream.
#[derive(Debug, Default)]
pub(super) struct ConverseFold {
    role: Option<Raw>,
    blocks: BTreeMap<u64, FoldedContent>,
    /// The fields of the events that end it, by name.
    rest: Vec<(String, Raw)>,
    stopped: bool,
    ended: bool,
}

#[derive(Debug)]
enum FoldedContent {
    Text(String),
    Thought { text: String, signature: String },
    Hidden(String),
    Call(ToolCall),
}

fn object(data: &[u8]) -> Result<Object<'_>, Unfolded> {
    std::str::from_utf8(data).ok().and_then(|text| Object::read(text, &ROOT).ok()).ok_or(Unfolded::Malformed)
}

impl FoldEvents for ConverseFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        if error::of_event(frame.name, frame.data).is_some() {
            return Err(Unfolded::Failed);
        }
        let mut event = object(frame.data)?;
        // What fills an event up to a length says nothing.
        event.take("p");
        match frame.name {
            b"messageStart" => self.role = event.raw("role"),
            b"contentBlockStart" => return self.begin(event, frame.data.len()),
            b"contentBlockDelta" => return self.grow(event, frame.data.len()),
            b"contentBlockStop" => {}
            b"messageStop" | b"metadata" => {
                self.stopped |= frame.name == b"messageStop";
                self.ended |= frame.name == b"metadata";
                self.rest.extend(event.members().map(|(name, raw)| (name.to_owned(), raw.to_owned())));
            }
            _ => return Err(Unfolded::Unknown),
        }
        Ok(frame.data.len())
    }

    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let Self { role, blocks, rest, stopped, ended } = *self;
        if !stopped || !ended {
            return Err(Unfolded::Cut);
        }
        let mut json = Writer::with_capacity(1024);
        json.open(b'{');
        json.open_field("output", b'{');
        json.open_field("message", b'{');
        match &role {
            Some(role) => json.raw_field("role", role),
            None => json.text_field("role", "assistant"),
        }
        json.open_field("content", b'[');
        blocks.values().for_each(|block| block.write(&mut json));
        json.close(b']');
        json.close(b'}');
        json.close(b'}');
        rest.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        match usage {
            Some(usage) if !rest.iter().any(|(name, _)| name == "usage") => wire::write_usage(usage, &mut json),
            _ => {}
        }
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

impl ConverseFold {
    fn begin(&mut self, mut event: Object<'_>, size: usize) -> Result<usize, Unfolded> {
        let index = index(&mut event)?;
        let mut start = event.object("start", &ROOT).ok().flatten().ok_or(Unfolded::Malformed)?;
        let mut call = start.object("toolUse", &ROOT).ok().flatten().ok_or(Unfolded::Unknown)?;
        let mut text = |name| call.text(name, &ROOT).ok().flatten().ok_or(Unfolded::Malformed);
        let (id, name) = (text("toolUseId")?, text("name")?);
        if !call.is_empty() || !start.is_empty() {
            return Err(Unfolded::Unknown);
        }
        let block = FoldedContent::Call(ToolCall { id, name, arguments: String::new() });
        if self.blocks.insert(index, block).is_some() { Err(Unfolded::Malformed) } else { Ok(size) }
    }

    fn grow(&mut self, mut event: Object<'_>, size: usize) -> Result<usize, Unfolded> {
        let index = index(&mut event)?;
        let mut delta = event.object("delta", &ROOT).ok().flatten().ok_or(Unfolded::Malformed)?;
        let said = |raw: Option<&RawValue>| raw.map(|raw| string(raw).ok_or(Unfolded::Malformed)).transpose();
        let text = said(delta.take("text"))?;
        let input = delta.object("toolUse", &ROOT).map_err(|_| Unfolded::Malformed)?;
        let thought = delta.object("reasoningContent", &ROOT).map_err(|_| Unfolded::Malformed)?;
        if !delta.is_empty() {
            return Err(Unfolded::Unknown);
        }
        if let Some(more) = text {
            match self.blocks.entry(index).or_insert_with(|| FoldedContent::Text(String::new())) {
                FoldedContent::Text(text) => text.push_str(&more),
                _ => return Err(Unfolded::Unknown),
            }
        }
        if let Some(mut input) = input {
            match self.blocks.get_mut(&index) {
                Some(FoldedContent::Call(call)) => {
                    call.arguments.push_str(&said(input.take("input"))?.unwrap_or_default());
                }
                _ => return Err(Unfolded::Malformed),
            }
        }
        if let Some(mut thought) = thought {
            let (text, more) = (said(thought.take("text"))?, said(thought.take("signature"))?);
            let hidden = said(thought.take("redactedContent"))?;
            self.think(index, (text, more), hidden)?;
        }
        Ok(size)
    }

    fn think(
        &mut self,
        index: u64,
        (more, signed): (Option<String>, Option<String>),
        hidden: Option<String>,
    ) -> Result<(), Unfolded> {
        if let Some(data) = hidden {
            let before = self.blocks.insert(index, FoldedContent::Hidden(data));
            return if before.is_some() { Err(Unfolded::Unknown) } else { Ok(()) };
        }
        let empty = || FoldedContent::Thought { text: String::new(), signature: String::new() };
        match self.blocks.entry(index).or_insert_with(empty) {
            FoldedContent::Thought { text, signature } => {
                text.push_str(&more.unwrap_or_default());
                signature.push_str(&signed.unwrap_or_default());
                Ok(())
            }
            _ => Err(Unfolded::Unknown),
        }
    }
}

impl FoldedContent {
    fn write(&self, json: &mut Writer) {
        match self {
            Self::Text(text) => blocks::write_text(text, json),
            Self::Thought { text, signature } => {
                blocks::write_thought(text, Some(&**signature).filter(|signature| !signature.is_empty()), json);
            }
            Self::Hidden(data) => blocks::write_hidden(data, json),
            Self::Call(call) => blocks::write_call(&call.id, call, json),
        }
    }
}

fn index(event: &mut Object<'_>) -> Result<u64, Unfolded> {
    event.count("contentBlockIndex", &ROOT).map(Option::unwrap_or_default).map_err(|_| Unfolded::Malformed)
}

/// Appends a stream that says what this whole answer says; `None`: a stream has no words for something in it.
pub(super) fn replay(whole: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut top = object(whole).ok()?;
    let mut output = top.object("output", &ROOT).ok()??;
    let mut message = output.object("message", &ROOT).ok()??;
    let role = message.take("role").map_or("\"assistant\"", RawValue::get);
    let list = message.list("content", &ROOT).ok()??;
    if !message.is_empty() || !output.is_empty() {
        return None;
    }
    event("messageStart", &format!("{{\"role\":{role}}}"), out);
    for (index, raw) in list.into_iter().enumerate() {
        replay_block(index, raw, out)?;
        event("contentBlockStop", &format!("{{\"contentBlockIndex\":{index}}}"), out);
    }
    let (mut stop, mut rest) = (Writer::default(), Writer::default());
    stop.open(b'{');
    rest.open(b'{');
    for (name, raw) in top.members() {
        let json = if matches!(name, "stopReason" | "additionalModelResponseFields") { &mut stop } else { &mut rest };
        json.raw_field(name, raw);
    }
    stop.close(b'}');
    rest.close(b'}');
    event_stream::write(MessageKind::Event, "messageStop", &stop.into_bytes(), out);
    event_stream::write(MessageKind::Event, "metadata", &rest.into_bytes(), out);
    Some(())
}

fn event(name: &str, payload: &str, out: &mut Vec<u8>) {
    event_stream::write(MessageKind::Event, name, payload.as_bytes(), out);
}

fn replay_block(index: usize, raw: &RawValue, out: &mut Vec<u8>) -> Option<()> {
    let mut delta = |said: &str| {
        event("contentBlockDelta", &format!("{{\"contentBlockIndex\":{index},\"delta\":{said}}}"), out);
    };
    let mut block = Object::read(raw.get(), &ROOT).ok()?;
    let call = block.object("toolUse", &ROOT).ok()?;
    let thought = block.object("reasoningContent", &ROOT).ok()?;
    let text = block.take("text");
    if !block.is_empty() {
        return None;
    }
    if let Some(text) = text {
        delta(&format!("{{\"text\":{}}}", text.get()));
    }
    if let Some(mut thought) = thought {
        let said = thought.object("reasoningText", &ROOT).ok()?;
        let hidden = thought.take("redactedContent");
        for (name, raw) in said.iter().flat_map(Object::members).chain(hidden.map(|raw| ("redactedContent", raw))) {
            delta(&format!("{{\"reasoningContent\":{{\"{name}\":{}}}}}", raw.get()));
        }
    }
    if let Some(mut call) = call {
        let input = call.take("input").map_or("{}", RawValue::get);
        let (mut start, mut said) = (Writer::default(), Writer::default());
        start.open(b'{');
        call.members().for_each(|(name, raw)| start.raw_field(name, raw));
        start.close(b'}');
        let start = String::from_utf8(start.into_bytes()).ok()?;
        let payload = format!("{{\"contentBlockIndex\":{index},\"start\":{{\"toolUse\":{start}}}}}");
        event("contentBlockStart", &payload, out);
        said.open(b'{');
        said.open_field("toolUse", b'{');
        said.text_field("input", input);
        said.close(b'}');
        said.close(b'}');
        let said = String::from_utf8(said.into_bytes()).ok()?;
        event("contentBlockDelta", &format!("{{\"contentBlockIndex\":{index},\"delta\":{said}}}"), out);
    }
    Some(())
}

/// True if a whole answer says why it ended.
pub(super) fn has_stop_reason(whole: &[u8]) -> bool {
    object(whole).is_ok_and(|mut top| top.take("stopReason").and_then(string).is_some_and(|why| !why.is_empty()))
}
