//! Files and batches that a provider keeps: each its owner's, asked of who keeps it, and no way round what a caller may ask for.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer};

use crate::resources::{pool, provider, route};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const BYTES: [(&str, &str); 1] = [("content-type", "application/octet-stream")];
const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");
const RESULTS: &str = "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\"}}\n";

fn keys() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KEY).unwrap();
    file
}

fn start(manifests: &str, keys: &tempfile::NamedTempFile) -> Proxy {
    Proxy::start(&[("all.yaml", manifests)], &["--response-keys", keys.path().to_str().unwrap()]).unwrap()
}

/// A provider of OpenAI's files and batches, and of Anthropic's, under its name.
fn keeper(name: &'static str) -> Upstream {
    Upstream::start(move |received| vec![told(name, received)]).unwrap()
}

fn told(name: &str, received: &Received) -> Act {
    let line = received.head.lines().next().unwrap();
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let file = |purpose: &str| json!({"id": format!("file-{name}0"), "object": "file", "bytes": 3, "purpose": purpose, "status": "processed"});
    let batch = |output: Value| json!({"id": format!("batch_{name}0"), "object": "batch", "input_file_id": format!("file-{name}0"), "output_file_id": output, "error_file_id": null, "status": "completed"});
    let document = json!({"id": format!("file_{name}0"), "type": "file", "filename": "a.txt"});
    let url = format!("https://elsewhere.example/v1/messages/batches/msgbatch_{name}0/results");
    let messages = |url: Value| json!({"id": format!("msgbatch_{name}0"), "type": "message_batch", "processing_status": "ended", "results_url": url});
    let path = path.replace(&format!("{name}0"), "ID").replace(&format!("{name}1"), "OUT");
    let body = match (method, path.as_str()) {
        ("POST", "/v1/files") if received.head.contains("anthropic-version") => document,
        ("POST", "/v1/files") => file("user_data"),
        ("GET", "/v1/files/file-ID") => file("user_data"),
        ("GET", "/v1/files/file_ID") => document,
        ("GET", "/v1/files/file-ID/content" | "/v1/files/file_ID/content") => return answer(200, &BYTES, b"\0\x01{"),
        ("GET", "/v1/files/file-OUT/content") => return answer(200, &JSON, RESULTS.as_bytes()),
        ("DELETE", "/v1/files/file-ID") => json!({"id": format!("file-{name}0"), "object": "file", "deleted": true}),
        ("POST", "/v1/batches") => batch(Value::Null),
        ("GET", "/v1/batches/batch_ID") | ("POST", "/v1/batches/batch_ID/cancel") => {
            batch(json!(format!("file-{name}1")))
        }
        ("POST", "/v1/messages/batches") => messages(Value::Null),
        ("GET", "/v1/messages/batches/msgbatch_ID") | ("POST", "/v1/messages/batches/msgbatch_ID/cancel") => {
            messages(json!(url))
        }
        ("GET", "/v1/messages/batches/msgbatch_ID/results") => {
            return answer(200, &[("content-type", "application/x-jsonl")], RESULTS.as_bytes());
        }
        _ => {
            let error = json!({"error": {"message": format!("No such File object: file-{name}0"), "type": "invalid_request_error", "param": "id", "code": null}});
            return answer(404, &JSON, error.to_string().as_bytes());
        }
    };
    answer(200, &JSON, body.to_string().as_bytes())
}

fn two(a: &Upstream, b: &Upstream, kind: &str) -> String {
    let providers = [provider("a", kind, a.address, ""), provider("b", kind, b.address, "")];
    pool("p", &providers, "  loadBalancing: {strategy: RoundRobin}\n") + &route("m", "p")
}

fn form(parts: &[(&str, &str)]) -> (String, String) {
    let part = |(name, value): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"a.jsonl\"" } else { "" };
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    let body = parts.iter().map(part).collect::<String>() + "--b--\r\n";
    ("multipart/form-data; boundary=b".to_owned(), body)
}

fn line(model: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}).to_string()
}

