//! The verbatim lane: a look at the few top-level fields routing needs, and edits by byte span.
//!
//! No tree is built and nothing is copied: one pass skips over everything else, and the body passes on as it came but
//! for the edited spans, so number forms, key order and unknown fields survive.

mod another_model;
mod arguments;
mod breakpoints;
mod call_ids;
mod envelope;
mod fields;
mod forced_tool;
mod format;
mod host_betas;
mod host_fields;
mod labels;
mod largest;
mod late_instructions;
mod marks;
mod message_fields;
mod nested;
mod splice;
mod thoughts_back;
mod tool_schemas;
mod top_names;
mod unpack;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::json::count;
use crate::mark::{MarkWatch, SeenMarks};
use crate::scan;

pub(crate) use another_model::adaptive;
pub use another_model::fit_model;
pub use arguments::fit_arguments;
pub use breakpoints::{CachePlan, CacheWords, place_breakpoints};
pub use call_ids::fit_call_ids;
pub use envelope::{Envelope, Enveloped, betas, refuse_threads, rewrap};
pub(crate) use fields::names;
pub use fields::{Governed, govern};
pub use forced_tool::let_force;
pub use format::fit_format;
pub use host_betas::BetaFate;
pub use host_fields::{AtHost, fit_host};
pub use labels::{LabelPlace, REQUEST_METADATA_HEADER, VendorLabels};
pub use late_instructions::say_late_instructions;
pub use marks::unmark;
pub use message_fields::fit_messages;
pub use nested::NestedSetting;
use splice::EditKind;
pub use splice::{Edit, splice};
pub use thoughts_back::{fill_thoughts, sign_calls};
pub use tool_schemas::fit_schemas;
pub(crate) use tool_schemas::with_portable_patterns;
use top_names::TopNames;
pub use unpack::unpack;

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
    /// `max_output_tokens`, OpenAI Responses.
    MaxOutputTokens,
    /// `temperature`, both dialects.
    Temperature,
    /// `stream_options`, OpenAI.
    StreamOptions,
    /// `user`, OpenAI.
    User,
    /// `metadata`: in Anthropic it holds `user_id`.
    Metadata,
    /// `generationConfig`: in Gemini it holds `maxOutputTokens`.
    GenerationConfig,
    /// `inferenceConfig`: in Converse it holds `maxTokens`.
    InferenceConfig,
    /// `previous_response_id`, OpenAI Responses.
    PreviousResponseId,
    /// `store`, OpenAI.
    Store,
    /// `conversation`, OpenAI Responses.
    Conversation,
}

const FIELDS: usize = Field::Conversation as usize + 1;

impl Field {
    /// The field's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::Temperature => "temperature",
            Self::StreamOptions => "stream_options",
            Self::User => "user",
            Self::Metadata => "metadata",
            Self::GenerationConfig => "generationConfig",
            Self::InferenceConfig => "inferenceConfig",
            Self::PreviousResponseId => "previous_response_id",
            Self::Store => "store",
            Self::Conversation => "conversation",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"stream" => Self::Stream,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"max_output_tokens" => Self::MaxOutputTokens,
            b"temperature" => Self::Temperature,
            b"stream_options" => Self::StreamOptions,
            b"user" => Self::User,
            b"metadata" => Self::Metadata,
            b"generationConfig" | b"generation_config" => Self::GenerationConfig,
            b"inferenceConfig" => Self::InferenceConfig,
            b"previous_response_id" => Self::PreviousResponseId,
            b"store" => Self::Store,
            b"conversation" => Self::Conversation,
            _ => return None,
        })
    }
}

