//! Lists of models in the words of Anthropic's SDKs, page by page.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::codec::Refusal;
use crate::model_list::{ListedModel, Modality, ModelCapability, ModelPage, ModelShape};
use crate::vendors::{self, ThinkingMode};

/// The vendor's own bound.
const MOST_ON_A_PAGE: usize = 1_000;

/// The shape in which models are written.
pub(super) const SHAPE: ModelShape = ModelShape { one: |listed| model(listed).to_string().into_bytes(), list, read };

fn model(listed: &ListedModel) -> Value {
    // A time that no calendar has is told as the beginning of time.
    let at = jiff::Timestamp::from_second(listed.created.max(0)).unwrap_or_default();
    json!({
        "type": "model",
        "id": listed.name,
        "display_name": listed.shown(),
        "created_at": format!("{at:.0}"),
        "max_input_tokens": listed.context_window,
        "max_tokens": listed.max_output,
        "capabilities": listed.is_described().then(|| capabilities(listed)),
        "lifecycle": "active",
    })
}

/// All of the vendor's capabilities, as its list has them; what nobody has said is not claimed.
fn capabilities(listed: &ListedModel) -> Value {
    let supported = |yes: bool| json!({"supported": yes});
    let reads = |modality: Modality| supported(listed.input.contains(&modality));
    let thinks = listed.can(ModelCapability::Thinking);
    // A model of another vendor takes whichever way is asked for: it is put into that vendor's words.
    let row = listed.name.contains("claude").then(|| vendors::claude(&listed.name));
    let way = |mode: ThinkingMode| thinks && row.is_none_or(|row| row.thinking == mode);
    let by_effort = way(ThinkingMode::Adaptive);
    json!({
        "batch": supported(false),
        "citations": supported(false),
        "code_execution": supported(false),
        "context_management": {"supported": false},
        "effort": {
            "supported": by_effort, "low": supported(by_effort), "medium": supported(by_effort),
            "high": supported(by_effort), "xhigh": supported(by_effort), "max": supported(by_effort),
        },
        "image_input": reads(Modality::Image),
        "pdf_input": reads(Modality::File),
        "server_tools": {"supported": false, "web_search": supported(false), "code_execution": supported(false)},
        "structured_outputs": supported(listed.can(ModelCapability::StructuredOutput)),
        "thinking": {
            "supported": thinks,
            "types": {
                "adaptive": supported(by_effort), "enabled": supported(way(ThinkingMode::Budget)),
                "disabled": supported(row.is_none_or(|row| row.can_rest)), "between_tools": supported(false),
            },
        },
    })
}

/// A page of Anthropic's own list.
fn read(body: &[u8]) -> Option<ModelPage> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    let models = parsed.get("data")?.as_array()?.iter().filter_map(one).collect();
    let more = parsed.get("has_more").and_then(Value::as_bool) == Some(true);
    let last = parsed.get("last_id").and_then(Value::as_str).filter(|_| more);
    Some(ModelPage { models, next: last.map(str::to_owned) })
}

fn one(from: &Value) -> Option<ListedModel> {
    let text = |name: &str| from.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let number = |name: &str| from.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
    let name = text("id")?.to_owned();
    let can = |place: &str| from.pointer(place).and_then(Value::as_bool) == Some(true);
    let is_described = from.get("capabilities").is_some_and(Value::is_object);
    let reads = [
        (Modality::Text, is_described),
        (Modality::Image, can("/capabilities/image_input/supported")),
        (Modality::File, can("/capabilities/pdf_input/supported")),
    ];
    let abilities = [
        // Each of them does, and none says so.
        (ModelCapability::Tools, is_described),
        (ModelCapability::StructuredOutput, can("/capabilities/structured_outputs/supported")),
        (ModelCapability::Thinking, can("/capabilities/thinking/supported")),
    ];
    let created = text("created_at").and_then(|at| at.parse::<jiff::Timestamp>().ok());
    Some(ListedModel {
        created: created.map_or(0, |at| at.as_second().max(0)),
        display_name: text("display_name").filter(|shown| *shown != name).map(str::to_owned),
        context_window: number("max_input_tokens"),
        max_output: number("max_tokens"),
        input: reads.iter().filter(|(_, reads)| *reads).map(|(modality, _)| *modality).collect(),
        output: is_described.then_some(Modality::Text).into_iter().collect(),
        capabilities: abilities.iter().filter(|(_, can)| *can).map(|(ability, _)| *ability).collect(),
        name,
        ..ListedModel::default()
    })
}

