//! Moderation: what says that it is bad is.

use serde_json::{Map, Value, json};

use super::request::{SideAnswer, SideRequest};
use crate::fault::Checked;
use crate::openai::field::{missing, present, wrong_type};

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// The answer.
pub(super) fn answer(request: &SideRequest, id: &str) -> Checked<SideAnswer> {
    let model = request.text("model")?.unwrap_or("omni-moderation-latest");
    let input = present(&request.fields, "input").ok_or_else(|| missing("input"))?;
    let results = match input {
        Value::String(text) => vec![result(text)],
        // Texts, each by itself; pieces of one message together.
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).map(result).collect()
        }
        Value::Array(_) => vec![result(&input.to_string())],
        other => return Err(wrong_type("input", "one of a string or array", other)),
    };
    Ok(SideAnswer::Json(json!({ "id": id, "model": model, "results": results })))
}

fn result(text: &str) -> Value {
    let is_bad = text.contains("kill");
    let of = |category: &str| is_bad && category == "violence";
    let map = |say: &dyn Fn(&str) -> Value| -> Map<String, Value> {
        CATEGORIES.iter().map(|category| ((*category).to_owned(), say(category))).collect()
    };
    json!({
        "flagged": is_bad,
        "categories": map(&|category| of(category).into()),
        "category_scores": map(&|category| json!(if of(category) { 0.9 } else { 0.001 })),
        "category_applied_input_types": map(&|_| json!(["text"])),
    })
}