/// The fields of a body that routing needs, and their places in it. It borrows nothing: its spans are byte offsets in
/// the body peeked at, which whoever holds both gives again.
#[derive(Debug)]
pub struct Peek {
    /// The model asked for; not empty.
    pub model: PeekedText,
    /// True if the answer is to be streamed.
    pub stream: bool,
    /// The most tokens to answer with; where the body says two limits, the larger: nobody knows which one its server obeys.
    pub max_tokens: Option<u64>,
    /// The place of the temperature, as the number was written.
    pub temperature: Option<Range<usize>>,
    /// True if `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// The end user: `user` (OpenAI) or `metadata.user_id` (Anthropic).
    pub user: Option<PeekedText>,
    /// The marks that were seen in it, for whoever takes out of it what a provider does not take.
    pub marks: SeenMarks,
    /// Just behind the opening brace.
    open: usize,
    spans: [Option<Range<usize>>; FIELDS],
}

/// A text of a body: where it stands there, or a copy where it was written with escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeekedText {
    /// Between its quotes.
    At(Range<usize>),
    /// Without its escapes.
    Unescaped(String),
}

impl PeekedText {
    /// The text, out of the body that was peeked at.
    #[must_use]
    pub fn of<'a>(&'a self, body: &'a [u8]) -> &'a str {
        match self {
            Self::At(span) => text_at(body, span),
            Self::Unescaped(text) => text,
        }
    }
}

/// The fields of a dialect's own.
#[derive(Debug, Default)]
pub(crate) struct Peeked {
    pub(crate) max_tokens: Option<u64>,
    pub(crate) include_usage: bool,
    pub(crate) user: Option<PeekedText>,
}

impl Peek {
    /// Of a form: the model that is asked for, whether the answer is streamed, where the first part begins, and where the model stands.
    pub(crate) fn of_form((model, stream): (&str, bool), open: usize, named: Option<Range<usize>>) -> Self {
        let mut spans = [const { None }; FIELDS];
        if let Some(span) = spans.get_mut(Field::Model as usize) {
            *span = named;
        }
        let model = PeekedText::Unescaped(model.to_owned());
        let (max_tokens, temperature, include_usage, user) = (None, None, false, None);
        let marks = SeenMarks::default();
        Self { model, stream, max_tokens, temperature, include_usage, user, marks, open, spans }
    }

    /// The place in front of all that a body holds.
    pub(crate) const fn opening(&self) -> usize {
        self.open
    }

    /// The place of the field's value, when it is there (`null` included).
    #[must_use]
    pub fn span(&self, field: Field) -> Option<Range<usize>> {
        self.spans.get(field as usize).cloned().flatten()
    }

    /// The text that a field is; `None`: it is not there, or `null`.
    ///
    /// # Errors
    /// It is something else.
    pub fn text<'a>(&self, body: &'a [u8], field: Field) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(span) = self.span(field) else { return Ok(None) };
        match text_at(body, &span) {
            "null" => Ok(None),
            json => string(json).map(Some).ok_or_else(|| wrong(field, "a string")),
        }
    }

    /// The JSON that a field is; `None`: it is not there, or `null`.
    #[must_use]
    pub fn json<'a>(&self, body: &'a [u8], field: Field) -> Option<&'a str> {
        self.span(field).map(|span| text_at(body, &span)).filter(|json| *json != "null")
    }

    /// True if a field is a number above this one.
    #[must_use]
    pub fn is_above(&self, body: &[u8], field: Field, most: u64) -> bool {
        self.span(field).and_then(|span| count(text_at(body, &span))).is_some_and(|said| said > most)
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
        Edit { span: self.open..self.open, kind: EditKind::Write(text) }
    }

    /// Puts settings into an object that is a field of the body, which is made where it is missing; `None`: all of them stand
    /// there already, or what stands in its place is no object.
    #[must_use]
    pub fn put_within(&self, body: &[u8], field: Field, settings: &[NestedSetting]) -> Option<Edit> {
        let span = self.span(field).filter(|span| text_at(body, span) != "null");
        let given = span.as_ref().map_or("{}", |span| text_at(body, span));
        nested::put(given, settings).map(|text| self.set(field, text))
    }

    /// Takes a field away, when it is there.
    #[must_use]
    pub fn remove(&self, body: &[u8], field: Field) -> Option<Edit> {
        let value = self.span(field)?;
        let before = body.get(..value.start)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
        // The name's own text holds no quote (escaped or not), or it would not be this field's name.
        let start = memchr::memrchr(b'"', before.strip_suffix(b"\"")?)?;
        Some(Edit { span: start..value.end, kind: EditKind::RemoveMember })
    }

    /// Asks for the usage chunk at a stream's end; `None` when the caller asked for it already.
    #[must_use]
    pub fn ask_for_usage(&self, body: &[u8]) -> Option<Edit> {
        const ASKED: &[u8] = b"\"include_usage\":true";
        if self.include_usage {
            return None;
        }
        let span = self.span(Field::StreamOptions).filter(|span| text_at(body, span).starts_with('{'));
        let Some(span) = span else {
            return Some(self.set(Field::StreamOptions, [b"{", ASKED, b"}"].concat()));
        };
        let raw = text_at(body, &span);
        if let Ok(PeekedOptions { include_usage: Some(usage) }) = serde_json::from_str::<PeekedOptions<'_>>(raw) {
            let span = span_in(body, usage.get());
            return Some(Edit { span, kind: EditKind::Write(b"true".to_vec()) });
        }
        let empty = raw.get(1..).is_some_and(|rest| rest.trim_start().starts_with('}'));
        let text = if empty { ASKED.to_vec() } else { [ASKED, b","].concat() };
        Some(Edit { span: span.start + 1..span.start + 1, kind: EditKind::Write(text) })
    }
}

