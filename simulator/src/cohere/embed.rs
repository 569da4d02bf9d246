//! Embeddings: vectors that depend on nothing but the input.

use serde_json::{Value, json};

use super::request::{fields, wrong};
use crate::fault::Checked;
use crate::tokens::count;
use crate::vector::{DIMENSIONS, vector};

const FIELDS: [&str; 8] =
    ["model", "input_type", "texts", "images", "inputs", "embedding_types", "output_dimension", "truncate"];
const PURPOSES: [&str; 5] = ["search_document", "search_query", "classification", "clustering", "image"];
/// The most texts of one request.
const MOST_TEXTS: usize = 96;

/// The model that is asked for, and the answer.
pub(crate) fn answer(body: &[u8]) -> Checked<(String, Value)> {
    let fields = fields(body, &FIELDS)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let model = text("model").ok_or_else(|| wrong("model is required"))?;
    if !text("input_type").is_some_and(|purpose| PURPOSES.contains(&purpose)) {
        return Err(wrong("valid input_type must be provided with the provided model"));
    }
    let texts: Vec<&str> =
        fields.get("texts").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() || texts.len() > MOST_TEXTS {
        return Err(wrong(format!("total number of texts must be at least 1 and at most {MOST_TEXTS}")));
    }
    let size = fields.get("output_dimension").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let vectors: Vec<Value> = texts.iter().map(|text| json!(vector(text, size))).collect();
    let tokens: u64 = texts.iter().map(|text| count(text)).sum();
    let meta = json!({ "api_version": { "version": "2" }, "billed_units": { "input_tokens": tokens } });
    let value = json!({
        "id": "embed",
        "embeddings": { "float": vectors },
        "texts": texts,
        "meta": meta,
        "response_type": "embeddings_by_type",
    });
    Ok((model.to_owned(), value))
}
