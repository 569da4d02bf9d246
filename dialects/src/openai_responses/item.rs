//! Items of an answer, as they are written whole: messages, thoughts, calls of tools.

use serde_json::value::RawValue;

use super::echo::{Echo, Form, Shape};
use super::wire;
use crate::call_id::{LONGEST_IN_ITEMS, short};
use crate::free_text::unwrapped;
use crate::hub::{Raw, Stop, Usage};
use crate::json::{Writer, one_line};

/// An item of an answer.
#[derive(Debug)]
pub(super) enum Item {
    /// Texts and refusals of the model.
    Message { id: String, pieces: Vec<MessagePiece> },
    /// Its thoughts, and what has to come back of it.
    Reasoning { id: String, text: String, encrypted: String },
    /// A tool that it calls.
    Call { id: String, call: Called },
    /// An item of the dialect's own, raw.
    Raw(Raw),
}

/// A piece of a message.
#[derive(Debug)]
pub(super) enum MessagePiece {
    Text { text: String, annotations: Vec<Raw>, logprobs: Vec<Raw> },
    Refusal(String),
}

/// A call of a tool, in the form in which the tool was given.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) call_id: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// The kind of the call.
    pub(super) form: Form,
    /// True if OpenAI would have encrypted some of its arguments: the client takes them for that unless it is told.
    is_encrypted: bool,
    /// The function's arguments, the free text, or what a tool of the client's is to do.
    pub(super) said: String,
}

impl Called {
    /// A call of the tool that is known by `name` with the provider. Nothing is said yet.
    pub(super) fn new(echo: &Echo, call_id: &str, name: &str) -> Self {
        let Shape { form, name, namespace, is_encrypted } = echo.shape(name).cloned().unwrap_or_else(|| Shape {
            form: Form::Function,
            name: name.to_owned(),
            namespace: None,
            is_encrypted: false,
        });
        let said = match form {
            Form::Client(tool) => tool.said(""),
            Form::Function | Form::FreeText => String::new(),
        };
        Self { call_id: short(call_id, LONGEST_IN_ITEMS).into_owned(), name, namespace, form, is_encrypted, said }
    }

    /// Takes the arguments whole.
    pub(super) fn say(&mut self, arguments: &str) {
        self.said = match self.form {
            Form::Function => or_empty_object(arguments).to_owned(),
            Form::FreeText => unwrapped(arguments),
            Form::Client(tool) => tool.said(arguments),
        };
    }

    /// The beginning of its item's id.
    pub(super) fn id_kind(&self) -> &'static str {
        match self.form {
            Form::Function => "fc",
            Form::FreeText => "ctc",
            Form::Client(tool) => tool.id_kind(),
        }
    }
}

/// A function without parameters may be called with nothing; clients read JSON.
pub(super) fn or_empty_object(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

impl MessagePiece {
    pub(super) fn text(text: String) -> Self {
        Self::Text { text, annotations: Vec::new(), logprobs: Vec::new() }
    }

    /// Writes it whole.
    pub(super) fn write(&self, json: &mut Writer) {
        json.open(b'{');
        match self {
            Self::Text { text, annotations, logprobs } => {
                json.text_field("type", "output_text");
                raws("annotations", annotations, json);
                raws("logprobs", logprobs, json);
                json.text_field("text", text);
            }
            Self::Refusal(text) => {
                json.text_field("type", "refusal");
                json.text_field("refusal", text);
            }
        }
        json.close(b'}');
    }

    /// Writes it as it begins.
    pub(super) fn write_empty(&self, json: &mut Writer) {
        match self {
            Self::Text { .. } => Self::text(String::new()).write(json),
            Self::Refusal(_) => Self::Refusal(String::new()).write(json),
        }
    }
}

fn raws(name: &str, list: &[Raw], json: &mut Writer) {
    json.open_field(name, b'[');
    list.iter().for_each(|raw| json.raw(&one_line(raw)));
    json.close(b']');
}

impl Item {
    /// Its id; a raw one has its own.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. } | Self::Reasoning { id, .. } | Self::Call { id, .. } => id,
            Self::Raw(_) => "",
        }
    }

    /// Writes it whole.
    pub(super) fn write(&self, status: &str, json: &mut Writer) {
        match self {
            Self::Message { id, pieces } => write_message(id, status, pieces, json),
            Self::Reasoning { id, text, encrypted } => {
                write_reasoning(id, Some(text).filter(|text| !text.is_empty()), encrypted, json);
            }
            Self::Call { id, call } => write_call(id, status, call, &call.said, json),
            Self::Raw(raw) => json.raw(&one_line(raw)),
        }
    }

    /// Writes it as it begins.
    pub(super) fn write_begun(&self, json: &mut Writer) {
        match self {
            Self::Message { id, pieces: _ } => write_message(id, "in_progress", &[], json),
            Self::Reasoning { id, .. } => write_reasoning(id, None, "", json),
            Self::Call { id, call } => write_call(id, "in_progress", call, "", json),
            Self::Raw(raw) => json.raw(&one_line(raw)),
        }
    }
}

