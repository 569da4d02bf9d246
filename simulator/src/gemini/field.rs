//! Reading a field of a Gemini request, with Google's complaint when it is not what it should be.

use serde_json::{Map, Value};

use crate::fault::Fault;

type Read<T> = Result<T, Box<Fault>>;

/// An object whose members are known by their names in camelCase, however they were written.
pub(super) type Fields = Map<String, Value>;

/// Google's complaint of a body that is not what its schema says.
pub(super) fn invalid(path: &str, what: &str) -> Box<Fault> {
    let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    Fault::new(400, format!("Invalid JSON payload received. {what}{at}")).at(path)
}

/// An object all of whose members are known.
pub(super) fn object(value: &Value, path: &str, known: &[&str]) -> Read<Fields> {
    let members = value.as_object().ok_or_else(|| invalid(path, "Invalid value, expected an object"))?;
    let mut fields = Fields::new();
    for (name, value) in members {
        let camel = camel(name);
        if !known.contains(&camel.as_str()) {
            return Err(invalid(path, &format!("Unknown name \"{name}\": Cannot find field.")));
        }
        if !value.is_null() {
            fields.insert(camel, value.clone());
        }
    }
    Ok(fields)
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
        camel
    })
}

/// A text, if it is there.
pub(super) fn text<'v>(of: &'v Fields, key: &str, path: &str) -> Read<Option<&'v str>> {
    let Some(value) = of.get(key) else { return Ok(None) };
    value.as_str().map(Some).ok_or_else(|| invalid(&format!("{path}.{key}"), "Invalid value, expected a string"))
}

/// A list, if it is there.
pub(super) fn list<'v>(of: &'v Fields, key: &str, path: &str) -> Read<&'v [Value]> {
    match of.get(key) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(invalid(&format!("{path}.{key}"), "Invalid value, expected a list")),
    }
}

/// A number between two bounds, if it is there.
pub(super) fn number(of: &Fields, key: &str, least: f64, most: f64) -> Read<Option<f64>> {
    let Some(value) = of.get(key) else { return Ok(None) };
    let at = format!("generation_config.{key}");
    let number = value.as_f64().ok_or_else(|| invalid(&at, "Invalid value, expected a number"))?;
    if (least..=most).contains(&number) {
        return Ok(Some(number));
    }
    let message =
        format!("* GenerateContentRequest.generation_config.{key}: {key} must be in the range [{least}, {most}].\n");
    Err(Fault::new(400, message).at(at))
}
