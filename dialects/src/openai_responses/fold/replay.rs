//! A whole answer told as the stream it could have been, in the answer's own words.

use serde_json::value::RawValue;

use crate::json::{Object, ROOT, Writer, one_line, string};

/// Appends the events of a stream that says what this whole answer says; `None`: it is not whole.
pub(crate) fn replay(whole: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let whole: &RawValue = serde_json::from_slice(whole).ok()?;
    let mut object = read(whole)?;
    let status = object.take("status").and_then(string)?;
    matches!(&*status, "completed" | "incomplete").then_some(())?;
    let output: Vec<&RawValue> = serde_json::from_str(object.take("output")?.get()).ok()?;
    let _ = ["usage", "error", "incomplete_details", "completed_at"].map(|name| object.take(name));
    let mut teller = ResponsesTeller { number: 0, out };
    for name in ["response.created", "response.in_progress"] {
        teller.event(name, |json| {
            json.open_field("response", b'{');
            object.members().for_each(|(name, raw)| line(name, raw, json));
            json.text_field("status", "in_progress");
            for name in ["error", "incomplete_details", "usage"] {
                json.value_field(name, "null");
            }
            json.open_field("output", b'[');
            json.close(b']');
            json.close(b'}');
        });
    }
    for (place, raw) in output.into_iter().enumerate() {
        teller.item(place, raw)?;
    }
    teller.event(&format!("response.{status}"), |json| line("response", whole, json));
    Some(())
}

/// An object each of whose names stands there once.
fn read(raw: &RawValue) -> Option<Object<'_>> {
    Object::read(raw.get(), &ROOT).ok()
}

/// A member, in one line.
fn line(name: &str, raw: &RawValue, json: &mut Writer) {
    json.key(name);
    json.raw(&one_line(raw));
}

struct ResponsesTeller<'o> {
    number: u64,
    out: &'o mut Vec<u8>,
}

/// The item that an event is of.
#[derive(Clone, Copy)]
struct ItemPlace<'a> {
    id: &'a RawValue,
    place: usize,
}

impl ItemPlace<'_> {
    fn write(self, json: &mut Writer) {
        line("item_id", self.id, json);
        json.value_field("output_index", self.place);
    }
}

