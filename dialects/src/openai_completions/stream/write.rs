//! Writes a streamed answer as chunks of text.

use std::collections::BTreeMap;

use crate::codec::StreamOptions;
use crate::hub::{Delta, Event, PartKind, ProviderError, Usage};
use crate::json::{Writer, one_line};
use crate::openai_chat::error::write_error;
use crate::openai_chat::wire;
use crate::openai_completions::wire::write_choice;
use crate::spoke::EncodeStream;
use crate::sse::KEEP_ALIVE;

/// Writes one streamed answer.
#[derive(Debug)]
pub(crate) struct CompletionEncoder {
    options: StreamOptions,
    /// Every chunk's beginning, up to its `choices`.
    head: Vec<u8>,
    /// True if the part that grows in an answer is text that the caller is given; thoughts and calls are nothing here.
    told: BTreeMap<u32, bool>,
    usage: Option<Usage>,
    /// The parts that the dialect has no words for.
    skipped: usize,
    /// The last event is written; whatever comes now would be wrong.
    over: bool,
}

impl CompletionEncoder {
    /// At the beginning.
    pub(crate) fn new(options: StreamOptions) -> Self {
        Self { options, head: b"{".to_vec(), told: BTreeMap::new(), usage: None, skipped: 0, over: false }
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>) {
        let mut json = Writer::with_capacity(160);
        json.open(b'{');
        json.text_field("id", id);
        json.text_field("object", "text_completion");
        json.value_field("created", created.or(self.options.created).unwrap_or(0));
        json.text_field("model", model);
        self.head = json.into_bytes();
    }

    fn chunk(&self, out: &mut Vec<u8>, choice: impl FnOnce(&mut Writer)) {
        self.headed(out, |json| {
            json.open_field("choices", b'[');
            choice(json);
            json.close(b']');
            if self.options.include_usage {
                json.value_field("usage", "null");
            }
        });
    }

    fn headed(&self, out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer)) {
        written(out, |json| {
            json.open_written(&self.head);
            rest(json);
            json.close(b'}');
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
            self.headed(out, |json| {
                json.open_field("choices", b'[');
                json.close(b']');
                wire::write_usage(&usage, json);
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.over = true;
    }
}

impl EncodeStream for CompletionEncoder {
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created } => self.start(id, model, *created),
            Event::PartStart { choice, part: _, kind } => {
                let told = matches!(kind, PartKind::Text | PartKind::Refusal);
                self.skipped += usize::from(!told);
                self.told.insert(*choice, told);
            }
            Event::Delta { choice, part: _, delta: Delta::Text(text) } => {
                if self.told.get(choice).copied().unwrap_or(false) {
                    self.chunk(out, |json| write_choice(*choice, text, None, None, json));
                }
            }
            Event::Delta { choice, part: _, delta: Delta::Logprobs(raw) } => {
                self.chunk(out, |json| write_choice(*choice, "", Some(&one_line(raw)), None, json));
            }
            Event::Finish { choice, stop } => {
                self.chunk(out, |json| write_choice(*choice, "", None, Some(stop), json));
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Alive => out.extend_from_slice(KEEP_ALIVE),
            Event::Error(error) => self.error(error, out),
            Event::End => self.end(out),
            Event::Delta { .. } | Event::PartEnd { .. } | Event::Other { .. } => {}
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    /// Appends the error event `data: {"error":{…}}`. The body ends behind it, without `[DONE]`.
    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        written(out, |json| {
            json.open(b'{');
            write_error(error, json);
            json.close(b'}');
        });
    }
}

/// Writes one event around JSON, straight into `out`.
fn written(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
    let mut json = Writer::onto(std::mem::take(out));
    json.open_written(b"data: ");
    write(&mut json);
    *out = json.into_bytes();
    out.extend_from_slice(b"\n\n");
}