/// The facts that a call's path says, so that its body need not.
#[derive(Debug, Clone, Copy, Default)]
pub struct PathSays<'a> {
    /// The model.
    pub model: Option<&'a str>,
    /// True if the answer is a stream.
    pub stream: Option<bool>,
}

/// Looks at a body; `own` reads what only the dialect has. Errors: it is not UTF-8 or not a JSON object, `model` is
/// missing, a field looked at has the wrong type or stands there twice (a provider might take the other one).
pub(crate) fn peek(
    body: &[u8],
    path: PathSays<'_>,
    own: fn(&Look<'_>) -> Result<Peeked, Refusal>,
) -> Result<Peek, Refusal> {
    let mut look = Look { body, spans: [const { None }; FIELDS] };
    let mut top_names = TopNames::of(body);
    let mut watch = MarkWatch::default();
    let mut tops = MarkWatch::default();
    let show = |name: &[u8], value| {
        top_names.see(name);
        let Some(field) = field_of(name) else {
            top_names.see_unknown(name, |small| Field::of(small).is_some());
            return tops.top(name);
        };
        if let Some(slot) = look.spans.get_mut(field as usize) {
            *slot = Some(value);
        }
    };
    let scanned = scan::watched(body, show, &mut watch);
    let mut marks = watch.seen;
    marks.models |= tops.seen.models;
    marks.thinks = tops.seen.thinks;
    marks.acts |= tops.seen.acts || look.value(Field::Conversation).is_some();
    marks.answers = tops.seen.answers || look.value(Field::GenerationConfig).is_some();
    // The scan does not check the inside of strings. Most bodies are ASCII, which it tells.
    if (scanned.is_err() || !marks.is_ascii())
        && let Err(error) = std::str::from_utf8(body)
    {
        return Err(Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to())));
    }
    top_names.judged()?;
    let open = scanned.map_err(|_| not_an_object(body))?;
    if path.model.is_some() && body.get(open..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"}")) {
        return Err(Refusal::body("the body is an empty object"));
    }
    let model = match path.model {
        Some(model) => PeekedText::Unescaped(model.to_owned()),
        None => look.model()?,
    };
    let stream = path.stream.map_or_else(|| look.stream(), Ok)?;
    let temperature = look.value(Field::Temperature);
    if temperature.is_some_and(|text| !text.starts_with(|first: char| first == '-' || first.is_ascii_digit())) {
        return Err(wrong(Field::Temperature, "a number"));
    }
    let temperature = temperature.map(|text| span_in(body, text));
    let Peeked { max_tokens, include_usage, user } = own(&look)?;
    Ok(Peek { model, stream, max_tokens, temperature, include_usage, user, marks, open, spans: look.spans })
}

