//! The verbatim lane against a JSON tree, and by hand.

use proptest::prelude::*;
use serde_json::{Value, json};

use bytes::Bytes;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::verbatim::{Edit, Field, PathSays, Peek, PeekedText, splice};

fn look(body: &str) -> Peek {
    Dialect::OpenAiChat.peek(body.as_bytes(), PathSays::default()).unwrap()
}

fn refusal(body: &[u8]) -> Refusal {
    Dialect::OpenAiChat.peek(body, PathSays::default()).unwrap_err()
}

fn spliced(body: &str, edits: &[Edit]) -> String {
    let out = splice(&Bytes::copy_from_slice(body.as_bytes()), edits);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn sees_what_routing_needs() {
    let body = r#" {"messages":[{"model":"no"}],"max_tokens":5,"model":"gpt\u002d4","stream":true, "temperature": 0.70,
            "stream_options":{"include_usage":true},"max_completion_tokens":7,"user":"u1"} "#;
    let seen = look(body);
    let text = |text: Option<&PeekedText>, body: &'static [u8]| text.map(|text| text.of(body).to_owned());
    assert_eq!(seen.model.of(body.as_bytes()), "gpt-4");
    assert!(seen.stream && seen.include_usage);
    assert_eq!((seen.max_tokens, seen.temperature.map(|span| &body[span])), (Some(7), Some("0.70")));
    assert_eq!(text(seen.user.as_ref(), body.as_bytes()).as_deref(), Some("u1"));
    let body = br#"{"model":"claude","max_tokens":3,"metadata":{"user_id":"u2"},"user":7}"#;
    let seen = Dialect::AnthropicMessages.peek(body, PathSays::default()).unwrap();
    assert_eq!((seen.max_tokens, seen.stream), (Some(3), false));
    assert_eq!(text(seen.user.as_ref(), body).as_deref(), Some("u2"));
    let seen =
        look(r#"{"model":"m","stream":null,"max_tokens":null,"temperature":null,"user":null,"stream_options":null}"#);
    assert!(!seen.stream && seen.max_tokens.is_none() && seen.temperature.is_none() && seen.user.is_none());
}

#[test]
fn of_two_limits_of_an_answer_the_larger_counts() {
    let most = |dialect: Dialect, body: &str| {
        let path = PathSays { model: Some("m"), stream: Some(false) };
        dialect.peek(body.as_bytes(), path).unwrap().max_tokens
    };
    for (dialect, body, limit) in [
        (Dialect::OpenAiChat, r#"{"max_tokens":5000,"max_completion_tokens":7}"#, Some(5_000)),
        (Dialect::OpenAiChat, r#"{"max_tokens":5,"max_completion_tokens":7}"#, Some(7)),
        (Dialect::OpenAiChat, r#"{"max_tokens":5,"max_completion_tokens":null}"#, Some(5)),
        (Dialect::Gemini, r#"{"generationConfig":{"maxOutputTokens":7,"max_output_tokens":900}}"#, Some(900)),
        (Dialect::Gemini, r#"{"generationConfig":{"maxOutputTokens":"7"}}"#, Some(7)),
        (Dialect::Gemini, r#"{"generation_config":{"maxOutputTokens":7.0,"topK":[]}}"#, Some(7)),
        (Dialect::BedrockConverse, r#"{"inferenceConfig":{"maxTokens":7,"maxTokens":900}}"#, Some(900)),
        (Dialect::BedrockConverse, r#"{"inferenceConfig":[7]}"#, None),
    ] {
        assert_eq!(most(dialect, body), limit, "{body}");
    }
    let body = r#"{"model":"m","max_tokens":5000,"max_completion_tokens":7}"#;
    let seen = look(body);
    let above = |field, most| seen.is_above(body.as_bytes(), field, most);
    assert!(
        above(Field::MaxTokens, 100) && !above(Field::MaxCompletionTokens, 100) && !above(Field::MaxOutputTokens, 0)
    );
}

#[test]
fn names_what_is_wrong() {
    for (body, part) in [
        (&b"{\"model\":\"\xff\"}"[..], "offset 10"),
        (b"", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"{\"model\":\"a\"", "line 1 column 12"),
        (b"{\"model\":\"a\"} x", "trailing"),
        (b"{}", "model: "),
        (b"{\"model\":3}", "model: "),
        (b"{\"model\":\"\"}", "model: "),
        (b"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", "twice"),
        (b"{\"model\":\"a\",\"stream\":\"yes\"}", "stream: "),
        (b"{\"model\":\"a\",\"max_tokens\":-1}", "max_tokens: "),
        (b"{\"model\":\"a\",\"max_tokens\":1.5}", "max_tokens: "),
        (b"{\"model\":\"a\",\"temperature\":\"hot\"}", "temperature: "),
        (b"{\"model\":\"a\",\"stream_options\":true}", "stream_options: "),
        (b"{\"model\":\"a\",\"stream_options\":{\"include_usage\":1}}", "include_usage: "),
        (b"{\"model\":\"a\",\"user\":[]}", "user: "),
    ] {
        let message = refusal(body).message;
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_depth_bomb_does_not_overflow_the_stack() {
    let deep = 2_000_000;
    let open = format!("{{\"model\":\"m\",\"x\":{}", "[".repeat(deep));
    assert!(Dialect::OpenAiChat.peek(open.as_bytes(), PathSays::default()).is_err());
    let closed = format!("{open}{}}}", "]".repeat(deep));
    // Whether it is skipped or refused, it is answered.
    let _ = Dialect::OpenAiChat.peek(closed.as_bytes(), PathSays::default());
    let options = format!("{{\"model\":\"m\",\"stream_options\":{}{}}}", "{\"a\":".repeat(deep), "}".repeat(deep));
    assert!(Dialect::OpenAiChat.peek(options.as_bytes(), PathSays::default()).is_err());
}

#[test]
fn rewrites_only_what_it_is_told() {
    let body = "{ \"model\" : \"a\",\n \"temperature\":1.00, \"stream\":true }";
    let seen = look(body);
    assert_eq!(spliced(body, &[seen.set_model("b\"c")]), body.replace("\"a\"", "\"b\\\"c\""));
    assert_eq!(
        spliced(body, &[seen.ask_for_usage(body.as_bytes()).unwrap()]),
        body.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1)
    );
    assert_eq!(
        spliced(body, &[seen.remove(body.as_bytes(), Field::Temperature).unwrap()]),
        "{ \"model\" : \"a\",\n  \"stream\":true }"
    );
    assert_eq!(
        spliced(
            body,
            &[
                seen.remove(body.as_bytes(), Field::Stream).unwrap(),
                seen.remove(body.as_bytes(), Field::Temperature).unwrap()
            ]
        ),
        "{ \"model\" : \"a\" }"
    );
    assert!(seen.remove(body.as_bytes(), Field::User).is_none());
    let whole = Bytes::from_static(b"{}");
    assert_eq!(splice(&whole, &[]).as_ptr(), whole.as_ptr());
}

#[test]
fn asks_for_usage_whatever_stands_there() {
    for (options, expected) in [
        ("null", r#"{"include_usage":true}"#),
        ("{}", r#"{"include_usage":true}"#),
        ("{ }", r#"{"include_usage":true }"#),
        (r#"{"x":1}"#, r#"{"include_usage":true,"x":1}"#),
        (r#"{"include_usage": false}"#, r#"{"include_usage": true}"#),
        (r#"{"include_usage":null,"y":2}"#, r#"{"include_usage":true,"y":2}"#),
    ] {
        let body = format!(r#"{{"model":"m","stream_options":{options}}}"#);
        let edit = look(&body).ask_for_usage(body.as_bytes()).unwrap();
        assert_eq!(spliced(&body, &[edit]), format!(r#"{{"model":"m","stream_options":{expected}}}"#));
    }
    let asked = r#"{"model":"m","stream_options":{"include_usage":true}}"#;
    assert!(look(asked).ask_for_usage(asked.as_bytes()).is_none());
}

/// Any JSON value, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "stream",
            "max_tokens",
            "temperature",
            "stream_options",
            "user",
            "messages",
            "tools",
            "metadata"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let value = prop_oneof![any_json(), any::<bool>().prop_map(Value::from), any::<u16>().prop_map(Value::from)];
    (prop::collection::vec((name, value), 0..6), any::<String>(), 0_usize..6).prop_map(|(members, model, place)| {
        let mut map: Vec<(String, Value)> = members.into_iter().filter(|(name, _)| name != "model").collect();
        map.insert(place.min(map.len()), ("model".to_owned(), Value::from(model)));
        Value::Object(map.into_iter().collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Dialect::OpenAiChat.peek(&body, PathSays::default());
    }

    #[test]
    fn agrees_with_the_tree(value in any_body(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        if let Ok(seen) = Dialect::OpenAiChat.peek(body.as_bytes(), PathSays::default()) {
            prop_assert_eq!(Some(seen.model.of(body.as_bytes())), value["model"].as_str());
            prop_assert_eq!(seen.stream, value["stream"].as_bool().unwrap_or(false));
            prop_assert_eq!(seen.max_tokens, value["max_tokens"].as_u64());
            prop_assert_eq!(seen.include_usage, value["stream_options"]["include_usage"].as_bool().unwrap_or(false));
            prop_assert_eq!(seen.user.as_ref().map(|user| user.of(body.as_bytes())), value["user"].as_str());
        }
    }

    #[test]
    fn edits_change_only_their_fields(value in any_body(), pretty in any::<bool>(), model in any::<String>()) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let Ok(seen) = Dialect::OpenAiChat.peek(body.as_bytes(), PathSays::default()) else { return Ok(()) };
        let mut expected = value;
        let mut edits = vec![seen.set_model(&model)];
        expected["model"] = Value::from(model);
        edits.extend(seen.remove(body.as_bytes(), Field::MaxTokens));
        edits.extend(seen.remove(body.as_bytes(), Field::Temperature));
        edits.extend(seen.remove(body.as_bytes(), Field::User));
        for name in ["max_tokens", "temperature", "user"] {
            expected.as_object_mut().unwrap().shift_remove(name);
        }
        if let Some(edit) = seen.ask_for_usage(body.as_bytes()) {
            edits.push(edit);
            if !expected["stream_options"].is_object() {
                expected["stream_options"] = json!({});
            }
            expected["stream_options"]["include_usage"] = json!(true);
        }
        let out = spliced(&body, &edits);
        let parsed: Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(parsed, expected, "{}", out);
    }
}
