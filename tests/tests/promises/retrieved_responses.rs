//! Answers that are kept, asked for by the ids under which they were given: at the provider that keeps them, or out of what the gateway has.

use std::sync::Mutex;

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{pool, provider, route, rule};

const RESPONSES: &str = "/v1/responses";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn keys() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KEY).unwrap();
    file
}

fn start(manifests: &str, keys: &tempfile::NamedTempFile, more: &[&str]) -> Proxy {
    let flags = [&["--response-keys", keys.path().to_str().unwrap()], more].concat();
    Proxy::start(&[("all.yaml", manifests)], &flags).unwrap()
}

/// The questions to a provider: the method and the path of each.
fn asked(upstream: &Upstream) -> Vec<String> {
    let line = |received: &Received| {
        let mut words = received.head.split(' ');
        format!("{} {}", words.next().unwrap(), words.next().unwrap())
    };
    upstream.received().iter().map(line).collect()
}

/// A provider that keeps its answers under its name and their number.
fn keeper(name: &'static str) -> Upstream {
    Upstream::start(move |received| {
        let raw = format!("resp_{name}0");
        let line = received.head.lines().next().unwrap();
        let path = line.split(' ').nth(1).unwrap().trim_start_matches("/v1");
        if line.starts_with("POST") && path == "/responses" {
            return vec![answer(200, &JSON, whole(&raw, &Value::Null).to_string().as_bytes())];
        }
        told(&raw, line, path)
    })
    .unwrap()
}

fn whole(id: &str, previous: &Value) -> Value {
    json!({
        "id": id, "object": "response", "status": "completed", "model": "m", "previous_response_id": previous,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": id}]}],
        "usage": {"input_tokens": 5, "output_tokens": 7}
    })
}

fn told(raw: &str, line: &str, path: &str) -> Vec<Act> {
    let items = json!({"object": "list", "data": [{"id": "msg_0", "type": "message"}], "first_id": "msg_0", "last_id": "msg_0", "has_more": false});
    let body = match path.split_once(raw) {
        Some(("/responses/", rest)) if rest.contains("stream=true") => {
            let event = format!(
                "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{}}}\n\n",
                whole(raw, &json!("resp_before"))
            );
            let cut = event.find("\"resp_").unwrap() + 4;
            return vec![stream_head(), chunk(&event.as_bytes()[..cut]), chunk(&event.as_bytes()[cut..]), last_chunk()];
        }
        Some(("/responses/", rest)) if rest.starts_with("/input_items") => items,
        Some(("/responses/", "/cancel")) => whole(raw, &Value::Null),
        Some(("/responses/", "")) if line.starts_with("DELETE") => {
            json!({"id": raw, "object": "response", "deleted": true})
        }
        Some(("/responses/", "" | "?include[]=a")) => whole(raw, &json!("resp_before")),
        _ => {
            let error = json!({"error": {"message": format!("Response with id '{raw}' not found."), "type": "invalid_request_error", "param": null, "code": null}});
            return vec![answer(404, &JSON, error.to_string().as_bytes())];
        }
    };
    vec![answer(200, &JSON, body.to_string().as_bytes())]
}

fn two(a: &Upstream, b: &Upstream) -> String {
    let providers = [provider("a", "OpenAI", a.address, ""), provider("b", "OpenAI", b.address, "")];
    pool("p", &providers, "  loadBalancing: {strategy: RoundRobin}\n") + &route("m", "p")
}

async fn call(client: &Client, key: &str, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    client.send(request.body(Full::default()).unwrap()).await.unwrap()
}

async fn made(client: &Client, key: &str, body: &Value) -> Value {
    let answer =
        client.post(RESPONSES, &[("authorization", &format!("Bearer {key}"))], body.to_string()).await.unwrap();
    assert!(answer.is_good(), "{}", answer.text());
    answer.json()
}

fn id(response: &Value) -> &str {
    response["id"].as_str().unwrap()
}

