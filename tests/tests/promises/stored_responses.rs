//! Answers that a provider keeps: their ids are sealed for whoever got them, and lead to the provider that knows them.

use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{events, pool, provider, route};

const RESPONSES: &str = "/v1/responses";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

/// A provider that names its answers after itself and their number, and repeats what they go on from.
fn keeper(name: &'static str) -> Upstream {
    Upstream::start(move |received| {
        let asked: Value = serde_json::from_slice(&received.body).unwrap();
        let response = json!({
            "id": format!("resp_{name}{}", received.number), "object": "response", "status": "completed", "model": "m",
            "previous_response_id": asked["previous_response_id"],
            "output": [{"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": name}]}],
            "usage": {"input_tokens": 5, "output_tokens": 7}
        });
        if !received.streams() {
            return vec![answer(200, &[("content-type", "application/json")], response.to_string().as_bytes())];
        }
        let event = |kind: &str, more: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{more}}}\n\n");
        let text = event("response.created", &format!(",\"response\":{response}"))
            + &event("response.output_text.delta", r#","delta":"x""#)
            + &event("response.completed", &format!(",\"response\":{response}"));
        // Cut in the middle of an id.
        let cut = text.rfind("\"resp_").unwrap() + 4;
        vec![stream_head(), chunk(&text.as_bytes()[..cut]), chunk(&text.as_bytes()[cut..]), last_chunk()]
    })
    .unwrap()
}

/// A file of keys that lives as long as the test.
fn keys(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn start(manifests: &str, keys: &tempfile::NamedTempFile) -> Proxy {
    Proxy::start(&[("all.yaml", manifests)], &["--response-keys", keys.path().to_str().unwrap()]).unwrap()
}

async fn ask(client: &Client, key: &str, body: &Value) -> Answer {
    client.post(RESPONSES, &[("authorization", &format!("Bearer {key}"))], body.to_string()).await.unwrap()
}

async fn id_of(client: &Client, key: &str, body: &Value) -> (String, Value) {
    let answer = ask(client, key, body).await;
    assert!(answer.is_good(), "{}", answer.text());
    let whole = if body["stream"] == true { events(&answer).pop().unwrap()["response"].clone() } else { answer.json() };
    (whole["id"].as_str().unwrap().to_owned(), whole)
}

fn sent(upstream: &Upstream) -> Vec<Value> {
    upstream.received().iter().map(|sent| serde_json::from_slice(&sent.body).unwrap()).collect()
}

/// Two providers of one model, in turn.
fn two(a: &Upstream, b: &Upstream) -> String {
    let providers = [provider("a", "OpenAI", a.address, ""), provider("b", "OpenAI", b.address, "")];
    pool("p", &providers, "  loadBalancing: {strategy: RoundRobin}\n") + &route("m", "p")
}

#[tokio::test]
async fn an_answers_id_leads_to_who_keeps_it_by_any_proxy() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys(KEY);
    let proxies = [start(&two(&a, &b), &file), start(&two(&a, &b), &file)];
    for stream in [false, true] {
        let mut body = json!({"model": "m", "input": "x", "stream": stream});
        let (mut id, first) = id_of(&proxies[0].client(), "one", &body).await;
        assert!(id.starts_with("resp_") && id.len() < 120 && !id.contains("resp_a"), "{id}");
        assert_eq!(first["previous_response_id"], Value::Null);
        let home = first["output"][0]["content"][0]["text"].clone();
        for turn in 0..8 {
            body["previous_response_id"] = json!(id);
            let (next, whole) = id_of(&proxies[turn % 2].client(), "one", &body).await;
            assert_eq!(
                (&whole["output"][0]["content"][0]["text"], &whole["previous_response_id"]),
                (&home, &json!(id))
            );
            assert_ne!(next, id);
            id = next;
        }
    }
    for (name, upstream) in [("a", &a), ("b", &b)] {
        let named =
            sent(upstream).into_iter().filter_map(|body| body["previous_response_id"].as_str().map(str::to_owned));
        assert!(named.into_iter().all(|id| id.starts_with(&format!("resp_{name}"))), "{name}");
    }
    assert_eq!(a.calls() + b.calls(), 18);
}

