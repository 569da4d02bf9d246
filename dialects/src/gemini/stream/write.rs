//! Writes a streamed answer: each event an answer in small. A tool call is written whole; why an answer ended, and what
//! it used, stand in the last event of each.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::codec::StreamOptions;
use crate::gemini::reply::{write_call, write_picture, write_text};
use crate::gemini::signature::Pending;
use crate::gemini::{error, logprobs, wire};
use crate::hub::{Content, Delta, ErrorKind, Event, PartKind, ProviderError, Stop, ToolCall, Usage};
use crate::json::Writer;
use crate::spoke::EncodeStream;

/// The most bytes that one call's arguments, or one part's thoughts, may be: they are held until they are whole.
const MOST_HELD: usize = 8 << 20;

/// Writes one streamed answer.
#[derive(Debug)]
pub(crate) struct GeminiEncoder {
    /// True if it is a JSON array and not server-sent events.
    array: bool,
    /// True if an element of the array has been written.
    begun: bool,
    id: String,
    model: String,
    usage: Option<Usage>,
    choices: BTreeMap<u32, EncodedAnswer>,
    /// The parts that the dialect has no words for.
    skipped: usize,
    /// The last event is written; whatever comes now would be wrong.
    over: bool,
}

/// The state of one answer.
#[derive(Debug, Default)]
struct EncodedAnswer {
    /// The parts that are growing, by their numbers: other dialects tell several tool calls by turns.
    open: BTreeMap<u32, OpenPart>,
    pending: Pending,
    stop: Option<Stop>,
}

#[derive(Debug)]
enum OpenPart {
    Text,
    Thinking { text: String, signature: String },
    Call(ToolCall),
    Nothing,
}

impl GeminiEncoder {
    /// At the beginning.
    pub(crate) fn new(options: &StreamOptions) -> Self {
        let StreamOptions { include_usage: _, created: _, array, goes_on, call: _, prompt: _, answer: _ } = *options;
        Self {
            array,
            begun: goes_on.is_some(),
            id: String::new(),
            model: String::new(),
            usage: None,
            choices: BTreeMap::new(),
            skipped: 0,
            over: false,
        }
    }

