//! The reference for users, written from the schema: it cannot say anything but what an API server does.

use std::fmt::Write as _;

use serde_json::Value;

use crate::schema;

const HEAD: &str = "# Reference\n\n\
    Every field of `ProviderPool`, `LLMRoute` and `LLMConsumer` (`sluicegate.dev/v1alpha1`). This page is generated from the\n\
    schema in `crds/manifests/`; `crds/examples/` shows the fields at work.\n\n\
    Durations are written `30s`, `100ms`, `1h30m`; numbers of bytes `1048576` or `1Mi`; money and other decimals in quotes,\n\
    `\"2.50\"`. A field that is `null` counts as left out. An unknown field is refused.\n";

/// The whole page, as Markdown.
///
/// # Errors
/// If a definition cannot be written as JSON; no input makes that happen.
pub fn markdown() -> Result<String, serde_json::Error> {
    let mut page = HEAD.to_owned();
    for definition in schema::definitions()? {
        kind(&mut page, &definition);
    }
    Ok(page)
}

fn kind(page: &mut String, definition: &Value) {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let short = definition.pointer("/spec/names/shortNames").and_then(Value::as_array).into_iter().flatten();
    let short: Vec<String> = short.filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
    let _ = writeln!(page, "\n## {}\n", text("/spec/names/kind"));
    let Some(object) = schema::of_objects(definition) else { return };
    let _ = writeln!(page, "{}", words(object));
    let _ = writeln!(page, "\nShort names for `kubectl`: {}.\n", short.join(", "));
    for part in ["spec", "status"] {
        if let Some(inner) = object.pointer(&format!("/properties/{part}")) {
            section(page, part, inner);
        }
    }
}

/// The fields of one object, then those of the objects in it.
fn section(page: &mut String, path: &str, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let _ = writeln!(page, "### {path}\n");
    for message in rules(schema) {
        let _ = writeln!(page, "- Refused: {message}");
    }
    if rules(schema).next().is_some() {
        page.push('\n');
    }
    page.push_str("| field | type | meaning |\n|---|---|---|\n");
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.into_iter().flatten().any(|required| required.as_str() == Some(name))
    };
    for (name, field) in properties {
        let must = if required(name) { " **Required.**" } else { "" };
        let refused: String =
            rules(field).filter(|_| field.get("items").is_some()).map(|m| format!(" Refused: {m}.")).collect();
        let meaning = format!("{}{must}{}{refused}", words(field), limits(field)).replace('|', "\\|");
        let _ = writeln!(page, "| `{name}` | {} | {meaning} |", type_of(field));
    }
    page.push('\n');
    for (name, field) in properties {
        match field.get("items") {
            Some(items) => section(page, &format!("{path}.{name}[]"), items),
            None => section(page, &format!("{path}.{name}"), field),
        }
    }
}

fn rules(schema: &Value) -> impl Iterator<Item = &str> {
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    // What a text must look like its description says.
    let advised = schema.as_object().and_then(crate::schema::advice).is_some();
    rules.into_iter().flatten().filter(move |_| !advised).filter_map(|rule| rule.get("message")?.as_str())
}

/// A description on one line.
fn words(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn type_of(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> =
            values.iter().map(|v| format!("`{}`", v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect();
        return values.join(", ");
    }
    let advised = schema.as_object().and_then(crate::schema::advice).map(|(pattern, _)| pattern);
    let pattern = schema.get("pattern").and_then(Value::as_str).or(advised).unwrap_or_default();
    match (pattern, schema.get("type").and_then(Value::as_str)) {
        (crate::patterns::DURATION, _) => "duration".to_owned(),
        (crate::patterns::TIME, _) => "time".to_owned(),
        (crate::patterns::BYTES, _) => "bytes".to_owned(),
        (crate::patterns::DECIMAL, _) => "decimal in quotes".to_owned(),
        (_, Some("object")) if schema.get("additionalProperties").is_some() => {
            format!("map to {}", schema.get("additionalProperties").map_or_else(String::new, type_of))
        }
        (_, Some("array")) => format!("list of {}", schema.get("items").map_or_else(String::new, type_of)),
        (_, Some(name)) => name.to_owned(),
        (_, None) => String::new(),
    }
}

/// The bounds that a reader may run into.
fn limits(schema: &Value) -> String {
    let number = |name: &str| schema.get(name).and_then(Value::as_i64);
    match (number("minimum"), number("maximum"), number("maxItems").or_else(|| number("maxProperties"))) {
        (Some(least), Some(most), _) => format!(" From {least} to {most}."),
        (_, _, Some(most)) => format!(" At most {most}."),
        _ => String::new(),
    }
}