#[tokio::test]
async fn the_keeper_alone_is_asked_and_ids_are_the_callers() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys();
    let proxies = [start(&two(&a, &b), &file, &[]), start(&two(&a, &b), &file, &[])];
    for turn in 0..4 {
        let first = made(&proxies[0].client(), "one", &json!({"model": "m", "input": "x"})).await;
        let home = first["output"][0]["content"][0]["text"].as_str().unwrap().to_owned();
        let client = proxies[turn % 2].client();
        let path = format!("{RESPONSES}/{}", id(&first));
        let again = call(&client, "one", "GET", &format!("{path}?include[]=a&other=x")).await;
        assert!(again.is_good(), "{}", again.text());
        let again = again.json();
        assert_eq!((id(&again), &again["output"]), (id(&first), &first["output"]));
        let before = again["previous_response_id"].as_str().unwrap();
        assert!(before.starts_with("resp_") && before != "resp_before", "{before}");
        let items = call(&client, "one", "GET", &format!("{path}/input_items?limit=2&order=asc&after=msg_1")).await;
        assert_eq!(items.json()["data"][0]["id"], "msg_0");
        let cancelled = call(&client, "one", "POST", &format!("{path}/cancel")).await;
        assert_eq!(cancelled.json()["id"], first["id"], "{}", cancelled.text());
        let deleted = call(&client, "one", "DELETE", &path).await;
        assert_eq!(deleted.json(), json!({"id": first["id"], "object": "response", "deleted": true}));
        let keeper = if home == "resp_a0" { &a } else { &b };
        let asked = asked(keeper);
        let wanted = [
            format!("GET /v1/responses/{home}?include[]=a"),
            format!("GET /v1/responses/{home}/input_items?limit=2&order=asc&after=msg_1"),
            format!("POST /v1/responses/{home}/cancel"),
            format!("DELETE /v1/responses/{home}"),
        ];
        assert_eq!(asked[asked.len() - 4..], wanted);
    }
    assert_eq!(a.calls() + b.calls(), 4 * 5);
}

#[tokio::test]
async fn an_answer_is_told_again_as_a_stream_and_is_not_paid_for_again() {
    let a = keeper("a");
    let file = keys();
    let text = pool("p", &[provider("a", "OpenAI", a.address, "")], "") + &route("m", "p");
    let proxy = start(&text, &file, &[]);
    let first = made(&proxy.client(), "one", &json!({"model": "m", "input": "x"})).await;
    let path = format!("{RESPONSES}/{}?stream=true&starting_after=3", id(&first));
    let stream = call(&proxy.client(), "one", "GET", &path).await;
    assert!(stream.is_good() && stream.header("content-type").starts_with("text/event-stream"), "{}", stream.text());
    let text = stream.text();
    assert!(text.contains(id(&first)) && !text.contains("resp_a0\",\"object") && text.ends_with("\n\n"), "{text}");
    assert_eq!(asked(&a).pop().unwrap(), "GET /v1/responses/resp_a0?stream=true&starting_after=3");
    proxy
        .until("both calls are counted", |proxy| proxy.metrics().unwrap().sum("sluicegate_requests_total", &[]) >= 2.0)
        .await
        .unwrap();
    assert!((proxy.metrics().unwrap().sum("sluicegate_tokens_total", &[("type", "output")]) - 7.0).abs() < 0.1);
}

