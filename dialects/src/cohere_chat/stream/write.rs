//! Writes a streamed answer as the dialect's events.

use super::super::{error, wire};
use super::events::{CohereEvent, END, event};
use crate::hub::{Delta, Event, PartKind, ProviderError, Stop, Usage};
use crate::spoke::EncodeStream;
use crate::sse::KEEP_ALIVE;

/// Writes one streamed answer: the first, where there are several.
#[derive(Debug, Default)]
pub(crate) struct CohereEncoder {
    open: Option<OpenPiece>,
    contents: usize,
    calls: usize,
    /// True if the open call has arguments.
    argued: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
    skipped: usize,
    /// The last event is written; whatever comes now would be wrong.
    over: bool,
}

/// The piece that grows, by its index.
#[derive(Debug, Clone, Copy)]
enum OpenPiece {
    Content(usize, &'static str),
    Call(usize),
}

impl CohereEncoder {
    fn begin(&mut self, kind: &PartKind, out: &mut Vec<u8>) {
        let content = match kind {
            PartKind::Text | PartKind::Refusal => "text",
            PartKind::Thinking => "thinking",
            PartKind::ToolCall { id, name } => {
                event(CohereEvent::CallStart(self.calls, id, name), out);
                (self.open, self.argued) = (Some(OpenPiece::Call(self.calls)), false);
                self.calls += 1;
                return;
            }
            PartKind::RedactedThinking(_) | PartKind::Picture { .. } | PartKind::Other { .. } => {
                self.open = None;
                self.skipped += 1;
                return;
            }
        };
        event(CohereEvent::ContentStart(self.contents, content), out);
        self.open = Some(OpenPiece::Content(self.contents, content));
        self.contents += 1;
    }

    fn grow(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match (delta, self.open) {
            (Delta::Text(text), Some(OpenPiece::Content(index, kind))) => {
                event(CohereEvent::Content(index, kind, text), out);
            }
            (Delta::Arguments(text), Some(OpenPiece::Call(index))) => {
                self.argued |= !text.trim_ascii().is_empty();
                event(CohereEvent::Call(index, text), out);
            }
            _ => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open.take() {
            Some(OpenPiece::Content(index, _)) => event(CohereEvent::ContentEnd(index), out),
            Some(OpenPiece::Call(index)) => {
                // Clients read the arguments as JSON, which nothing is none of.
                if !self.argued {
                    event(CohereEvent::Call(index, "{}"), out);
                }
                event(CohereEvent::CallEnd(index), out);
            }
            None => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let stop = self.stop.take().unwrap_or(Stop::End);
        event(CohereEvent::End(wire::finish_reason(&stop, self.calls > 0), self.usage.as_ref()), out);
        out.extend_from_slice(END);
        self.over = true;
    }
}

impl EncodeStream for CohereEncoder {
    fn push(&mut self, told: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match told {
            Event::Start { id, .. } => event(CohereEvent::Start(id), out),
            Event::PartStart { choice: 0, part: _, kind } => self.begin(kind, out),
            Event::Delta { choice: 0, part: _, delta } => self.grow(delta, out),
            Event::PartEnd { choice: 0, .. } => self.close(out),
            Event::Finish { choice: 0, stop } => self.stop = Some(stop.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Alive => out.extend_from_slice(KEEP_ALIVE),
            Event::Error(error) => self.error(error, out),
            Event::End => self.end(out),
            Event::PartStart { .. }
            | Event::Delta { .. }
            | Event::PartEnd { .. }
            | Event::Finish { .. }
            | Event::Other { .. } => {}
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    /// Appends the end of a message that says what went wrong. Nothing follows it.
    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.over, true) {
            event(CohereEvent::Failed(&error::told(error)), out);
        }
    }
}
