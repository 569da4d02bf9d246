//! The verbatim lane's ear: watches a streamed answer's bytes go by and knows its usage, first token, end and errors.
//!
//! No tree is built and no chunk is copied unless an event is cut by it. Until the first token every event is read;
//! after it only those that can hold usage or an error, found by their words. A quote inside a JSON string is always
//! escaped, so `"usage"` in an answer's text never looks like the key.

mod counts;
mod text;
mod whole;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::anthropic;
use crate::dialect::Dialect;
use crate::hub::{ProviderError, Usage};
use crate::json::{Object, ROOT};
use crate::openai;
use crate::sse::{self, Frame};

use counts::{AnthropicDelta, AnthropicStart, AnthropicUsage};
use text::TextMeter;
pub use whole::{begins_an_answer, is_answer, usage_of_whole};

/// What the tap does beside listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Watch,
    /// Takes OpenAI's usage chunk (`choices: []`) out of what passes: the gateway asked for it, the caller did not.
    DropUsage,
}

/// Watches one streamed answer.
#[derive(Debug)]
pub struct UsageTap {
    mode: Mode,
    frames: sse::Decoder,
    ear: Ear,
    /// The beginning of an event that is not whole yet, kept back until it is known whether it passes.
    held: Vec<u8>,
}

impl UsageTap {
    /// At a stream's beginning.
    #[must_use]
    pub fn new(dialect: Dialect, mode: Mode) -> Self {
        let ear = Ear {
            dialect,
            usage_word: Finder::new(b"\"usage\""),
            error_word: Finder::new(b"\"error\""),
            finish_word: Finder::new(b"\"finish_reason\""),
            index_word: Finder::new(b"\"index\""),
            counts: anthropic::Tally::default(),
            usage: None,
            first_token: false,
            answers: Answers::default(),
            text: TextMeter::new(),
            ended: false,
            error: None,
        };
        Self { mode, frames: sse::Decoder::lenient(sse::MAX_EVENT), ear, held: Vec::new() }
    }

    /// Listens to the next bytes, cut anywhere. For `Mode::DropUsage` use `pass`. Gives where in them the stream is over.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let (ear, mut over) = (&mut self.ear, None);
        // Neither the framing nor the ear refuses anything: what is too large to be heard passes unheard.
        let _ = self.frames.push(bytes, |frame| {
            if over.is_none() {
                ear.hear(frame);
                over = ear.is_over().then_some(frame.end);
            }
            Ok(())
        });
        over
    }

    /// Listens to the next bytes and appends what goes on to the caller: the chunk itself, uncopied, unless something
    /// is taken out of it or it ends inside an event. What comes behind the stream's end, or an error, does not pass.
    pub fn pass(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        if chunk.is_empty() || self.is_over() {
            return;
        }
        if self.mode == Mode::Watch {
            match self.push(&chunk) {
                Some(over) => give(&chunk, 0, over, out),
                None => out.push(chunk),
            }
            return;
        }
        let Self { frames, ear, held, .. } = self;
        let (mut kept_from, mut boundary, mut over) = (0, 0, false);
        let _ = frames.push(&chunk, |frame| {
            if over {
                return Ok(());
            }
            if ear.hear(frame) {
                // The event began at the boundary, or before this chunk.
                held.clear();
                give(&chunk, kept_from, boundary, out);
                kept_from = frame.end;
            } else if !held.is_empty() {
                out.push(std::mem::take(held).into());
            }
            boundary = frame.end;
            over = ear.is_over();
            Ok(())
        });
        if over {
            give(&chunk, kept_from, boundary, out);
            return;
        }
        if self.frames.at_boundary() || self.frames.skips() {
            // Comments end no event; they pass at once, for they keep connections alive. An event too large to be held
            // passes as it comes.
            boundary = chunk.len();
        }
        if boundary > 0 && !self.held.is_empty() {
            out.push(std::mem::take(&mut self.held).into());
        }
        give(&chunk, kept_from, boundary, out);
        self.held.extend_from_slice(chunk.get(boundary..).unwrap_or_default());
    }

    /// Says that the body ended, cleanly or cut, and appends what was kept back.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let Self { frames, ear, held, .. } = self;
        let mode = self.mode;
        let _ = frames.finish(|frame| {
            if ear.hear(frame) && mode == Mode::DropUsage {
                held.clear();
            }
            Ok(())
        });
        if !self.held.is_empty() {
            out.push(std::mem::take(&mut self.held).into());
        }
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.frames.held() + self.held.capacity()
    }

    /// Whether something of the answer itself went by: text, thoughts, a tool call, a refusal or a finish. A role, an
    /// opening or a ping is not.
    #[must_use]
    pub fn first_token_seen(&self) -> bool {
        self.ear.first_token
    }

    /// How long the answer's own text is so far, in bytes: close, not exact.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.ear.text.bytes()
    }

    /// What was used, by what the provider has said so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.ear.usage
    }

    /// Whether the stream said that it is whole: `[DONE]`, `message_stop`.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ear.ended
    }

    /// Whether the stream said that it is whole, or an error: nothing stands behind either.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ear.is_over()
    }

    /// Whether each of the answers said why it finished: a stream that ends so is whole, `[DONE]` or `message_stop` or not.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.ear.answers.finished()
    }

    /// Whether the provider said in mid-stream that it failed.
    #[must_use]
    pub fn errored(&self) -> bool {
        self.ear.error.is_some()
    }

    /// The error that the provider said in mid-stream, the first one.
    #[must_use]
    pub fn error(&self) -> Option<&ProviderError> {
        self.ear.error.as_ref()
    }
}

