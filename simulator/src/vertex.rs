//! Google Vertex AI: Google's own words for its models but for counts, and Anthropic's in its envelope for Anthropic's.

use serde_json::{Map, Value, json};

use crate::fault::{Checked, Fault};

const VERSION: &str = "vertex-2023-10-16";

/// True if a path is one of Anthropic's models there.
pub(crate) fn is_of_anthropic(path: &str) -> bool {
    path.contains("/publishers/anthropic/models/")
}

/// True if a path is one of Google's models there.
pub(crate) fn is_of_google(path: &str) -> bool {
    path.contains("/publishers/google/models/")
}

/// The list of Google's models there.
pub(crate) fn listed(names: &[String]) -> Value {
    json!({ "publisherModels": names.iter().map(|name| described(name)).collect::<Vec<_>>() })
}

/// One of Google's models there.
pub(crate) fn described(name: &str) -> Value {
    json!({ "name": format!("publishers/google/models/{name}"), "versionId": "001", "launchStage": "GA" })
}

/// The body as Anthropic would be sent it.
pub(crate) fn opened(body: &[u8], model: &str) -> Checked<Vec<u8>> {
    let mut fields = object(body)?;
    if fields.contains_key("model") {
        return Err(Fault::new(400, "model: Extra inputs are not permitted"));
    }
    let version = fields.remove("anthropic_version");
    let said = version.as_ref().and_then(Value::as_str).unwrap_or_default();
    // Newer ones of its clients say the version of Anthropic's own API.
    let is_date = said.len() == 10 && said.starts_with("20") && said.split('-').count() == 3;
    if said != VERSION && !is_date {
        return Err(Fault::new(400, format!("anthropic_version: Input should be '{VERSION}'")));
    }
    fields.insert("model".to_owned(), json!(model));
    Ok(Value::Object(fields).to_string().into_bytes())
}

/// The same of a body whose tokens are to be counted: it names the model itself, and the version if it likes.
pub(crate) fn counted(body: &[u8]) -> Checked<Vec<u8>> {
    let mut fields = object(body)?;
    fields.remove("anthropic_version");
    Ok(Value::Object(fields).to_string().into_bytes())
}

fn object(body: &[u8]) -> Checked<Map<String, Value>> {
    serde_json::from_slice(body).map_err(|error| Fault::new(400, format!("Invalid JSON payload received. {error}")))
}