    fn part_start(&mut self, choice: u32, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        let state = self.choices.entry(choice).or_default();
        let growing = match kind {
            PartKind::Text | PartKind::Refusal => OpenPart::Text,
            PartKind::Thinking => OpenPart::Thinking { text: String::new(), signature: String::new() },
            PartKind::RedactedThinking(data) => {
                state.pending.add(&Content::RedactedThinking(data.clone()));
                OpenPart::Nothing
            }
            PartKind::ToolCall { id, name } => {
                OpenPart::Call(ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() })
            }
            PartKind::Picture { media_type, data } => {
                let signature = state.pending.take();
                self.part(choice, out, |json| write_picture((media_type, data), signature.as_deref(), json));
                OpenPart::Nothing
            }
            PartKind::Other { .. } => {
                self.skipped += 1;
                OpenPart::Nothing
            }
        };
        let state = self.choices.entry(choice).or_default();
        state.open.insert(part, growing);
    }

    fn delta(&mut self, choice: u32, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        let state = self.choices.entry(choice).or_default();
        let held = match (state.open.get_mut(&part), delta) {
            (Some(OpenPart::Text), Delta::Text(more)) if !more.is_empty() => {
                let signature = state.pending.take();
                return self.part(choice, out, |json| write_text(more, false, signature.as_deref(), json));
            }
            (Some(OpenPart::Text), Delta::Logprobs(raw)) => {
                return self.part_with(choice, out, |json| write_text("", false, None, json), Some(raw));
            }
            (Some(OpenPart::Thinking { text, signature: _ }), Delta::Text(more)) => {
                text.push_str(more);
                let held = text.len();
                if !more.is_empty() {
                    self.part(choice, out, |json| write_text(more, true, None, json));
                }
                held
            }
            (Some(OpenPart::Thinking { text: _, signature }), Delta::Signature(more)) => {
                signature.push_str(more);
                signature.len()
            }
            (Some(OpenPart::Call(call)), Delta::Arguments(more)) => {
                call.arguments.push_str(more);
                call.arguments.len()
            }
            _ => return,
        };
        if held > MOST_HELD {
            self.overflow(out);
        }
    }

    fn part_end(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        let state = self.choices.entry(choice).or_default();
        match state.open.remove(&part) {
            Some(OpenPart::Thinking { text, signature }) if !signature.is_empty() => {
                state.pending.add(&Content::Thinking { text, signature: Some(signature) });
            }
            Some(OpenPart::Call(call)) => {
                let signature = state.pending.take();
                self.part(choice, out, |json| write_call(&call, signature.as_deref(), json));
            }
            _ => {}
        }
    }

    /// Writes an event of one part.
    fn part(&mut self, choice: u32, out: &mut Vec<u8>, part: impl FnOnce(&mut Writer)) {
        self.part_with(choice, out, part, None);
    }

    /// Writes an event of one part, and of log probabilities.
    fn part_with(&mut self, choice: u32, out: &mut Vec<u8>, part: impl FnOnce(&mut Writer), said: Option<&RawValue>) {
        let (id, model) = (std::mem::take(&mut self.id), std::mem::take(&mut self.model));
        self.framed(out, |json| {
            json.open(b'{');
            json.open_field("candidates", b'[');
            json.open(b'{');
            json.open_field("content", b'{');
            json.open_field("parts", b'[');
            part(json);
            json.close(b']');
            json.text_field("role", "model");
            json.close(b'}');
            json.value_field("index", choice);
            said.into_iter().for_each(|raw| logprobs::write(raw, json));
            json.close(b'}');
            json.close(b']');
            ending(None, &model, &id, json);
        });
        (self.id, self.model) = (id, model);
    }

    /// The last event: why each answer ended, and what was used.
    fn end(&mut self, out: &mut Vec<u8>) {
        // Calls that nobody ended are ended by the end.
        let open: Vec<(u32, u32)> =
            self.choices.iter().flat_map(|(choice, state)| state.open.keys().map(|part| (*choice, *part))).collect();
        open.into_iter().for_each(|(choice, part)| self.part_end(choice, part, out));
        let (usage, mut choices) = (self.usage, std::mem::take(&mut self.choices));
        let (id, model) = (std::mem::take(&mut self.id), std::mem::take(&mut self.model));
        if choices.is_empty() {
            choices.insert(0, EncodedAnswer::default());
        }
        self.framed(out, |json| {
            json.open(b'{');
            json.open_field("candidates", b'[');
            for (choice, state) in &mut choices {
                json.open(b'{');
                json.open_field("content", b'{');
                json.open_field("parts", b'[');
                // Google's SDKs take an answer without parts for none, and forget the turn.
                write_text("", false, state.pending.take().as_deref(), json);
                json.close(b']');
                json.text_field("role", "model");
                json.close(b'}');
                json.text_field("finishReason", wire::finish_reason(state.stop.as_ref().unwrap_or(&Stop::End)));
                json.value_field("index", choice);
                json.close(b'}');
            }
            json.close(b']');
            ending(usage.as_ref(), &model, &id, json);
        });
        if self.array {
            out.push(b']');
        }
        self.over = true;
    }

    /// Writes one event, or one element of the array.
    fn framed(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
        let before: &[u8] = match (self.array, std::mem::replace(&mut self.begun, true)) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        };
        out.extend_from_slice(before);
        // A writer of its own: what stands before is no JSON.
        let mut json = Writer::with_capacity(256);
        write(&mut json);
        out.extend_from_slice(&json.into_bytes());
        if !self.array {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    fn overflow(&mut self, out: &mut Vec<u8>) {
        let error = ProviderError {
            kind: ErrorKind::BadGateway,
            message: "the provider streams a tool call or thoughts that are too large to be put together".to_owned(),
            r#type: None,
            code: None,
            param: None,
        };
        self.error(&error, out);
    }
}

impl EncodeStream for GeminiEncoder {
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created: _ } => (self.id, self.model) = (id.clone(), model.clone()),
            Event::PartStart { choice, part, kind } => self.part_start(*choice, *part, kind, out),
            Event::Delta { choice, part, delta } => self.delta(*choice, *part, delta, out),
            Event::PartEnd { choice, part } => self.part_end(*choice, *part, out),
            Event::Finish { choice, stop } => self.choices.entry(*choice).or_default().stop = Some(stop.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Alive => out.extend_from_slice(wire::KEEP_ALIVE),
            Event::Error(error) => self.error(error, out),
            Event::End => self.end(out),
            Event::Other { .. } => {}
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let body = error::encode(error, "");
        self.framed(out, |json| json.open_written(&body));
        if self.array {
            out.push(b']');
        } else {
            // Google's servers say it as bare JSON, and its SDK for JavaScript before 2.0 hears it in no other way; that for Java hears the event.
            out.extend_from_slice(&body);
            out.push(b'\n');
        }
    }
}

/// Writes how every event ends.
fn ending(usage: Option<&Usage>, model: &str, id: &str, json: &mut Writer) {
    if let Some(usage) = usage {
        wire::write_usage(usage, json);
    }
    json.text_field("modelVersion", model);
    json.text_field("responseId", id);
    json.close(b'}');
}
