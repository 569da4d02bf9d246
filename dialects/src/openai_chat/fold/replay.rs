//! A whole answer told as a stream: each thing that it says in one chunk.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{Object, ROOT, Writer, one_line};

/// The texts of an answer that come in pieces, in the order in which models say them.
pub(super) const TEXTS: [&str; 4] = ["reasoning_content", "reasoning", "content", "refusal"];
/// The fields of the whole that stand in every chunk, beside its id, time and model.
const IN_EVERY_CHUNK: [&str; 3] = ["service_tier", "system_fingerprint", "provider"];

/// Appends a stream that says what this whole answer says. `None`: a stream has no words for something in it.
pub(crate) fn replay(whole: &[u8], include_usage: bool, out: &mut Vec<u8>) -> Option<()> {
    let mut top = read(std::str::from_utf8(whole).ok()?)?;
    let choices: Vec<&RawValue> = serde_json::from_str(top.take("choices")?.get()).ok()?;
    let usage = top.take("usage");
    top.take("object");
    let mut head = Writer::with_capacity(256);
    head.open(b'{');
    for name in ["id", "object", "created", "model"].into_iter().chain(IN_EVERY_CHUNK) {
        match name {
            "object" => head.text_field(name, "chat.completion.chunk"),
            _ => top.take(name).into_iter().for_each(|raw| line(name, raw, &mut head)),
        }
    }
    let mut writer = ReplayWriter { head: head.into_bytes(), once: Some(top), include_usage, out };
    for (index, choice) in choices.into_iter().enumerate() {
        writer.choice(index, read(choice.get())?)?;
    }
    if let Some(usage) = usage.filter(|_| include_usage) {
        writer.write(|json| {
            json.open_field("choices", b'[');
            json.close(b']');
            line("usage", usage, json);
        });
    }
    writer.out.extend_from_slice(b"data: [DONE]\n\n");
    Some(())
}

/// An object each of whose names stands there once.
fn read(text: &str) -> Option<Object<'_>> {
    Object::read(text, &ROOT).ok()
}

/// A member, in one line.
fn line(name: &str, raw: &RawValue, json: &mut Writer) {
    json.key(name);
    json.raw(&one_line(raw));
}

struct ReplayWriter<'a, 'o> {
    /// Every chunk's beginning.
    head: Vec<u8>,
    /// Fields of the whole that stand in the first chunk only.
    once: Option<Object<'a>>,
    include_usage: bool,
    out: &'o mut Vec<u8>,
}

/// The fields of an answer in a chunk, beside its delta.
#[derive(Clone, Copy, Default)]
struct ChoiceHead<'a> {
    logprobs: Option<&'a RawValue>,
    finish_reason: Option<&'a RawValue>,
    more: Option<&'a Object<'a>>,
}

impl<'a> ReplayWriter<'a, '_> {
    fn choice(&mut self, place: usize, mut choice: Object<'a>) -> Option<()> {
        let mut message = read(choice.take("message")?.get())?;
        let index = choice.take("index").map_or_else(|| Cow::Owned(place.to_string()), |raw| Cow::Borrowed(raw.get()));
        let (finish_reason, mut logprobs) = (choice.take("finish_reason"), choice.take("logprobs"));
        message.take("role");
        if message.take("audio").is_some() {
            return None;
        }
        let texts = TEXTS.map(|name| (name, message.take(name)));
        let says = texts.iter().any(|(name, text)| *name == "content" && text.is_some());
        self.chunk(&index, ChoiceHead::default(), |json| {
            json.text_field("role", "assistant");
            if says { json.text_field("content", "") } else { json.value_field("content", "null") }
        });
        for (name, text) in texts {
            let Some(text) = text else { continue };
            // A list of pieces is another vendor's, and has no deltas.
            text.get().starts_with('"').then_some(())?;
            if text.get() != "\"\"" {
                let logprobs = if matches!(name, "content" | "refusal") { logprobs.take() } else { None };
                self.chunk(&index, ChoiceHead { logprobs, ..ChoiceHead::default() }, |json| json.raw_field(name, text));
            }
        }
        self.calls(&index, message.take("tool_calls"))?;
        for (name, raw) in message.members().filter(|(_, raw)| raw.get() != "null") {
            self.chunk(&index, ChoiceHead::default(), |json| line(name, raw, json));
        }
        self.chunk(&index, ChoiceHead { logprobs, finish_reason, more: Some(&choice) }, |_| {});
        Some(())
    }

    fn calls(&mut self, index: &str, calls: Option<&'a RawValue>) -> Option<()> {
        let calls: Vec<&RawValue> = calls.map_or(Some(Vec::new()), |list| serde_json::from_str(list.get()).ok())?;
        for (place, call) in calls.into_iter().enumerate() {
            let mut call = read(call.get())?;
            call.take("index");
            self.chunk(index, ChoiceHead::default(), |json| {
                json.open_field("tool_calls", b'[');
                json.open(b'{');
                json.value_field("index", place);
                call.members().for_each(|(name, raw)| line(name, raw, json));
                json.close(b'}');
                json.close(b']');
            });
        }
        Some(())
    }

    fn chunk(&mut self, index: &str, beside: ChoiceHead<'_>, delta: impl FnOnce(&mut Writer)) {
        let include_usage = self.include_usage;
        self.write(|json| {
            json.open_field("choices", b'[');
            json.open(b'{');
            json.key("index");
            json.raw(index);
            json.open_field("delta", b'{');
            delta(json);
            json.close(b'}');
            for (name, raw) in [("logprobs", beside.logprobs), ("finish_reason", beside.finish_reason)] {
                match raw {
                    Some(raw) => line(name, raw, json),
                    None => json.value_field(name, "null"),
                }
            }
            beside.more.into_iter().flat_map(Object::members).for_each(|(name, raw)| line(name, raw, json));
            json.close(b'}');
            json.close(b']');
            if include_usage {
                json.value_field("usage", "null");
            }
        });
    }

    fn write(&mut self, rest: impl FnOnce(&mut Writer)) {
        let mut json = Writer::onto(std::mem::take(self.out));
        json.open_written(b"data: ");
        json.open_written(&self.head);
        let once = self.once.take();
        once.iter().flat_map(Object::members).for_each(|(name, raw)| line(name, raw, &mut json));
        rest(&mut json);
        json.close(b'}');
        *self.out = json.into_bytes();
        self.out.extend_from_slice(b"\n\n");
    }
}
