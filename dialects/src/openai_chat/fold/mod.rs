//! A streamed answer folded into a whole one in the dialect's own words, and a whole one told as a stream.
//!
//! Anything that nobody here knows how to put together is not folded: an answer that has lost something is another
//! answer.

use serde_json::value::RawValue;

use super::wire;
use crate::codec::Unfolded;
use crate::fold::FoldEvents;
use crate::hub::{Raw, Usage};
use crate::json::{Object, Writer, string};
use crate::sse::Frame;

mod replay;
mod tree;

use replay::TEXTS;
pub(crate) use replay::replay;
use tree::{Pieces, Tree};

/// The most answers one stream may hold; OpenAI's own limit of `n`.
const MOST_CHOICES: usize = 128;
/// The fields that grow in a tool call, wherever in it that stands.
const GROWS_IN_CALLS: &[&str] = &["arguments", "input"];
/// The fields that grow in `reasoning_details`.
const GROWS_IN_DETAILS: &[&str] = &["text", "summary", "data"];

/// Folds one stream.
#[derive(Debug, Default)]
pub(crate) struct ChatFold {
    /// Fields of the whole: the last word counts.
    head: Vec<(String, Raw)>,
    usage: Option<Raw>,
    choices: Vec<FoldedChoice>,
    ended: bool,
}

/// One of the answers.
#[derive(Debug, Default)]
struct FoldedChoice {
    texts: [Option<String>; TEXTS.len()],
    calls: Pieces,
    details: Pieces,
    function_call: Tree,
    annotations: Vec<Raw>,
    /// Fields of the message that nobody here knows. One that comes twice may be two halves, or one thing said twice.
    once: Vec<(String, Raw)>,
    /// Fields of the answer beside its message.
    beside: Tree,
    logprobs: Option<Lists>,
    finish: Option<String>,
}

/// Log probabilities of each token.
#[derive(Debug, Default)]
struct Lists {
    content: Option<Vec<Raw>>,
    refusal: Option<Vec<Raw>>,
}

impl ChatFold {
    /// Takes the next event; gives how many bytes are held for it.
    ///
    /// # Errors
    /// It can not be folded, is none of the dialect's, or says that the provider failed.
    pub(crate) fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        let data = frame.data.trim_ascii();
        if frame.name == b"error" {
            return Err(Unfolded::Failed);
        }
        if self.ended || data.is_empty() {
            return Ok(0);
        }
        if data == b"[DONE]" {
            self.ended = true;
            return Ok(0);
        }
        let mut held = 0;
        for (name, raw) in object(std::str::from_utf8(data).map_err(|_| Unfolded::Malformed)?)?.members() {
            held += match (name, raw.get()) {
                (_, "null") => 0,
                ("error", _) => return Err(Unfolded::Failed),
                // Padding, against those who count bytes.
                ("object" | "obfuscation", _) => 0,
                ("choices", list) => {
                    let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| Unfolded::Malformed)?;
                    list.into_iter().try_fold(0, |held, raw| Ok(held + self.choice(raw)?))?
                }
                ("usage", _) => {
                    self.usage = Some(raw.to_owned());
                    0
                }
                _ => self.describe(name, raw),
            };
        }
        Ok(held)
    }

    /// Of what is said of the whole the last word counts; of its name, the first that says something.
    fn describe(&mut self, name: &str, raw: &RawValue) -> usize {
        let Some((_, said)) = self.head.iter_mut().find(|(known, _)| known == name) else {
            self.head.push((name.to_owned(), raw.to_owned()));
            return name.len() + raw.get().len();
        };
        let named = matches!(name, "id" | "model" | "created") && !matches!(said.get(), "\"\"" | "0");
        if named || said.get() == raw.get() {
            return 0;
        }
        let more = raw.get().len().saturating_sub(said.get().len());
        *said = raw.to_owned();
        more
    }

    fn choice(&mut self, raw: &RawValue) -> Result<usize, Unfolded> {
        let members = object(raw.get())?;
        let index = members.members().find(|(name, _)| *name == "index");
        let index = index.map_or(Ok(0), |(_, raw)| raw.get().parse::<usize>()).map_err(|_| Unfolded::Malformed)?;
        if index >= MOST_CHOICES {
            return Err(Unfolded::Malformed);
        }
        while self.choices.len() <= index {
            self.choices.push(FoldedChoice::default());
        }
        let choice = self.choices.get_mut(index).ok_or(Unfolded::Malformed)?;
        members.members().try_fold(0, |held, (name, raw)| Ok(held + choice.take(name, raw)?))
    }

    /// The whole answer; `usage` is what it used, where the stream does not say so.
    ///
    /// # Errors
    /// The stream was cut.
    pub(crate) fn finish(self, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let Self { head, usage: said, choices, ended } = self;
        if choices.is_empty() || !(ended || choices.iter().all(|choice| choice.finish.is_some())) {
            return Err(Unfolded::Cut);
        }
        let mut json = Writer::with_capacity(1024);
        json.open(b'{');
        json.text_field("object", "chat.completion");
        head.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.open_field("choices", b'[');
        (0..).zip(&choices).for_each(|(index, choice)| choice.write(index, &mut json));
        json.close(b']');
        match (said, usage) {
            (Some(raw), _) => json.raw_field("usage", &raw),
            (None, Some(usage)) => wire::write_usage(usage, &mut json),
            (None, None) => {}
        }
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

impl FoldEvents for ChatFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        Self::push(self, frame)
    }

    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        Self::finish(*self, usage)
    }
}