async fn call(
    client: &Client,
    (key, more): (&str, &[(&str, &str)]),
    (method, path): (&str, &str),
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    client.send(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap()
}

async fn uploaded(client: &Client, key: &str, parts: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
    let (kind, body) = form(parts);
    let headers = [&[("content-type", &*kind)], more].concat();
    call(client, (key, &headers), ("POST", "/v1/files"), &body).await
}

fn id(answer: &Answer) -> String {
    assert!(answer.is_good(), "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The questions to a provider: the method and the path of each.
fn asked(upstream: &Upstream) -> Vec<String> {
    let line = |received: &Received| received.head.lines().next().unwrap().replace(" HTTP/1.1", "");
    upstream.received().iter().map(line).collect()
}

#[tokio::test]
async fn a_file_is_its_owners_and_is_asked_of_who_keeps_it() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys();
    let proxies = [start(&two(&a, &b, "OpenAI"), &file), start(&two(&a, &b, "OpenAI"), &file)];
    for turn in 0..4 {
        let client = proxies[turn % 2].client();
        let sent = [("purpose", "user_data"), ("file", "abc")];
        let made = id(&uploaded(&proxies[0].client(), "one", &sent, &[]).await);
        assert!(made.starts_with("file-") && made.len() < 80, "{made}");
        let path = format!("/v1/files/{made}");
        assert_eq!(id(&call(&client, ("one", &[]), ("GET", &path), "").await), made);
        let content = call(&client, ("one", &[]), ("GET", &format!("{path}/content")), "").await;
        assert_eq!((&content.body[..], content.header("content-type")), (&b"\0\x01{"[..], "application/octet-stream"));
        let calls = a.calls() + b.calls();
        let changed = format!("{}x", &made[..made.len() - 1]);
        let other = made.replacen("file-", "batch_", 1);
        for (key, id) in
            [("two", &*made), ("one", &*changed), ("one", "file-a0"), ("one", "..%2Fbatches"), ("one", &*other)]
        {
            for (method, below) in [("GET", ""), ("DELETE", ""), ("GET", "/content")] {
                let refused = call(&client, (key, &[]), (method, &format!("/v1/files/{id}{below}")), "").await;
                let error = refused.json()["error"].clone();
                assert_eq!((refused.status, &error["type"]), (404, &json!("invalid_request_error")), "{id} {error}");
                assert!(error["message"].as_str().unwrap().starts_with("No such File object: "), "{error}");
            }
            let refused = call(&client, (key, &[]), ("GET", &format!("/v1/batches/{id}")), "").await;
            assert_eq!(refused.status, 404, "{}", refused.text());
        }
        assert_eq!(a.calls() + b.calls(), calls);
        let deleted = call(&client, ("one", &[]), ("DELETE", &path), "").await;
        assert_eq!(deleted.json(), json!({"id": made, "object": "file", "deleted": true}));
    }
    // Both took files, each was asked for its own alone, and what they were sent is what the caller sent.
    for (upstream, name) in [(&a, "a"), (&b, "b")] {
        let asked = asked(upstream);
        let wanted = [
            "POST /v1/files",
            &format!("GET /v1/files/file-{name}0"),
            &format!("GET /v1/files/file-{name}0/content"),
            &format!("DELETE /v1/files/file-{name}0"),
        ]
        .map(str::to_owned);
        assert_eq!(asked, [wanted.clone(), wanted].concat());
        assert_eq!(upstream.received()[0].body, form(&[("purpose", "user_data"), ("file", "abc")]).1.into_bytes());
    }
}

#[tokio::test]
async fn a_batch_asks_for_no_model_that_its_caller_may_not_have() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys();
    let models = "models: [{name: m, upstreamName: theirs}, {name: secret}]";
    let text = pool("p", &[provider("a", "OpenAI", a.address, models)], "")
        + &route("m", "p")
        + &pool("q", &[provider("b", "OpenAI", b.address, "")], "")
        + &route("other", "q");
    let proxy = start(&text, &file);
    let client = proxy.client();
    let lines = [line("m"), String::new(), line("m")].join("\n");
    id(&uploaded(&client, "one", &[("purpose", "batch"), ("file", &lines)], &[]).await);
    let sent = String::from_utf8(a.received()[0].body.clone()).unwrap();
    assert_eq!(sent, form(&[("purpose", "batch"), ("file", &lines.replace("\"m\"", "\"theirs\""))]).1);
    // The model of the requests leads to its provider, and so does the one that is named for a file without any.
    id(&uploaded(&client, "one", &[("file", &line("other")), ("purpose", "batch")], &[]).await);
    id(&uploaded(&client, "one", &[("purpose", "user_data"), ("file", "x")], &[("x-sluicegate-model", "other")]).await);
    assert_eq!((a.calls(), b.calls()), (1, 2));
    for (lines, said) in [
        (line("secret"), "secret"),
        (format!("{}\n{}", line("m"), line("secret")), "request 2"),
        (format!("{}\n{}", line("m"), line("other")), "request 2"),
        (line("m").replace("\"model\":\"m\"", "\"model\":\"m\",\"model\":\"secret\""), ""),
        (line("m").replace("/chat/completions", "/files"), "url"),
        (line("m").replace("POST", "GET"), "method"),
        ("{".to_owned(), "line 1"),
        (String::new(), "between 1 and"),
    ] {
        for purpose in ["batch", " BATCH "] {
            let refused = uploaded(&client, "one", &[("purpose", purpose), ("file", &lines)], &[]).await;
            let message = refused.json()["error"]["message"].clone();
            assert!(
                (400..=404).contains(&refused.status) && message.as_str().unwrap().contains(said),
                "{said}: {message}"
            );
        }
    }
    let missing =
        uploaded(&client, "one", &[("purpose", "user_data"), ("file", "x")], &[("x-sluicegate-model", "nobody")]).await;
    assert_eq!(missing.status, 404, "{}", missing.text());
    assert_eq!((a.calls(), b.calls()), (1, 2));
}

#[tokio::test]
async fn a_batch_is_made_of_a_file_that_was_looked_at() {
    let (a, file) = (keeper("a"), keys());
    let proxy = start(&(pool("p", &[provider("a", "OpenAI", a.address, "")], "") + &route("m", "p")), &file);
    let client = proxy.client();
    let lines = line("m");
    let input = id(&uploaded(&client, "one", &[("purpose", "batch"), ("file", &lines)], &[]).await);
    let batch = |id: &str| {
        json!({"input_file_id": id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}).to_string()
    };
    let made = call(&client, ("one", &JSON), ("POST", "/v1/batches"), &batch(&input)).await;
    assert_eq!(made.json()["input_file_id"], input, "{}", made.text());
    let sent: Value = serde_json::from_slice(&a.received().pop().unwrap().body).unwrap();
    assert_eq!(sent["input_file_id"], "file-a0");
    let path = format!("/v1/batches/{}", id(&made));
    let done = call(&client, ("one", &[]), ("GET", &path), "").await.json();
    let output = done["output_file_id"].as_str().unwrap();
    assert!(output.starts_with("file-") && output != "file-a1", "{done}");
    let results = call(&client, ("one", &[]), ("GET", &format!("/v1/files/{output}/content")), "").await;
    assert_eq!(results.text(), RESULTS);
    assert_eq!(
        call(&client, ("one", &JSON), ("POST", &format!("{path}/cancel")), "{}").await.json()["id"],
        made.json()["id"]
    );
    // What was not looked at when it was sent is no batch's; nor is what others sent.
    let plain = id(&uploaded(&client, "one", &[("purpose", "user_data"), ("file", &lines)], &[]).await);
    let calls = a.calls();
    let doubled = batch(&input).replace('}', ",\"input_file_id\":\"file-a0\"}");
    let escaped = batch(&input).replace("\"file-", "\"f\\u0069le-");
    for (key, body) in [
        ("one", batch(&plain)),
        ("one", batch("file-a0")),
        ("two", batch(&input)),
        ("one", batch(output)),
        ("one", doubled),
        ("one", escaped),
        ("one", "[]".to_owned()),
    ] {
        let refused = call(&client, (key, &JSON), ("POST", "/v1/batches"), &body).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("input_file_id")), "{body}");
    }
    assert_eq!(a.calls(), calls);
}