#[tokio::test]
async fn every_other_byte_passes_and_what_is_not_kept_passes_whole() {
    let said = r#"{"object":"response" ,"id": "resp_1","status":"completed","output":[{"type":"new","id":"resp_1"}],"n":1.0,"usage":{"input_tokens":5,"output_tokens":7}}"#;
    let upstream =
        Upstream::always(vec![answer(200, &[("content-type", "application/json")], said.as_bytes())]).unwrap();
    let file = keys(KEY);
    let proxy = start(&(pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p")), &file);
    let asked = r#"{"model":"m" ,"input":[{"type":"new_item","n":1.50e2}],"new":{"a":[ ]}}"#;
    let kept = proxy.client().post(RESPONSES, &[], asked).await.unwrap();
    let id = kept.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(kept.text(), said.replacen("resp_1", &id, 1));
    let going_on = format!(r#"{{"previous_response_id" : "{id}", "model":"m","input":"x","n":1.0}}"#);
    assert!(proxy.client().post(RESPONSES, &[], going_on.clone()).await.unwrap().is_good());
    // As Codex asks.
    let unkept = asked.replace("\"new\"", "\"store\":false,\"new\"");
    assert_eq!(proxy.client().post(RESPONSES, &[], unkept.clone()).await.unwrap().text(), said);
    let sent: Vec<String> =
        upstream.received().iter().map(|sent| String::from_utf8_lossy(&sent.body).into_owned()).collect();
    assert_eq!(sent, [asked.to_owned(), going_on.replace(&id, "resp_1"), unkept]);
}

#[tokio::test]
async fn what_is_anothers_is_not_found_and_nobody_is_asked() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys(KEY);
    let proxy = start(&two(&a, &b), &file);
    let (id, _) = id_of(&proxy.client(), "one", &json!({"model": "m", "input": "x"})).await;
    let calls = a.calls() + b.calls();
    let changed = format!("{}{}", &id[..id.len() - 1], if id.ends_with('x') { 'y' } else { 'x' });
    let mut told = Vec::new();
    for (key, id) in [("two", &*id), ("one", &changed), ("one", "resp_a0"), ("one", "")] {
        let refused = ask(&proxy.client(), key, &json!({"model": "m", "input": "x", "previous_response_id": id})).await;
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status, &error["code"]),
            (400, &json!("previous_response_not_found")),
            "{}",
            refused.text()
        );
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!("previous_response_id"), &json!("invalid_request_error"))
        );
        told.push(error["message"].as_str().unwrap().replace(&format!("'{id}'"), "ID"));
    }
    assert!(told.iter().all(|message| *message == told[0] && message.contains("`input`")), "{told:?}");
    let conversation =
        ask(&proxy.client(), "one", &json!({"model": "m", "input": "x", "conversation": "conv_1"})).await;
    assert_eq!((conversation.status, &conversation.json()["error"]["param"]), (400, &json!("conversation")));
    assert_eq!(a.calls() + b.calls(), calls);
}

#[tokio::test]
async fn a_keeper_that_is_away_is_told_of_in_words_that_help() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys(KEY);
    let only = |upstream: &Upstream, name: &str| {
        pool(name, &[provider("only", "OpenAI", upstream.address, "")], "") + &route(name, name)
    };
    let text = only(&a, "a") + &only(&b, "b");
    let proxy = start(&text, &file);
    let (id, _) = id_of(&proxy.client(), "one", &json!({"model": "a", "input": "x"})).await;
    let elsewhere = ask(&proxy.client(), "one", &json!({"model": "b", "input": "x", "previous_response_id": id})).await;
    let error = elsewhere.json()["error"].clone();
    assert_eq!((elsewhere.status, &error["code"]), (400, &json!("previous_response_not_found")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("is not asked for the model `b`"), "{error}");
    assert_eq!(b.calls(), 0);
}

