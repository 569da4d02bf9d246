//! Consumers: who is known by which key, in every place where SDKs put one, and what a caller that may not is told.

use serde_json::Value;
use sluicegate_tests::client::{Answer, Client, raw};
use sluicegate_tests::proxy::Proxy;

use crate::resources::{CHAT, MESSAGES, chat, message, plain_upstream, pool, provider};

const ONE: &str = "one-key-that-nobody-can-guess";
const OTHER: &str = "other-key-that-nobody-can-guess";
const SECOND: &str = "second-key-of-the-first-one";
const OVER: &str = "over-since-a-long-time-ago";
const RESPONSES: &str = "/v1/responses";
const GEMINI: &str = "/v1beta/models/MODEL:generateContent";

fn secret(name: &str, key: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {key}}}\n---\n")
}

fn consumer(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n"
    )
}

fn key(name: &str, more: &str) -> String {
    format!("{{name: {name}, secretRef: {{name: {name}}}{more}}}")
}

/// A route named after its model, for whom `access` says; `consumers` is a further condition of its match.
fn route(model: &str, access: &str, further: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec:\n{access}  rules:\n  - name: only\n\
         \x20   matches: [{{model: {{exact: {model}}}{further}}}]\n    targets: [{{poolRef: {{name: p}}}}]\n---\n"
    )
}

const KNOWN: &str = "  access: {from: Known}\n";

/// Two consumers, the first with two keys and one that is over; the other may ask for some models only.
fn consumers() -> String {
    [("one", ONE), ("second", SECOND), ("over", OVER), ("other", OTHER)].map(|(name, key)| secret(name, key)).concat()
        + &consumer(
            "first",
            &format!(
                "labels: {{team: a}}, keys: [{}, {}, {}]",
                key("one", ""),
                key("second", ""),
                key("over", ", expiresAt: '2020-01-31T00:00:00Z'")
            ),
        )
        + &consumer("limited", &format!("models: {{allow: [{{prefix: plain}}]}}, keys: [{}]", key("other", "")))
}

/// A call for a model in each dialect, its key where that dialect's SDKs put it.
async fn in_every_dialect(client: &Client, model: &str, key: Option<&str>) -> Vec<(&'static str, Answer)> {
    let bearer = format!("Bearer {}", key.unwrap_or_default());
    let with = |name: &'static str| key.map(|key| (name, key)).into_iter().collect::<Vec<_>>();
    let authorization = key.map(|_| ("authorization", bearer.as_str())).into_iter().collect::<Vec<_>>();
    let responses = format!(r#"{{"model":"{model}","input":"Say something."}}"#);
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"Say something."}]}]}"#;
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"Say something."}]}]}"#;
    let path = GEMINI.replace("MODEL", model);
    let in_query = key.map_or_else(|| path.clone(), |key| format!("{path}?key={key}"));
    vec![
        ("openai", client.post(CHAT, &authorization, chat(model, false)).await.unwrap()),
        ("openai", client.post(CHAT, &with("api-key"), chat(model, false)).await.unwrap()),
        ("openai", client.post(RESPONSES, &authorization, responses).await.unwrap()),
        ("anthropic", client.post(MESSAGES, &with("x-api-key"), message(model, false)).await.unwrap()),
        ("anthropic", client.post(MESSAGES, &authorization, message(model, false)).await.unwrap()),
        ("gemini", client.post(&path, &with("x-goog-api-key"), gemini).await.unwrap()),
        ("gemini", client.post(&in_query, &[], gemini).await.unwrap()),
        ("amazon", client.post(&format!("/model/{model}/converse"), &authorization, converse).await.unwrap()),
        ("cohere", client.post("/v2/chat", &authorization, chat(model, false)).await.unwrap()),
    ]
}

