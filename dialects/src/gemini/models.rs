//! Lists of models in the words of Google's SDKs.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::codec::Refusal;
use crate::model_list::{ListedModel, ModelShape};

/// The number of models on a page where nobody says.
const PAGE: usize = 50;
/// The most it has.
const MOST: usize = 1000;

/// The shape in which models are written.
pub(super) const SHAPE: ModelShape = ModelShape { one: |name, _| model(name).to_string().into_bytes(), list };

fn model(name: &str) -> Value {
    json!({
        "name": format!("models/{name}"),
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    })
}

/// A page of the list: `pageSize` models behind the one that `pageToken` names. Errors: the size is none.
fn list(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let value = |wanted: [&str; 2]| {
        let pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, value)| wanted.contains(name) && !value.is_empty()).map(|(_, value)| value).next_back()
    };
    let size = match value(["pageSize", "page_size"]) {
        Some(text) => match text.parse::<usize>() {
            Ok(0) => PAGE,
            Ok(size) => size.min(MOST),
            Err(_) => return Err(Refusal::field("pageSize", "must be a whole number that is not negative")),
        },
        None => PAGE,
    };
    let token = value(["pageToken", "page_token"]).and_then(|token| percent_decode_str(token).decode_utf8().ok());
    // The list is in the order of names: what stands behind a name that is gone is still known.
    let from = token.map_or(0, |token| models.partition_point(|(name, _)| name.as_str() <= &*token));
    let page: Vec<&ListedModel> = models.iter().skip(from).take(size).collect();
    let more = from + page.len() < models.len();
    let mut out = json!({"models": page.iter().map(|(name, _)| model(name)).collect::<Vec<_>>()});
    if let (true, Some((name, _)), Value::Object(members)) = (more, page.last(), &mut out) {
        members.insert("nextPageToken".to_owned(), Value::String(name.clone()));
    }
    Ok(out.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let models: Vec<ListedModel> = ["a", "b", "c/d", "e"].map(|name| (name.to_owned(), 0)).into();
        let mut names = Vec::new();
        let mut query = "pageSize=3".to_owned();
        for _ in 0..2 {
            let page: Value = serde_json::from_slice(&list(&models, Some(&query)).unwrap()).unwrap();
            names.extend(page["models"].as_array().unwrap().iter().map(|model| model["name"].clone()));
            let Some(token) = page["nextPageToken"].as_str() else { break };
            query = format!("pageSize=3&pageToken={}", token.replace('/', "%2F"));
        }
        assert_eq!(names, ["models/a", "models/b", "models/c/d", "models/e"]);
        // Which models have vectors the gateway does not know: a client that looks for them must find its own.
        assert_eq!(model("a")["supportedGenerationMethods"], json!(["generateContent", "countTokens", "embedContent"]));
        assert!(list(&models, Some("pageSize=many")).is_err());
    }
}
