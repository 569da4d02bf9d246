//! Lists of models in the words of Anthropic's SDKs, page by page.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::codec::Refusal;
use crate::model_list::{ListedModel, ModelShape};

/// The vendor's own bound.
const MOST_ON_A_PAGE: usize = 1_000;

/// The shape in which models are written.
pub(super) const SHAPE: ModelShape =
    ModelShape { one: |name, created| model(name, created).to_string().into_bytes(), list };

fn model(name: &str, created: i64) -> Value {
    // A time that no calendar has is told as the beginning of time.
    let at = jiff::Timestamp::from_second(created.max(0)).unwrap_or_default();
    json!({"type": "model", "id": name, "display_name": name, "created_at": format!("{at:.0}")})
}

/// Errors: what is asked for makes no sense.
fn list(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let WantedPage { limit, after, before } = WantedPage::read(query.unwrap_or_default())?;
    // A name that is gone since the page before still has its place.
    let start = after.as_ref().map_or(0, |id| models.partition_point(|(name, _)| name <= id));
    let end = before.as_ref().map_or(models.len(), |id| models.partition_point(|(name, _)| name < id));
    let listed = models.get(start..end).unwrap_or_default();
    let most = limit.unwrap_or(listed.len()).min(listed.len());
    // What stands before a name is asked for from there backwards.
    let backwards = after.is_none() && before.is_some();
    let (left, right) = listed.split_at(if backwards { listed.len() - most } else { most });
    let (shown, rest) = if backwards { (right, left) } else { (left, right) };
    Ok(page(shown, !rest.is_empty()))
}

fn page(models: &[ListedModel], more: bool) -> Vec<u8> {
    let id = |model: Option<&ListedModel>| model.map(|(id, _)| id.clone());
    let (first, last) = (id(models.first()), id(models.last()));
    let data: Vec<Value> = models.iter().map(|(name, created)| model(name, *created)).collect();
    json!({"data": data, "has_more": more, "first_id": first, "last_id": last}).to_string().into_bytes()
}

/// The part of the list that is asked for.
#[derive(Debug, Default)]
struct WantedPage {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
}

impl WantedPage {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut wanted = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST_ON_A_PAGE).contains(limit));
                    wanted.limit = Some(limit.ok_or_else(wrong_limit)?);
                }
                "after_id" => wanted.after = Some(value),
                "before_id" => wanted.before = Some(value),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn wrong_limit() -> Refusal {
    Refusal::field("limit", format_args!("must be a whole number from 1 to {MOST_ON_A_PAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_what_sdks_parse() {
        assert_eq!(model("m", 784_111_777)["created_at"], "1994-11-06T08:49:37Z");
        assert_eq!(model("m", -1)["created_at"], "1970-01-01T00:00:00Z");
        assert_eq!(model("m", 0)["created_at"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_part_of_the_list_is_what_was_asked_for() {
        let models: Vec<ListedModel> = ["a", "b", "c/d", "e", "f"].map(|name| (name.to_owned(), 0)).into();
        let ask = |query: &str| {
            let page: Value = serde_json::from_slice(&list(&models, Some(query)).unwrap()).unwrap();
            let ids: Vec<String> =
                page["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(page["first_id"].as_str(), ids.first().map(String::as_str), "{query}");
            assert_eq!(page["last_id"].as_str(), ids.last().map(String::as_str), "{query}");
            (ids.concat(), page["has_more"].as_bool().unwrap())
        };
        for (query, ids, more) in [
            ("", "abc/def", false),
            ("beta=true", "abc/def", false),
            ("limit=1000", "abc/def", false),
            ("limit=2", "ab", true),
            ("limit=2&after_id=b", "c/de", true),
            ("limit=2&after_id=c%2Fd", "ef", false),
            ("after_id=f", "", false),
            ("after_id=bb&limit=1", "c/d", true),
            ("before_id=e&limit=2", "bc/d", true),
            ("before_id=b&limit=2", "a", false),
            ("before_id=a", "", false),
            ("after_id=a&before_id=e", "bc/d", false),
            ("after_id=e&before_id=a", "", false),
        ] {
            assert_eq!(ask(query), (ids.to_owned(), more), "{query}");
        }
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit="] {
            let refused = list(&models, Some(query)).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some("limit"), "{query}");
        }
    }
}