/// The dialect's own word for what kind of error it is.
fn word(dialect: &str, answer: &Answer) -> String {
    let body = answer.json();
    let at = match dialect {
        "openai" => "/error/code",
        "anthropic" => "/error/type",
        "amazon" => "/__type",
        // Its errors have no word.
        "cohere" => return answer.status.to_string(),
        _ => "/error/status",
    };
    body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

async fn refused(client: &Client, model: &str, key: Option<&str>, status: u16) -> Vec<String> {
    let mut messages = Vec::new();
    for (dialect, answer) in in_every_dialect(client, model, key).await {
        let told = if dialect == "amazon" { 403 } else { status };
        assert_eq!((answer.status, answer.header("x-should-retry")), (told, "false"), "{dialect}: {}", answer.text());
        let expected = match (dialect, status) {
            ("amazon", 401) => "UnrecognizedClientException",
            ("amazon", _) => "AccessDeniedException",
            ("cohere", 401) => "401",
            ("cohere", _) => "403",
            ("openai", 401) => "invalid_api_key",
            ("openai", _) => "model_not_allowed",
            ("anthropic", 401) => "authentication_error",
            ("anthropic", _) => "permission_error",
            (_, 401) => "UNAUTHENTICATED",
            _ => "PERMISSION_DENIED",
        };
        assert_eq!(word(dialect, &answer), expected, "{}", answer.text());
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401);
        let body = answer.json();
        let said = body["error"]["message"].as_str().or_else(|| body["message"].as_str());
        messages.push(said.unwrap_or_default().replace(model, "MODEL"));
    }
    messages
}

#[tokio::test]
async fn a_key_is_known_wherever_an_sdk_puts_it_and_goes_no_further() {
    let upstream = plain_upstream();
    let text = consumers()
        + &pool("p", &[provider("only", "OpenAICompatible", upstream.address, "")], "")
        + &route("plain", "", "")
        + &route("chosen", "  access: {from: Selector, selector: {matchLabels: {team: a}}}\n", "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--access", "known"]).unwrap();
    let client = proxy.client();
    for (model, key) in [("plain", ONE), ("plain", SECOND), ("plain", OTHER), ("chosen", ONE)] {
        for (dialect, answer) in in_every_dialect(&client, model, Some(key)).await {
            assert_eq!(answer.status, 200, "{dialect} {model}: {}", answer.text());
        }
    }
    for sent in upstream.received() {
        let head = sent.head.to_lowercase();
        assert!(![ONE, SECOND, OTHER].iter().any(|key| head.contains(key)), "{head}");
    }
    let asked = upstream.received().len();
    // Missing, wrong, over; known and not allowed, by the route and by the consumer's own models.
    for (model, key, status) in [
        ("plain", None, 401),
        ("plain", Some("nobodys-key-that-is-long-enough"), 401),
        ("plain", Some(OVER), 401),
        ("chosen", Some(OTHER), 403),
    ] {
        let there = refused(&client, model, key, status).await;
        let nowhere = refused(&client, "nothing-such", key, status).await;
        assert_eq!(there, nowhere, "a refusal tells nothing of what is there");
    }
    assert_eq!(upstream.received().len(), asked, "nobody was asked");
    // A caller that may have everything is told the truth.
    let answer = client.post(CHAT, &[("x-api-key", ONE)], chat("nothing-such", false)).await.unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());
    let log = || proxy.log().join("\n");
    proxy.until("the log tells who calls", |_| log().contains("\"consumer\":\"default/limited\"")).await.unwrap();
    let log = log();
    assert!(log.contains("\"consumer\":\"default/first\""));
    let metrics = proxy.page("/metrics").unwrap().1;
    assert!(metrics.contains("sluicegate_consumer_requests_total{consumer=\"default/limited\"} "), "{metrics}");
    let told = log + &metrics + &proxy.page("/config").unwrap().1;
    assert!(![ONE, SECOND, OTHER, OVER].iter().any(|key| told.contains(key)));
}

