//! Lists of models in the words of Amazon's SDKs: what `ListFoundationModels` and `GetFoundationModel` of the client `bedrock` answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::codec::Refusal;
use crate::model_list::{ListedModel, Modality, ModelCapability, ModelShape, member};

/// The shape in which models are written. The list has no pages.
pub(super) const SHAPE: ModelShape =
    ModelShape { one: |listed| json!({"modelDetails": model(listed)}).to_string().into_bytes(), list, read: |_| None };

fn model(listed: &ListedModel) -> Value {
    let words = |of: &BTreeSet<Modality>| {
        let known = of.iter().map(|one| one.word().to_ascii_uppercase()).collect::<Vec<_>>();
        // Every model of the list has some; what nobody has said is text.
        if known.is_empty() { vec!["TEXT".to_owned()] } else { known }
    };
    let is_vectors = listed.can(ModelCapability::Embeddings);
    json!({
        "modelArn": format!("arn:aws:bedrock:::foundation-model/{}", listed.name),
        "modelId": listed.name,
        "modelName": listed.shown(),
        "providerName": "sluicegate",
        "inputModalities": words(&listed.input),
        "outputModalities": if is_vectors { vec!["EMBEDDING".to_owned()] } else { words(&listed.output) },
        "responseStreamingSupported": !is_vectors,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    })
}

/// `byOutputModality` is the one filter of Amazon's that says something here. Errors: none.
fn list(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let wanted = member(query, &["byOutputModality"]);
    let writes = |model: &Value| {
        let words = model["outputModalities"].as_array().into_iter().flatten().filter_map(Value::as_str);
        wanted.is_none_or(|wanted| words.into_iter().any(|word| word.eq_ignore_ascii_case(wanted)))
    };
    let models: Vec<Value> = models.iter().map(model).filter(writes).collect();
    Ok(json!({"modelSummaries": models}).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_as_amazons_and_filtered_by_what_models_write() {
        let named = |name: &str| ListedModel { name: name.to_owned(), ..ListedModel::default() };
        let vectors = ListedModel { capabilities: [ModelCapability::Embeddings].into(), ..named("v") };
        let models = [named("a"), vectors];
        let ids = |query: Option<&str>| {
            let list: Value = serde_json::from_slice(&list(&models, query).unwrap()).unwrap();
            let ids = list["modelSummaries"].as_array().unwrap().iter().map(|one| one["modelId"].as_str().unwrap());
            ids.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ids(None), ["a", "v"]);
        assert_eq!(ids(Some("byOutputModality=EMBEDDING")), ["v"]);
        assert_eq!(ids(Some("byOutputModality=TEXT&byInferenceType=ON_DEMAND")), ["a"]);
        assert_eq!(model(&named("a"))["inputModalities"], json!(["TEXT"]));
    }
}