impl FoldedChoice {
    fn take(&mut self, name: &str, raw: &RawValue) -> Result<usize, Unfolded> {
        match (name, raw.get()) {
            ("index", _) | (_, "null") => Ok(0),
            ("delta", delta) => {
                object(delta)?.members().try_fold(0, |held, (name, raw)| Ok(held + self.delta(name, raw)?))
            }
            ("finish_reason", _) => {
                let word = string(raw).ok_or(Unfolded::Malformed)?;
                // Some look-alikes give an empty one with every chunk.
                match &self.finish {
                    _ if word.is_empty() => Ok(0),
                    Some(said) if *said != word => Err(Unfolded::Unknown),
                    _ => {
                        self.finish = Some(word);
                        Ok(0)
                    }
                }
            }
            ("logprobs", lists) => self.logprobs(&object(lists)?),
            // Whole beside its pieces, as one vendor has it: which of the two is meant?
            ("message", _) => Err(Unfolded::Unknown),
            _ => self.beside.member(name, raw, &[]),
        }
    }

    fn delta(&mut self, name: &str, raw: &RawValue) -> Result<usize, Unfolded> {
        if matches!((name, raw.get()), ("role", _) | (_, "null")) {
            return Ok(0);
        }
        if let Some((_, text)) = TEXTS.iter().zip(&mut self.texts).find(|(known, _)| **known == name) {
            // What stands here may be a list, of another vendor's making.
            let more = string(raw).ok_or(Unfolded::Unknown)?;
            text.get_or_insert_default().push_str(&more);
            return Ok(more.len());
        }
        match (name, raw.get()) {
            ("tool_calls", _) => self.calls.merge(raw, GROWS_IN_CALLS, Some("id")),
            ("reasoning_details", _) => self.details.merge(raw, GROWS_IN_DETAILS, None),
            ("function_call", call) => self.function_call.merge(&object(call)?, GROWS_IN_CALLS),
            ("annotations", list) => extend(&mut self.annotations, list),
            // Pieces of base64 that may each be padded are not one text.
            ("audio", _) => Err(Unfolded::Unknown),
            (_, "\"\"" | "[]" | "{}") => Ok(0),
            _ if self.once.iter().any(|(known, _)| known == name) => Err(Unfolded::Unknown),
            _ => {
                self.once.push((name.to_owned(), raw.to_owned()));
                Ok(name.len() + raw.get().len())
            }
        }
    }

    fn logprobs(&mut self, lists: &Object<'_>) -> Result<usize, Unfolded> {
        let known = self.logprobs.get_or_insert_default();
        lists.members().filter(|(_, raw)| raw.get() != "null").try_fold(0, |held, (name, raw)| {
            let list = match name {
                "content" => known.content.get_or_insert_default(),
                "refusal" => known.refusal.get_or_insert_default(),
                _ => return Err(Unfolded::Unknown),
            };
            Ok(held + extend(list, raw.get())?)
        })
    }

    fn write(&self, index: usize, json: &mut Writer) {
        let Self { texts, calls, details, function_call, annotations, once, beside, logprobs, finish } = self;
        json.open(b'{');
        json.value_field("index", index);
        json.open_field("message", b'{');
        json.text_field("role", "assistant");
        for (name, text) in TEXTS.iter().zip(texts) {
            // Nothing said is no refusal, and no thought.
            match text.as_ref().filter(|text| *name == "content" || !text.is_empty()) {
                Some(text) => json.text_field(name, text),
                None if matches!(*name, "content" | "refusal") => json.value_field(name, "null"),
                None => {}
            }
        }
        calls.write("tool_calls", false, json);
        details.write("reasoning_details", true, json);
        if !function_call.is_empty() {
            json.key("function_call");
            function_call.write(json);
        }
        if !annotations.is_empty() {
            write_list("annotations", annotations, json);
        }
        once.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.close(b'}');
        beside.write_members(json);
        match logprobs {
            None => json.value_field("logprobs", "null"),
            Some(Lists { content, refusal }) => {
                json.open_field("logprobs", b'{');
                for (name, list) in [("content", content), ("refusal", refusal)] {
                    match list {
                        Some(list) => write_list(name, list, json),
                        None => json.value_field(name, "null"),
                    }
                }
                json.close(b'}');
            }
        }
        match finish {
            Some(word) => json.text_field("finish_reason", word),
            None => json.value_field("finish_reason", "null"),
        }
        json.close(b'}');
    }
}

/// True if each answer of a whole says why it ended.
#[must_use]
pub(crate) fn has_stop_reason(whole: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Whole {
        choices: Vec<WholeCompletion>,
    }
    #[derive(serde::Deserialize)]
    struct WholeCompletion {
        finish_reason: Option<String>,
    }
    let whole: Result<Whole, _> = serde_json::from_slice(whole);
    whole.is_ok_and(|whole| {
        whole.choices.iter().all(|choice| choice.finish_reason.as_deref().is_some_and(|why| !why.is_empty()))
    })
}

fn object(text: &str) -> Result<Object<'_>, Unfolded> {
    serde_json::from_str(text).map_err(|_| Unfolded::Malformed)
}

fn extend(list: &mut Vec<Raw>, more: &str) -> Result<usize, Unfolded> {
    let more: Vec<Raw> = serde_json::from_str(more).map_err(|_| Unfolded::Unknown)?;
    let held = more.iter().map(|raw| raw.get().len() + size_of::<Raw>()).sum();
    list.extend(more);
    Ok(held)
}

fn write_list(name: &str, list: &[Raw], json: &mut Writer) {
    json.open_field(name, b'[');
    list.iter().for_each(|raw| json.raw(raw.get()));
    json.close(b']');
}