#[tokio::test]
async fn batches_of_messages_are_their_owners_and_their_results_are_here() {
    let (a, b) = (keeper("a"), keeper("b"));
    let file = keys();
    let models = "models: [{name: m, upstreamName: theirs}]";
    let text = pool(
        "p",
        &[provider("a", "Anthropic", a.address, models), provider("b", "Anthropic", b.address, models)],
        "  loadBalancing: {strategy: RoundRobin}\n",
    ) + &route("m", "p")
        + &pool("q", &[provider("b", "Anthropic", b.address, "")], "")
        + &route("other", "q");
    let proxy = start(&text, &file);
    let client = proxy.client();
    let request = |model: &str| json!({"custom_id": "a", "params": {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}});
    let headers = [JSON[0], ANTHROPIC];
    for _ in 0..2 {
        let body = json!({"requests": [request("m"), request("m")]}).to_string();
        let made = id(&call(&client, ("one", &headers), ("POST", "/v1/messages/batches"), &body).await);
        assert!(made.starts_with("msgbatch_"), "{made}");
        let keeper = if a.received().last().is_some_and(|last| last.head.starts_with("POST")) && a.calls() > b.calls() {
            &a
        } else {
            &b
        };
        let sent = String::from_utf8(keeper.received().pop().unwrap().body).unwrap();
        assert_eq!(sent, body.replace("\"m\"", "\"theirs\""));
        let path = format!("/v1/messages/batches/{made}");
        let done = call(&client, ("one", &headers), ("GET", &path), "").await.json();
        let url = done["results_url"].as_str().unwrap();
        assert_eq!((&done["id"], url), (&json!(made), &*format!("http://{}{path}/results", proxy.address)));
        let results = call(&client, ("one", &headers), ("GET", &format!("{path}/results")), "").await;
        assert_eq!((results.text(), results.header("content-type")), (RESULTS.to_owned(), "application/x-jsonl"));
        assert_eq!(id(&call(&client, ("one", &headers), ("POST", &format!("{path}/cancel")), "").await), made);
        for below in ["", "/results"] {
            let refused = call(&client, ("two", &headers), ("GET", &format!("{path}{below}")), "").await;
            assert_eq!((refused.status, &refused.json()["error"]["type"]), (404, &json!("not_found_error")));
        }
    }
    let calls = a.calls() + b.calls();
    for requests in [
        json!([request("secret")]),
        json!([request("m"), request("secret")]),
        json!([]),
        json!([{"custom_id": "a"}]),
        json!("x"),
    ] {
        let body = json!({"requests": requests}).to_string();
        let refused = call(&client, ("one", &headers), ("POST", "/v1/messages/batches"), &body).await;
        assert!((400..=404).contains(&refused.status), "{} {}", refused.status, refused.text());
    }
    assert_eq!(a.calls() + b.calls(), calls);
    // One provider takes all of them, if there is one that is asked for all models.
    let mixed = json!({"requests": [request("m"), request("other")]}).to_string();
    let refused = call(&client, ("one", &headers), ("POST", "/v1/messages/batches"), &mixed).await;
    assert!(refused.status == 400 && refused.text().contains("request 2"), "{}", refused.text());
}

