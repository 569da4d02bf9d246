//! Writes a streamed answer as chunks.

use std::collections::BTreeMap;

use crate::call_id::{LONGEST_IN_CHAT, short};
use crate::codec::StreamOptions;
use crate::free_text::FreeText;
use crate::hub::{Delta, Event, PartKind, ProviderError, Stop, Usage};
use crate::json::{Writer, one_line};
use crate::openai_chat::custom::{self, CUSTOM, CustomTools};
use crate::openai_chat::error::write_error;
use crate::openai_chat::wire::{self, ThoughtBlock};
use crate::spoke::EncodeStream;
use crate::sse::KEEP_ALIVE;

/// Writes one streamed answer.
#[derive(Debug)]
pub(crate) struct ChatEncoder {
    options: StreamOptions,
    /// The caller's custom tools.
    custom: CustomTools,
    /// Every chunk's beginning, up to its `choices`.
    head: Vec<u8>,
    choices: BTreeMap<u32, ChoiceWritten>,
    usage: Option<Usage>,
    /// The parts that the dialect has no words for.
    skipped: usize,
    /// The last event is written; whatever comes now would be wrong.
    over: bool,
}

/// The state of one answer.
#[derive(Debug, Default)]
struct ChoiceWritten {
    role_written: bool,
    /// The parts that are tool calls, in order: a call's index is its place here.
    calls: Vec<u32>,
    /// The text of the last of them, where that is a custom tool's.
    free: Option<FreeText>,
    /// The delta's name for the text of the part that is growing.
    growing: &'static str,
    /// The thoughts that are growing: their block is written whole when it is signed.
    thoughts: String,
    signature: String,
    /// The number of blocks of thoughts so far.
    blocks: usize,
    /// The number of pictures so far.
    pictures: usize,
}

/// Longer thoughts stream without a block of their own, and so can not come back signed.
const MOST_THOUGHTS: usize = 1 << 20;

const CONTENT: &str = "content";
const REFUSAL: &str = "refusal";
/// Not OpenAI's own word, but the one look-alikes' clients read.
const THINKING: &str = "reasoning_content";

impl ChatEncoder {
    /// At the beginning.
    #[must_use]
    pub(crate) fn new(options: StreamOptions) -> Self {
        let custom = options.call.as_deref().map(CustomTools::of).unwrap_or_default();
        let (head, choices) = (b"{".to_vec(), BTreeMap::new());
        Self { options, custom, head, choices, usage: None, skipped: 0, over: false }
    }
}

impl EncodeStream for ChatEncoder {
    /// Appends what this event is on the wire. Citations and other dialects' own words are nothing there.
    fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created } => {
                self.start(id, model, *created);
                self.role(0, out);
            }
            Event::PartStart { choice, part, kind } => self.part_start(*choice, *part, kind, out),
            Event::Delta { choice, part, delta } => self.delta(*choice, *part, delta, out),
            Event::Finish { choice, stop } => {
                self.role(*choice, out);
                let called = self.choices.get(choice).is_some_and(|state| !state.calls.is_empty());
                self.chunk(*choice, out, |_| {}, Ending { logprobs: None, stop: Some((stop, called)) });
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Alive => out.extend_from_slice(KEEP_ALIVE),
            Event::Error(error) => self.error(error, out),
            Event::End => self.end(out),
            Event::PartEnd { choice, part: _ } => self.part_end(*choice, out),
            Event::Other { .. } => {}
        }
    }

    fn skipped(&self) -> usize {
        self.skipped
    }

    /// Appends the error event `data: {"error":{…}}`. Nothing follows it: the body ends, without `[DONE]`.
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

impl ChatEncoder {
    fn start(&mut self, id: &str, model: &str, created: Option<u64>) {
        let mut json = Writer::with_capacity(160);
        json.open(b'{');
        json.text_field("id", id);
        json.text_field("object", "chat.completion.chunk");
        json.value_field("created", created.or(self.options.created).unwrap_or(0));
        json.text_field("model", model);
        self.head = json.into_bytes();
    }

    /// The first chunk of an answer says its role.
    fn role(&mut self, choice: u32, out: &mut Vec<u8>) {
        let state = self.choices.entry(choice).or_default();
        if !std::mem::replace(&mut state.role_written, true) {
            let role = |json: &mut Writer| {
                json.text_field("role", "assistant");
                json.text_field("content", "");
                json.value_field("refusal", "null");
            };
            self.chunk(choice, out, role, Ending::default());
        }
    }