fn give(chunk: &Bytes, from: usize, to: usize, out: &mut Vec<Bytes>) {
    if from == 0 && to == chunk.len() {
        out.push(chunk.clone());
    } else if from < to && to <= chunk.len() {
        out.push(chunk.slice(from..to));
    }
}

/// What has been heard.
#[derive(Debug)]
struct Ear {
    dialect: Dialect,
    usage_word: Finder<'static>,
    error_word: Finder<'static>,
    finish_word: Finder<'static>,
    index_word: Finder<'static>,
    counts: anthropic::Tally,
    usage: Option<Usage>,
    first_token: bool,
    answers: Answers,
    text: TextMeter,
    ended: bool,
    error: Option<ProviderError>,
}

/// OpenAI's answers in one stream: a bit for each, by its index. There are at most 128.
#[derive(Debug, Default)]
struct Answers {
    seen: u128,
    finished: u128,
}

impl Answers {
    fn hear(&mut self, choice: &OpenAiChoice<'_>) {
        let index = choice.index.and_then(|index| index.get().parse().ok()).unwrap_or(0);
        let bit = 1_u128.checked_shl(index).unwrap_or(0);
        self.seen |= bit;
        if choice.finishes() {
            self.finished |= bit;
        }
    }

    /// The only answer of Anthropic's streams has finished.
    const fn finish_only(&mut self) {
        (self.seen, self.finished) = (1, 1);
    }

    fn finished(&self) -> bool {
        self.seen != 0 && self.seen == self.finished
    }
}

impl Ear {
    /// Hears one event; true when it is nothing but the usage OpenAI was asked to add.
    fn hear(&mut self, frame: Frame<'_>) -> bool {
        if frame.skipped {
            // Nothing but content is so large.
            self.first_token = true;
            return false;
        }
        self.text.hear(frame.data);
        match self.dialect {
            Dialect::OpenAiChat => self.hear_openai(frame),
            Dialect::AnthropicMessages => {
                self.hear_anthropic(frame);
                false
            }
        }
    }

    const fn is_over(&self) -> bool {
        self.ended || self.error.is_some()
    }

    fn fail(&mut self, data: &[u8]) {
        let dialect = self.dialect;
        self.error.get_or_insert_with(|| dialect.decode_error(0, data));
    }

