//! Lists of models in the words of Google's SDKs: of the Gemini API, and of Vertex AI's publisher.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::codec::Refusal;
use crate::model_list::{ListedModel, Modality, ModelCapability, ModelPage, ModelShape, member};

/// The number of models on a page where nobody says.
const PAGE: usize = 50;
/// The most it has.
const MOST: usize = 1000;

/// The shape in which models are written.
pub(super) const SHAPE: ModelShape = ModelShape {
    one: |listed| model(listed).to_string().into_bytes(),
    list: |models, query| page(models, query, ("models", model)),
    read,
};
/// The same as Vertex AI has it.
pub(crate) const PUBLISHER: ModelShape = ModelShape {
    one: |listed| publisher_model(listed).to_string().into_bytes(),
    list: |models, query| page(models, query, ("publisherModels", publisher_model)),
    read,
};

fn model(listed: &ListedModel) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("name", format!("models/{}", listed.name).into());
    put("displayName", listed.shown().into());
    if let Some(window) = listed.context_window {
        put("inputTokenLimit", window.into());
    }
    if let Some(most) = listed.max_output {
        put("outputTokenLimit", most.into());
    }
    if listed.can(ModelCapability::Thinking) {
        put("thinking", true.into());
    }
    // Which models have vectors the gateway knows of some: a client that looks for them must find its own.
    let methods: &[&str] = match () {
        () if listed.can(ModelCapability::Embeddings) => &["embedContent"],
        () if listed.is_described() || listed.vectors_offered == Some(false) => &["generateContent", "countTokens"],
        () => &["generateContent", "countTokens", "embedContent"],
    };
    put("supportedGenerationMethods", methods.into());
    Value::Object(out)
}

fn publisher_model(listed: &ListedModel) -> Value {
    json!({
        "name": format!("publishers/google/models/{}", listed.name),
        "versionId": "default",
        "launchStage": "GA",
        "displayName": listed.shown(),
    })
}

/// A page of Google's own list.
fn read(body: &[u8]) -> Option<ModelPage> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    let models = parsed.get("models")?.as_array()?.iter().filter_map(one).collect();
    let next = parsed.get("nextPageToken").and_then(Value::as_str).filter(|token| !token.is_empty());
    Some(ModelPage { models, next: next.map(str::to_owned) })
}

fn one(from: &Value) -> Option<ListedModel> {
    let text = |name: &str| from.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let number = |name: &str| from.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
    let name = text("name")?;
    let name = name.strip_prefix("models/").unwrap_or(name).to_owned();
    let methods = from.get("supportedGenerationMethods").and_then(Value::as_array).into_iter().flatten();
    let methods: BTreeSet<&str> = methods.filter_map(Value::as_str).collect();
    let abilities = [
        (ModelCapability::Thinking, from.get("thinking").and_then(Value::as_bool) == Some(true)),
        (ModelCapability::Embeddings, methods.contains("embedContent") && !methods.contains("generateContent")),
    ];
    Some(ListedModel {
        display_name: text("displayName").filter(|shown| *shown != name).map(str::to_owned),
        context_window: number("inputTokenLimit"),
        max_output: number("outputTokenLimit"),
        // What it reads the list does not say; that it writes text it does.
        output: methods.contains("generateContent").then_some(Modality::Text).into_iter().collect(),
        capabilities: abilities.iter().filter(|(_, can)| *can).map(|(ability, _)| *ability).collect(),
        name,
        ..ListedModel::default()
    })
}

/// The word that a list stands under, and the shape of each of its models.
type Listing = (&'static str, fn(&ListedModel) -> Value);

/// A page of the list: `pageSize` models behind the one that `pageToken` names. Errors: the size is none.
fn page(models: &[ListedModel], query: Option<&str>, (word, shape): Listing) -> Result<Vec<u8>, Refusal> {
    let size = match member(query, &["pageSize", "page_size"]) {
        Some(text) => match text.parse::<usize>() {
            Ok(0) => PAGE,
            Ok(size) => size.min(MOST),
            Err(_) => return Err(Refusal::field("pageSize", "must be a whole number that is not negative")),
        },
        None => PAGE,
    };
    let token = member(query, &["pageToken", "page_token"]);
    let token = token.and_then(|token| percent_decode_str(token).decode_utf8().ok());
    // The list is in the order of names: what stands behind a name that is gone is still known.
    let from = token.map_or(0, |token| models.partition_point(|model| model.name.as_str() <= &*token));
    let page: Vec<&ListedModel> = models.iter().skip(from).take(size).collect();
    let more = from + page.len() < models.len();
    let mut out = Map::new();
    out.insert(word.to_owned(), page.iter().map(|listed| shape(listed)).collect());
    if let (true, Some(last)) = (more, page.last()) {
        out.insert("nextPageToken".to_owned(), last.name.as_str().into());
    }
    Ok(Value::Object(out).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let models: Vec<ListedModel> = ["a", "b", "c/d", "e"].map(named).into();
        let mut names = Vec::new();
        let mut query = "pageSize=3".to_owned();
        for _ in 0..2 {
            let page: Value = serde_json::from_slice(&(SHAPE.list)(&models, Some(&query)).unwrap()).unwrap();
            names.extend(page["models"].as_array().unwrap().iter().map(|model| model["name"].clone()));
            let Some(token) = page["nextPageToken"].as_str() else { break };
            query = format!("pageSize=3&pageToken={}", token.replace('/', "%2F"));
        }
        assert_eq!(names, ["models/a", "models/b", "models/c/d", "models/e"]);
        assert!((SHAPE.list)(&models, Some("pageSize=many")).is_err());
    }

    fn named(name: &str) -> ListedModel {
        ListedModel { name: name.to_owned(), ..ListedModel::default() }
    }

    #[test]
    fn what_is_known_is_told_and_what_is_written_is_read_again() {
        // Which models have vectors nobody may have said: a client that looks for them must find its own.
        let all = json!(["generateContent", "countTokens", "embedContent"]);
        assert_eq!(
            model(&named("a")),
            json!({"name": "models/a", "displayName": "a", "supportedGenerationMethods": all})
        );
        let nowhere = ListedModel { vectors_offered: Some(false), ..named("a") };
        assert_eq!(model(&nowhere)["supportedGenerationMethods"], json!(["generateContent", "countTokens"]));
        let known = ListedModel {
            display_name: Some("A".to_owned()),
            context_window: Some(1_048_576),
            max_output: Some(65_536),
            output: [Modality::Text].into(),
            capabilities: [ModelCapability::Thinking].into(),
            ..named("a")
        };
        let vectors = ListedModel { capabilities: [ModelCapability::Embeddings].into(), ..named("v") };
        assert_eq!(
            model(&known),
            json!({
                "name": "models/a", "displayName": "A", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
                "thinking": true, "supportedGenerationMethods": ["generateContent", "countTokens"]
            })
        );
        let written = (SHAPE.list)(&[known.clone(), vectors.clone()], None).unwrap();
        assert_eq!(read(&written), Some(ModelPage { models: vec![known, vectors], next: None }));
        let paged = read(br#"{"models":[{"name":"models/a"},{}],"nextPageToken":"t"}"#).unwrap();
        assert_eq!((paged.models, paged.next.as_deref()), (vec![named("a")], Some("t")));
        assert!(read(b"{}").is_none());
    }

    #[test]
    fn a_publisher_has_words_of_its_own() {
        let list: Value = serde_json::from_slice(&(PUBLISHER.list)(&[named("a")], None).unwrap()).unwrap();
        assert_eq!(list["publisherModels"][0]["name"], "publishers/google/models/a");
    }
}