impl ResponsesTeller<'_> {
    fn item(&mut self, place: usize, raw: &RawValue) -> Option<()> {
        let kind = read(raw)?.take("type").and_then(string)?;
        self.event("response.output_item.added", |json| {
            json.open_field("item", b'{');
            for (name, value) in read(raw).iter().flat_map(Object::members) {
                match name {
                    "status" => json.text_field(name, "in_progress"),
                    "content" | "summary" if value.get().starts_with('[') => json.value_field(name, "[]"),
                    "arguments" | "input" if value.get().starts_with('"') => json.text_field(name, ""),
                    "encrypted_content" => json.value_field(name, "null"),
                    _ => line(name, value, json),
                }
            }
            json.close(b'}');
            json.value_field("output_index", place);
        });
        let mut item = read(raw)?;
        if let Some(id) = item.take("id") {
            let at = ItemPlace { id, place };
            match &*kind {
                "message" => self.pieces(at, item.take("content"))?,
                "reasoning" => self.thoughts(at, &mut item)?,
                "function_call" => self.call(at, "function_call_arguments", "arguments", &mut item)?,
                "custom_tool_call" => self.call(at, "custom_tool_call_input", "input", &mut item)?,
                // What a provider did itself is told with its end.
                _ => {}
            }
        }
        self.event("response.output_item.done", |json| {
            line("item", raw, json);
            json.value_field("output_index", place);
        });
        Some(())
    }

    fn pieces(&mut self, at: ItemPlace<'_>, content: Option<&RawValue>) -> Option<()> {
        let list: Vec<&RawValue> = serde_json::from_str(content?.get()).ok()?;
        for (index, raw) in list.into_iter().enumerate() {
            let mut piece = read(raw)?;
            let (name, field) = match &*piece.take("type").and_then(string)? {
                "output_text" => ("output_text", "text"),
                "refusal" => ("refusal", "refusal"),
                _ => return None,
            };
            let text = piece.take(field)?;
            let logprobs = piece.take("logprobs");
            let here = |json: &mut Writer| {
                at.write(json);
                json.value_field("content_index", index);
            };
            self.event("response.content_part.added", |json| {
                here(json);
                json.open_field("part", b'{');
                json.text_field("type", name);
                json.text_field(field, "");
                if name == "output_text" {
                    json.value_field("annotations", "[]");
                    json.value_field("logprobs", "[]");
                }
                json.close(b'}');
            });
            let with_logprobs = |json: &mut Writer| match logprobs {
                Some(raw) if name == "output_text" => line("logprobs", raw, json),
                None if name == "output_text" => json.value_field("logprobs", "[]"),
                _ => {}
            };
            if text.get() != "\"\"" {
                self.event(&format!("response.{name}.delta"), |json| {
                    here(json);
                    line("delta", text, json);
                    with_logprobs(json);
                });
            }
            self.annotations(at, index, piece.take("annotations"));
            self.event(&format!("response.{name}.done"), |json| {
                here(json);
                line(field, text, json);
                with_logprobs(json);
            });
            self.event("response.content_part.done", |json| {
                here(json);
                line("part", raw, json);
            });
        }
        Some(())
    }

    fn annotations(&mut self, at: ItemPlace<'_>, index: usize, list: Option<&RawValue>) {
        let list: Vec<&RawValue> = list.and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default();
        for (number, annotation) in list.into_iter().enumerate() {
            self.event("response.output_text.annotation.added", |json| {
                at.write(json);
                json.value_field("content_index", index);
                json.value_field("annotation_index", number);
                line("annotation", annotation, json);
            });
        }
    }

    fn thoughts(&mut self, at: ItemPlace<'_>, item: &mut Object<'_>) -> Option<()> {
        for (list, index_name, kind) in
            [("summary", "summary_index", "reasoning_summary"), ("content", "content_index", "reasoning")]
        {
            let list: Vec<&RawValue> =
                item.take(list).map_or(Some(Vec::new()), |raw| serde_json::from_str(raw.get()).ok())?;
            for (index, raw) in list.into_iter().enumerate() {
                let text = read(raw)?.take("text")?;
                let part = kind == "reasoning_summary";
                let here = |json: &mut Writer| {
                    at.write(json);
                    json.value_field(index_name, index);
                };
                if part {
                    self.event("response.reasoning_summary_part.added", |json| {
                        here(json);
                        json.open_field("part", b'{');
                        json.text_field("type", "summary_text");
                        json.text_field("text", "");
                        json.close(b'}');
                    });
                }
                for (end, field) in [("delta", "delta"), ("done", "text")] {
                    self.event(&format!("response.{kind}_text.{end}"), |json| {
                        here(json);
                        line(field, text, json);
                    });
                }
                if part {
                    self.event("response.reasoning_summary_part.done", |json| {
                        here(json);
                        line("part", raw, json);
                    });
                }
            }
        }
        Some(())
    }

    fn call(&mut self, at: ItemPlace<'_>, event: &str, field: &str, item: &mut Object<'_>) -> Option<()> {
        let (said, name) = (item.take(field)?, item.take("name"));
        self.event(&format!("response.{event}.delta"), |json| {
            at.write(json);
            line("delta", said, json);
        });
        self.event(&format!("response.{event}.done"), |json| {
            at.write(json);
            line(field, said, json);
            if let Some(name) = name.filter(|_| field == "arguments") {
                line("name", name, json);
            }
        });
        Some(())
    }

    fn event(&mut self, name: &str, rest: impl FnOnce(&mut Writer)) {
        let mut json = Writer::onto(std::mem::take(self.out));
        json.open_written(b"event: ");
        json.open_written(name.as_bytes());
        json.open_written(b"\ndata: ");
        json.open(b'{');
        json.text_field("type", name);
        json.value_field("sequence_number", self.number);
        rest(&mut json);
        json.close(b'}');
        *self.out = json.into_bytes();
        self.out.extend_from_slice(b"\n\n");
        self.number += 1;
    }
}