#[tokio::test]
async fn anthropics_files_are_told_by_its_version() {
    let (a, file) = (keeper("a"), keys());
    let proxy = start(&(pool("p", &[provider("a", "Anthropic", a.address, "")], "") + &route("m", "p")), &file);
    let client = proxy.client();
    let made =
        id(&uploaded(&client, "one", &[("file", "abc")], &[ANTHROPIC, ("anthropic-beta", "files-api-2025-04-14")])
            .await);
    assert!(made.starts_with("file_"), "{made}");
    let path = format!("/v1/files/{made}");
    assert_eq!(id(&call(&client, ("one", &[ANTHROPIC]), ("GET", &path), "").await), made);
    assert_eq!(
        call(&client, ("one", &[ANTHROPIC]), ("GET", &format!("{path}/content")), "").await.body,
        b"\0\x01{"[..]
    );
    assert_eq!(call(&client, ("two", &[ANTHROPIC]), ("GET", &path), "").await.status, 404);
    assert_eq!(call(&client, ("one", &[]), ("GET", &path), "").await.status, 404);
}

#[tokio::test]
async fn without_keys_it_is_said_what_to_set() {
    let a = keeper("a");
    let text = pool("p", &[provider("a", "OpenAI", a.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let refused = uploaded(&client, "one", &[("purpose", "user_data"), ("file", "abc")], &[]).await;
    assert!(refused.status == 404 && refused.text().contains("--response-keys"), "{}", refused.text());
    for (method, path) in [
        ("GET", "/v1/files/file-a0"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches/msgbatch_a0/results"),
    ] {
        let refused = call(&client, ("one", &JSON), (method, path), "{}").await;
        assert!(refused.status == 404 && refused.text().contains("--response-keys"), "{path} {}", refused.text());
    }
    // What is below an answer and is no path is no path with keys or without.
    let foo = call(&client, ("one", &JSON), ("POST", "/v1/responses/resp_1/foo"), "{}").await;
    assert!(foo.status == 404 && foo.json()["error"]["code"] == "unknown_url", "{}", foo.text());
    assert_eq!(a.calls(), 0);
}
