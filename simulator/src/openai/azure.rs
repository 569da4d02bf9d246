//! Azure's ways around OpenAI's words: a deployment in the path, a version in the query.

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use crate::fault::Fault;
use crate::route::parameter;

/// The deployment that a path names.
pub(crate) fn deployment(parts: &Parts) -> Option<&str> {
    parts.uri.path().split_once("/openai/deployments/")?.1.split('/').next()
}

/// A call to a deployment, as OpenAI would be called. The deployment counts, whatever the body says.
pub(crate) fn named(body: &Bytes, deployment: &str) -> Bytes {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return body.clone() };
    fields.insert("model".to_owned(), deployment.into());
    Value::Object(fields).to_string().into()
}

/// Without a version there is no such path.
pub(crate) fn admit(parts: &Parts) -> Result<(), Box<Fault>> {
    let versioned = deployment(parts).is_some() || parts.uri.path() == "/openai/responses";
    match versioned && parameter(parts, "api-version").is_none_or(str::is_empty) {
        true => Err(Fault::new(404, "Resource not found").coded("404")),
        false => Ok(()),
    }
}
