//! Lists of models in the words of OpenAI's SDKs, with what else is known of a model as OpenRouter's list has it; and the lists of
//! all who speak the dialect, each of which says it in words of its own.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::codec::Refusal;
use crate::model_list::{
    ListedModel, Modality, ModelCapability, ModelPage, ModelShape, TokenPrices, dollars, member, picodollars,
};

/// The bound of a page that is asked for.
const MOST_ON_A_PAGE: usize = 10_000;

/// The shape in which models are written. The list has no pages, but for who asks for one.
pub(crate) const SHAPE: ModelShape = ModelShape { one: |listed| model(listed).to_string().into_bytes(), list, read };

/// Parameters that stand for an ability.
const PARAMETERS: [(ModelCapability, &[&str]); 3] = [
    (ModelCapability::Tools, &["tools", "tool_choice"]),
    (ModelCapability::StructuredOutput, &["response_format", "structured_outputs"]),
    (ModelCapability::Thinking, &["reasoning", "reasoning_effort"]),
];

/// A fact that nobody knows is left out: a client then goes by its own tables.
fn model(listed: &ListedModel) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("id", listed.name.as_str().into());
    put("object", "model".into());
    put("created", listed.created.into());
    put("owned_by", "sluicegate".into());
    if let Some(name) = &listed.display_name {
        put("name", name.as_str().into());
    }
    if let Some(window) = listed.context_window {
        put("context_length", window.into());
    }
    if let Some(most) = listed.max_output {
        put("max_completion_tokens", most.into());
    }
    if listed.context_window.is_some() || listed.max_output.is_some() {
        let top = json!({"context_length": listed.context_window, "max_completion_tokens": listed.max_output});
        put("top_provider", top);
    }
    if !listed.input.is_empty() || !listed.output.is_empty() {
        put("architecture", architecture(listed));
    }
    if !listed.capabilities.is_empty() {
        let known = PARAMETERS.iter().filter(|(capability, _)| listed.can(*capability));
        put("supported_parameters", known.flat_map(|(_, names)| names.iter().copied()).collect());
    }
    if let Some(price) = &listed.price {
        put("pricing", pricing(price));
    }
    Value::Object(out)
}

fn architecture(listed: &ListedModel) -> Value {
    let words = |of: &BTreeSet<Modality>| of.iter().map(|one| one.word()).collect::<Vec<_>>();
    let output = if listed.can(ModelCapability::Embeddings) { vec!["embeddings"] } else { words(&listed.output) };
    let input = words(&listed.input);
    let mut out = Map::new();
    // The two together, where both are known.
    if !input.is_empty() && !output.is_empty() {
        out.insert("modality".to_owned(), format!("{}->{}", input.join("+"), output.join("+")).into());
    }
    for (name, words) in [("input_modalities", input), ("output_modalities", output)] {
        if !words.is_empty() {
            out.insert(name.to_owned(), words.into());
        }
    }
    Value::Object(out)
}

/// Dollars for each token.
fn pricing(price: &TokenPrices) -> Value {
    let mut out = json!({"prompt": dollars(price.input), "completion": dollars(price.output)});
    let others = [
        ("input_cache_read", Some(price.cached_input)),
        ("input_cache_write", Some(price.cache_write)),
        ("internal_reasoning", price.reasoning),
    ];
    for (name, pico) in others {
        if let (Some(pico), Value::Object(members)) = (pico, &mut out) {
            members.insert(name.to_owned(), dollars(pico).into());
        }
    }
    out
}

/// Errors: `limit` is none. OpenAI's own list has no pages: `limit` and `after` are as in its other lists.
fn list(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let limit = match member(query, &["limit"]) {
        None => None,
        Some(text) => match text.parse::<usize>() {
            Ok(limit) if (1..=MOST_ON_A_PAGE).contains(&limit) => Some(limit),
            _ => {
                let wrong = format_args!("must be a whole number from 1 to {MOST_ON_A_PAGE}");
                return Err(Refusal::field("limit", wrong));
            }
        },
    };
    let after = member(query, &["after"]).and_then(|after| percent_decode_str(after).decode_utf8().ok());
    let from = after.as_ref().map_or(0, |after| models.partition_point(|model| model.name.as_str() <= &**after));
    let page: Vec<&ListedModel> = models.iter().skip(from).take(limit.unwrap_or(usize::MAX)).collect();
    let data: Vec<Value> = page.iter().map(|listed| model(listed)).collect();
    let mut out = json!({"object": "list", "data": data});
    if let (true, Value::Object(members)) = (limit.is_some() || after.is_some(), &mut out) {
        let id = |model: Option<&&ListedModel>| model.map(|model| model.name.clone());
        members.insert("has_more".to_owned(), (from + page.len() < models.len()).into());
        members.insert("first_id".to_owned(), id(page.first()).into());
        members.insert("last_id".to_owned(), id(page.last()).into());
    }
    Ok(out.to_string().into_bytes())
}

