//! Reading a field of an Anthropic request, with Anthropic's complaint when it is not what it should be.

use serde_json::{Map, Value};

use crate::fault::{Checked, Fault};

/// A complaint about a field: `messages.0.role: …`.
pub(super) fn wrong(path: &str, what: &str) -> Box<Fault> {
    Fault::new(400, format!("{path}: {what}"))
}

/// A field that is there and not null.
pub(super) fn present<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// A field that has to be there.
pub(super) fn required<'v>(object: &'v Map<String, Value>, key: &str, path: &str) -> Checked<&'v Value> {
    object.get(key).ok_or_else(|| wrong(path, "Field required"))
}

/// A text, required.
pub(super) fn string<'v>(object: &'v Map<String, Value>, key: &str, path: &str) -> Checked<&'v str> {
    required(object, key, path)?.as_str().ok_or_else(|| wrong(path, "Input should be a valid string"))
}

/// An object.
pub(super) fn dictionary<'v>(value: &'v Value, path: &str) -> Checked<&'v Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong(path, "Input should be a valid dictionary"))
}

/// A list.
pub(super) fn list<'v>(value: &'v Value, path: &str) -> Checked<&'v Vec<Value>> {
    value.as_array().ok_or_else(|| wrong(path, "Input should be a valid list"))
}

/// Yes or no, if it is there.
pub(super) fn boolean(of: &Map<String, Value>, key: &str, path: &str) -> Checked<Option<bool>> {
    let Some(value) = present(of, key) else { return Ok(None) };
    value.as_bool().map(Some).ok_or_else(|| wrong(path, "Input should be a valid boolean"))
}

/// A whole number of at least `least`.
pub(super) fn integer(value: &Value, least: u64, path: &str) -> Checked<u64> {
    match (value.as_u64(), value.as_i64()) {
        (Some(number), _) if number >= least => Ok(number),
        (Some(_), _) | (None, Some(_)) => {
            Err(wrong(path, &format!("Input should be greater than or equal to {least}")))
        }
        (None, None) => Err(wrong(path, "Input should be a valid integer")),
    }
}

/// A number from 0 to 1, if it is there.
pub(super) fn share(of: &Map<String, Value>, key: &str) -> Checked<Option<f64>> {
    let Some(value) = present(of, key) else { return Ok(None) };
    let number = value.as_f64().ok_or_else(|| wrong(key, "Input should be a valid number"))?;
    match number {
        _ if number < 0.0 => Err(wrong(key, "Input should be greater than or equal to 0")),
        _ if number > 1.0 => Err(wrong(key, "Input should be less than or equal to 1")),
        _ => Ok(Some(number)),
    }
}

/// Refuses fields that are not known.
pub(super) fn only(object: &Map<String, Value>, known: &[&str], path: &str) -> Checked<()> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) if path.is_empty() => Err(wrong(key, "Extra inputs are not permitted")),
        Some(key) => Err(wrong(&format!("{path}.{key}"), "Extra inputs are not permitted")),
    }
}
