//! Files and batches that a provider keeps: each its owner's, asked of who keeps it, and no way round what a caller may ask for.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Received, Upstream, answer, chunk, last_chunk, stream_head};

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

/// A header of the caller goes to the provider, by which that tells calls apart.
const PASS: &str = "headers: {pass: [x-lane]}";
const PATIENT: &str = "  circuitBreaker: {consecutiveFailures: 100}\n  retry: {backoff: {initial: 1ms, max: 1ms}}\n";

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
        let changed = format!("{}{}", &made[..made.len() - 1], if made.ends_with('x') { 'y' } else { 'x' });
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

/// A provider that gives each file an id of its own, and answers calls with a file that it made, in Anthropic's words.
fn counting(name: &'static str) -> Upstream {
    let answers = move |received: &Received| {
        let line = received.head.lines().next().unwrap();
        let path = line.split(' ').nth(1).unwrap();
        let file = |id: &str| json!({"id": id, "object": "file", "purpose": "user_data", "created_at": 1});
        let body = match path.strip_prefix("/v1/files/") {
            None if path == "/v1/files" => file(&format!("file-{name}{}", received.number)),
            Some(id) if line.starts_with("DELETE") => json!({"id": id, "object": "file", "deleted": true}),
            Some("file-gone") => return vec![answer(404, &JSON, b"{\"error\":{\"message\":\"none\"}}")],
            Some(id) => file(id),
            None if path == "/v1/chat/completions" => {
                let choice =
                    json!({"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"});
                let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
                json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage})
            }
            None => {
                let output = json!({"type": "code_execution_output", "file_id": format!("file_{name}")});
                let result = json!({"type": "code_execution_tool_result", "tool_use_id": "x", "content": {"type": "code_execution_result", "stdout": "", "stderr": "", "return_code": 0, "content": [output]}});
                json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [result, {"type": "text", "text": "done"}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}})
            }
        };
        vec![answer(200, &JSON, body.to_string().as_bytes())]
    };
    Upstream::start(answers).unwrap()
}

#[tokio::test]
async fn a_list_is_of_what_its_owner_has_made_wherever_that_is_kept() {
    let (a, b) = (counting("a"), counting("b"));
    let file = keys();
    let proxy = start(&two(&a, &b, "OpenAI"), &file);
    let client = proxy.client();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, id(&uploaded(&client, "one", &[("purpose", "user_data"), ("file", "x")], &[]).await));
    }
    let others = id(&uploaded(&client, "two", &[("purpose", "user_data"), ("file", "x")], &[]).await);
    let list = async |key: &str, query: &str| {
        let answer = call(&client, (key, &[]), ("GET", &format!("/v1/files{query}")), "").await;
        assert!(answer.is_good(), "{}", answer.text());
        let list = answer.json();
        let ids: Vec<String> =
            list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            (list["first_id"].as_str(), list["last_id"].as_str()),
            (ids.first().map(|id| &**id), ids.last().map(|id| &**id))
        );
        (ids, list["has_more"].as_bool().unwrap())
    };
    assert_eq!(list("one", "").await, (made.clone(), false));
    assert_eq!(list("two", "").await, (vec![others], false));
    assert_eq!(list("three", "").await, (vec![], false));
    assert_eq!(list("one", "?limit=2").await, (made[..2].to_vec(), true));
    assert_eq!(list("one", &format!("?limit=3&after={}", made[1])).await, (made[2..].to_vec(), false));
    let oldest: Vec<String> = made.iter().rev().take(2).cloned().collect();
    assert_eq!(list("one", "?order=asc&limit=2").await, (oldest, true));
    assert_eq!(list("one", "?purpose=batch").await, (vec![], false));
    let gone = call(&client, ("one", &[]), ("DELETE", &format!("/v1/files/{}", made[2])), "").await;
    assert!(gone.is_good());
    made.remove(2);
    assert_eq!(list("one", "?purpose=user_data").await, (made, false));
    // Who goes through a list and deletes what stands in it misses nothing, in either direction.
    for order in ["desc", "asc"] {
        for _ in 0..7 {
            uploaded(&client, "four", &[("purpose", "user_data"), ("file", "x")], &[]).await;
        }
        let (mut cursor, mut deleted) = (String::new(), 0);
        loop {
            let (page, has_more) = list("four", &format!("?limit=2&order={order}{cursor}")).await;
            for one in &page {
                assert!(call(&client, ("four", &[]), ("DELETE", &format!("/v1/files/{one}")), "").await.is_good());
                deleted += 1;
            }
            if !has_more {
                break;
            }
            cursor = format!("&after={}", page.last().unwrap());
        }
        assert_eq!((deleted, list("four", "").await.0.len()), (7, 0), "{order}");
    }
    for query in ["?limit=0", "?limit=x", "?order=up", "?after=file-unknown"] {
        let refused = call(&client, ("one", &[]), ("GET", &format!("/v1/files{query}")), "").await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
}

