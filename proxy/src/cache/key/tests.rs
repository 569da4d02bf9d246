//! What makes two requests the same, and what must not.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use sluicegate_config::{CacheKey, Millis};

use super::*;

fn settings(key: CacheKey) -> Cache {
    Cache {
        ttl: Millis(60_000),
        scope: CacheScope::Consumer,
        memory: None,
        redis: false,
        promotion: None,
        key,
        min_content_length: 0,
        store_length: false,
        max_bytes: 1 << 20,
        compress_over: None,
        generation: 1,
    }
}

fn exact() -> CacheKey {
    CacheKey { trim: false, lowercase: false, temperature_decimals: None, ignore: Vec::new() }
}

fn lenient() -> CacheKey {
    CacheKey {
        trim: true,
        lowercase: true,
        temperature_decimals: Some(1),
        ignore: vec!["metadata".into(), "user".into()],
    }
}

fn recipe(settings: &Cache) -> Recipe {
    Recipe::new(&ObjectId("team/route".into()), "chat", settings)
}

fn asked<'a>(headers: &'a HeaderMap, body: &'a str) -> CacheQuery<'a> {
    let dialect = Dialect::OpenAiChat;
    CacheQuery {
        model: None,
        dialect,
        caller: Some([3; 32]),
        headers,
        goes_on: &|name| name.as_str() != "cookie",
        beta: false,
        served_by: [0; 32],
        body: body.as_bytes(),
        stream: false,
        stream_usage: false,
        accepts: None,
    }
}

fn key_by(rules: CacheKey, body: &str) -> Result<Key, Uncacheable> {
    recipe(&settings(rules)).key(&asked(&HeaderMap::new(), body))
}

fn key(body: &str) -> Key {
    key_by(exact(), body).unwrap()
}

fn key_of(body: &Value) -> Key {
    key(&body.to_string())
}

