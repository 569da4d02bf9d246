//! Anthropic's words for another model than the one that the caller asked for: the newest refuse what older ones take, and no caller can
//! know which of them is asked by a name that a route gives. The body stays as it is otherwise.

use bytes::Bytes;

use super::fields::names;
use super::splice::{Edit, EditKind, splice};
use crate::go_on::PROMPT;
use crate::json_places::{elements, member, text};
use crate::vendors;

/// The body as `model` takes it, where the caller `asked` for one of another family; itself, uncopied, where that changes nothing.
#[must_use]
pub fn fit_model(body: &Bytes, asked: &str, model: &str) -> Bytes {
    if vendors::claude(asked).is_same(vendors::claude(model)) {
        return body.clone();
    }
    let mut edits = Vec::new();
    if vendors::refuses_prefill(model) {
        edits.extend(asked_to_go_on(body));
    }
    if !vendors::claude(model).takes_budgets() {
        edits.extend(member(body, 0..body.len(), b"thinking").and_then(|span| {
            let given = std::str::from_utf8(body.get(span.clone())?).ok()?;
            Some(Edit::write(span, adaptive(given)?))
        }));
    }
    splice(body, &edits)
}

/// The turn of the user's that asks to go on, behind a last turn of the model's that calls no tool.
fn asked_to_go_on(body: &Bytes) -> Option<Edit> {
    let turns = elements(body, member(body, 0..body.len(), b"messages")?);
    let last = turns.last()?.clone();
    if text(body, last.clone(), b"role") != Some("assistant") {
        return None;
    }
    let blocks = member(body, last.clone(), b"content").map(|content| elements(body, content)).unwrap_or_default();
    if blocks.into_iter().any(|block| text(body, block, b"type") == Some("tool_use")) {
        return None;
    }
    let turn = serde_json::json!({ "role": "user", "content": PROMPT });
    Some(Edit::write(last.end..last.end, format!(",{turn}")))
}

/// The field `thinking` with no budget: the model thinks as much as it likes. `None`: it says none.
pub(crate) fn adaptive(given: &str) -> Option<String> {
    let given = Bytes::copy_from_slice(given.as_bytes());
    let mut edits = Vec::new();
    let mut enabled = false;
    for (name, start, value) in names(&given) {
        match name.as_str() {
            "type" => {
                enabled = given.get(value.clone()) == Some(b"\"enabled\"");
                edits.push(Edit::write(value, "\"adaptive\""));
            }
            "budget_tokens" => edits.push(Edit { span: start.start..value.end, kind: EditKind::RemoveMember }),
            _ => {}
        }
    }
    let made = enabled.then(|| splice(&given, &edits))?;
    String::from_utf8(made.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(body: &str, asked: &str, model: &str) -> String {
        String::from_utf8(fit_model(&Bytes::copy_from_slice(body.as_bytes()), asked, model).to_vec()).unwrap()
    }

    #[test]
    fn a_budget_becomes_adaptive_where_another_model_is_asked_that_refuses_one() {
        let given = r#"{"model":"m","thinking":{"type":"enabled","budget_tokens":4096,"display":"summarized"},"messages":[{"role":"user","content":"Hi"}]}"#;
        let words = r#"{"model":"m","thinking":{"type":"adaptive","display":"summarized"},"messages":[{"role":"user","content":"Hi"}]}"#;
        assert_eq!(made(given, "smart", "us.anthropic.claude-opus-5-v1:0"), words);
        assert_eq!(made(given, "claude-sonnet-4-5", "claude-opus-4-7"), words);
        for (asked, model) in
            [("claude-opus-5", "claude-opus-5@2026"), ("smart", "claude-sonnet-4-5"), ("smart", "glm-5")]
        {
            assert_eq!(made(given, asked, model), given, "{asked} {model}");
        }
        let off = r#"{"thinking":{"type":"disabled"}}"#;
        assert_eq!(made(off, "smart", "claude-opus-5"), off);
    }

    #[test]
    fn a_last_turn_of_the_models_is_followed_by_the_words_that_ask_to_go_on() {
        let given = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"{"} ]}"#;
        let said = made(given, "smart", "claude-sonnet-4-6");
        let body: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(body["messages"][1]["content"], "{");
        assert_eq!(body["messages"][2], serde_json::json!({"role": "user", "content": PROMPT}));
        let calls =
            r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}]}"#;
        for (body, model) in [(given, "claude-sonnet-4-5"), (given, "glm-5"), (calls, "claude-opus-5")] {
            assert_eq!(made(body, "smart", model), body, "{model}");
        }
    }
}