fn write_message(id: &str, status: &str, pieces: &[MessagePiece], json: &mut Writer) {
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("type", "message");
    json.text_field("status", status);
    json.open_field("content", b'[');
    pieces.iter().for_each(|piece| piece.write(json));
    json.close(b']');
    json.text_field("role", "assistant");
    json.close(b'}');
}

fn write_reasoning(id: &str, text: Option<&String>, encrypted: &str, json: &mut Writer) {
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("type", "reasoning");
    json.open_field("summary", b'[');
    if let Some(text) = text {
        write_summary(text, json);
    }
    json.close(b']');
    if encrypted.is_empty() {
        json.value_field("encrypted_content", "null");
    } else {
        json.text_field("encrypted_content", encrypted);
    }
    json.close(b'}');
}

/// Writes a part of a summary.
pub(super) fn write_summary(text: &str, json: &mut Writer) {
    json.open(b'{');
    json.text_field("type", "summary_text");
    json.text_field("text", text);
    json.close(b'}');
}

fn write_call(id: &str, status: &str, call: &Called, said: &str, json: &mut Writer) {
    let Called { call_id, name, namespace, form, is_encrypted, said: whole } = call;
    json.open(b'{');
    json.text_field("id", id);
    let (kind, member) = match form {
        Form::Function => ("function_call", "arguments"),
        Form::FreeText => ("custom_tool_call", "input"),
        Form::Client(tool) => {
            json.text_field("type", tool.item());
            json.text_field("status", status);
            // Such an item has what is to be done from its beginning.
            tool.write(call_id, whole, json);
            return json.close(b'}');
        }
    };
    json.text_field("type", kind);
    json.text_field("status", status);
    json.text_field(member, said);
    json.text_field("call_id", call_id);
    json.text_field("name", name);
    if let Some(namespace) = namespace {
        json.text_field("namespace", namespace);
    }
    if *is_encrypted && *form == Form::Function {
        json.open_field("encrypted_function_args", b'[');
        json.close(b']');
    }
    json.close(b'}');
}

/// An answer's frame: all of a `Response` but what it repeats of its call.
pub(super) struct ResponseFrame<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: u64,
    /// The reason why it ended; `None`: it has not.
    pub(super) stop: Option<&'a Stop>,
    pub(super) usage: Option<&'a Usage>,
    pub(super) error: Option<&'a crate::hub::ProviderError>,
}

impl ResponseFrame<'_> {
    /// The answer's status.
    pub(super) fn status(&self) -> &'static str {
        match (self.error, self.stop) {
            (Some(_), _) => "failed",
            (None, Some(stop)) => wire::status(stop).0,
            (None, None) => "in_progress",
        }
    }

    /// Writes a `Response` with its items.
    pub(super) fn write(&self, items: &[Item], echo: &Echo, json: &mut Writer) {
        let status = self.status();
        json.open(b'{');
        json.text_field("id", self.id);
        json.text_field("object", "response");
        json.value_field("created_at", self.created);
        json.text_field("status", status);
        json.value_field("background", false);
        match self.error {
            Some(error) => super::error::write_failure(error, json),
            None => json.value_field("error", "null"),
        }
        match self.stop.and_then(|stop| wire::status(stop).1).filter(|_| self.error.is_none()) {
            Some(reason) => {
                json.open_field("incomplete_details", b'{');
                json.text_field("reason", reason);
                json.close(b'}');
            }
            None => json.value_field("incomplete_details", "null"),
        }
        json.text_field("model", self.model);
        json.open_field("output", b'[');
        // Of an answer that is not whole only the last item may not be.
        for (index, item) in items.iter().enumerate() {
            let last = index + 1 == items.len();
            item.write(if last && status == "incomplete" { status } else { "completed" }, json);
        }
        json.close(b']');
        json.value_field("previous_response_id", "null");
        // Nothing is kept of it here, whatever the call asked for.
        json.value_field("store", false);
        echo.write(json);
        json.key("usage");
        match self.usage {
            Some(usage) => wire::write_usage(usage, json),
            None => json.raw("null"),
        }
        json.close(b'}');
    }
}

/// A picture as the item of OpenAI's own tool that makes them.
pub(super) fn picture(id: &str, media_type: &str, data: &str) -> Option<Raw> {
    let mut json = Writer::with_capacity(data.len() + 160);
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("type", "image_generation_call");
    json.text_field("status", "completed");
    json.text_field("output_format", media_type.strip_prefix("image/").unwrap_or(media_type));
    json.text_field("result", data);
    json.close(b'}');
    RawValue::from_string(String::from_utf8(json.into_bytes()).ok()?).ok()
}

/// The elements of a raw list.
pub(super) fn list(raw: &RawValue) -> Vec<Raw> {
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    list.into_iter().map(ToOwned::to_owned).collect()
}