/// A provider's list: `data` of OpenAI and most, `models` of some, or the bare array of others.
fn read(body: &[u8]) -> Option<ModelPage> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    let data = parsed.get("data").or_else(|| parsed.get("models")).unwrap_or(&parsed).as_array()?;
    Some(ModelPage { models: data.iter().filter_map(one).collect(), next: None })
}

/// One of them. Each host has other words: those of OpenRouter, Groq, Together, Mistral, Fireworks and vLLM.
fn one(from: &Value) -> Option<ListedModel> {
    let name = from.get("id").and_then(Value::as_str).filter(|name| !name.is_empty())?.to_owned();
    let number = |places: &[&str]| places.iter().find_map(|place| from.pointer(place)?.as_u64()).filter(|n| *n > 0);
    let words = |place: &str| {
        let listed = from.pointer(place).and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<String>>()
    };
    let is = |place: &str| from.pointer(place).and_then(Value::as_bool) == Some(true);
    let modalities = |place: &str| words(place).iter().filter_map(|word| Modality::of(word)).collect::<BTreeSet<_>>();
    let mut input = modalities("/architecture/input_modalities");
    if is("/capabilities/vision") || is("/supports_image_input") {
        input.extend([Modality::Text, Modality::Image]);
    }
    let outputs = words("/architecture/output_modalities");
    let parameters = words("/supported_parameters");
    let known = PARAMETERS.iter().filter(|(_, names)| names.iter().any(|name| parameters.iter().any(|p| p == name)));
    let mut capabilities: BTreeSet<ModelCapability> = known.map(|(capability, _)| *capability).collect();
    if is("/capabilities/function_calling") || is("/supports_tools") {
        capabilities.insert(ModelCapability::Tools);
    }
    if outputs.iter().any(|word| word == "embeddings") || from.get("type").and_then(Value::as_str) == Some("embedding")
    {
        capabilities.insert(ModelCapability::Embeddings);
    }
    Some(ListedModel {
        created: from.get("created").and_then(Value::as_i64).unwrap_or_default().max(0),
        display_name: from.get("name").and_then(Value::as_str).filter(|shown| **shown != *name).map(str::to_owned),
        context_window: number(&["/context_length", "/context_window", "/max_model_len", "/max_context_length"]),
        max_output: number(&["/top_provider/max_completion_tokens", "/max_completion_tokens", "/max_output_tokens"]),
        output: outputs.iter().filter_map(|word| Modality::of(word)).collect(),
        price: from.get("pricing").and_then(prices),
        input,
        capabilities,
        vectors_offered: None,
        name,
    })
}

