//! Kept answers: given again only to whom they may be, and only as long as nobody would be answered otherwise now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client, post};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, events, plain_upstream, pool, provider, rule};

/// A route that caches.
fn caching(cache: &str, target: &str) -> String {
    rule("m", &format!("    targets: [{target}]\n    cache: {cache}\n"))
}

fn house(cache: &str) -> (Upstream, Proxy) {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &pool("c", &[provider("a", "Anthropic", upstream.address, "")], "")
        + &caching(cache, "{poolRef: {name: p}}")
        + &rule("claude", &format!("    targets: [{{poolRef: {{name: c}}}}]\n    cache: {cache}\n"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    (upstream, proxy)
}

fn whole(body: &Value) -> Act {
    answer(200, &[("content-type", "application/json")], body.to_string().as_bytes())
}

async fn ask(client: &Client, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let answer = client.post(path, headers, body.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// Asks until the answer is a hit: what is kept is kept behind the caller's back.
async fn until_hit(client: &Client, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    for _ in 0..100 {
        let answer = ask(client, path, headers, body).await;
        if answer.header("x-cache") == "hit" {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never a hit: {body}");
}

fn question() -> Value {
    json!({"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn every_key_header_tells_callers_apart() {
    let (_upstream, proxy) = house("{ttl: 1h}");
    let client = proxy.client();
    let body = question();
    let alice = [("authorization", ""), ("x-api-key", "alice")];
    until_hit(&client, CHAT, &alice, &body).await;
    for other in [
        &[("authorization", ""), ("x-api-key", "bob")][..],
        &[("authorization", "Bearer bob"), ("x-api-key", "alice")],
        &[("authorization", ""), ("x-api-key", "alice"), ("api-key", "bob")],
        &[("x-goog-api-key", "alice")],
        &[("authorization", "")],
    ] {
        assert_eq!(ask(&client, CHAT, other, &body).await.header("x-cache"), "miss", "{other:?}");
    }
    assert_eq!(ask(&client, CHAT, &alice, &body).await.header("x-cache"), "hit");
}

#[tokio::test]
async fn what_goes_on_and_may_change_an_answer_is_part_of_its_key() {
    let (_upstream, proxy) = house("{ttl: 1h, scope: Route}");
    let client = proxy.client();
    let body = json!({"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    let version = ("anthropic-version", "2023-06-01");
    until_hit(&client, MESSAGES, &[version], &body).await;
    let other = [version, ("anthropic-beta", "context-1m-2025-08-07")];
    assert_eq!(ask(&client, MESSAGES, &other, &body).await.header("x-cache"), "miss");
    let idle = [
        version,
        ("user-agent", "another/1.0"),
        ("x-stainless-retry-count", "3"),
        ("x-claude-code-session-id", "s-9"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("idempotency-key", "k"),
        // These go to no provider.
        ("x-azure-ref", "20261130T1"),
        ("x-trace-id", "t-1"),
        ("x-mine", "1"),
        ("openai-beta", "realtime=v1"),
    ];
    assert_eq!(ask(&client, MESSAGES, &idle, &body).await.header("x-cache"), "hit");
    // Where a pool lets it pass it does.
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "headers: {pass: [x-mine]}")], "")
        + &caching("{ttl: 1h, scope: Route}", "{poolRef: {name: p}}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    until_hit(&client, CHAT, &[("x-mine", "1")], &question()).await;
    assert_eq!(ask(&client, CHAT, &[("x-mine", "2")], &question()).await.header("x-cache"), "miss");
}

#[tokio::test]
async fn a_billing_line_and_markers_for_the_prompt_cache_change_no_key() {
    let (_upstream, proxy) = house("{ttl: 1h}");
    let client = proxy.client();
    let line = |hash: u32| {
        let text = format!("x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli; cch={hash};");
        json!({"model": "claude", "max_tokens": 256, "messages": [{"role": "user", "content": "hi"}],
            "system": [{"type": "text", "text": text}, {"type": "text", "text": "You are a coder."}]})
    };
    until_hit(&client, MESSAGES, &[], &line(11111)).await;
    let mut other = line(22222);
    other["system"][1]["cache_control"] = json!({"type": "ephemeral"});
    assert_eq!(ask(&client, MESSAGES, &[], &other).await.header("x-cache"), "hit");
    other["system"][1]["text"] = "You are a poet.".into();
    assert_eq!(ask(&client, MESSAGES, &[], &other).await.header("x-cache"), "miss");
}

#[tokio::test]
async fn one_callers_freshness_takes_no_answer_from_another() {
    let bad = Arc::new(AtomicBool::new(false));
    let filtered = Arc::clone(&bad);
    let upstream = Upstream::start(move |_| {
        let finish = if filtered.load(Ordering::Relaxed) { "content_filter" } else { "stop" };
        vec![whole(&json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}))]
    });
    let upstream = upstream.unwrap();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &caching("{ttl: 1h, scope: Route}", "{poolRef: {name: p}}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let body = question();
    until_hit(&client, CHAT, &[], &body).await;
    bad.store(true, Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // It is too old for this caller, and what comes instead is not kept: the one that is there stays.
    for wish in ["max-age=1", "no-cache", "max-age=0"] {
        let calls = upstream.calls();
        let fresh = ask(&client, CHAT, &[("cache-control", wish)], &body).await;
        assert_eq!((fresh.header("x-cache"), upstream.calls()), ("miss", calls + 1), "{wish}");
        assert_eq!(ask(&client, CHAT, &[], &body).await.header("x-cache"), "hit", "{wish}");
    }
}

#[tokio::test]
async fn who_is_asked_and_what_for_is_part_of_the_key() {
    let (upstream, proxy) = house("{ttl: 1h, scope: Route}");
    let client = proxy.client();
    let body = question();
    until_hit(&client, CHAT, &[], &body).await;
    let with = |pool_lines: &str, target: &str| {
        pool("p", &[provider("a", "OpenAICompatible", upstream.address, pool_lines)], "")
            + &caching("{ttl: 1h, scope: Route}", target)
    };
    let target = "{poolRef: {name: p}}";
    for (what, text) in [
        ("a target's model", with("", "{poolRef: {name: p}, model: other}")),
        ("a pool's default", with("defaults: {temperature: \"0.5\"}", target)),
        ("a header of the pool's", with("headers: {set: [{name: x-option, value: b}]}", target)),
        ("the model's name at the provider", with("models: [{name: m, upstreamName: m-2}]", target)),
    ] {
        let calls = upstream.calls();
        proxy.write("all.yaml", &text).unwrap();
        for _ in 0..1000 {
            if upstream.calls() > calls {
                break;
            }
            ask(&client, CHAT, &[], &body).await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(upstream.calls() > calls, "{what}: the answer of before is given still");
        until_hit(&client, CHAT, &[], &body).await;
    }
    // A price changes no answer.
    let calls = upstream.calls();
    let priced = "models: [{name: m, upstreamName: m-2, price: {inputPerMillion: \"1\", outputPerMillion: \"2\"}}]";
    let revision = proxy.page("/config").unwrap().1;
    proxy.write("all.yaml", &with(priced, target)).unwrap();
    for _ in 0..1000 {
        if proxy.page("/config").unwrap().1 != revision {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&client, CHAT, &[], &body).await.header("x-cache"), "hit");
    assert_eq!(upstream.calls(), calls);
}

/// OpenAI's answer with everything in it, and its stream.
fn openai_rich() -> (Value, Vec<Value>) {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    let head = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m",
        "system_fingerprint": "fp", "service_tier": "default"});
    let with = |object: &str, choices: Value| {
        let mut all = head.clone();
        all["object"] = object.into();
        all["choices"] = choices;
        all
    };
    let mut whole = with(
        "chat.completion",
        json!([{"index": 0, "finish_reason": "tool_calls",
        "logprobs": {"content": [{"token": "x", "logprob": -0.5}], "refusal": null},
        "message": {"role": "assistant", "content": "x", "refusal": null, "reasoning_content": "hm", "tool_calls": [call],
            "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]}}]),
    );
    whole["usage"] = usage.clone();
    let chunk = |delta: Value, finish: Value, logprobs: Value| {
        with(
            "chat.completion.chunk",
            json!([{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]),
        )
    };
    let plain = |delta: Value| chunk(delta, Value::Null, Value::Null);
    let mut last = with("chat.completion.chunk", json!([]));
    last["usage"] = usage;
    let stream = vec![
        plain(json!({"role": "assistant", "content": "", "refusal": null})),
        plain(json!({"reasoning_content": "h"})),
        plain(json!({"reasoning_content": "m"})),
        chunk(
            json!({"content": "x"}),
            Value::Null,
            json!({"content": [{"token": "x", "logprob": -0.5}], "refusal": null}),
        ),
        plain(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        ),
        plain(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]})),
        plain(json!({"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]})),
        chunk(json!({}), json!("tool_calls"), Value::Null),
        last,
    ];
    (whole, stream)
}

/// Anthropic's answer with everything in it, and its stream.
fn anthropic_rich() -> (Value, Vec<Value>) {
    let usage = json!({"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2,
        "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}});
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
        "stop_sequence": null, "usage": usage, "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]});
    let mut begun = whole.clone();
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"]["output_tokens"] = 1.into();
    let begin =
        |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let grow = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let end = |index: u32| json!({"type": "content_block_stop", "index": index});
    let stream = vec![
        json!({"type": "message_start", "message": begun}),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        grow(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        grow(0, json!({"type": "signature_delta", "signature": "sig"})),
        end(0),
        begin(1, json!({"type": "text", "text": ""})),
        grow(1, json!({"type": "text_delta", "text": "x"})),
        end(1),
        begin(2, json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        grow(2, json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})),
        end(2),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    (whole, stream)
}

fn streamed(events: &[Value]) -> Vec<Act> {
    let mut acts = vec![stream_head()];
    for event in events {
        let name = event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
        acts.push(chunk(format!("{name}data: {event}\n\n").as_bytes()));
    }
    if events.iter().all(|event| event["type"].is_null()) {
        acts.push(chunk(b"data: [DONE]\n\n"));
    }
    acts.push(last_chunk());
    acts
}

/// What an answer says, whole or streamed: its parts, why it ended, what it used.
fn said(anthropic: bool, answer: &Answer) -> Value {
    let whole = answer.json();
    if !whole.is_null() {
        let choice = &whole["choices"][0];
        let body = if anthropic { whole["content"].clone() } else { choice["message"].clone() };
        let why = if anthropic { &whole["stop_reason"] } else { &choice["finish_reason"] };
        return json!({"said": plain(&body), "why": why, "usage": whole["usage"], "logprobs": plain(&choice["logprobs"]),
            "id": whole["id"], "model": whole["model"], "fingerprint": whole["system_fingerprint"]});
    }
    assert!(answer.whole, "{}", answer.text());
    let events = events(answer);
    if anthropic { anthropic_said(&events) } else { openai_said(&events) }
}

fn openai_said(events: &[Value]) -> Value {
    let (mut message, mut calls, mut why, mut usage, mut logprobs) =
        (json!({}), Vec::new(), Value::Null, Value::Null, Value::Null);
    for event in events {
        usage = if event["usage"].is_null() { usage } else { event["usage"].clone() };
        let choice = &event["choices"][0];
        why = if choice["finish_reason"].is_null() { why } else { choice["finish_reason"].clone() };
        if !choice["logprobs"].is_null() {
            logprobs = choice["logprobs"].clone();
        }
        for (name, value) in choice["delta"].as_object().into_iter().flatten() {
            match value {
                Value::String(more) if name != "role" => {
                    message[name] = json!(message[name].as_str().unwrap_or_default().to_owned() + more);
                }
                Value::Array(pieces) if name == "tool_calls" => {
                    for piece in pieces {
                        let at = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
                        if at == calls.len() {
                            let mut call = piece.clone();
                            call.as_object_mut().unwrap().shift_remove("index");
                            calls.push(call);
                        } else {
                            let more = piece["function"]["arguments"].as_str().unwrap();
                            let grown = calls[at]["function"]["arguments"].as_str().unwrap().to_owned() + more;
                            calls[at]["function"]["arguments"] = json!(grown);
                        }
                    }
                }
                value => message[name] = value.clone(),
            }
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let first = &events[0];
    json!({"said": plain(&message), "why": why, "usage": usage, "logprobs": plain(&logprobs),
        "id": first["id"], "model": first["model"], "fingerprint": first["system_fingerprint"]})
}

fn anthropic_said(events: &[Value]) -> Value {
    let (mut blocks, mut why, mut usage) = (Vec::new(), Value::Null, json!({}));
    for event in events {
        for counts in [&event["message"]["usage"], &event["usage"]] {
            for (name, count) in counts.as_object().into_iter().flatten() {
                usage[name] = count.clone();
            }
        }
        match event["type"].as_str().unwrap() {
            "content_block_start" => blocks.push(event["content_block"].clone()),
            "content_block_delta" => {
                let block: &mut Value = blocks.last_mut().unwrap();
                for (name, more) in event["delta"].as_object().unwrap().iter().filter(|(name, _)| *name != "type") {
                    if name == "partial_json" {
                        block["input"] = serde_json::from_str(more.as_str().unwrap()).unwrap_or_default();
                    } else {
                        block[name] =
                            json!(block[name].as_str().unwrap_or_default().to_owned() + more.as_str().unwrap());
                    }
                }
            }
            "message_delta" => why = event["delta"]["stop_reason"].clone(),
            _ => {}
        }
    }
    let message = &events[0]["message"];
    json!({"said": plain(&json!(blocks)), "why": why, "usage": usage, "logprobs": null,
        "id": message["id"], "model": message["model"], "fingerprint": null})
}

/// Without nothing, however that is said, in one order.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut said: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            said.sort_by_key(|(name, _)| name.as_str());
            said.into_iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn an_answer_is_given_again_as_it_was_in_all_four_forms() {
    let upstream = Upstream::start(|received| {
        let (body, stream) = if received.head.contains("/messages HTTP") { anthropic_rich() } else { openai_rich() };
        if received.streams() { streamed(&stream) } else { vec![whole(&body)] }
    });
    let upstream = upstream.unwrap();
    let cache = "    cache: {ttl: 1h, scope: Route}\n";
    let text = pool("o", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &pool("a", &[provider("a", "Anthropic", upstream.address, "")], "")
        + &rule("to-openai", &format!("    targets: [{{poolRef: {{name: o}}}}]\n{cache}"))
        + &rule("to-anthropic", &format!("    targets: [{{poolRef: {{name: a}}}}]\n{cache}"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    // Whole; streamed, asking for usage or not.
    let forms = [(false, false), (true, true), (true, false)];
    let mut asked = 0;
    for (path, model) in [CHAT, MESSAGES].into_iter().flat_map(|path| [(path, "to-openai"), (path, "to-anthropic")]) {
        let anthropic = path == MESSAGES;
        for (first, second) in forms.into_iter().flat_map(|first| forms.map(|second| (first, second))) {
            asked += 1;
            let body = |(stream, usage): (bool, bool)| {
                let mut body = json!({"model": model, "max_tokens": 64,
                    "messages": [{"role": "user", "content": format!("question {asked}")}]});
                if stream {
                    body["stream"] = true.into();
                }
                if usage && !anthropic {
                    body["stream_options"] = json!({"include_usage": true});
                }
                body
            };
            let answer = ask(&client, path, &[], &body(first)).await;
            assert_eq!(answer.header("x-cache"), "miss");
            let hit = until_hit(&client, path, &[], &body(second)).await;
            let (mut before, mut again) = (said(anthropic, &answer), said(anthropic, &hit));
            let shown = format!("{path} {model} {first:?} then {second:?}:\n{}\n{}", answer.text(), hit.text());
            // Who did not ask for usage has none; who did has all of it, whoever asked first.
            let sees = |(stream, usage): (bool, bool)| anthropic || !stream || usage;
            for (form, said) in [(first, &mut before), (second, &mut again)] {
                let usage = said["usage"].take();
                assert_eq!(usage.is_null(), !sees(form), "{shown}");
                if sees(form) {
                    let all = if anthropic {
                        &usage["input_tokens"]
                    } else {
                        &usage["prompt_tokens_details"]["cached_tokens"]
                    };
                    assert!(all.as_u64().is_some_and(|count| count > 2), "{shown}");
                    let thought = if anthropic { "output_tokens_details" } else { "completion_tokens_details" };
                    assert!(usage[thought].is_object(), "{shown}");
                }
            }
            assert_eq!(before, again, "{shown}");
        }
    }
}

/// An answer of OpenAI's that ends so.
fn ended(content: &str, finish: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
}

/// The same, streamed.
fn ended_stream(content: &str, finish: Value) -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    vec![chunk(json!({"role": "assistant", "content": content}), Value::Null), chunk(json!({}), finish)]
}

/// Answers under status 200 that a retry may better, whole and streamed.
fn no_good_answers() -> (Vec<Vec<Act>>, Vec<Vec<Act>>) {
    let mut refused = ended("", "stop");
    refused["choices"][0]["message"]["refusal"] = "no".into();
    let mut second = ended("The answer is", "stop");
    second["choices"]
        .as_array_mut()
        .unwrap()
        .push(json!({"index": 1, "message": {"role": "assistant", "content": "no"}, "finish_reason": "length"}));
    let mut unsaid = ended("The answer is", "stop");
    unsaid["choices"][0]["finish_reason"] = Value::Null;
    let whole_ones = vec![
        vec![whole(&ended("The answer is", "length"))],
        vec![whole(&ended("The answer is", "content_filter"))],
        vec![whole(&ended("", "stop"))],
        vec![whole(&ended(" \n", "stop"))],
        vec![whole(&refused)],
        vec![whole(&second)],
        vec![whole(&unsaid)],
    ];
    let streams = vec![
        streamed(&ended_stream("The answer is", json!("length"))),
        streamed(&ended_stream("The answer is", json!("content_filter"))),
        streamed(&ended_stream("", json!("stop"))),
        // `[DONE]`, and no reason.
        streamed(&ended_stream("The answer is", Value::Null)),
        // No end at all.
        streamed(&ended_stream("The answer is", Value::Null))
            .into_iter()
            .rev()
            .skip(2)
            .rev()
            .chain([Act::Close])
            .collect(),
        // An error behind content.
        streamed(&[
            ended_stream("The answer is", json!("stop")).remove(0),
            json!({"error": {"message": "m", "code": 500}}),
        ]),
    ];
    (whole_ones, streams)
}

#[tokio::test]
async fn what_a_retry_may_do_better_is_not_kept() {
    let (whole, streams) = no_good_answers();
    let streamed_from = whole.len();
    let cases = [whole, streams].concat();
    let count = cases.len();
    let upstream = Upstream::start(move |received| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let case = body["messages"][0]["content"].as_str().unwrap().parse::<usize>().unwrap();
        cases[case].clone()
    });
    let upstream = upstream.unwrap();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &caching("{ttl: 1h, scope: Route}", "{poolRef: {name: p}}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    for case in 0..count {
        let body = json!({"model": "m", "max_tokens": 5, "stream": case >= streamed_from,
            "messages": [{"role": "user", "content": case.to_string()}]});
        for again in [false, true] {
            let answer = client.post(CHAT, &[], body.to_string()).await.unwrap();
            assert_eq!(
                (answer.status, answer.header("x-cache")),
                (200, "miss"),
                "case {case}, again: {again}: {}",
                answer.text()
            );
            // Judged behind the caller's back.
            let judged = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_cache_refused_total", &[]);
            let due = f64::from(u32::try_from(case * 2 + usize::from(again) + 1).unwrap());
            for _ in 0..500 {
                if judged(&proxy) >= due {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            assert_eq!(judged(&proxy), due, "case {case}");
        }
    }
    assert_eq!(upstream.calls(), 2 * u64::try_from(count).unwrap());
}

#[tokio::test]
async fn an_answer_that_ran_into_its_limit_is_kept_where_the_route_says_so() {
    let upstream = Upstream::always(vec![whole(&ended("The answer is", "length"))]).unwrap();
    let text = |cache: &str| {
        pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
            + &caching(cache, "{poolRef: {name: p}}")
    };
    let cache = "{ttl: 1h, scope: Route, store: {length: true}}";
    let proxy = Proxy::start(&[("all.yaml", &text(cache))], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    until_hit(&client, CHAT, &[], &question()).await;
    let mut longer = question();
    longer["max_tokens"] = 65.into();
    assert_eq!(ask(&client, CHAT, &[], &longer).await.header("x-cache"), "miss");
}

#[tokio::test]
async fn a_stream_whose_caller_left_goes_on_for_the_cache_and_is_counted_as_it_was() {
    let events = ended_stream("all of it", json!("stop"));
    let (first, rest) = events.split_at(1);
    let line = |event: &Value| chunk(format!("data: {event}\n\n").as_bytes());
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}});
    let mut acts = vec![stream_head()];
    acts.extend(first.iter().map(line));
    acts.push(Act::Wait(std::time::Duration::from_secs(2)));
    acts.extend(rest.iter().chain([&usage]).map(line));
    acts.extend([chunk(b"data: [DONE]\n\n"), last_chunk()]);
    for (path, http2) in [(CHAT, false), (CHAT, true), (MESSAGES, false)] {
        let upstream = Upstream::always(acts.clone()).unwrap();
        let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
            + &caching("{ttl: 1h}", "{poolRef: {name: p}}");
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        let client = if http2 { Client::http2(proxy.address) } else { proxy.client() };
        let mut body = question();
        body["stream"] = true.into();
        drop(client.open(post(path, &[], body.to_string()).unwrap()).await.unwrap());
        drop(client);
        let sum = |name: &str, labels: &[(&str, &str)]| proxy.metrics().unwrap().sum(name, labels);
        proxy.until("the answer is kept", |_| sum("sluicegate_cache_entries", &[]) == 1.0).await.unwrap();
        let hit = ask(&proxy.client(), path, &[], &body).await;
        assert_eq!((hit.header("x-cache"), upstream.calls()), ("hit", 1), "{path}: {}", hit.text());
        assert!(hit.text().contains("all of it"), "{}", hit.text());
        assert_eq!(sum("sluicegate_requests_total", &[("outcome", "client_gone")]), 1.0);
        assert_eq!(sum("sluicegate_attempts_total", &[("result", "success")]), 1.0);
        assert_eq!(sum("sluicegate_tokens_total", &[("type", "output")]), 20.0);
        assert_eq!(sum("sluicegate_usage_estimated_total", &[]), 0.0);
        assert_eq!(sum("sluicegate_inflight_requests", &[]), 0.0);
    }
}
