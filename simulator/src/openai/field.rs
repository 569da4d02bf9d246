//! Reading a field of an OpenAI request, with OpenAI's complaint when it is not what it should be.

use serde_json::{Map, Value};

use crate::fault::{Checked, Fault};

/// Complains that a required field is not there.
pub(crate) fn missing(param: &str) -> Box<Fault> {
    Fault::new(400, format!("Missing required parameter: '{param}'.")).at(param).coded("missing_required_parameter")
}

/// Complains of a wrong JSON type.
pub(crate) fn wrong_type(param: &str, wanted: &str, value: &Value) -> Box<Fault> {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Fault::new(400, format!("Invalid type for '{param}': expected {wanted}, but got {got} instead."))
        .at(param)
        .coded("invalid_type")
}

/// Complains of a word that is not one of the known ones.
pub(crate) fn wrong_word(param: &str, value: &str, known: &str) -> Box<Fault> {
    Fault::new(400, format!("Invalid value: '{value}'. Supported values are: {known}."))
        .at(param)
        .coded("invalid_value")
}

/// A field that is there and not null.
pub(crate) fn present<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// A text, required.
pub(crate) fn string<'v>(object: &'v Map<String, Value>, key: &str, param: &str) -> Checked<&'v str> {
    let value = present(object, key).ok_or_else(|| missing(param))?;
    value.as_str().ok_or_else(|| wrong_type(param, "a string", value))
}

/// An object, required.
pub(crate) fn object<'v>(of: &'v Map<String, Value>, key: &str, param: &str) -> Checked<&'v Map<String, Value>> {
    let value = present(of, key).ok_or_else(|| missing(param))?;
    value.as_object().ok_or_else(|| wrong_type(param, "an object", value))
}

/// A list, if it is there.
pub(crate) fn list<'v>(of: &'v Map<String, Value>, key: &str, param: &str) -> Checked<Option<&'v Vec<Value>>> {
    let Some(value) = present(of, key) else { return Ok(None) };
    value.as_array().map(Some).ok_or_else(|| wrong_type(param, "an array of objects", value))
}

/// Yes or no, if it is there.
pub(crate) fn boolean(of: &Map<String, Value>, key: &str) -> Checked<Option<bool>> {
    let Some(value) = present(of, key) else { return Ok(None) };
    value.as_bool().map(Some).ok_or_else(|| wrong_type(key, "a boolean", value))
}

/// A whole number of at least `least`, if it is there.
pub(crate) fn integer(of: &Map<String, Value>, key: &str, least: u64, most: u64) -> Checked<Option<u64>> {
    let Some(value) = present(of, key) else { return Ok(None) };
    let bad = |word: &'static str, bound: u64| {
        Fault::new(400, format!("Invalid '{key}': integer {word} minimum or maximum value. Expected a value {bound}, but got {value} instead."))
            .at(key)
    };
    match (value.as_u64(), value.as_i64()) {
        (Some(number), _) if number > most => Err(bad("above", most).coded("integer_above_max_value")),
        (Some(number), _) if number >= least => Ok(Some(number)),
        (Some(_), _) | (None, Some(_)) => Err(bad("below", least).coded("integer_below_min_value")),
        (None, None) => Err(wrong_type(key, "an integer", value)),
    }
}

/// A number between two bounds, if it is there.
pub(crate) fn decimal(of: &Map<String, Value>, key: &str, least: f64, most: f64) -> Checked<()> {
    let Some(value) = present(of, key) else { return Ok(()) };
    let number = value.as_f64().ok_or_else(|| wrong_type(key, "a decimal", value))?;
    let (word, code, bound) = match () {
        () if number < least => ("below minimum", "decimal_below_min_value", least),
        () if number > most => ("above maximum", "decimal_above_max_value", most),
        () => return Ok(()),
    };
    let message = format!(
        "Invalid '{key}': decimal {word} value. Expected a value {} {bound}, but got {value} instead.",
        if word == "below minimum" { ">=" } else { "<=" }
    );
    Err(Fault::new(400, message).at(key).coded(code))
}