#[tokio::test]
async fn keys_are_changed_while_it_runs() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys(KEY);
    let proxy = start(&two(&a, &b), &file);
    let (before, _) = id_of(&proxy.client(), "one", &json!({"model": "m", "input": "x"})).await;
    std::fs::write(file.path(), format!("{OTHER_KEY}\n{KEY}\n")).unwrap();
    let reloaded = |proxy: &Proxy| proxy.log().iter().any(|line| line.contains("keys of response ids reloaded"));
    proxy.until("the keys are read again", reloaded).await.unwrap();
    let on = |id: &str| json!({"model": "m", "input": "x", "previous_response_id": id});
    let (after, _) = id_of(&proxy.client(), "one", &on(&before)).await;
    // A proxy that has the new key alone knows what it has sealed.
    let new = start(&two(&a, &b), &keys(OTHER_KEY));
    assert!(ask(&new.client(), "one", &on(&after)).await.is_good());
    assert_eq!(ask(&new.client(), "one", &on(&before)).await.status, 400);
    let text = proxy.log().join("\n");
    assert!(!text.contains(KEY) && !text.contains(OTHER_KEY));
}

#[tokio::test]
async fn a_kept_answer_is_its_owners_alone() {
    let a = keeper("a");
    let file = keys(KEY);
    let text = pool("p", &[provider("a", "OpenAI", a.address, "")], "")
        + &crate::resources::rule("m", "    targets: [{poolRef: {name: p}}]\n    cache: {ttl: 1h, scope: Route}\n");
    let proxy = start(&text, &file);
    let body = json!({"model": "m", "input": "x"});
    let mut hit = None;
    for _ in 0..100 {
        let answer = ask(&proxy.client(), "one", &body).await;
        if answer.header("x-cache") == "hit" {
            hit = Some(answer.json());
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let hit = hit.expect("a hit");
    let other = ask(&proxy.client(), "two", &body).await;
    assert_eq!(other.header("x-cache"), "miss");
    assert_ne!(other.json()["id"], hit["id"]);
    for key in ["one", "two"] {
        let on =
            ask(&proxy.client(), key, &json!({"model": "m", "input": "y", "previous_response_id": hit["id"]})).await;
        assert_eq!(on.is_good(), key == "one", "{}", on.text());
    }
}

/// A proxy that keeps conversations, `more` beside it.
fn keeping(manifests: &str, keys: &tempfile::NamedTempFile, more: &[&str]) -> Proxy {
    let flags = [&["--response-keys", keys.path().to_str().unwrap(), "--keep-responses", "1h"], more].concat();
    Proxy::start(&[("all.yaml", manifests)], &flags).unwrap()
}

/// A call that goes on at once: what a stream's end leaves to keep is waited for.
async fn goes_on(client: &Client, body: &Value) -> (String, Value) {
    id_of(client, "one", body).await
}

/// The turns that a provider of Chat Completions was sent last, by who says what.
fn turns(upstream: &Upstream) -> Vec<(String, String)> {
    let sent = sent(upstream).pop().unwrap();
    let text =
        |value: &Value| value.as_str().map_or_else(|| value[0]["text"].as_str().unwrap().to_owned(), str::to_owned);
    let turns = sent["messages"].as_array().unwrap().iter();
    turns.map(|turn| (turn["role"].as_str().unwrap().to_owned(), text(&turn["content"]))).collect()
}

fn said(turns: &[(&str, &str)]) -> Vec<(String, String)> {
    turns.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_provider_that_keeps_nothing_is_told_all_that_a_call_goes_on_from() {
    let upstream = crate::resources::plain_upstream();
    let file = keys(KEY);
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "") + &route("m", "p");
    let proxy = keeping(&text, &file, &[]);
    let client = proxy.client();
    let (first, _) =
        id_of(&client, "one", &json!({"model": "m", "input": "My name is Ada.", "instructions": "Be brief."})).await;
    let second = json!({"model": "m", "input": [{"role": "user", "content": "Say it."}], "previous_response_id": first, "stream": true});
    let (second, _) = id_of(&client, "one", &second).await;
    // Instructions are not carried over: they are each call's own.
    assert_eq!(turns(&upstream), said(&[("user", "My name is Ada."), ("assistant", "fine"), ("user", "Say it.")]));
    let (third, _) = goes_on(&client, &json!({"model": "m", "input": "Again.", "previous_response_id": second})).await;
    let all = [
        ("user", "My name is Ada."),
        ("assistant", "fine"),
        ("user", "Say it."),
        ("assistant", "fine"),
        ("user", "Again."),
    ];
    assert_eq!(turns(&upstream), said(&all));
    assert!(third.len() < 64 && third != second && second != first, "{third}");
    // Another branch from the first answer.
    let (branch, whole) =
        id_of(&client, "one", &json!({"model": "m", "input": "Else.", "previous_response_id": first})).await;
    assert_eq!(turns(&upstream), said(&[("user", "My name is Ada."), ("assistant", "fine"), ("user", "Else.")]));
    assert!(whole["output"][0]["id"].as_str().unwrap().len() <= 64, "{whole} {branch}");
    let calls = upstream.calls();
    let other = ask(&client, "two", &json!({"model": "m", "input": "x", "previous_response_id": first})).await;
    assert_eq!((other.status, &other.json()["error"]["code"]), (400, &json!("previous_response_not_found")));
    assert_eq!(upstream.calls(), calls);
    // What is not to be kept is not.
    let (unkept, _) = id_of(&client, "one", &json!({"model": "m", "input": "x", "store": false})).await;
    let refused = ask(&client, "one", &json!({"model": "m", "input": "x", "previous_response_id": unkept})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[tokio::test]
async fn what_is_too_large_or_not_asked_to_be_kept_is_refused_in_words_that_help() {
    let upstream = crate::resources::plain_upstream();
    let file = keys(KEY);
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "") + &route("m", "p");
    let large = json!({"model": "m", "input": "x".repeat(2_000)});
    for proxy in [keeping(&text, &file, &["--keep-responses-size", "1Ki"]), start(&text, &file)] {
        let (id, _) = id_of(&proxy.client(), "one", &large).await;
        let refused =
            ask(&proxy.client(), "one", &json!({"model": "m", "input": "x", "previous_response_id": id})).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["code"]), (400, &json!("previous_response_not_found")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("Send the whole conversation in `input`"), "{error}");
    }
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn what_a_provider_keeps_is_told_to_another_one_where_it_can_not_answer() {
    let other = crate::resources::plain_upstream();
    let failing = Upstream::start(|received| {
        if received.number > 0 {
            return vec![answer(503, &[("content-type", "application/json")], br#"{"error":{"message":"away","type":"server_error"}}"#)];
        }
        let body = br#"{"id":"resp_a","object":"response","status":"completed","model":"m","output":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA"},{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hm"}]}],"usage":{"input_tokens":5,"output_tokens":7}}"#;
        vec![answer(200, &[("content-type", "application/json")], body)]
    })
    .unwrap();
    let file = keys(KEY);
    let providers =
        [provider("a", "OpenAI", failing.address, ""), provider("b", "OpenAICompatible", other.address, "priority: 1")];
    let text =
        pool("p", &providers, "") + &route("m", "p") + &pool("q", &providers[1..], "") + &route("elsewhere", "q");
    let proxy = keeping(&text, &file, &[]);
    let client = proxy.client();
    let (id, _) = id_of(&client, "one", &json!({"model": "m", "input": "x"})).await;
    for model in ["m", "elsewhere"] {
        let on = ask(&client, "one", &json!({"model": model, "input": "y", "previous_response_id": id})).await;
        assert!(on.is_good(), "{}", on.text());
        // OpenAI's own thoughts mean nothing to others.
        assert_eq!(turns(&other), said(&[("user", "x"), ("assistant", "hm"), ("user", "y")]), "{model}");
    }
}
