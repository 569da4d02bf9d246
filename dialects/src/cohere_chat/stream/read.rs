//! Reads a streamed answer: its events become the hub's.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::observe::{MessageEnd, failed};
use super::super::reply::{CalledTool, SaidPiece};
use super::super::wire;
use crate::codec::Malformed;
use crate::dialect::Dialect;
use crate::hub::{Delta, Event, PartKind, ToolCall};
use crate::spoke::DecodeStream;
use crate::sse::{self, Frame};
use crate::text::{Seam, Text};

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct CohereDecoder {
    frames: sse::SseDecoder,
    state: CohereRead,
}

impl DecodeStream for CohereDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.push(bytes, |frame| state.frame(frame, out))
    }

    fn held(&self) -> usize {
        self.frames.held()
    }

    fn is_finished(&self) -> bool {
        self.state.finished
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.finish(|frame| state.frame(frame, out))?;
        state.end(out);
        Ok(())
    }
}

/// The part of the answer that has been read.
#[derive(Debug, Default)]
struct CohereRead {
    started: bool,
    /// The answer has said why it ended.
    finished: bool,
    /// Whole or failed: what comes now is nothing.
    ended: bool,
    called: bool,
    next: u32,
    open: Option<GrowingPiece>,
}

/// The part that is growing.
#[derive(Debug)]
struct GrowingPiece {
    part: u32,
    kind: OpenKind,
    seam: Seam,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenKind {
    Text,
    Plan,
    Thinking,
    Tool,
}

#[derive(Deserialize)]
struct StreamPiece<'a> {
    #[serde(borrow)]
    r#type: Option<&'a str>,
    id: Option<String>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CohereDelta<'a> {
    #[serde(borrow)]
    message: Option<CohereMessage<'a>>,
}

#[derive(Deserialize, Default)]
struct CohereMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    tool_plan: Option<Text>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl CohereRead {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let data = frame.data.trim_ascii();
        if self.ended || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.end(out);
            return Ok(());
        }
        let broken = || Malformed::new("an event of the stream is not what the dialect allows");
        let StreamPiece { r#type, id, delta } = serde_json::from_slice(data).map_err(|_| broken())?;
        let kind = r#type.unwrap_or_default();
        if kind == "message-start" {
            self.start(id.unwrap_or_default(), out);
            return Ok(());
        }
        if kind == "message-end" {
            let end = delta.map(|delta| serde_json::from_str(delta.get())).transpose().map_err(|_| broken())?;
            self.message_end(end, out);
            return Ok(());
        }
        self.start(String::new(), out);
        let piece = delta.and_then(|delta| serde_json::from_str::<CohereDelta<'_>>(delta.get()).ok());
        let piece = piece.and_then(|delta| delta.message).unwrap_or_default();
        match kind {
            "content-start" | "content-delta" => self.content(kind == "content-start", piece.content, out),
            "tool-plan-delta" => self.text(OpenKind::Plan, piece.tool_plan, out),
            "tool-call-start" | "tool-call-delta" => self.call(kind == "tool-call-start", piece.tool_calls, out),
            "content-end" | "tool-call-end" => self.close(out),
            // Citations have places in another's text, and no words there.
            _ => out.push(Event::Other {
                dialect: Dialect::CohereChat,
                name: Some(kind.to_owned()),
                data: String::from_utf8_lossy(data).into_owned(),
            }),
        }
        Ok(())
    }

    fn start(&mut self, id: String, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            out.push(Event::Start { id, model: String::new(), created: None });
        }
    }

    fn content(&mut self, begins: bool, content: Option<&RawValue>, out: &mut Vec<Event>) {
        if begins {
            self.close(out);
        }
        let said = content.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let Some(SaidPiece { text, thinking }) = said else { return };
        self.text(OpenKind::Thinking, thinking, out);
        self.text(OpenKind::Text, text, out);
    }

    fn text(&mut self, kind: OpenKind, text: Option<Text>, out: &mut Vec<Event>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            let told = if kind == OpenKind::Thinking { PartKind::Thinking } else { PartKind::Text };
            self.begin(kind, told, out);
        }
        self.grow(text, Delta::Text, out);
    }

    fn call(&mut self, begins: bool, call: Option<&RawValue>, out: &mut Vec<Event>) {
        // One, though some have a list of one.
        let one = |raw: &RawValue| {
            let list = || serde_json::from_str::<Vec<CalledTool>>(raw.get()).ok()?.pop();
            serde_json::from_str::<CalledTool>(raw.get()).ok().or_else(list)
        };
        let Some(ToolCall { id, name, arguments }) = call.and_then(one).map(CalledTool::read) else { return };
        if begins {
            self.called = true;
            self.begin(OpenKind::Tool, PartKind::ToolCall { id, name }, out);
        }
        if self.open.as_ref().is_some_and(|open| open.kind == OpenKind::Tool) && !arguments.is_empty() {
            self.grow(Text::from(arguments.as_str()), Delta::Arguments, out);
        }
    }

    fn grow(&mut self, text: Text, delta: fn(String) -> Delta, out: &mut Vec<Event>) {
        let Some(open) = &mut self.open else { return };
        let (part, text) = (open.part, open.seam.join(text));
        if !text.is_empty() {
            out.push(Event::Delta { choice: 0, part, delta: delta(text) });
        }
    }

    fn begin(&mut self, kind: OpenKind, told: PartKind, out: &mut Vec<Event>) {
        self.close(out);
        let part = self.next;
        self.next = part.saturating_add(1);
        self.open = Some(GrowingPiece { part, kind, seam: Seam::default() });
        out.push(Event::PartStart { choice: 0, part, kind: told });
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some(mut open) = self.open.take() else { return };
        // Half a character whose other half never came.
        let last = open.seam.end().map(|text| Delta::Text(String::from(text)));
        out.extend(last.map(|delta| Event::Delta { choice: 0, part: open.part, delta }));
        out.push(Event::PartEnd { choice: 0, part: open.part });
    }

    fn message_end(&mut self, end: Option<MessageEnd<'_>>, out: &mut Vec<Event>) {
        let (error, word, usage) =
            end.map_or((None, None, None), |end| (end.error, end.finish_reason, end.usage.and_then(wire::usage)));
        if error.is_some() || word.is_some_and(wire::is_failure) {
            self.ended = true;
            out.push(Event::Error(failed(error)));
            return;
        }
        self.start(String::new(), out);
        self.close(out);
        out.extend(usage.map(Event::Usage));
        if !std::mem::replace(&mut self.finished, true) {
            out.push(Event::Finish { choice: 0, stop: wire::stop(word.unwrap_or_default(), self.called) });
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if self.finished && !std::mem::replace(&mut self.ended, true) {
            out.push(Event::End);
        }
    }
}
