//! A request beside conversations, in JSON or as a form, and what it may be answered with.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::form::{self, File};
use crate::fault::{Checked, Fault};
use crate::openai::field::{missing, present, wrong_type};
use crate::script::Piece;

/// An answer.
#[derive(Debug)]
pub(crate) enum SideAnswer {
    /// In JSON.
    Json(Value),
    /// Bytes of a media type.
    Bytes(&'static str, Vec<Bytes>),
    /// Events.
    Events(Vec<Piece>),
}

/// A request: its fields, whether they came in JSON or as a form, and its files.
#[derive(Debug, Default)]
pub(crate) struct SideRequest {
    pub(crate) fields: Map<String, Value>,
    pub(crate) files: Vec<File>,
    is_form: bool,
}

impl SideRequest {
    /// Reads a body: a form, where its content type says so, else JSON. A deployment that the path names is the model.
    pub(crate) fn read(content_type: &str, deployment: Option<&str>, body: &[u8]) -> Checked<Self> {
        let mut request = match form::boundary(content_type) {
            Some(boundary) => {
                let form::FormParts { fields, files } = form::read(boundary, body)?;
                Self { fields, files, is_form: true }
            }
            None => Self { fields: object(body)?, ..Self::default() },
        };
        if let Some(name) = deployment {
            request.fields.insert("model".to_owned(), name.into());
        }
        Ok(request)
    }

    pub(crate) fn text(&self, name: &str) -> Checked<Option<&str>> {
        let Some(value) = present(&self.fields, name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong_type(name, "a string", value))
    }

    pub(crate) fn required(&self, name: &str) -> Checked<&str> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| missing(name))
    }

    /// Yes or no, which a form says in a word.
    pub(crate) fn flag(&self, name: &str) -> Checked<bool> {
        match present(&self.fields, name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(word)) if self.is_form => Ok(word.eq_ignore_ascii_case("true")),
            Some(other) => Err(wrong_type(name, "a boolean", other)),
        }
    }

    /// A count, which a form says in digits.
    pub(crate) fn count(&self, name: &str) -> Checked<Option<u64>> {
        let value = present(&self.fields, name);
        let count = value.and_then(|value| match value {
            Value::String(digits) if self.is_form => digits.parse().ok(),
            other => other.as_u64(),
        });
        match (value, count) {
            (Some(value), None) => Err(wrong_type(name, "an integer", value)),
            (_, count) => Ok(count),
        }
    }

    /// The files of a field, which may be a list of them.
    pub(crate) fn files_of(&self, field: &str) -> Vec<&File> {
        self.files.iter().filter(|file| file.field.trim_end_matches("[]") == field).collect()
    }
}

fn object(body: &[u8]) -> Checked<Map<String, Value>> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Fault::new(400, format!("We could not parse the JSON body of your request. The parser said: {error}"))
    })?;
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Fault::new(400, "The JSON body of your request is not an object.")),
    }
}
