//! The verbatim lane agrees with a parser that builds the whole tree, and an edit leaves every other byte alone.

use crate::Dialect;
use crate::verbatim::{Edit, Envelope, Field, PathSays, Peek, splice};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::ground::{DIALECTS, is_json, shown};

const FIELDS: [Field; 8] = [
    Field::Model,
    Field::Stream,
    Field::MaxTokens,
    Field::MaxCompletionTokens,
    Field::Temperature,
    Field::StreamOptions,
    Field::User,
    Field::Metadata,
];

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    // Numbers beyond all types and lone surrogates are no tree; the lane lets them pass.
    let tree = serde_json::from_slice::<Map<String, Value>>(data).ok();
    for dialect in DIALECTS.iter().copied() {
        match (dialect.peek(data, PathSays::default()), &tree) {
            (Ok(peek), Some(tree)) => {
                agrees(dialect, (&peek, data), tree);
                edits(dialect, &peek, data, tree);
            }
            (Ok(peek), None) => {
                assert!(is_json(data), "peeked at what is no JSON");
                assert!(is_json(&splice(&Bytes::copy_from_slice(data), &[peek.set_model("other")])));
            }
            // InvokeModel has bodies of other vendors, of which this is the mark.
            (Err(_), Some(tree))
                if dialect.habits().envelope == Some(Envelope::Bedrock) && !tree.contains_key("anthropic_version") => {}
            (Err(_), Some(tree)) if is_fit(dialect, tree) => {
                // Only a field that stands there twice, of which the tree knows nothing, may be in the way.
                let once = serde_json::to_vec(tree).expect("a tree serialises");
                assert!(dialect.peek(&once, PathSays::default()).is_ok(), "refused: {}", shown(&once));
            }
            (Err(_), _) => {}
        }
    }
}

fn agrees(dialect: Dialect, (peek, data): (&Peek, &[u8]), tree: &Map<String, Value>) {
    let field = |name: &str| tree.get(name).filter(|value| !value.is_null());
    if !dialect.habits().names_model {
        // Its path says the model and whether the answer is a stream.
        return;
    }
    assert_eq!(Some(peek.model.of(data)), field("model").and_then(Value::as_str));
    assert_eq!(peek.stream, field("stream").is_some_and(|value| value == true));
    if dialect == Dialect::OpenAiResponses {
        // The rest has other names there.
        return;
    }
    let openai = matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions);
    let newer = field("max_completion_tokens").filter(|_| dialect == Dialect::OpenAiChat);
    assert_eq!(peek.max_tokens, newer.or_else(|| field("max_tokens")).and_then(Value::as_u64));
    let temperature =
        peek.temperature.clone().map(|span| serde_json::from_slice::<Value>(&data[span]).expect("a number"));
    assert_eq!(temperature.as_ref(), field("temperature"));
    if openai {
        let asked = field("stream_options").and_then(|options| options.get("include_usage"));
        assert_eq!(peek.include_usage, asked == Some(&Value::Bool(true)));
        assert_eq!(peek.user.as_ref().map(|user| user.of(data)), field("user").and_then(Value::as_str));
    } else if let Some(user) = &peek.user {
        let told = field("metadata").and_then(|metadata| metadata.get("user_id")).and_then(Value::as_str);
        assert_eq!(Some(user.of(data)), told);
    }
}

/// True if every field that is looked at is as it should be.
fn is_fit(dialect: Dialect, tree: &Map<String, Value>) -> bool {
    let is = |name: &str, kind: fn(&Value) -> bool| tree.get(name).is_none_or(|value| value.is_null() || kind(value));
    let both = tree.get("model").and_then(Value::as_str).is_some_and(|model| !model.is_empty())
        && is("stream", Value::is_boolean)
        && is("max_tokens", Value::is_u64)
        && is("temperature", Value::is_number);
    let usage = |options: &Value| {
        options.is_object() && options.get("include_usage").is_none_or(|usage| usage.is_null() || usage.is_boolean())
    };
    both && (dialect == Dialect::AnthropicMessages
        || (is("max_completion_tokens", Value::is_u64) && is("stream_options", usage) && is("user", Value::is_string)))
}

fn edits(dialect: Dialect, peek: &Peek, data: &[u8], tree: &Map<String, Value>) {
    let body = Bytes::copy_from_slice(data);
    assert_eq!(splice(&body, &[]), body);
    let mut all: Vec<Edit> = Vec::new();
    let mut expected = tree.clone();

    let model = peek.set_model("other \"model\"");
    expected.insert("model".to_owned(), json!("other \"model\""));
    let span = peek.span(Field::Model).expect("the model is there");
    let out = splice(&body, std::slice::from_ref(&model));
    assert!(out.starts_with(&data[..span.start]) && out.ends_with(&data[span.end..]), "{}", shown(&out));
    assert_eq!(read(&out), expected);
    all.push(model);

    if dialect == Dialect::OpenAiChat
        && let Some(edit) = peek.ask_for_usage(data)
    {
        let out = splice(&body, std::slice::from_ref(&edit));
        assert!(dialect.peek(&out, PathSays::default()).expect("still a call").include_usage, "{}", shown(&out));
        let options = expected.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
        all.push(edit);
    }
    all.push(peek.set(Field::MaxTokens, b"7".to_vec()));
    expected.insert("max_tokens".to_owned(), json!(7));
    for field in [Field::Temperature, Field::User, Field::Metadata, Field::Stream] {
        if let Some(edit) = peek.remove(data, field) {
            let out = splice(&body, std::slice::from_ref(&edit));
            let mut one = tree.clone();
            one.remove(field.name());
            assert_eq!(read(&out), one, "{}", shown(&out));
            expected.remove(field.name());
            all.push(edit);
        }
    }
    let out = splice(&body, &all);
    assert_eq!(read(&out), expected, "{}", shown(&out));
    for field in FIELDS {
        let Some(span) = peek.span(field) else { continue };
        assert!(is_json(&data[span]), "the span of {} is no value", field.name());
    }
}

fn read(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", shown(body)))
}