/// That which OpenRouter says, and those who say it in its words: dollars for each token.
fn prices(from: &Value) -> Option<TokenPrices> {
    let rate = |name: &str| picodollars(from.get(name)?.as_str()?);
    let (input, output) = (rate("prompt")?, rate("completion")?);
    Some(TokenPrices {
        input,
        output,
        cached_input: rate("input_cache_read").unwrap_or(input),
        cache_write: rate("input_cache_write").unwrap_or(input),
        reasoning: rate("internal_reasoning").filter(|rate| *rate > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a list can say.
    pub(crate) fn whole() -> ListedModel {
        ListedModel {
            name: "m".to_owned(),
            created: 7,
            display_name: Some("The model".to_owned()),
            context_window: Some(128_000),
            max_output: Some(16_384),
            input: [Modality::Text, Modality::Image].into(),
            output: [Modality::Text].into(),
            capabilities: [ModelCapability::Tools, ModelCapability::Thinking].into(),
            price: Some(TokenPrices {
                input: 2_500_000,
                output: 10_000_000,
                cached_input: 1_250_000,
                cache_write: 2_500_000,
                reasoning: None,
            }),
            vectors_offered: None,
        }
    }

    #[test]
    fn what_is_known_is_told_and_nothing_else() {
        let plain = ListedModel { name: "m".to_owned(), created: 7, ..ListedModel::default() };
        assert_eq!(model(&plain), json!({"id": "m", "object": "model", "created": 7, "owned_by": "sluicegate"}));
        assert_eq!(
            model(&whole()),
            json!({
                "id": "m", "object": "model", "created": 7, "owned_by": "sluicegate", "name": "The model",
                "context_length": 128_000, "max_completion_tokens": 16_384,
                "top_provider": {"context_length": 128_000, "max_completion_tokens": 16_384},
                "architecture": {
                    "modality": "text+image->text", "input_modalities": ["text", "image"], "output_modalities": ["text"]
                },
                "supported_parameters": ["tools", "tool_choice", "reasoning", "reasoning_effort"],
                "pricing": {
                    "prompt": "0.0000025", "completion": "0.00001", "input_cache_read": "0.00000125",
                    "input_cache_write": "0.0000025"
                }
            })
        );
    }

    #[test]
    fn of_a_model_whose_input_alone_is_known_nothing_is_said_of_its_output() {
        let reads = ListedModel { input: [Modality::Text, Modality::Image].into(), ..ListedModel::default() };
        assert_eq!(model(&reads)["architecture"], json!({"input_modalities": ["text", "image"]}));
        let writes = ListedModel { output: [Modality::Text].into(), ..ListedModel::default() };
        assert_eq!(model(&writes)["architecture"], json!({"output_modalities": ["text"]}));
    }

    #[test]
    fn what_is_written_is_read_again_whole() {
        let models = [whole(), ListedModel { name: "n".to_owned(), ..ListedModel::default() }];
        let page = read(&list(&models, None).unwrap()).unwrap();
        assert_eq!((page.models.as_slice(), page.next), (&models[..], None));
    }

    #[test]
    fn hosts_say_windows_and_abilities_in_words_of_their_own() {
        for (from, window, output, tools, image) in [
            (
                r#"{"id":"m","context_window":131072,"max_completion_tokens":32768}"#,
                Some(131_072),
                Some(32_768),
                false,
                false,
            ),
            (r#"{"id":"m","max_model_len":4096}"#, Some(4_096), None, false, false),
            (
                r#"{"id":"m","max_context_length":8,"capabilities":{"function_calling":true,"vision":true}}"#,
                Some(8),
                None,
                true,
                true,
            ),
            (
                r#"{"id":"m","context_length":9,"supports_tools":true,"supports_image_input":false}"#,
                Some(9),
                None,
                true,
                false,
            ),
            (r#"{"id":"m","context_length":0}"#, None, None, false, false),
        ] {
            for body in [format!("[{from}]"), format!("{{\"data\":[{from},{{\"id\":\"\"}},7]}}")] {
                let page = read(body.as_bytes()).unwrap();
                let [one] = page.models.as_slice() else { panic!("{page:?}") };
                let said = (one.context_window, one.max_output, one.can(ModelCapability::Tools));
                assert_eq!(said, (window, output, tools), "{from}");
                assert_eq!(one.input.contains(&Modality::Image), image, "{from}");
            }
        }
        for body in ["", "{}", "{\"data\":7}", "nothing"] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_page_is_given_to_who_asks_for_one() {
        let models: Vec<ListedModel> =
            ["a", "b", "c/d"].map(|name| ListedModel { name: name.to_owned(), ..ListedModel::default() }).into();
        for (query, ids, more) in [
            (None, "abc/d", None),
            (Some("beta=true"), "abc/d", None),
            (Some("limit=2"), "ab", Some(true)),
            (Some("limit=2&after=b"), "c/d", Some(false)),
            (Some("after=c%2Fd"), "", Some(false)),
        ] {
            let page: Value = serde_json::from_slice(&list(&models, query).unwrap()).unwrap();
            let data = page["data"].as_array().unwrap();
            let found: String = data.iter().map(|model| model["id"].as_str().unwrap()).collect();
            assert_eq!((found.as_str(), page["has_more"].as_bool()), (ids, more), "{query:?}");
        }
        for query in ["limit=0", "limit=x", "limit=10001"] {
            assert_eq!(list(&models, Some(query)).unwrap_err().param.as_deref(), Some("limit"), "{query}");
        }
    }
}