#[tokio::test]
async fn what_is_anothers_or_made_up_is_not_there_and_nobody_is_asked() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys();
    let proxy = start(&two(&a, &b), &file, &[]);
    let client = proxy.client();
    let first = made(&client, "one", &json!({"model": "m", "input": "x"})).await;
    let first = id(&first);
    let calls = a.calls() + b.calls();
    let changed = format!("{}{}", &first[..first.len() - 1], if first.ends_with('x') { 'y' } else { 'x' });
    let long = format!("resp_{}", "A".repeat(5_000));
    let file_id = first.replacen("resp_", "file-", 1);
    for (key, id) in [
        ("two", first),
        ("one", &changed),
        ("one", "resp_a0"),
        ("one", &long),
        ("one", &file_id),
        ("one", "..%2Ffiles"),
        ("one", "%2e%2e"),
        ("one", "resp_%00"),
        ("one", "resp_%ff"),
    ] {
        for (method, below) in
            [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("GET", "?stream=true")]
        {
            let refused = call(&client, key, method, &format!("{RESPONSES}/{id}{below}")).await;
            let error = refused.json()["error"].clone();
            assert_eq!(
                (refused.status, &error["type"], &error["code"]),
                (404, &json!("invalid_request_error"), &Value::Null),
                "{id} {error}"
            );
            assert!(error["message"].as_str().unwrap().ends_with("' not found."), "{error}");
        }
    }
    // Another method is none of the path's.
    for (method, below) in [("PUT", ""), ("POST", ""), ("POST", "/input_items"), ("GET", "/cancel")] {
        assert_eq!(
            call(&client, "one", method, &format!("{RESPONSES}/{first}{below}")).await.status,
            405,
            "{method} {below}"
        );
    }
    assert_eq!(call(&client, "one", "GET", &format!("{RESPONSES}/{first}/other")).await.status, 404);
    assert_eq!(a.calls() + b.calls(), calls);
    // The provider's own word of what is not there names it as the caller does.
    let forgotten = call(&client, "one", "GET", &format!("{RESPONSES}/{first}?include=a%00")).await;
    assert!(forgotten.status == 404 && forgotten.text().contains(&format!("'{first}'")), "{}", forgotten.text());
}

#[tokio::test]
async fn limits_and_access_hold_for_what_is_kept() {
    let a = keeper("a");
    let file = keys();
    let limits = "    targets: [{poolRef: {name: p}}]\n    limits: {rate: [{per: Route, unit: Requests, amount: 3, window: 1h}]}\n";
    let text = pool("p", &[provider("a", "OpenAI", a.address, "")], "") + &rule("m", limits);
    let proxy = start(&text, &file, &[]);
    let first = made(&proxy.client(), "one", &json!({"model": "m", "input": "x"})).await;
    let path = format!("{RESPONSES}/{}", id(&first));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(call(&proxy.client(), "one", "GET", &path).await.status);
    }
    assert_eq!((statuses, a.calls()), (vec![200, 200, 429, 429], 3));
    // A provider that no route names any more is asked nothing.
    let elsewhere = keeper("b");
    let text = pool("p", &[provider("a", "OpenAI", elsewhere.address, "")], "") + &route("m", "p");
    proxy.write("all.yaml", &text).unwrap();
    let mut last = 0;
    for _ in 0..100 {
        last = call(&proxy.client(), "one", "GET", &path).await.status;
        if last == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!((last, elsewhere.calls()), (404, 0));
}

