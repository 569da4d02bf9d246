//! Embeddings in Gemini's words: one text, or a batch of them.

use serde_json::{Value, json};

use super::field::{invalid, list, object, text};
use crate::fault::Fault;
use crate::tokens::count;
use crate::vector::{DIMENSIONS, vector};

const REQUEST: [&str; 5] = ["model", "content", "taskType", "title", "outputDimensionality"];
/// The most requests of one batch.
const MOST: usize = 100;

/// The answer to one request for this model, or what is wrong with it.
pub(crate) fn one(model: &str, body: &[u8]) -> Result<Value, Box<Fault>> {
    let (vector, tokens) = embedded(model, &json_of(body)?, "", false)?;
    Ok(json!({ "embedding": { "values": vector }, "usageMetadata": usage(tokens) }))
}

/// The answer to a batch.
pub(crate) fn batch(model: &str, body: &[u8]) -> Result<Value, Box<Fault>> {
    let fields = object(&json_of(body)?, "", &["requests"])?;
    let requests = list(&fields, "requests", "")?;
    if requests.is_empty() || requests.len() > MOST {
        let message =
            "* BatchEmbedContentsRequest.requests: at least one and at most 100 requests can be in one batch\n";
        return Err(Fault::new(400, message));
    }
    let mut vectors = Vec::with_capacity(requests.len());
    let mut all = 0;
    for (at, request) in requests.iter().enumerate() {
        let (vector, tokens) = embedded(model, request, &format!("requests[{at}]"), true)?;
        vectors.push(json!({ "values": vector }));
        all += tokens;
    }
    Ok(json!({ "embeddings": vectors, "usageMetadata": usage(all) }))
}

fn usage(tokens: u64) -> Value {
    json!({ "promptTokenCount": tokens, "totalTokenCount": tokens })
}

fn json_of(body: &[u8]) -> Result<Value, Box<Fault>> {
    serde_json::from_slice(body).map_err(|error| invalid("", &error.to_string()))
}

/// A vector, and the tokens of its text.
fn embedded(model: &str, request: &Value, path: &str, named: bool) -> Result<(Vec<f32>, u64), Box<Fault>> {
    let fields = object(request, path, &REQUEST)?;
    let whole = format!("models/{model}");
    match text(&fields, "model", path)? {
        Some(said) if said != whole => {
            return Err(Fault::new(400, format!("* {path}.model: must be the model of the path\n")));
        }
        None if named => return Err(Fault::new(400, format!("* {path}.model: model is not specified\n"))),
        _ => {}
    }
    let content = fields.get("content").ok_or_else(|| Fault::new(400, "* content is not specified\n"))?;
    let content = object(content, &format!("{path}.content"), &["role", "parts"])?;
    let mut said = String::new();
    for part in list(&content, "parts", path)? {
        said += text(&object(part, path, &["text"])?, "text", path)?.unwrap_or_default();
    }
    let dimensions = fields.get("outputDimensionality").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    if said.is_empty() || dimensions == 0 || dimensions > 4_096 {
        return Err(Fault::new(400, format!("* {path}: the text is empty, or the dimension is not from 1 to 4096\n")));
    }
    Ok((vector(&said, dimensions), count(&said)))
}
