//! Lists of models in the words of OpenAI's SDKs.

use serde_json::{Value, json};

use crate::model_list::{ListedModel, ModelShape};

/// The shape in which models are written. The list has no pages.
pub(crate) const SHAPE: ModelShape = ModelShape {
    one: |name, created| model(name, created).to_string().into_bytes(),
    list: |models, _| Ok(list(models)),
};

fn model(name: &str, created: i64) -> Value {
    json!({"id": name, "object": "model", "created": created, "owned_by": "sluicegate"})
}

fn list(models: &[ListedModel]) -> Vec<u8> {
    let data: Vec<Value> = models.iter().map(|(name, created)| model(name, *created)).collect();
    json!({"object": "list", "data": data}).to_string().into_bytes()
}