#[tokio::test]
async fn what_the_gateway_keeps_it_answers_itself() {
    let upstream = crate::resources::plain_upstream();
    let file = keys();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "") + &route("m", "p");
    let proxy = start(&text, &file, &["--keep-responses", "1h"]);
    let client = proxy.client();
    let first = made(&client, "one", &json!({"model": "m", "input": "My name is Ada."})).await;
    let second = made(
        &client,
        "one",
        &json!({"model": "m", "input": [{"role": "user", "content": "Say it."}], "previous_response_id": first["id"]}),
    )
    .await;
    let calls = upstream.calls();
    let path = format!("{RESPONSES}/{}", id(&second));
    let again = call(&client, "one", "GET", &path).await;
    assert_eq!(again.json(), second, "{}", again.text());
    let items = call(&client, "one", "GET", &format!("{path}/input_items?order=asc&limit=2")).await.json();
    assert_eq!(
        (items["data"][0]["content"][0]["text"].as_str(), items["has_more"].as_bool()),
        (Some("My name is Ada."), Some(true)),
        "{items}"
    );
    let last = items["last_id"].as_str().unwrap();
    let rest = call(&client, "one", "GET", &format!("{path}/input_items?order=asc&after={last}")).await.json();
    assert_eq!(
        (rest["data"][0]["content"][0]["text"].as_str(), rest["data"].as_array().unwrap().len()),
        (Some("Say it."), 1),
        "{rest}"
    );
    for (method, below, status, param) in [
        ("GET", "/input_items?limit=0", 400, json!("limit")),
        ("GET", "/input_items?after=x", 400, json!("after")),
        ("GET", "?stream=true", 400, json!("stream")),
        ("POST", "/cancel", 400, Value::Null),
    ] {
        let refused = call(&client, "one", method, &format!("{path}{below}")).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (status, &param), "{}", refused.text());
    }
    assert_eq!(call(&client, "two", "GET", &path).await.status, 404);
    let deleted = call(&client, "one", "DELETE", &path).await;
    assert_eq!(deleted.json(), json!({"id": second["id"], "object": "response", "deleted": true}));
    for (method, below) in [("GET", ""), ("DELETE", ""), ("GET", "/input_items")] {
        assert_eq!(call(&client, "one", method, &format!("{path}{below}")).await.status, 404, "{method} {below}");
    }
    let on = json!({"model": "m", "input": "x", "previous_response_id": second["id"]});
    let gone = client.post(RESPONSES, &[("authorization", "Bearer one")], on.to_string()).await.unwrap();
    assert_eq!((gone.status, &gone.json()["error"]["code"]), (400, &json!("previous_response_not_found")));
    assert_eq!(upstream.calls(), calls);
    let metrics = proxy.metrics().unwrap();
    for (outcome, count) in [("kept", 2.0), ("expanded", 1.0), ("missed", 1.0), ("forgotten", 1.0)] {
        let counted = metrics.sum("sluicegate_kept_responses_total", &[("outcome", outcome)]);
        assert!((counted - count).abs() < 0.1, "{outcome}: {counted}");
    }
}

#[tokio::test]
async fn a_keeper_that_is_away_is_told_of_where_nothing_is_kept() {
    let away = std::sync::Arc::new(Mutex::new(false));
    let is_away = std::sync::Arc::clone(&away);
    let a = Upstream::start(move |_| {
        if *is_away.lock().unwrap() {
            return vec![Act::Reset];
        }
        vec![answer(200, &JSON, whole("resp_a", &Value::Null).to_string().as_bytes())]
    })
    .unwrap();
    let b = crate::resources::plain_upstream();
    let file = keys();
    let providers =
        [provider("a", "OpenAI", a.address, ""), provider("b", "OpenAICompatible", b.address, "priority: 1")];
    let proxy = start(&(pool("p", &providers, "") + &route("m", "p")), &file, &[]);
    let client = proxy.client();
    let first = made(&client, "one", &json!({"model": "m", "input": "x"})).await;
    *away.lock().unwrap() = true;
    for _ in 0..8 {
        let on = json!({"model": "m", "input": "x", "previous_response_id": first["id"]});
        let refused = client.post(RESPONSES, &[("authorization", "Bearer one")], on.to_string()).await.unwrap();
        assert!(refused.status >= 500, "{}", refused.text());
        let fetched = call(&client, "one", "GET", &format!("{RESPONSES}/{}", id(&first))).await;
        assert!(fetched.status >= 500 && !fetched.text().contains("resp_a\""), "{}", fetched.text());
    }
    assert_eq!(b.calls(), 0);
    *away.lock().unwrap() = false;
}

fn reference(id: &Value) -> Value {
    json!({"type": "item_reference", "id": id})
}