/// The refusal of a body that is no JSON object, in the words of a parser that says where.
fn not_an_object(body: &[u8]) -> Refusal {
    let said = serde_json::from_slice::<serde::de::IgnoredAny>(body).err().map(|error| error.to_string());
    Refusal::body(format!(
        "the body is not a JSON object: {}",
        said.unwrap_or_else(|| "it is another value".to_owned())
    ))
}

/// A body that is looked at, with the places of its fields.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    body: &'a [u8],
    spans: [Option<Range<usize>>; FIELDS],
}

impl<'a> Look<'a> {
    /// True if the body has a top-level field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        names(self.body).iter().any(|(known, ..)| known == name)
    }

    fn model(&self) -> Result<PeekedText, Refusal> {
        let model = match self.value(Field::Model) {
            Some(text) => self.string(text).ok_or_else(|| wrong(Field::Model, "a string"))?,
            None => return Err(Refusal::field("model", "the field is required")),
        };
        if model.of(self.body).is_empty() {
            return Err(Refusal::field("model", "must not be empty"));
        }
        Ok(model)
    }

    fn stream(&self) -> Result<bool, Refusal> {
        match self.value(Field::Stream) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(Field::Stream, "true or false")),
        }
    }

    /// A field's JSON; `None` where it is `null`, too.
    pub(crate) fn value(&self, field: Field) -> Option<&'a str> {
        let span = self.spans.get(field as usize)?.as_ref()?;
        Some(text_at(self.body, span)).filter(|text| *text != "null")
    }

    /// A count. Errors: it is none.
    pub(crate) fn integer(&self, field: Field) -> Result<Option<u64>, Refusal> {
        let wrong = || wrong(field, "a whole number that is not negative");
        let parse = |text: &str| count(text).ok_or_else(wrong);
        self.value(field).map(parse).transpose()
    }

    /// The largest count that stands under one of these names in a field that is an object.
    pub(crate) fn largest(&self, field: Field, names: &[&str]) -> Option<u64> {
        largest::largest(self.value(field)?, names)
    }

    /// A text. Errors: it is none.
    pub(crate) fn text(&self, field: Field) -> Result<Option<PeekedText>, Refusal> {
        let Some(json) = self.value(field) else { return Ok(None) };
        self.string(json).map(Some).ok_or_else(|| wrong(field, "a string"))
    }

    /// The text of a JSON string, which is a whole value in the body.
    pub(crate) fn string(&self, json: &'a str) -> Option<PeekedText> {
        Some(match string(json)? {
            Cow::Borrowed(text) => PeekedText::At(span_in(self.body, text)),
            Cow::Owned(text) => PeekedText::Unescaped(text),
        })
    }

    /// True if `stream_options` asks for usage. Errors: it is not what it has to be.
    pub(crate) fn include_usage(&self) -> Result<bool, Refusal> {
        let Some(text) = self.value(Field::StreamOptions) else { return Ok(false) };
        // serde takes a list for a struct too.
        let options = text.strip_prefix('{').and_then(|_| serde_json::from_str::<PeekedOptions<'_>>(text).ok());
        let options = options.ok_or_else(|| wrong(Field::StreamOptions, "an object"))?;
        match options.include_usage.map(RawValue::get) {
            None | Some("null" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::field("stream_options.include_usage", "must be true or false")),
        }
    }
}

/// A span of a body that is known to be UTF-8.
fn text_at<'a>(body: &'a [u8], span: &Range<usize>) -> &'a str {
    body.get(span.clone()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// The place of a text that was borrowed out of a body.
fn span_in(body: &[u8], text: &str) -> Range<usize> {
    let start = (text.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    start..start + text.len()
}

#[derive(serde::Deserialize)]
struct PeekedOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// A value that stands there, `null` included, which an `Option` alone takes for absent.
fn present<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<&'de RawValue>, D::Error> {
    serde::Deserialize::deserialize(reader).map(Some)
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