    fn part_start(&mut self, choice: u32, part: u32, kind: &PartKind, out: &mut Vec<u8>) {
        self.role(choice, out);
        let state = self.choices.entry(choice).or_default();
        match kind {
            PartKind::Text => state.growing = CONTENT,
            PartKind::Refusal => state.growing = REFUSAL,
            PartKind::Thinking => state.growing = THINKING,
            PartKind::ToolCall { id, name } => {
                let index = state.calls.len();
                state.calls.push(part);
                let is_custom = self.custom.has(name);
                state.free = is_custom.then(FreeText::default);
                let call = |json: &mut Writer| {
                    json.text_field("id", &short(id, LONGEST_IN_CHAT));
                    if is_custom {
                        return custom::write(name, "", json);
                    }
                    json.text_field("type", "function");
                    json.open_field("function", b'{');
                    json.text_field("name", name);
                    json.text_field("arguments", "");
                    json.close(b'}');
                };
                self.call(choice, index, out, call);
            }
            PartKind::RedactedThinking(data) => {
                state.growing = "";
                self.thought(choice, &ThoughtBlock::Redacted(data.clone()), out);
            }
            PartKind::Picture { media_type, data } => {
                let (index, url) = (state.pictures, format!("data:{media_type};base64,{data}"));
                (state.growing, state.pictures) = ("", index + 1);
                let pictures = |json: &mut Writer| {
                    json.open_field("images", b'[');
                    wire::write_picture(index, &url, json);
                    json.close(b']');
                };
                self.chunk(choice, out, pictures, Ending::default());
            }
            PartKind::Other { .. } => {
                state.growing = "";
                self.skipped += 1;
            }
        }
    }

    /// A signed block goes out whole: clients put it beside the turn when they send that back, and no byte may differ.
    fn part_end(&mut self, choice: u32, out: &mut Vec<u8>) {
        let state = self.choices.entry(choice).or_default();
        let (text, signature) = (std::mem::take(&mut state.thoughts), std::mem::take(&mut state.signature));
        if !signature.is_empty() && text.len() <= MOST_THOUGHTS {
            self.thought(choice, &ThoughtBlock::Signed { text, signature: Some(signature) }, out);
        }
    }

    fn thought(&mut self, choice: u32, thought: &ThoughtBlock, out: &mut Vec<u8>) {
        let state = self.choices.entry(choice).or_default();
        let index = state.blocks;
        state.blocks += 1;
        let blocks = |json: &mut Writer| {
            json.open_field("thinking_blocks", b'[');
            wire::write_thought(thought, Some(index), json);
            json.close(b']');
        };
        self.chunk(choice, out, blocks, Ending::default());
    }

    fn delta(&mut self, choice: u32, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        self.role(choice, out);
        let state = self.choices.entry(choice).or_default();
        match delta {
            Delta::Text(text) => {
                let name = state.growing;
                if name == THINKING && state.thoughts.len() <= MOST_THOUGHTS {
                    state.thoughts.push_str(text);
                }
                if !name.is_empty() {
                    self.chunk(choice, out, |json| json.text_field(name, text), Ending::default());
                }
            }
            Delta::Arguments(text) => {
                // Arguments of a part that is no call of ours (a tool the provider runs itself) are nothing here.
                let Some(index) = state.calls.iter().rposition(|call| *call == part) else { return };
                let free = state.free.as_mut().filter(|_| state.calls.len() == index + 1).map(|free| free.push(text));
                let (member, name, said) = match &free {
                    Some(said) if said.is_empty() => return,
                    Some(said) => (CUSTOM, "input", said),
                    None => ("function", "arguments", text),
                };
                self.call(choice, index, out, |json| {
                    json.open_field(member, b'{');
                    json.text_field(name, said);
                    json.close(b'}');
                });
            }
            Delta::Logprobs(raw) => {
                let logprobs = one_line(raw);
                self.chunk(choice, out, |_| {}, Ending { logprobs: Some(&logprobs), stop: None });
            }
            Delta::Signature(text) => state.signature.push_str(text),
            Delta::Citation(_) | Delta::Other { .. } => {}
        }
    }

    fn call(&self, choice: u32, index: usize, out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer)) {
        let call = |json: &mut Writer| {
            json.open_field("tool_calls", b'[');
            json.open(b'{');
            json.value_field("index", index);
            rest(json);
            json.close(b'}');
            json.close(b']');
        };
        self.chunk(choice, out, call, Ending::default());
    }

    fn chunk(&self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Writer), ending: Ending<'_>) {
        let Ending { logprobs, stop } = ending;
        self.headed(out, |json| {
            json.open_field("choices", b'[');
            json.open(b'{');
            json.value_field("index", choice);
            json.open_field("delta", b'{');
            delta(json);
            json.close(b'}');
            json.key("logprobs");
            json.raw(logprobs.unwrap_or("null"));
            match stop {
                Some((stop, called)) => {
                    json.text_field("finish_reason", wire::finish_reason(stop, called));
                    wire::write_stop_text(stop, json);
                }
                None => json.value_field("finish_reason", "null"),
            }
            json.close(b'}');
            json.close(b']');
            if self.options.include_usage {
                json.value_field("usage", "null");
            }
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

    fn headed(&self, out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer)) {
        written(out, |json| {
            json.open_written(&self.head);
            rest(json);
            json.close(b'}');
        });
    }
}

/// The end of a chunk.
#[derive(Clone, Copy, Default)]
struct Ending<'a> {
    logprobs: Option<&'a str>,
    /// The reason why the answer ended, and whether a tool was called in it.
    stop: Option<(&'a Stop, bool)>,
}

/// Writes one event around JSON, straight into `out`.
fn written(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
    let mut json = Writer::onto(std::mem::take(out));
    json.open_written(b"data: ");
    write(&mut json);
    *out = json.into_bytes();
    out.extend_from_slice(b"\n\n");
}