#[tokio::test]
async fn items_that_a_call_names_are_said_in_its_own_words() {
    let upstream = crate::resources::plain_upstream();
    let keeps = keeper("a");
    let file = keys();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &route("m", "p")
        + &pool("q", &[provider("b", "OpenAI", keeps.address, "")], "")
        + &route("other", "q");
    let proxies = [start(&text, &file, &["--keep-responses", "1h"]), start(&text, &file, &[])];
    let client = proxies[0].client();
    for model in ["m", "other"] {
        let first = made(&client, "one", &json!({"model": model, "input": "My name is Ada."})).await;
        let said = first["output"][0]["content"][0]["text"].clone();
        let named = &first["output"][0]["id"];
        let input = json!([{"role": "user", "content": "My name is Ada."}, reference(named), {"role": "user", "content": "Say it."}]);
        for stream in [false, true] {
            let body = json!({"model": "m", "input": input, "stream": stream});
            let answer = client.post(RESPONSES, &[("authorization", "Bearer one")], body.to_string()).await.unwrap();
            assert!(answer.is_good(), "{}", answer.text());
            let sent: Value = serde_json::from_slice(&upstream.received().pop().unwrap().body).unwrap();
            let turns = sent["messages"].as_array().unwrap();
            assert_eq!((turns.len(), &turns[1]["role"]), (3, &json!("assistant")), "{sent}");
            assert!(turns[1]["content"].to_string().contains(said.as_str().unwrap()), "{sent}");
        }
        // Where OpenAI is asked it is told the item, too: nobody but the gateway knows whose it is.
        made(&client, "one", &json!({"model": "other", "input": input})).await;
        let sent: Value = serde_json::from_slice(&keeps.received().pop().unwrap().body).unwrap();
        assert_eq!((&sent["input"][1]["role"], &sent["input"][1]["id"]), (&json!("assistant"), &Value::Null), "{sent}");
        let calls = upstream.calls() + keeps.calls();
        for (proxy, key, item) in [
            (&proxies[0], "two", reference(named)),
            (&proxies[0], "two", json!({"id": named})),
            (&proxies[0], "one", reference(&json!("msg_made_up"))),
            (&proxies[0], "one", json!({"type": "item_reference"})),
            // Nothing is kept here.
            (&proxies[1], "one", reference(named)),
        ] {
            let body = json!({"model": model, "input": [item, {"role": "user", "content": "x"}]});
            let bearer = format!("Bearer {key}");
            let refused =
                proxy.client().post(RESPONSES, &[("authorization", &bearer)], body.to_string()).await.unwrap();
            let error = refused.json()["error"].clone();
            assert_eq!((refused.status, &error["param"]), (404, &json!("input")), "{error}");
            assert!(error["message"].as_str().unwrap().contains("Send the item itself"), "{error}");
        }
        assert_eq!(upstream.calls() + keeps.calls(), calls);
    }
}

#[tokio::test]
async fn what_an_answer_of_the_background_used_is_counted_when_it_is_fetched_for_the_first_time() {
    let upstream = Upstream::start(|received| {
        let is_made = received.head.starts_with("POST");
        let mut body = whole("resp_a0", &Value::Null);
        body["background"] = json!(true);
        if is_made {
            (body["status"], body["usage"], body["output"]) = (json!("queued"), Value::Null, json!([]));
        }
        vec![answer(200, &JSON, body.to_string().as_bytes())]
    })
    .unwrap();
    let models = "models: [{name: m, price: {inputPerMillion: \"1000\", outputPerMillion: \"1000\"}}]";
    let lines = "    targets: [{poolRef: {name: p}}]\n    limits: {budgets: [{amount: \"1\", period: Total}]}\n";
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, models)], "") + &rule("m", lines);
    let file = keys();
    let proxy = start(&text, &file, &["--workers", "1"]);
    let client = proxy.client();
    let asked = json!({"model": "m", "input": "x", "background": true, "max_output_tokens": 50}).to_string();
    let make = async || client.post(RESPONSES, &[("authorization", "Bearer one")], asked.clone()).await.unwrap();
    let left = |answer: &Answer| answer.header("x-sluicegate-budget-remaining").parse::<f64>().unwrap();
    let cost = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_cost_usd_total", &[]);
    let first = make().await;
    let unknown = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_cost_unknown_total", &[]);
    proxy.until("nobody knows what it uses", |proxy| unknown(proxy) > 0.5).await.unwrap();
    let path = format!("{RESPONSES}/{}", first.json()["id"].as_str().unwrap());
    for _ in 0..2 {
        assert!(call(&client, "one", "GET", &path).await.is_good());
        proxy.until("it is counted", |proxy| (cost(proxy) - 0.012).abs() < 1e-9).await.unwrap();
    }
    // What was reserved for it is given back but for its cost.
    assert!((left(&first) - left(&make().await) - 0.012).abs() < 1e-9);
    assert!((cost(&proxy) - 0.012).abs() < 1e-9);
}
