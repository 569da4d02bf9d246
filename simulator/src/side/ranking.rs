//! Ranking: texts by how many words of the question they hold.

use serde_json::{Value, json};

use super::request::{SideAnswer, SideRequest};
use crate::fault::{Checked, Fault};
use crate::tokens::count;

/// Cohere's form.
pub(super) fn at_cohere(request: &SideRequest, id: &str) -> Checked<(String, SideAnswer)> {
    let wrong = |what: &str| Fault::new(400, format!("invalid request: {what}"));
    let text = |name: &str| request.fields.get(name).and_then(Value::as_str);
    let model = text("model").ok_or_else(|| wrong("model is required"))?;
    let query = text("query").filter(|query| !query.is_empty()).ok_or_else(|| wrong("query must not be empty"))?;
    let documents = documents(request);
    if documents.is_empty() {
        return Err(wrong("list of documents must not be empty"));
    }
    let results: Vec<Value> = ranked(query, &documents, top(request))
        .into_iter()
        .map(|(index, score)| json!({ "index": index, "relevance_score": score }))
        .collect();
    let meta = json!({ "api_version": { "version": "2" }, "billed_units": { "search_units": 1 } });
    Ok((model.to_owned(), SideAnswer::Json(json!({ "id": id, "results": results, "meta": meta }))))
}

/// Jina's form.
pub(super) fn at_jina(request: &SideRequest) -> Checked<SideAnswer> {
    let (model, query) = (request.required("model")?, request.required("query")?);
    let documents = documents(request);
    if documents.is_empty() {
        return Err(Fault::new(422, "documents: List should have at least 1 item"));
    }
    let with_text = request.fields.get("return_documents").and_then(Value::as_bool).unwrap_or(true);
    let result = |(index, score): (usize, f64)| {
        let document = documents.get(index).filter(|_| with_text).map(|text| json!({ "text": text }));
        let mut result = json!({ "index": index, "relevance_score": score });
        if let (Some(document), Some(result)) = (document, result.as_object_mut()) {
            result.insert("document".to_owned(), document);
        }
        result
    };
    let results: Vec<Value> = ranked(query, &documents, top(request)).into_iter().map(result).collect();
    let tokens: u64 = documents.iter().map(|text| count(text)).sum::<u64>() + count(query);
    Ok(SideAnswer::Json(json!({
        "model": model,
        "object": "list",
        "usage": { "total_tokens": tokens },
        "results": results,
    })))
}

/// The documents: texts, or objects that hold one.
fn documents(request: &SideRequest) -> Vec<&str> {
    let text = |one| -> Option<&str> {
        let one: &Value = one;
        one.as_str().or_else(|| one.get("text")?.as_str())
    };
    request.fields.get("documents").and_then(Value::as_array).into_iter().flatten().filter_map(text).collect()
}

fn top(request: &SideRequest) -> usize {
    let top = request.fields.get("top_n").and_then(Value::as_u64);
    top.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX)
}

/// Their places and scores, best first.
fn ranked(query: &str, documents: &[&str], top: usize) -> Vec<(usize, f64)> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let score = |text: &&str| {
        let text = text.to_lowercase();
        let held = u32::try_from(words.iter().filter(|word| text.contains(word.as_str())).count()).unwrap_or(0);
        f64::from(held) / f64::from(u32::try_from(words.len().max(1)).unwrap_or(1))
    };
    let mut all: Vec<(usize, f64)> = documents.iter().map(score).enumerate().collect();
    all.sort_by(|one, other| other.1.total_cmp(&one.1));
    all.truncate(top);
    all
}
