//! A streamed answer folded into a whole one in the dialect's own words, and a whole one told as a stream.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::codec::Unfolded;
use crate::fold::FoldEvents;
use crate::hub::{Raw, Usage};
use crate::json::{Object, ROOT, Writer, one_line, string};
use crate::openai_chat::wire::write_usage;
use crate::sse::Frame;

/// The most answers one stream may hold; OpenAI's own limit of `n`.
const MOST_CHOICES: usize = 128;

/// Folds one stream.
#[derive(Debug, Default)]
pub(super) struct CompletionFold {
    /// Fields of the whole: the first word counts.
    head: Vec<(String, Raw)>,
    usage: Option<Raw>,
    texts: Vec<FoldedText>,
    ended: bool,
}

/// One of the answers.
#[derive(Debug, Default)]
struct FoldedText {
    text: String,
    /// Lists of one item for each token, by name.
    logprobs: Option<BTreeMap<String, Vec<Raw>>>,
    /// Fields beside the text; one that says two things can not be folded.
    beside: Vec<(String, Raw)>,
    finish: Option<Raw>,
}

impl FoldEvents for CompletionFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
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
        let text = std::str::from_utf8(data).map_err(|_| Unfolded::Malformed)?;
        let mut held = 0;
        for (name, raw) in object(text)?.members().filter(|(_, raw)| raw.get() != "null") {
            held += match name {
                "error" => return Err(Unfolded::Failed),
                "object" => 0,
                "choices" => {
                    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| Unfolded::Malformed)?;
                    list.into_iter().try_fold(0, |held, raw| Ok(held + self.choice(raw)?))?
                }
                "usage" => {
                    self.usage = Some(raw.to_owned());
                    0
                }
                _ if self.head.iter().any(|(known, _)| known == name) => 0,
                _ => {
                    self.head.push((name.to_owned(), raw.to_owned()));
                    name.len() + raw.get().len()
                }
            };
        }
        Ok(held)
    }

    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let Self { head, usage: said, texts, ended } = *self;
        if texts.is_empty() || !(ended || texts.iter().all(|text| text.finish.is_some())) {
            return Err(Unfolded::Cut);
        }
        let mut json = Writer::with_capacity(512);
        json.open(b'{');
        json.text_field("object", "text_completion");
        head.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.open_field("choices", b'[');
        (0..).zip(&texts).for_each(|(index, text)| text.write(index, &mut json));
        json.close(b']');
        match (said, usage) {
            (Some(raw), _) => json.raw_field("usage", &raw),
            (None, Some(usage)) => write_usage(usage, &mut json),
            (None, None) => {}
        }
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

impl CompletionFold {
    fn choice(&mut self, raw: &RawValue) -> Result<usize, Unfolded> {
        let members = object(raw.get())?;
        let index = members.members().find(|(name, _)| *name == "index");
        let index = index.map_or(Ok(0), |(_, raw)| raw.get().parse::<usize>()).map_err(|_| Unfolded::Malformed)?;
        if index >= MOST_CHOICES {
            return Err(Unfolded::Malformed);
        }
        while self.texts.len() <= index {
            self.texts.push(FoldedText::default());
        }
        let text = self.texts.get_mut(index).ok_or(Unfolded::Malformed)?;
        members.members().try_fold(0, |held, (name, raw)| Ok(held + text.take(name, raw)?))
    }
}

impl FoldedText {
    fn take(&mut self, name: &str, raw: &RawValue) -> Result<usize, Unfolded> {
        match (name, raw.get()) {
            ("index", _) | (_, "null") | ("finish_reason", "\"\"") => Ok(0),
            ("text", _) => {
                let more = string(raw).ok_or(Unfolded::Unknown)?;
                self.text.push_str(&more);
                Ok(more.len())
            }
            ("finish_reason", _) => {
                self.finish = Some(raw.to_owned());
                Ok(raw.get().len())
            }
            ("logprobs", lists) => self.logprobs(&object(lists)?),
            _ => match self.beside.iter().find(|(known, _)| known == name) {
                Some((_, said)) if said.get() != raw.get() => Err(Unfolded::Unknown),
                Some(_) => Ok(0),
                None => {
                    self.beside.push((name.to_owned(), raw.to_owned()));
                    Ok(name.len() + raw.get().len())
                }
            },
        }
    }

    fn logprobs(&mut self, lists: &Object<'_>) -> Result<usize, Unfolded> {
        let known = self.logprobs.get_or_insert_default();
        lists.members().filter(|(_, raw)| raw.get() != "null").try_fold(0, |held, (name, raw)| {
            let more: Vec<Raw> = serde_json::from_str(raw.get()).map_err(|_| Unfolded::Unknown)?;
            let cost: usize = more.iter().map(|raw| raw.get().len() + size_of::<Raw>()).sum();
            known.entry(name.to_owned()).or_default().extend(more);
            Ok(held + cost)
        })
    }

    fn write(&self, index: usize, json: &mut Writer) {
        let Self { text, logprobs, beside, finish } = self;
        json.open(b'{');
        json.text_field("text", text);
        json.value_field("index", index);
        match logprobs {
            None => json.value_field("logprobs", "null"),
            Some(lists) => {
                json.open_field("logprobs", b'{');
                for (name, list) in lists {
                    json.open_field(name, b'[');
                    list.iter().for_each(|raw| json.raw(raw.get()));
                    json.close(b']');
                }
                json.close(b'}');
            }
        }
        match finish {
            Some(word) => json.raw_field("finish_reason", word),
            None => json.value_field("finish_reason", "null"),
        }
        beside.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.close(b'}');
    }
}

fn object(text: &str) -> Result<Object<'_>, Unfolded> {
    serde_json::from_str(text).map_err(|_| Unfolded::Malformed)
}

/// Appends a stream that says what this whole answer says: each of its answers in one chunk. `None`: it is no answer.
pub(super) fn replay(whole: &[u8], include_usage: bool, out: &mut Vec<u8>) -> Option<()> {
    let mut top = Object::read(std::str::from_utf8(whole).ok()?, &ROOT).ok()?;
    let choices: Vec<&RawValue> = serde_json::from_str(top.take("choices")?.get()).ok()?;
    let usage = top.take("usage");
    let mut head = Writer::with_capacity(256);
    head.open(b'{');
    top.members().for_each(|(name, raw)| line(name, raw, &mut head));
    let head = head.into_bytes();
    for choice in choices {
        event(&head, out, |json| {
            json.open_field("choices", b'[');
            json.raw(&one_line(choice));
            json.close(b']');
            if include_usage {
                json.value_field("usage", "null");
            }
        });
    }
    if let Some(usage) = usage.filter(|_| include_usage) {
        event(&head, out, |json| {
            json.open_field("choices", b'[');
            json.close(b']');
            line("usage", usage, json);
        });
    }
    out.extend_from_slice(b"data: [DONE]\n\n");
    Some(())
}

/// A member, in one line.
fn line(name: &str, raw: &RawValue, json: &mut Writer) {
    json.key(name);
    json.raw(&one_line(raw));
}

fn event(head: &[u8], out: &mut Vec<u8>, rest: impl FnOnce(&mut Writer)) {
    let mut json = Writer::onto(std::mem::take(out));
    json.open_written(b"data: ");
    json.open_written(head);
    rest(&mut json);
    json.close(b'}');
    *out = json.into_bytes();
    out.extend_from_slice(b"\n\n");
}