#[tokio::test]
async fn files_in_a_call_lead_to_who_keeps_them() {
    let (a, b) = (counting("a"), counting("b"));
    let file = keys();
    let providers = [provider("a", "OpenAI", a.address, ""), provider("b", "OpenAI", b.address, "")];
    let text = pool("p", &providers, "  loadBalancing: {strategy: RoundRobin}\n")
        + &route("m", "p")
        + &pool("q", &[provider("c", "Anthropic", a.address, "")], "")
        + &route("claude", "q");
    let proxy = start(&text, &file);
    let client = proxy.client();
    let naming = |files: &[&str]| {
        let parts: Vec<Value> = files.iter().map(|id| json!({"type": "file", "file": {"file_id": id}})).collect();
        json!({"model": "m", "messages": [{"role": "user", "content": parts}]}).to_string()
    };
    let chat = |file: &str| naming(&[file]);
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let before = a.calls();
        let made = id(&uploaded(&client, "one", &[("purpose", "user_data"), ("file", "x")], &[]).await);
        if a.calls() > before { at_a.push(made) } else { at_b.push(made) }
    }
    let two = [at_a[0].clone(), at_b[0].clone()];
    for (made, keeper) in at_a.iter().map(|made| (made, &a)).chain(at_b.iter().map(|made| (made, &b))) {
        let calls = keeper.calls();
        let answer = call(&client, ("one", &JSON), ("POST", "/v1/chat/completions"), &chat(made)).await;
        assert!(answer.is_good() && keeper.calls() == calls + 1, "{}", answer.text());
        let sent = String::from_utf8(keeper.received().pop().unwrap().body).unwrap();
        let raw = sent.split("\"file_id\":\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(raw.len() < 12 && sent == chat(raw), "{sent}");
    }
    let calls = a.calls() + b.calls();
    let both = naming(&[&two[0], &two[1]]);
    let foreign = chat(&two[0]).replace("\"m\"", "\"claude\"");
    let escaped = chat(&two[0]).replace("\"file-", "\"f\\u0069le-");
    for (key, body, status) in [
        ("two", chat(&two[0]), 404),
        ("one", chat("file-a0"), 404),
        ("one", both, 400),
        ("one", foreign, 400),
        ("one", escaped, 400),
    ] {
        let refused = call(&client, (key, &JSON), ("POST", "/v1/chat/completions"), &body).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["param"]),
            (status, &json!("file_id")),
            "{body} {}",
            refused.text()
        );
    }
    assert_eq!(a.calls() + b.calls(), calls);
    // A file that a tool made is its owner's, under an id that leads to it.
    let body = json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let answer = call(&client, ("one", &[JSON[0], ANTHROPIC]), ("POST", "/v1/messages"), &body).await.json();
    let made = answer["content"][0]["content"]["content"][0]["file_id"].as_str().unwrap();
    assert!(made.starts_with("file_") && made != "file_a", "{answer}");
    assert!(call(&client, ("one", &[ANTHROPIC]), ("GET", &format!("/v1/files/{made}")), "").await.is_good());
    assert_eq!(a.received().pop().unwrap().head.lines().next().unwrap(), "GET /v1/files/file_a HTTP/1.1");
}

/// A provider of one batch whose results say what they used.
fn billing() -> Upstream {
    let line = |at: u64| {
        let usage = json!({"prompt_tokens": 100 * at, "completion_tokens": 10, "total_tokens": 100 * at + 10});
        let body = json!({"id": "x", "object": "chat.completion", "model": "m-2026-01-01", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}], "usage": usage});
        json!({"custom_id": at.to_string(), "response": {"status_code": 200, "body": body}, "error": null}).to_string()
    };
    let results = format!("{}\n{}", line(1), line(2));
    Upstream::start(move |received| {
        let line = received.head.lines().next().unwrap();
        let body = match line.split(' ').nth(1).unwrap() {
            "/v1/files" => json!({"id": "file-in", "object": "file", "purpose": "batch"}),
            "/v1/files/file-out/content" => return vec![answer(200, &BYTES, results.as_bytes())],
            _ => json!({"id": "batch_1", "object": "batch", "input_file_id": "file-in", "output_file_id": "file-out", "status": "completed"}),
        };
        vec![answer(200, &JSON, body.to_string().as_bytes())]
    })
    .unwrap()
}