#[tokio::test]
async fn an_open_gateway_takes_any_key_and_a_routes_own_word_counts() {
    let text = consumers()
        + &pool("p", &["  - {name: only, type: Simulated}\n".to_owned()], "")
        + &route("plain", "", "")
        + &route("kept", KNOWN, "")
        + &route("plain-for-one", "", ", consumers: {names: [first]}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for key in [None, Some("sk-whatever-an-sdk-insists-on"), Some(ONE), Some(OTHER)] {
        for (dialect, answer) in in_every_dialect(&client, "plain", key).await {
            assert_eq!(answer.status, 200, "{dialect}: {}", answer.text());
        }
    }
    refused(&client, "kept", None, 401).await;
    refused(&client, "kept", Some(OTHER), 403).await;
    refused(&client, "plain", Some(OVER), 401).await;
    refused(&client, "plain-for-one", Some(OTHER), 403).await;
    for model in ["kept", "plain-for-one"] {
        let answer = client.post(CHAT, &[("x-api-key", SECOND)], chat(model, false)).await.unwrap();
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    }
}

#[tokio::test]
async fn where_no_route_is_for_anyone_a_call_without_a_key_is_refused_before_its_body() {
    let text = consumers()
        + &pool("p", &["  - {name: only, type: Simulated}\n".to_owned()], "")
        + &route("kept", KNOWN, "")
        + &route("chosen", "  access: {from: Selector, selector: {matchLabels: {team: a}}}\n", "")
        // For anyone by its own word, and for one consumer by that of its only match.
        + &route("for-one", "", ", consumers: {names: [first]}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for (key, status) in [(None, 401), (Some("nobodys-key-that-is-long-enough"), 401), (Some(ONE), 400)] {
        let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
        let answer = client.post(CHAT, &headers, "{bad").await.unwrap();
        assert_eq!(answer.status, status, "{key:?}: {}", answer.text());
        let mut request = http::Request::get("/v1/models");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let answer = client.send(request.body(Default::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status, if status == 401 { 401 } else { 200 }, "{key:?}: {}", answer.text());
    }
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 30000000\r\n\r\n{{"
    );
    let (said, _) = raw(proxy.address, head.as_bytes(), 12).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&said));
    // One route for anyone, and a key is nobody's business until it is known which route takes the call.
    write(&proxy, &(text + &route("plain", "  access: {from: Anyone}\n", ""))).await;
    assert_eq!(client.post(CHAT, &[], "{bad").await.unwrap().status, 400);
    assert_eq!(client.post(CHAT, &[], chat("plain", false)).await.unwrap().status, 200);
    assert_eq!(client.post(CHAT, &[], chat("kept", false)).await.unwrap().status, 401);
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_to_those_who_may_have_everything() {
    let text = consumers()
        + &pool("p", &["  - {name: only, type: Simulated}\n".to_owned()], "")
        + &route("plain", KNOWN, "")
        + &route("for-one", KNOWN, ", consumers: {names: [first, unlimited]}")
        + &route("chosen", "  access: {from: Selector, selector: {matchLabels: {team: a}}}\n", "")
        + &secret("free", "a-key-of-a-consumer-without-limits")
        + &consumer("unlimited", &format!("keys: [{}]", key("free", "")));
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    // Everything; not what its own models leave out; not what a route selects others for.
    for (key, status) in [(ONE, 404), (OTHER, 403), ("a-key-of-a-consumer-without-limits", 403)] {
        let answer = client.post(CHAT, &[("x-api-key", key)], chat("nothing-such", false)).await.unwrap();
        assert_eq!(answer.status, status, "{key}: {}", answer.text());
        let request = http::Request::get("/v1/models/nothing-such").header("x-api-key", key);
        let answer = client.send(request.body(Default::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status, status, "{key}: {}", answer.text());
    }
    let request = http::Request::get("/v1/models").header("x-api-key", ONE).body(Default::default()).unwrap();
    let listed = client.send(request).await.unwrap();
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 3, "all of them: {}", listed.text());
}

#[tokio::test]
async fn models_are_listed_for_who_may_call_them() {
    let text = consumers()
        + &pool("p", &["  - {name: only, type: Simulated}\n".to_owned()], "")
        + &route("plain", "  access: {from: Anyone}\n", "")
        + &route("kept", "", "")
        + &route("plain-for-one", "", ", consumers: {names: [first]}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--access", "known"]).unwrap();
    let client = proxy.client();
    for (key, expected) in
        [(None, &["plain"][..]), (Some(ONE), &["kept", "plain", "plain-for-one"]), (Some(OTHER), &["plain"])]
    {
        for (path, dialect, list, name) in [
            ("/v1/models", ("accept", "*/*"), "/data", "id"),
            ("/v1/models", ("anthropic-version", "2023-06-01"), "/data", "id"),
            ("/v1beta/models", ("accept", "*/*"), "/models", "name"),
        ] {
            let mut request = http::Request::get(path).header(dialect.0, dialect.1);
            if let Some(key) = key {
                request = request.header("x-api-key", key);
            }
            let answer = client.send(request.body(Default::default()).unwrap()).await.unwrap();
            let body = answer.json();
            let listed = body.pointer(list).and_then(Value::as_array).into_iter().flatten();
            let mut names: Vec<&str> = listed.filter_map(|model| model[name].as_str()).collect();
            names.iter_mut().for_each(|name| *name = name.trim_start_matches("models/"));
            names.sort_unstable();
            assert_eq!(names, expected, "{path} {dialect:?} {key:?}: {}", answer.text());
        }
    }
    for (key, model, status) in
        [(Some(ONE), "kept", 200), (Some(OTHER), "kept", 403), (None, "kept", 401), (None, "plain", 200)]
    {
        let mut request = http::Request::get(format!("/v1/models/{model}"));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = client.send(request.body(Default::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status, status, "{key:?} {model}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_model_that_is_named_beside_the_calls_own_is_asked_for_too() {
    let upstream = plain_upstream();
    let text = consumers()
        + &pool("p", &[provider("only", "OpenAI", upstream.address, "")], "")
        + &route("plain", "  access: {from: Anyone}\n", "")
        + &route("kept", KNOWN, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (key, fields, status) in [
        (OTHER, r#""fallbacks":["plain-2"]"#, 200),
        (OTHER, r#""fallbacks":[{"model":"dear"}]"#, 403),
        (OTHER, r#""models":["plain","dear"]"#, 403),
        (OTHER, r#""m\u006fdels":["dear"]"#, 403),
        (OTHER, r#""tools":[{"type":"advisor_20260301","name":"advisor","model":"dear"}]"#, 403),
        (OTHER, r#""tools":[{"type":"function","function":{"name":"model"}}]"#, 200),
        // Of two that have one name another reader takes the other one.
        (OTHER, r#""fallbacks":[],"fallbacks":["dear"]"#, 400),
        (OTHER, r#""tools":[],"tools":[{"type":"advisor_20260301","name":"advisor","model":"dear"}]"#, 400),
        (OTHER, r#""models":["dear"],"model\u0073":[]"#, 400),
        (OTHER, r#""fallbacks":[{"model":"dear","model":"plain-2"}]"#, 403),
        (OTHER, r#""Model":"dear""#, 400),
        (OTHER, r#""Models":["dear"]"#, 400),
        (OTHER, r#""fallbacks":[{"plain":["dear"]}]"#, 403),
        (OTHER, r#""context_window_fallbacks":[{"plain":["plain-2"]}]"#, 200),
        (OTHER, r#""plugins":[{"id":"fusion","model":"plain-2","analysis_models":["dear"]}]"#, 403),
        (OTHER, r#""tools":[{"type":"openrouter:fusion"}]"#, 403),
        (OTHER, r#""fallbacks":"default""#, 403),
        (ONE, r#""fallbacks":"default""#, 200),
        (ONE, r#""fallbacks":["dear","kept"]"#, 200),
        ("nobodys-key-of-many-letters", r#""fallbacks":["dear"]"#, 200),
        ("nobodys-key-of-many-letters", r#""fallbacks":["kept"]"#, 401),
    ] {
        let body = format!(r#"{{"model":"plain","messages":[{{"role":"user","content":"x"}}],{fields}}}"#);
        let authorization = format!("Bearer {key}");
        let headers = [("content-type", "application/json"), ("authorization", &*authorization)];
        let answer = proxy.client().post(CHAT, &headers, body).await.unwrap();
        assert_eq!(answer.status, status, "{key} {fields}: {}", answer.text());
    }
}

#[tokio::test]
async fn both_keys_of_a_consumer_share_an_answer_and_another_consumer_does_not() {
    let upstream = plain_upstream();
    let cached = route("plain", "  cache: {ttl: 1h, scope: Consumer}\n", "");
    let text = consumers() + &pool("p", &[provider("only", "OpenAICompatible", upstream.address, "")], "") + &cached;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for (key, asked) in [(ONE, 1), (SECOND, 1), (OTHER, 2), (ONE, 2), ("sk-nobody-that-is-known", 3)] {
        let body = chat("plain", false).replace("\"stream\":false", "\"temperature\":0");
        let answer = client.post(CHAT, &[("x-api-key", key)], body).await.unwrap();
        assert_eq!((answer.status, upstream.received().len()), (200, asked), "{key}");
    }
}

/// Writes manifests and waits until another configuration runs.
async fn write(proxy: &Proxy, text: &str) {
    let revision = |proxy: &Proxy| -> Option<String> {
        let page: Value = serde_json::from_str(&proxy.page("/config").unwrap().1).unwrap();
        page["revision"].as_str().map(str::to_owned)
    };
    let before = revision(proxy);
    assert!(before.is_some());
    proxy.write("all.yaml", text).unwrap();
    proxy.until("another configuration runs", |proxy| revision(proxy) != before).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_taken_away_is_refused_and_its_consumers_other_keys_serve_on() {
    let rest = pool("p", &["  - {name: only, type: Simulated}\n".to_owned()], "") + &route("plain", KNOWN, "");
    let text = consumers() + &rest;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let status = async |key: &str| client.post(CHAT, &[("x-api-key", key)], chat("plain", false)).await.unwrap().status;
    assert_eq!((status(ONE).await, status(SECOND).await), (200, 200));
    // Rotated within its Secret; then the Secret is gone; then what is written of the consumer makes no sense.
    write(&proxy, &text.replace(ONE, "the-new-key-of-the-first-one")).await;
    assert_eq!(
        (status(ONE).await, status("the-new-key-of-the-first-one").await, status(SECOND).await),
        (401, 200, 200)
    );
    write(&proxy, &text.replace(&secret("one", ONE), "")).await;
    assert_eq!((status(ONE).await, status(SECOND).await), (401, 200));
    assert!(proxy.page("/config").unwrap().1.contains("there is no Secret default/one"));
    let refused = "\"meanwhile\":\"this key is refused; the consumer's others serve, if it has any\"";
    let told = |proxy: &Proxy| {
        proxy.log().iter().any(|line| line.contains("there is no Secret default/one") && line.contains(refused))
    };
    proxy.until("the log tells that the key is refused", told).await.unwrap();
    let senseless = text.replace(SECOND, "another-second-key-of-it").replace("prefix: plain", "regex: '('");
    let senseless = senseless.replace("team: a}", "team: a}, models: {allow: [{regex: '('}]}");
    write(&proxy, &senseless).await;
    assert_eq!((status(SECOND).await, status("another-second-key-of-it").await), (401, 200), "rotation goes on");
}