#[test]
fn order_space_escapes_and_number_forms_do_not_count() {
    let plain = key(r#"{"model":"m","messages":[{"role":"user","content":"é A"}],"temperature":1,"stop":null}"#);
    for same in [
        "{ \"messages\" : [ {\"content\":\"\\u00e9 \\u0041\",\n\"role\":\"user\"} ],\t\"stop\":null,\"temperature\":1.0, \"model\":\"m\"}",
        r#"{"stop":null,"model":"m","messages":[{"role":"user","content":"é A"}],"temperature":10e-1}"#,
    ] {
        assert_eq!(key(same), plain, "{same}");
    }
}

#[test]
fn streamed_and_whole_are_one() {
    let whole = key(r#"{"model":"m","messages":[]}"#);
    assert_eq!(key(r#"{"model":"m","stream":true,"messages":[]}"#), whole);
    assert_eq!(key(r#"{"stream_options":{"include_usage":true},"model":"m","stream":false,"messages":[]}"#), whole);
    // Only at the top.
    assert_ne!(key(r#"{"model":"m","messages":[{"stream":true}]}"#), key(r#"{"model":"m","messages":[{}]}"#));
}

#[test]
fn what_differs_differs() {
    let bodies = [
        json!({}),
        json!({"a": 1}),
        json!({"a": -1}),
        json!({"a": 1.5}),
        json!({"a": "1"}),
        json!({"a": true}),
        json!({"a": false}),
        json!({"a": null}),
        json!({"a": []}),
        json!({"a": {}}),
        json!({"a": [[]]}),
        json!({"a": [1, 2]}),
        json!({"a": [2, 1]}),
        json!({"a": ["x", "y"]}),
        json!({"a": ["xy"]}),
        json!({"a": ["xsy"]}),
        json!({"b": 1}),
        json!({"a": {"b": 1}, "c": {}}),
        json!({"a": {}, "c": {"b": 1}}),
        json!({"a": 9_007_199_254_740_993_u64}),
        json!({"a": 9_007_199_254_740_992_u64}),
        json!({"a": u64::MAX}),
        json!({"a": i64::MIN}),
    ];
    let keys: std::collections::BTreeSet<Key> = bodies.iter().map(key_of).collect();
    assert_eq!(keys.len(), bodies.len());
}

#[test]
fn of_two_members_with_one_name_the_order_counts() {
    assert_ne!(key(r#"{"a":1,"a":2}"#), key(r#"{"a":2,"a":1}"#));
    assert_ne!(key(r#"{"a":1,"a":1}"#), key(r#"{"a":1}"#));
}

#[test]
fn who_asks_where_and_how_counts() {
    let body = r#"{"model":"m"}"#;
    let (none, mut beta) = (HeaderMap::new(), HeaderMap::new());
    beta.insert("anthropic-beta", HeaderValue::from_static("context-1m"));
    let mut version = HeaderMap::new();
    version.insert("anthropic-version", HeaderValue::from_static("context-1m"));
    let mut option = HeaderMap::new();
    option.insert("x-vendor-option", HeaderValue::from_static("context-1m"));
    let base = settings(exact());
    let call = asked(&none, body);
    let first = recipe(&base).key(&call).unwrap();
    let others = [
        recipe(&base).key(&CacheQuery { caller: None, ..call }),
        recipe(&base).key(&CacheQuery { caller: Some([4; 32]), ..call }),
        recipe(&base).key(&CacheQuery { dialect: Dialect::AnthropicMessages, ..call }),
        recipe(&base).key(&CacheQuery { headers: &beta, ..call }),
        recipe(&base).key(&CacheQuery { headers: &version, ..call }),
        recipe(&base).key(&CacheQuery { headers: &option, ..call }),
        recipe(&base).key(&CacheQuery { beta: true, ..call }),
        recipe(&base).key(&CacheQuery { model: Some("gemini"), ..call }),
        recipe(&base).key(&CacheQuery { served_by: [1; 32], ..call }),
        recipe(&Cache { generation: 2, ..base.clone() }).key(&call),
        recipe(&Cache { scope: CacheScope::Route, ..base.clone() }).key(&call),
        Recipe::new(&ObjectId("team/other".into()), "chat", &base).key(&call),
        Recipe::new(&ObjectId("team/route".into()), "other", &base).key(&call),
        recipe(&settings(lenient())).key(&call),
    ];
    let all = others.len() + 1;
    let mut keys: Vec<Key> = others.into_iter().map(Result::unwrap).chain([first]).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all);
    // What does not shape the answer does not count; and in the route's scope neither does who asks.
    let mut agent = HeaderMap::new();
    for name in ["user-agent", "x-stainless-lang", "x-claude-code-session-id", "traceparent", "cookie"] {
        agent.insert(name, HeaderValue::from_static("x"));
    }
    assert_eq!(recipe(&base).key(&CacheQuery { headers: &agent, stream: true, ..call }).unwrap(), first);
    let shared = recipe(&Cache { scope: CacheScope::Route, ..base });
    assert_eq!(shared.key(&call).unwrap(), shared.key(&CacheQuery { caller: None, ..call }).unwrap());
}

#[test]
fn headers_count_in_whatever_order_they_come() {
    let of = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| {
            headers.append(*name, HeaderValue::from_static(value));
        });
        recipe(&settings(exact())).key(&asked(&headers, "{}")).unwrap()
    };
    let base = of(&[("anthropic-beta", "a"), ("anthropic-version", "v")]);
    assert_eq!(of(&[("anthropic-version", "v"), ("user-agent", "x"), ("anthropic-beta", "a")]), base);
    assert_ne!(of(&[("anthropic-beta", "v"), ("anthropic-version", "a")]), base);
    assert_ne!(of(&[("anthropic-beta", "a"), ("anthropic-beta", "v")]), base);
}

#[test]
fn a_billing_line_does_not_count() {
    let line =
        |hash: u32| format!("x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli; cch={hash};");
    type MakeBody = fn(&str) -> Value;
    let forms: [MakeBody; 5] = [
        |line| json!({"system": [{"type": "text", "text": line}, {"type": "text", "text": "You are a coder."}]}),
        |line| json!({"system": format!("{line}\nYou are a coder.")}),
        |line| json!({"messages": [{"role": "system", "content": format!("{line}\nYou are a coder.")}]}),
        |line| json!({"messages": [{"role": "system", "content": [{"type": "text", "text": line}]}]}),
        |line| json!({"messages": [{"role": "developer", "content": format!("Hello.\n{line}\nBye.")}]}),
    ];
    for form in forms {
        for rules in [exact(), lenient()] {
            let key = |line: &str| key_by(rules.clone(), &form(line).to_string()).unwrap();
            assert_eq!(key(&line(11111)), key(&line(22222)), "{}", form("…"));
            assert_ne!(key(&line(11111)), key("x-other: 1"), "{}", form("…"));
        }
    }
    // Whatever else stands in the line is sent on, and counts.
    let said = |rest: &str| key_of(&json!({"system": format!("be nice\nx-anthropic-billing-header: {rest}")}));
    assert_ne!(said("say evil"), said("say good"));
    assert_ne!(said("cch=1; say evil"), said("cch=1; say good"));
    assert_ne!(said("cch=sayevil"), said("cch=saygood"));
    assert_ne!(said("cch=00000000000000000"), said("cch=00000000000000001"), "too long for a digest");
    assert_eq!(said("cch=a1f; cc_entrypoint=cli;"), said("cch=00000; cc_entrypoint=cli;"));
    // What a person writes counts, and so does every other line.
    let user = |hash| key_of(&json!({"messages": [{"role": "user", "content": line(hash)}]}));
    assert_ne!(user(1), user(2));
    let after = |hash| {
        key_of(&json!({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": line(hash)}]}))
    };
    assert_ne!(after(1), after(2));
    let system = |rest: &str| key_of(&json!({"system": format!("{}\n{rest}", line(1))}));
    assert_ne!(system("a"), system("b"));
}

#[test]
fn markers_for_the_prompt_cache_do_not_count() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let plain = json!({
        "system": [{"type": "text", "text": "S"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "r"}]}]},
            {"role": "tool", "content": "r"}],
    });
    let marked = [
        "",
        "/system/0",
        "/tools/0",
        "/messages/0",
        "/messages/0/content/0",
        "/messages/1/content/0",
        "/messages/1/content/0/content/0",
        "/messages/2",
    ];
    for place in marked {
        let mut body = plain.clone();
        body.pointer_mut(place).unwrap()["cache_control"] = mark.clone();
        assert_eq!(key_of(&body), key_of(&plain), "{place}");
    }
    // Somebody's own field of that name.
    let tool = |value: Value| key_of(&json!({"tools": [{"input_schema": {"properties": {"cache_control": value}}}]}));
    assert_ne!(tool(json!(1)), tool(json!(2)));
    let call = |value: Value| {
        key_of(&json!({"messages": [{"role": "assistant",
            "content": [{"type": "tool_use", "input": {"cache_control": value}}]}]}))
    };
    assert_ne!(call(json!(1)), call(json!(2)));
}

#[test]
fn lenient_rules_touch_texts_only() {
    let lenient_key = |body: Value| key_by(lenient(), &body.to_string()).unwrap();
    let plain = lenient_key(json!({"model": "m", "messages": [{"role": "user", "content": "hello wörld"}]}));
    let loose = json!({"model": "m", "user": "u", "metadata": {"a": 1},
        "messages": [{"role": "user", "content": "\n Hello \t WÖRLD "}]});
    assert_eq!(lenient_key(loose), plain);
    let parts = |text: &str| {
        lenient_key(json!({"system": [{"type": "text", "text": text}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}))
    };
    assert_eq!(parts("Hi  there"), parts("hi there "));
    let same_but = |one: Value, two: Value| assert_ne!(lenient_key(one), lenient_key(two));
    same_but(json!({"model": "M"}), json!({"model": "m"}));
    let image = |data: &str| json!({"messages": [{"content": [{"type": "image", "source": {"data": data}}]}]});
    same_but(image("QUJD"), image("qujd"));
    let url = |url: &str| json!({"messages": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]});
    same_but(url("http://h/A"), url("http://h/a"));
    let tool = |text: &str| json!({"messages": [{"content": [{"type": "tool_use", "input": {"text": text}}]}]});
    same_but(tool("A"), tool("a"));
    let call = |text: &str| json!({"messages": [{"tool_calls": [{"function": {"arguments": text}}]}]});
    same_but(call("{\"text\": \"A\"}"), call("{\"text\": \"a\"}"));
    same_but(json!({"tools": [{"text": "A"}]}), json!({"tools": [{"text": "a"}]}));
}

#[test]
fn temperature_is_rounded_as_told() {
    let at = |number: &str| key_by(lenient(), &format!(r#"{{"temperature":{number},"top_p":0.71}}"#)).unwrap();
    assert_eq!(at("0.7"), at("0.7000001"));
    assert_eq!(at("0.7"), at("0.74"));
    assert_eq!(at("1"), at("0.99"));
    assert_ne!(at("0.7"), at("0.8"));
    let other = key_by(lenient(), r#"{"temperature":0.7,"top_p":0.72}"#).unwrap();
    assert_ne!(at("0.7"), other, "only the temperature");
    assert_ne!(key(r#"{"temperature":0.7}"#), key(r#"{"temperature":0.71}"#));
}

#[test]
fn what_can_not_be_kept_is_refused() {
    let why = |body: &str| key_by(exact(), body).unwrap_err();
    assert_eq!(why(r#"{"store":true}"#), Uncacheable::Stored);
    assert_eq!(why(r#"{"thread":{"type":"create"}}"#), Uncacheable::Stored);
    for (body, is_refused) in [
        (r#"{"thread":null,"conversation":null,"background":false,"container":null,"mcp_servers":[]}"#, false),
        (r#"{"conversation":"conv_1"}"#, true),
        (r#"{"conversation":{"id":"conv_1"}}"#, true),
        (r#"{"background":true}"#, true),
        (r#"{"container":"container_1"}"#, true),
        (r#"{"mcp_servers":[{"type":"url","url":"https://e"}]}"#, true),
        (r#"{"tools":[{"type":"web_search"},{"type":"mcp","server_url":"https://e"}]}"#, true),
        (r#"{"tools":[{"type":"mcp_toolset","mcp_server_name":"e"}]}"#, true),
        (r#"{"tools":[{"type":"function","function":{"name":"mcp","parameters":{"type":"mcp"}}}]}"#, false),
    ] {
        assert_eq!(key_by(exact(), body).err(), is_refused.then_some(Uncacheable::Stored), "{body}");
    }
    assert_eq!(why(r#"{"seed":123456789012345678901}"#), Uncacheable::Number);
    assert_eq!(why(&format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100))), Uncacheable::TooDeep);
    assert_eq!(why(&format!(r#"{{"a":{}"#, "[".repeat(1_000_000))), Uncacheable::TooDeep);
    for malformed in ["", "1", "[]", "null", "\"x\"", "{", "{\"a\":1}x", "{\"a\":\u{1}}", "true"] {
        assert_eq!(why(malformed), Uncacheable::Malformed, "{malformed}");
    }
    assert!(key_by(exact(), r#"{"store":false,"n":3,"messages":[{"store":true}]}"#).is_ok());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-e]{1,2}", inner), 0..5).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Value> {
    let member = ("[a-z]{1,3}|messages|system|content|text", any_json());
    prop::collection::vec(member, 0..6).prop_map(|m| Value::Object(m.into_iter().collect()))
}

/// The same JSON, every object's members the other way round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(reversed).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect())
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn any_order_and_any_space_give_one_key(body in any_body()) {
        let plain = key_of(&body);
        prop_assert_eq!(key_of(&reversed(&body)), plain);
        prop_assert_eq!(key(&serde_json::to_string_pretty(&body).unwrap()), plain);
        let loose = key_by(lenient(), &body.to_string());
        prop_assert_eq!(key_by(lenient(), &reversed(&body).to_string()), loose);
    }

    #[test]
    fn stream_flags_never_count(mut body in any_body(), stream: bool) {
        let plain = key_of(&body);
        body["stream"] = stream.into();
        body["stream_options"] = json!({"include_usage": stream});
        prop_assert_eq!(key_of(&body), plain);
    }

    #[test]
    fn two_bodies_share_a_key_only_when_they_are_equal(one in any_body(), two in any_body()) {
        prop_assert_eq!(key_of(&one) == key_of(&two), one == two);
    }

    #[test]
    fn two_texts_share_a_key_only_when_they_are_equal(one in ".{0,40}", two in ".{0,40}") {
        let body = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
        prop_assert_eq!(key_of(&body(&one)) == key_of(&body(&two)), one == two);
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let headers = HeaderMap::new();
        let call = CacheQuery { body: &body, ..asked(&headers, "") };
        let _ = recipe(&settings(lenient())).key(&call);
    }
}

#[test]
fn a_request_that_comes_again_keeps_its_key_and_no_other_request_gets_it() {
    let (headers, settings) = (HeaderMap::new(), settings(exact()));
    let recipe = recipe(&settings);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"again"}],"store":false}"#;
    let first = recipe.key(&asked(&headers, body)).unwrap();
    let again = recipe.key(&asked(&headers, body)).unwrap();
    assert_eq!(first, again);
    let another_caller = recipe.key(&CacheQuery { caller: Some([4; 32]), ..asked(&headers, body) }).unwrap();
    let another_rule = Recipe::new(&ObjectId("team/route".into()), "other", &settings).key(&asked(&headers, body));
    let written_anew = recipe.key(&asked(&headers, &body.replace(':', ": "))).unwrap();
    assert_ne!(first, another_caller);
    assert_ne!(first, another_rule.unwrap());
    assert_eq!(first, written_anew);
    let kept = body.replace("false", "true");
    for _ in 0..2 {
        assert_eq!(
            recipe.key(&asked(&headers, &kept)),
            Err(Uncacheable::Stored),
            "a refusal is not remembered as a key"
        );
    }
}
