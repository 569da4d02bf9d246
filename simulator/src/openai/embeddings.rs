//! Embeddings: vectors that depend on nothing but the input, as numbers or in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::field::{integer, missing, present, string, wrong_type, wrong_word};
use crate::fault::Fault;
use crate::tokens::count;
use crate::vector::{DIMENSIONS, vector};

/// The most inputs of one request.
const MOST_INPUTS: usize = 2_048;

/// A request, understood.
pub(crate) struct Embed {
    pub(crate) model: String,
    inputs: Vec<String>,
    dimensions: u64,
    base64: bool,
}

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<Embed, Box<Fault>> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Fault::new(400, format!("We could not parse the JSON body of your request. The parser said: {error}"))
    })?;
    let fields = value.as_object().ok_or_else(|| Fault::new(400, "The JSON body of your request is not an object."))?;
    let model = string(fields, "model", "model")?.to_owned();
    let base64 = match present(fields, "encoding_format") {
        None => false,
        Some(Value::String(format)) => match format.as_str() {
            "float" => false,
            "base64" => true,
            other => return Err(wrong_word("encoding_format", other, "'float' and 'base64'")),
        },
        Some(other) => return Err(wrong_type("encoding_format", "a string", other)),
    };
    let dimensions = integer(fields, "dimensions", 1, 4_096)?.unwrap_or(DIMENSIONS);
    Ok(Embed { model, inputs: inputs(fields)?, dimensions, base64 })
}

/// The inputs: one text or one list of tokens, or several of either.
fn inputs(fields: &Map<String, Value>) -> Result<Vec<String>, Box<Fault>> {
    let empty = || {
        Fault::new(
            400,
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        )
    };
    match present(fields, "input") {
        None => Err(missing("input")),
        Some(Value::String(text)) if text.is_empty() => Err(empty()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) if list.is_empty() || list.len() > MOST_INPUTS => Err(empty()),
        Some(Value::Array(list)) if list.iter().any(|one| one.as_str() == Some("")) => Err(empty()),
        Some(Value::Array(list)) if list.iter().all(Value::is_number) => {
            Ok(vec![Value::Array(list.clone()).to_string()])
        }
        Some(Value::Array(list)) => {
            Ok(list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect())
        }
        Some(other) => Err(wrong_type("input", "one of a string or array", other)),
    }
}

/// The answer.
pub(crate) fn write(embed: &Embed) -> Value {
    let data = embed.inputs.iter().enumerate().map(|(index, input)| {
        let vector = vector(input, embed.dimensions);
        let embedding = if embed.base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::String(STANDARD.encode(bytes))
        } else {
            json!(vector)
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    let tokens: u64 = embed.inputs.iter().map(|input| count(input)).sum();
    json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": embed.model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}
