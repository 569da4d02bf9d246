//! The verbatim lane: a look at the few top-level fields routing needs, and edits by byte span.
//!
//! No tree is built and nothing is copied: one pass skips over everything else, and the body passes on as it came but
//! for the edited spans, so number forms, key order and unknown fields survive.

mod fields;
mod marks;
mod splice;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::json::count;
use crate::scan;
use crate::seam::Refusal;

pub use fields::{Governed, govern};
pub use marks::unmark;
use splice::EditKind;
pub use splice::{Edit, splice};

/// A top-level field that the lane looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `model`, both dialects.
    Model,
    /// `stream`, both dialects.
    Stream,
    /// `max_tokens`, both dialects.
    MaxTokens,
    /// `max_completion_tokens`, OpenAI.
    MaxCompletionTokens,
    /// `temperature`, both dialects.
    Temperature,
    /// `stream_options`, OpenAI.
    StreamOptions,
    /// `user`, OpenAI.
    User,
    /// `metadata`: in Anthropic it holds `user_id`.
    Metadata,
}

const FIELDS: usize = 8;

impl Field {
    /// The field's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::Temperature => "temperature",
            Self::StreamOptions => "stream_options",
            Self::User => "user",
            Self::Metadata => "metadata",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"temperature" => Self::Temperature,
            b"stream_options" => Self::StreamOptions,
            b"user" => Self::User,
            b"metadata" => Self::Metadata,
            _ => return None,
        })
    }
}

/// What routing needs of a body, and where it stands there. Spans are byte offsets in the body peeked at.
#[derive(Debug)]
pub struct Peek<'a> {
    /// The model asked for; not empty.
    pub model: Cow<'a, str>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most tokens to answer with, by `max_completion_tokens` or else `max_tokens`.
    pub max_tokens: Option<u64>,
    /// The temperature, as the number was written.
    pub temperature: Option<&'a str>,
    /// Whether `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// The end user: `user` (OpenAI) or `metadata.user_id` (Anthropic).
    pub user: Option<Cow<'a, str>>,
    raws: Raws<'a>,
}

impl Peek<'_> {
    /// Where the field's value stands, when it is there (`null` included).
    #[must_use]
    pub fn span(&self, field: Field) -> Option<Range<usize>> {
        self.raws.span(field)
    }

    /// Writes another model name.
    #[must_use]
    pub fn set_model(&self, model: &str) -> Edit {
        // A string always serialises.
        self.set(Field::Model, serde_json::to_vec(model).unwrap_or_default())
    }

    /// Sets a field to this JSON text, replacing its value or else adding it as the first member.
    #[must_use]
    pub fn set(&self, field: Field, json: Vec<u8>) -> Edit {
        match self.span(field) {
            Some(span) => Edit { span, kind: EditKind::Write(json) },
            None => self.add(field.name(), &json),
        }
    }

    /// Adds a top-level field that is known not to be there. `name` must need no escaping.
    #[must_use]
    pub fn add(&self, name: &str, json: &[u8]) -> Edit {
        let mut text = Vec::with_capacity(name.len() + json.len() + 4);
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\":");
        text.extend_from_slice(json);
        // A body that was peeked at holds at least `model`.
        text.push(b',');
        Edit { span: self.raws.open..self.raws.open, kind: EditKind::Write(text) }
    }

    /// Takes a field away, when it is there.
    #[must_use]
    pub fn remove(&self, field: Field) -> Option<Edit> {
        let value = self.span(field)?;
        let before = self.raws.body.get(..value.start)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
        // The name's own text holds no quote (escaped or not), or it would not be this field's name.
        let start = memchr::memrchr(b'"', before.strip_suffix(b"\"")?)?;
        Some(Edit { span: start..value.end, kind: EditKind::RemoveMember })
    }

    /// Asks for the usage chunk at a stream's end; `None` when the caller asked for it already.
    #[must_use]
    pub fn ask_for_usage(&self) -> Option<Edit> {
        const ASKED: &[u8] = b"\"include_usage\":true";
        if self.include_usage {
            return None;
        }
        let Some(raw) = self.raws.get(Field::StreamOptions).filter(|raw| raw.starts_with('{')) else {
            return Some(self.set(Field::StreamOptions, [b"{", ASKED, b"}"].concat()));
        };
        let at = self.raws.offset(raw);
        if let Ok(StreamOptions { include_usage: Some(usage) }) = serde_json::from_str::<StreamOptions<'_>>(raw) {
            let start = self.raws.offset(usage.get());
            return Some(Edit { span: start..start + usage.get().len(), kind: EditKind::Write(b"true".to_vec()) });
        }
        let empty = raw.get(1..).is_some_and(|rest| rest.trim_start().starts_with('}'));
        let text = if empty { ASKED.to_vec() } else { [ASKED, b","].concat() };
        Some(Edit { span: at + 1..at + 1, kind: EditKind::Write(text) })
    }
}

