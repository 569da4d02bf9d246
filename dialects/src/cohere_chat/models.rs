//! Lists of models: told as in OpenAI's words, which is what Cohere's SDK and its compatible paths ask for; read in Cohere's own.

use serde_json::Value;

use crate::model_list::{ListedModel, Modality, ModelCapability, ModelPage, ModelShape};
use crate::openai_chat;

/// The shape in which models are written.
pub(super) const SHAPE: ModelShape = ModelShape { read, ..openai_chat::models::SHAPE };

/// A page of Cohere's own list (`GET /v1/models`).
fn read(body: &[u8]) -> Option<ModelPage> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    let models = parsed.get("models")?.as_array()?.iter().filter_map(one).collect();
    let next = parsed.get("next_page_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    Some(ModelPage { models, next: next.map(str::to_owned) })
}

fn one(from: &Value) -> Option<ListedModel> {
    let name = from.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())?.to_owned();
    let says = |list: &str, word: &str| {
        let words = from.get(list).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).any(|said| said.eq_ignore_ascii_case(word))
    };
    let is_chat = says("endpoints", "chat");
    let abilities = [
        (ModelCapability::Tools, says("features", "tools")),
        (ModelCapability::StructuredOutput, says("features", "json_schema")),
        (ModelCapability::Thinking, says("features", "reasoning")),
        (ModelCapability::Embeddings, says("endpoints", "embed") && !is_chat),
    ];
    let reads = [(Modality::Text, is_chat), (Modality::Image, says("features", "vision"))];
    // It is told as a number with a fraction.
    let window = from.get("context_length").and_then(Value::as_f64).filter(|length| *length >= 1.0);
    Some(ListedModel {
        context_window: window.and_then(|length| format!("{length:.0}").parse().ok()),
        input: reads.iter().filter(|(_, reads)| *reads).map(|(modality, _)| *modality).collect(),
        output: is_chat.then_some(Modality::Text).into_iter().collect(),
        capabilities: abilities.iter().filter(|(_, can)| *can).map(|(ability, _)| *ability).collect(),
        name,
        ..ListedModel::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_list_is_read() {
        let body = br#"{"models":[
            {"name":"command","endpoints":["chat","generate"],"context_length":256000.0,"features":["tools","vision"]},
            {"name":"embed","endpoints":["embed"],"context_length":512},{}],"next_page_token":"t"}"#;
        let page = read(body).unwrap();
        let [command, embed] = page.models.as_slice() else { panic!("{page:?}") };
        assert_eq!((command.context_window, command.can(ModelCapability::Tools)), (Some(256_000), true));
        assert!(command.input.contains(&Modality::Image) && embed.can(ModelCapability::Embeddings));
        assert_eq!((embed.context_window, page.next.as_deref()), (Some(512), Some("t")));
    }
}