/// Errors: what is asked for makes no sense.
fn list(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let WantedPage { limit, after, before } = WantedPage::read(query.unwrap_or_default())?;
    // A name that is gone since the page before still has its place.
    let start = after.as_ref().map_or(0, |id| models.partition_point(|model| model.name <= *id));
    let end = before.as_ref().map_or(models.len(), |id| models.partition_point(|model| model.name < *id));
    let listed = models.get(start..end).unwrap_or_default();
    let most = limit.unwrap_or(listed.len()).min(listed.len());
    // What stands before a name is asked for from there backwards.
    let backwards = after.is_none() && before.is_some();
    let (left, right) = listed.split_at(if backwards { listed.len() - most } else { most });
    let (shown, rest) = if backwards { (right, left) } else { (left, right) };
    Ok(page(shown, !rest.is_empty()))
}

fn page(models: &[ListedModel], more: bool) -> Vec<u8> {
    let id = |model: Option<&ListedModel>| model.map(|model| model.name.clone());
    let (first, last) = (id(models.first()), id(models.last()));
    let data: Vec<Value> = models.iter().map(model).collect();
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
        for (created, at) in
            [(784_111_777, "1994-11-06T08:49:37Z"), (-1, "1970-01-01T00:00:00Z"), (0, "1970-01-01T00:00:00Z")]
        {
            assert_eq!(model(&ListedModel { created, ..named("m") })["created_at"], at);
        }
    }

    fn named(name: &str) -> ListedModel {
        ListedModel { name: name.to_owned(), ..ListedModel::default() }
    }

    #[test]
    fn what_is_known_is_told_and_what_is_not_is_null() {
        let plain = model(&named("m"));
        assert_eq!((&plain["max_input_tokens"], &plain["max_tokens"]), (&Value::Null, &Value::Null));
        assert_eq!((&plain["capabilities"], &plain["display_name"]), (&Value::Null, &json!("m")));
        let known = ListedModel {
            display_name: Some("Claude".to_owned()),
            context_window: Some(200_000),
            max_output: Some(64_000),
            input: [Modality::Text, Modality::Image].into(),
            output: [Modality::Text].into(),
            capabilities: [ModelCapability::Tools, ModelCapability::Thinking].into(),
            ..named("claude-sonnet-4-5")
        };
        let told = model(&known);
        assert_eq!((&told["max_input_tokens"], &told["max_tokens"]), (&json!(200_000), &json!(64_000)));
        let can = |place: &str| told.pointer(&format!("/capabilities/{place}/supported")).unwrap().as_bool().unwrap();
        assert!(can("image_input") && can("thinking") && can("thinking/types/enabled"));
        assert!(!can("pdf_input") && !can("thinking/types/adaptive") && !can("effort") && !can("batch"));
        // What is written is read again.
        let page = read(&list(std::slice::from_ref(&known), None).unwrap()).unwrap();
        assert_eq!(page, ModelPage { models: vec![known], next: None });
    }

    #[test]
    fn a_page_says_if_another_one_follows() {
        let page =
            |more: &str| read(format!(r#"{{"data":[{{"id":"a"}},{{}}],"has_more":{more},"last_id":"a"}}"#).as_bytes());
        assert_eq!(page("true").unwrap().next.as_deref(), Some("a"));
        assert_eq!(page("false").unwrap().next, None);
        assert_eq!(page("true").unwrap().models, [named("a")]);
        assert!(read(b"{}").is_none() && read(b"[").is_none());
    }

    #[test]
    fn a_part_of_the_list_is_what_was_asked_for() {
        let models: Vec<ListedModel> = ["a", "b", "c/d", "e", "f"].map(named).into();
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