#[tokio::test]
async fn what_a_batch_used_is_counted_once_by_its_own_price() {
    let upstream = billing();
    let file = keys();
    let price = "models: [{name: m, price: {inputPerMillion: \"1000\", outputPerMillion: \"2000\", tiers: {batch: {factor: \"0.5\"}}}}]";
    let budgets = "    targets: [{poolRef: {name: p}}]\n    limits: {budgets: [{amount: \"0.1\", period: Total}]}\n";
    let text =
        pool("p", &[provider("a", "OpenAI", upstream.address, price)], "") + &crate::resources::rule("m", budgets);
    let proxy = start(&text, &file);
    let client = proxy.client();
    let input = id(&uploaded(&client, "one", &[("purpose", "batch"), ("file", &line("m"))], &[]).await);
    let batch =
        json!({"input_file_id": input, "endpoint": "/v1/chat/completions", "completion_window": "24h"}).to_string();
    let made = call(&client, ("one", &JSON), ("POST", "/v1/batches"), &batch).await.json();
    let path = format!("/v1/files/{}/content", made["output_file_id"].as_str().unwrap());
    let sums = async |calls: f64| {
        let all = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_requests_total", &[]) >= calls;
        proxy.until("calls are counted", all).await.unwrap();
        let metrics = proxy.metrics().unwrap();
        let sum = |name: &str| metrics.sum(name, &[]);
        (sum("sluicegate_cost_usd_total"), sum("sluicegate_tokens_total"), sum("sluicegate_cost_unknown_total"))
    };
    assert_eq!(sums(2.0).await, (0.0, 0.0, 0.0));
    for calls in [3.0, 4.0] {
        assert_eq!(call(&client, ("one", &[]), ("GET", &path), "").await.status, 200);
        let (cost, tokens, unknown) = sums(calls).await;
        // 300 tokens at half of a thousandth of a dollar, 20 at half of two.
        assert!(
            (cost - 0.17).abs() < 1e-9 && (tokens - 320.0).abs() < 0.1 && unknown < 0.1,
            "{cost} {tokens} {unknown}"
        );
    }
    // The budget is used up: no new batch, and its results are there still.
    let refused = call(&client, ("one", &JSON), ("POST", "/v1/batches"), &batch).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(call(&client, ("one", &[]), ("GET", &path), "").await.status, 200);
}