    fn hear_openai(&mut self, frame: Frame<'_>) -> bool {
        let data = frame.data.trim_ascii();
        if data == b"[DONE]" {
            self.ended = true;
            return false;
        }
        let may_fail = frame.name == b"error" || self.error_word.find(data).is_some();
        let said = |word: &Finder<'_>, nothing: &[u8]| {
            let length = word.needle().len();
            word.find_iter(data).any(|at| !stands_behind(nothing, data, at + length))
        };
        let may_count = said(&self.usage_word, b"null");
        // Most chunks go on with the first answer.
        let may_finish = said(&self.finish_word, b"null") || said(&self.index_word, b"0");
        if self.first_token && !may_fail && !may_count && !may_finish {
            return false;
        }
        let Ok(chunk) = serde_json::from_slice::<OpenAiChunk<'_>>(data) else {
            if frame.name == b"error" {
                self.fail(data);
            }
            return false;
        };
        if chunk.error.is_some() || frame.name == b"error" {
            self.fail(data);
            return false;
        }
        let choices = chunk.choices.unwrap_or_default();
        if let Some(error) = choices.iter().find_map(OpenAiChoice::failure) {
            self.fail(error.as_bytes());
            return false;
        }
        choices.iter().for_each(|choice| self.answers.hear(choice));
        self.first_token = self.first_token || choices.iter().any(OpenAiChoice::says_something);
        match chunk.usage.and_then(openai::usage) {
            Some(usage) => {
                self.usage = Some(usage);
                choices.is_empty()
            }
            None => false,
        }
    }

    fn hear_anthropic(&mut self, frame: Frame<'_>) {
        if !frame.name.is_empty() {
            return self.hear_anthropic_named(frame.name, frame.data);
        }
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(borrow)]
            r#type: &'a str,
        }
        // An event without a name has it in its data.
        if let Ok(Typed { r#type }) = serde_json::from_slice(frame.data) {
            self.hear_anthropic_named(r#type.as_bytes(), frame.data);
        }
    }

    fn hear_anthropic_named(&mut self, name: &[u8], data: &[u8]) {
        match name {
            b"message_start" => {
                if let Ok(AnthropicStart { message: AnthropicUsage { usage: Some(counts) } }) =
                    serde_json::from_slice(data)
                {
                    self.count(counts);
                }
            }
            b"message_delta" => {
                self.first_token = true;
                if serde_json::from_slice(data).is_ok_and(|delta: AnthropicDelta| delta.finishes()) {
                    self.answers.finish_only();
                }
                if let Ok(AnthropicUsage { usage: Some(counts) }) = serde_json::from_slice(data) {
                    self.count(counts);
                }
            }
            b"content_block_start" if !self.first_token => {
                self.first_token =
                    serde_json::from_slice(data).is_ok_and(|start: BlockStart<'_>| start.says_something());
            }
            b"content_block_delta" => self.first_token = true,
            b"message_stop" => self.ended = true,
            b"error" => self.fail(data),
            _ => {}
        }
    }

    fn count(&mut self, later: anthropic::Tally) {
        self.counts.update(later);
        self.usage = Some(self.counts.usage());
    }
}

/// Whether a key's value begins so, the key ending at `at`.
fn stands_behind(value: &[u8], data: &[u8], at: usize) -> bool {
    let rest = data.get(at..).unwrap_or_default().trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(value))
}

#[derive(Deserialize)]
struct OpenAiChunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<OpenAiChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OpenAiChoice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl OpenAiChoice<'_> {
    /// The error of this answer alone, or nothing more than that there was one.
    fn failure(&self) -> Option<&str> {
        let named = self.finish_reason.is_some_and(|reason| reason.get() == "\"error\"");
        self.error.map(RawValue::get).or(named.then_some(""))
    }

    /// Some look-alikes give an empty reason with every chunk.
    fn finishes(&self) -> bool {
        self.finish_reason.is_some_and(|reason| !matches!(reason.get(), "null" | "\"\""))
    }

    /// Whether it finishes, or its delta holds more than a role and empty values.
    fn says_something(&self) -> bool {
        let is_empty = |raw: &RawValue| matches!(raw.get(), "null" | "\"\"" | "[]" | "{}");
        self.finishes()
            || self
                .delta
                .and_then(|delta| Object::read(delta.get(), &ROOT).ok())
                .is_some_and(|delta| delta.members().any(|(name, raw)| name != "role" && !is_empty(raw)))
    }
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    #[serde(borrow)]
    content_block: Block<'a>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    r#type: &'a str,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

impl BlockStart<'_> {
    /// Text and thoughts begin empty; every other block begins with something: a tool's name, a result.
    fn says_something(&self) -> bool {
        match self.content_block.r#type {
            "text" => self.content_block.text.is_some_and(|text| text.get() != "\"\""),
            "thinking" => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