/// Looks at a body. Errors: it is not UTF-8 or not a JSON object, `model` is missing, a field looked at has the wrong
/// type or stands there twice (a provider might take the other one).
pub fn peek(dialect: Dialect, body: &[u8]) -> Result<Peek<'_>, Refusal> {
    // The scan does not check the inside of strings. Most bodies are ASCII, which is told faster than UTF-8.
    if !body.is_ascii()
        && let Err(error) = std::str::from_utf8(body)
    {
        return Err(Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to())));
    }
    let mut raws = Raws { body, open: 0, values: [None; FIELDS] };
    let mut twice = None;
    let scanned = scan::members(body, |name, value| {
        let Some(field) = field_of(name) else { return };
        let text = body.get(value).and_then(|value| std::str::from_utf8(value).ok());
        if let Some(slot) = raws.values.get_mut(field as usize)
            && std::mem::replace(slot, text).is_some()
        {
            twice = Some(field);
        }
    });
    if let Some(field) = twice {
        return Err(Refusal::field(Field::name(field), "the field stands in the body twice"));
    }
    raws.open = scanned.map_err(|_| not_an_object(body))?;
    raws.read(dialect)
}

/// What is wrong with a body that is no JSON object, in the words of a parser that says where.
fn not_an_object(body: &[u8]) -> Refusal {
    let said = serde_json::from_slice::<serde::de::IgnoredAny>(body).err().map(|error| error.to_string());
    Refusal::body(format!(
        "the body is not a JSON object: {}",
        said.unwrap_or_else(|| "it is another value".to_owned())
    ))
}

#[derive(Debug)]
struct Raws<'a> {
    body: &'a [u8],
    /// Just behind the opening brace.
    open: usize,
    values: [Option<&'a str>; FIELDS],
}

impl<'a> Raws<'a> {
    fn get(&self, field: Field) -> Option<&'a str> {
        self.values.get(field as usize).copied().flatten()
    }

    /// Where a value stands; it was borrowed out of `body`.
    fn offset(&self, raw: &str) -> usize {
        (raw.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize)
    }

    fn span(&self, field: Field) -> Option<Range<usize>> {
        let raw = self.get(field)?;
        let start = self.offset(raw);
        Some(start..start + raw.len())
    }

    fn value(&self, field: Field) -> Option<&'a str> {
        self.get(field).filter(|text| *text != "null")
    }

    fn read(self, dialect: Dialect) -> Result<Peek<'a>, Refusal> {
        let openai = dialect == Dialect::OpenAiChat;
        let model = match self.value(Field::Model) {
            Some(text) => string(text).ok_or_else(|| wrong(Field::Model, "a string"))?,
            None => return Err(Refusal::field("model", "the field is required")),
        };
        if model.is_empty() {
            return Err(Refusal::field("model", "must not be empty"));
        }
        let stream = match self.value(Field::Stream) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong(Field::Stream, "true or false")),
        };
        let mut max_tokens = self.integer(Field::MaxTokens)?;
        if openai && let Some(most) = self.integer(Field::MaxCompletionTokens)? {
            max_tokens = Some(most);
        }
        let temperature = self.value(Field::Temperature);
        if temperature.is_some_and(|text| !text.starts_with(|first: char| first == '-' || first.is_ascii_digit())) {
            return Err(wrong(Field::Temperature, "a number"));
        }
        let (include_usage, user) =
            if openai { (self.include_usage()?, self.user()?) } else { (false, self.user_of_metadata()) };
        Ok(Peek { model, stream, max_tokens, temperature, include_usage, user, raws: self })
    }

    fn integer(&self, field: Field) -> Result<Option<u64>, Refusal> {
        let wrong = || wrong(field, "a whole number that is not negative");
        let parse = |text: &str| count(text).ok_or_else(wrong);
        self.value(field).map(parse).transpose()
    }

    fn include_usage(&self) -> Result<bool, Refusal> {
        let Some(text) = self.value(Field::StreamOptions) else { return Ok(false) };
        // serde takes a list for a struct too.
        let options = text.strip_prefix('{').and_then(|_| serde_json::from_str::<StreamOptions<'_>>(text).ok());
        let options = options.ok_or_else(|| wrong(Field::StreamOptions, "an object"))?;
        match options.include_usage.map(RawValue::get) {
            None | Some("null" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::field("stream_options.include_usage", "must be true or false")),
        }
    }

    fn user(&self) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(text) = self.value(Field::User) else { return Ok(None) };
        string(text).map(Some).ok_or_else(|| wrong(Field::User, "a string"))
    }

    /// A metadata that is not as documented is the provider's to judge.
    fn user_of_metadata(&self) -> Option<Cow<'a, str>> {
        let object = self.value(Field::Metadata).filter(|text| text.starts_with('{'))?;
        let metadata: Metadata<'a> = serde_json::from_str(object).ok()?;
        metadata.user_id.and_then(|raw| string(raw.get()))
    }
}

#[derive(serde::Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// A value that stands there, `null` included, which an `Option` alone takes for absent.
fn present<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<&'de RawValue>, D::Error> {
    serde::Deserialize::deserialize(reader).map(Some)
}

#[derive(serde::Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
}

fn wrong(field: Field, what: &str) -> Refusal {
    Refusal::field(field.name(), format_args!("must be {what}"))
}

/// The text of a JSON string, borrowed when nothing in it is escaped. `json` is a whole JSON value.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    match serde_json::from_str::<&str>(json) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// The field by its name as it is written between its quotes.
fn field_of(name: &[u8]) -> Option<Field> {
    let field = Field::of(name);
    if field.is_some() || !name.contains(&b'\\') {
        return field;
    }
    let text = serde_json::from_slice::<String>(&[b"\"", name, b"\""].concat()).ok()?;
    Field::of(text.as_bytes())
}

#[cfg(test)]
mod tests;