#[tokio::test]
async fn results_whose_fetch_is_left_are_counted_whole() {
    let gate = Gate::default();
    let (opened, file) = (gate.clone(), keys());
    let line =
        json!({"custom_id": "1", "response": {"status_code": 200, "body": {"object": "chat.completion", "model": "m",
        "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}}})
        .to_string()
            + "\n";
    let upstream = Upstream::start(move |received| {
        if received.head.starts_with("GET /v1/files/file-out/content ") {
            let rest = [Act::Until(opened.clone()), chunk(line.as_bytes()), last_chunk()];
            return [stream_head(), chunk(line.as_bytes())].into_iter().chain(rest).collect();
        }
        let body = match received.head.starts_with("POST /v1/files ") {
            true => json!({"id": "file-in", "object": "file", "purpose": "batch"}),
            false => json!({"id": "batch_1", "object": "batch", "input_file_id": "file-in", "output_file_id": "file-out", "status": "completed"}),
        };
        vec![answer(200, &JSON, body.to_string().as_bytes())]
    })
    .unwrap();
    let price = "models: [{name: m, price: {inputPerMillion: \"1000\", outputPerMillion: \"2000\"}}]";
    let proxy = start(&(pool("p", &[provider("a", "OpenAI", upstream.address, price)], "") + &route("m", "p")), &file);
    let client = proxy.client();
    let input = id(&uploaded(&client, "one", &[("purpose", "batch"), ("file", &self::line("m"))], &[]).await);
    let batch =
        json!({"input_file_id": input, "endpoint": "/v1/chat/completions", "completion_window": "24h"}).to_string();
    let made = call(&client, ("one", &JSON), ("POST", "/v1/batches"), &batch).await.json();
    let path = format!("/v1/files/{}/content", made["output_file_id"].as_str().unwrap());
    let request = Request::get(&path).header("authorization", "Bearer one").body(Full::default()).unwrap();
    let response = client.open(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    gate.open();
    let cost = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_cost_usd_total", &[]);
    proxy.until("both lines are counted", |proxy| (cost(proxy) - 0.24).abs() < 1e-9).await.unwrap();
    // Whoever fetches them again pays nothing.
    assert_eq!(call(&client, ("one", &[]), ("GET", &path), "").await.status, 200);
    assert!((cost(&proxy) - 0.24).abs() < 1e-9);
}

#[tokio::test]
async fn requests_that_no_budget_could_count_are_refused_before_they_are_sent() {
    let upstream = billing();
    let file = keys();
    for (unknown, status) in [("Refuse", 403), ("Free", 200)] {
        let budgets = format!(
            "    targets: [{{poolRef: {{name: p}}}}]\n    limits: {{budgets: [{{amount: \"1\", period: Total, unknownPrice: {unknown}}}]}}\n"
        );
        let text = pool("p", &[provider("a", "OpenAI", upstream.address, "models: [{name: m}]")], "")
            + &crate::resources::rule("m", &budgets);
        let proxy = start(&text, &file);
        let sent = uploaded(&proxy.client(), "one", &[("purpose", "batch"), ("file", &line("m"))], &[]).await;
        assert_eq!(sent.status, status, "{}", sent.text());
        assert!(status == 200 || sent.text().contains("price_unknown"), "{}", sent.text());
    }
    let files = upstream.received().iter().filter(|request| request.head.starts_with("POST /v1/files ")).count();
    assert_eq!(files, 1);
}

#[tokio::test]
async fn what_no_provider_of_a_model_keeps_is_refused_and_not_put_off() {
    let (upstream, keys) = (keeper("a"), keys());
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = start(&text, &keys);
    let requests = json!({"requests": [{"custom_id": "a", "params": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}}]});
    let headers = [JSON[0], ANTHROPIC];
    let refused = proxy.client().post("/v1/messages/batches", &headers, requests.to_string()).await.unwrap();
    assert_eq!((refused.status, refused.header("x-should-retry")), (400, "false"), "{}", refused.text());
    assert!(refused.text().contains("do not offer"), "{}", refused.text());
    assert_eq!(upstream.received().len(), 0);
}

/// A batch whose maker is not heard of may be at work: it is not made a second time. One that was surely refused is.
#[tokio::test]
async fn a_file_and_a_batch_are_made_once_where_nobody_knows_what_became_of_them() {
    let file = keys();
    let busy = answer(503, &JSON, br#"{"error":{"message":"busy","type":"server_error"}}"#);
    let between = answer(504, &[("content-type", "text/html")], b"<html>");
    for (act, status, makes) in [(Act::Reset, 502, 1), (between, 504, 1), (busy, 503, 3)] {
        let a = Upstream::start(move |received| {
            let makes = received.head.starts_with("POST /v1/files") || received.head.starts_with("POST /v1/batches");
            let first = received.head.contains("purpose-of-the-test");
            vec![if makes && !first { act.clone() } else { told("a", received) }]
        })
        .unwrap();
        let proxy = start(&(pool("p", &[provider("a", "OpenAI", a.address, PASS)], PATIENT) + &route("m", "p")), &file);
        let client = proxy.client();
        let lines = line("m");
        let parts = [("purpose", "batch"), ("file", &*lines)];
        let refused = uploaded(&client, "one", &parts, &[]).await;
        assert_eq!((refused.status, a.calls()), (status, makes), "{}", refused.text());
        let input = id(&uploaded(&client, "one", &parts, &[("x-lane", "purpose-of-the-test")]).await);
        let batch = json!({"input_file_id": input, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        let before = a.received().iter().filter(|received| received.head.starts_with("POST /v1/batches")).count();
        let refused = call(&client, ("one", &JSON), ("POST", "/v1/batches"), &batch.to_string()).await;
        let made = a.received().iter().filter(|received| received.head.starts_with("POST /v1/batches")).count();
        assert_eq!((refused.status, (made - before) as u64), (status, makes), "{}", refused.text());
    }
}
