//! The Responses API: byte for byte to a provider that speaks it, translated to every other; its streams end in the answer
//! whole or in an error that nobody takes for one.

use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{events, good, pool, provider, route, rule};

const RESPONSES: &str = "/v1/responses";
const KINDS: [&str; 3] = ["OpenAI", "OpenAICompatible", "Anthropic"];

/// A model for each kind of provider, all at one address.
fn manifests(address: std::net::SocketAddr, more: &str) -> String {
    let one = |kind: &str| pool(&kind.to_lowercase(), &[provider("only", kind, address, more)], "");
    KINDS.map(|kind| one(kind) + &route(&kind.to_lowercase(), &kind.to_lowercase())).concat()
}

async fn ask(client: &Client, headers: &[(&str, &str)], body: &Value) -> Answer {
    client.post(RESPONSES, headers, body.to_string()).await.unwrap()
}

fn text_of(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_provider_of_the_dialect_gets_and_gives_every_byte() {
    let asked = r#"{"model":"openai" ,"input":[{"type":"new_item","n":1.50e2}],"store":true,"previous_response_id":"resp_0","new":{"a":[ ]}}"#;
    let said = r#"{"id":"resp_1","object":"response" ,"status":"completed","output":[{"type":"new_item"}],"n":1.0,"usage":{"input_tokens":5,"output_tokens":7}}"#;
    let events = "event: response.created\ndata: {\"type\":\"response.created\", \"n\":1.0}\n\nevent: response.new\ndata: {\"type\":\"response.new\"}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}}\n\n";
    let upstream = Upstream::start(move |received| {
        if received.streams() {
            return vec![stream_head(), chunk(events.as_bytes()), last_chunk()];
        }
        vec![answer(200, &[("content-type", "application/json")], said.as_bytes())]
    })
    .unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address, ""))], &[]).unwrap();
    let whole = proxy.client().post(RESPONSES, &[], asked).await.unwrap();
    assert_eq!((whole.status, whole.text().as_str()), (200, said));
    let streamed = asked.replace("\"new\"", "\"stream\":true,\"new\"");
    let stream = proxy.client().post(RESPONSES, &[], streamed.clone()).await.unwrap();
    assert_eq!((stream.status, stream.text().as_str()), (200, events));
    let sent: Vec<String> =
        upstream.received().iter().map(|sent| String::from_utf8_lossy(&sent.body).into_owned()).collect();
    assert_eq!(sent, [asked.to_owned(), streamed]);
    assert!(upstream.received().iter().all(|sent| sent.head.starts_with("POST /v1/responses ")));
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_requests_total", &[("outcome", "done")]), 2.0, "{}", metrics.0);
}

#[tokio::test]
async fn every_provider_answers_whole_and_streamed() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address, ""))], &[]).unwrap();
    for kind in KINDS {
        let model = kind.to_lowercase();
        let body =
            json!({"model": model, "instructions": "Be brief.", "input": "Say something.", "metadata": {"a": "b"}});
        let whole = ask(&proxy.client(), &[], &body).await.json();
        assert_eq!(text_of(&whole), crate::resources::SAVED, "{kind}: {whole}");
        assert_eq!((&whole["instructions"], &whole["metadata"]["a"]), (&json!("Be brief."), &json!("b")), "{kind}");
        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        let stream = ask(&proxy.client(), &[], &streamed).await;
        assert!(stream.is_good(), "{kind}: {}", stream.text());
        let told = events(&stream);
        let numbers: Vec<u64> = told.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..told.len() as u64).collect::<Vec<_>>(), "{kind}");
        let last = told.last().unwrap();
        assert_eq!(
            (&last["type"], text_of(&last["response"])),
            (&json!("response.completed"), text_of(&whole)),
            "{kind}"
        );
        assert_eq!(last["response"]["usage"], whole["usage"], "{kind}");
    }
}

#[tokio::test]
async fn a_stream_that_passes_and_breaks_goes_on_in_its_numbers() {
    let event = |name: &str, number: u64, more: &str| {
        chunk(format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number}{more}}}\n\n").as_bytes())
    };
    let response = r#","response":{"id":"resp_1","object":"response","status":"in_progress","model":"m","output":[]}"#;
    let upstream = Upstream::always(vec![
        stream_head(),
        event("response.created", 0, response),
        event(
            "response.output_text.delta",
            1,
            r#","item_id":"i","output_index":0,"content_index":0,"delta":"\"sequence_number\":9 x""#,
        ),
        event("response.output_text.delta", 2, r#","item_id":"i","output_index":0,"content_index":0,"delta":"x""#),
        Act::Reset,
    ]);
    let upstream = upstream.unwrap();
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let answer = ask(&proxy.client(), &[], &json!({"model": "m", "input": "x", "stream": true})).await;
    let told = events(&answer);
    let numbers: Vec<u64> = told.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4], "{}", answer.text());
    assert_eq!(told.last().unwrap()["type"], "response.failed");
}

#[tokio::test]
async fn a_stream_that_breaks_tells_of_an_answer_that_failed() {
    let simulator = good();
    let text = manifests(simulator.address, "")
        .replace("spec:\n  providers", "spec:\n  timeouts: {firstToken: 5s, idle: 300ms, total: 20s}\n  providers");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for kind in KINDS {
        for why in ["fail=cut; after=3", "fail=stall; after=3", "fail=stream-error; after=3"] {
            let steer = format!("{why}; text=one two three four five six seven eight; id={kind}{why}");
            let body = json!({"model": kind.to_lowercase(), "input": "x", "stream": true});
            let answer = ask(&proxy.client(), &[("x-simulate", &steer)], &body).await;
            let text = answer.text();
            assert_eq!(answer.status, 200, "{kind} {why}: {text}");
            assert!(
                text.contains("response.output_text.delta") && !text.contains("response.completed"),
                "{kind} {why}: {text}"
            );
            let told = events(&answer);
            let [error, failed] = &told[told.len() - 2..] else { panic!("{text}") };
            assert!(error["type"] == "error" && error["error"]["message"].is_string(), "{kind} {why}: {error}");
            assert_eq!(failed["type"], "response.failed", "{kind} {why}: {text}");
            let begun = &told[0]["response"];
            for name in ["id", "model", "created_at"] {
                assert_eq!(failed["response"][name], begun[name], "{kind} {why}: {name}: {text}");
            }
            assert!(
                failed["response"]["status"] == "failed" && failed["response"]["error"]["code"].is_string(),
                "{failed}"
            );
        }
    }
}

#[tokio::test]
async fn a_kept_answer_is_given_whole_and_streamed() {
    let simulator = good();
    let pools = KINDS.map(|kind| pool(&kind.to_lowercase(), &[provider("only", kind, simulator.address, "")], ""));
    let rules = KINDS.map(|kind| {
        let name = kind.to_lowercase();
        rule(&name, &format!("    targets: [{{poolRef: {{name: {name}}}}}]\n    cache: {{ttl: 1h}}\n"))
    });
    let text = pools.concat() + &rules.concat();
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    for kind in KINDS {
        for first_streams in [false, true] {
            let body = |stream: bool| json!({"model": kind.to_lowercase(), "input": format!("x {first_streams}"), "stream": stream});
            let mut first = None;
            for _ in 0..100 {
                let answer = ask(&proxy.client(), &[], &body(first_streams)).await;
                assert!(answer.is_good(), "{kind}: {}", answer.text());
                let hit = answer.header("x-cache") == "hit";
                first.get_or_insert(answer);
                if hit {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let first = first.unwrap();
            let whole = if first_streams { events(&first).pop().unwrap()["response"].clone() } else { first.json() };
            let hit = ask(&proxy.client(), &[], &body(false)).await;
            assert_eq!((hit.header("x-cache"), hit.json()), ("hit", whole.clone()), "{kind}");
            let hit = ask(&proxy.client(), &[], &body(true)).await;
            assert_eq!((hit.header("x-cache"), hit.is_good()), ("hit", true), "{kind}: {}", hit.text());
            assert_eq!(events(&hit).pop().unwrap()["response"], whole, "{kind}");
        }
    }
}

#[tokio::test]
async fn what_only_openai_keeps_goes_to_openai_or_is_refused_in_words_that_help() {
    let simulator = good();
    let openai = Upstream::always(vec![answer(
        200,
        &[("content-type", "application/json")],
        br#"{"id":"resp_2","object":"response","status":"completed","output":[{"type":"message"}]}"#,
    )])
    .unwrap();
    let providers = [
        provider("first", "Anthropic", simulator.address, ""),
        provider("second", "OpenAI", openai.address, "priority: 1"),
    ];
    let text = manifests(simulator.address, "") + &pool("both", &providers, "") + &route("both", "both");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (name, value) in
        [("previous_response_id", json!("resp_1")), ("conversation", json!("conv_1")), ("background", json!(true))]
    {
        for model in ["openaicompatible", "anthropic"] {
            let mut body = json!({"model": model, "input": "x"});
            body[name] = value.clone();
            let refused = ask(&proxy.client(), &[], &body).await;
            assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(name)), "{}", refused.text());
        }
        let mut body = json!({"model": "both", "input": "x"});
        body[name] = value;
        assert_eq!(ask(&proxy.client(), &[], &body).await.json()["id"], "resp_2");
    }
    for path in ["/v1/responses/resp_1", "/v1/responses/resp_1/input_items"] {
        let answer = proxy.client().get(path).await.unwrap();
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("response_not_kept")), "{path}");
    }
}

#[tokio::test]
async fn a_pools_limits_are_said_in_the_dialects_words() {
    let upstream = Upstream::always(vec![answer(
        200,
        &[("content-type", "application/json")],
        br#"{"id":"r","object":"response","status":"completed","output":[{"type":"message"}]}"#,
    )])
    .unwrap();
    let text = manifests(upstream.address, "defaults: {maxTokens: 99}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    ask(&proxy.client(), &[], &json!({"model": "openai", "input": "x"})).await;
    let sent: Value = serde_json::from_slice(&upstream.received().pop().unwrap().body).unwrap();
    assert_eq!(sent, json!({"max_output_tokens": 99, "model": "openai", "input": "x"}));
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_an_event_of_the_stream_that_was_asked_for() {
    let json = [("content-type", "application/json")];
    let openai = r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#;
    let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1200 tokens > 1000 maximum"}}"#;
    let error = |body: &str| format!("event: error\ndata: {body}\n\n");
    let whole = |body: &'static str| vec![answer(400, &json, body.as_bytes())];
    let stream = |body: &str| vec![stream_head(), chunk(error(body).as_bytes()), last_chunk()];
    for (kind, acts, is_whole) in [
        ("OpenAI", whole(openai), true),
        ("OpenAICompatible", whole(openai), true),
        ("Anthropic", whole(anthropic), true),
        ("Anthropic", stream(anthropic), false),
        ("OpenAI", stream(openai), false),
    ] {
        let upstream = Upstream::always(acts).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address, ""))], &[]).unwrap();
        let body = |stream: bool| json!({"model": kind.to_lowercase(), "input": "x", "stream": stream});
        let told = ask(&proxy.client(), &[], &body(true)).await;
        assert_eq!((told.status, told.header("content-type")), (200, "text/event-stream"), "{kind}: {}", told.text());
        let events = events(&told);
        let names: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(names, ["response.created", "response.in_progress", "error", "response.failed"], "{kind}");
        let failed = &events.last().unwrap()["response"];
        assert_eq!(failed["error"]["code"], "context_length_exceeded", "{kind}: {failed}");
        assert_eq!((&failed["status"], &failed["model"]), (&json!("failed"), &json!(kind.to_lowercase())), "{failed}");
        assert_eq!(upstream.calls(), 1, "{kind}: tried again");
        // A whole answer has a status, and SDKs act on that.
        if is_whole {
            let refused = ask(&proxy.client(), &[], &body(false)).await;
            assert_eq!(refused.json()["error"]["code"], "context_length_exceeded", "{kind}: {}", refused.text());
            assert_eq!(refused.status, 400, "{kind}");
        }
    }
}

#[tokio::test]
async fn tokens_are_counted_by_vendors_that_count_and_estimated_for_others() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address, ""))], &[]).unwrap();
    for kind in KINDS {
        let body = json!({"model": kind.to_lowercase(), "input": "How deep is the sea?"});
        let counted = proxy.client().post("/v1/responses/input_tokens", &[], body.to_string()).await.unwrap();
        let said = counted.json();
        assert_eq!((counted.status, &said["object"]), (200, &json!("response.input_tokens")), "{kind}: {said}");
        assert!((3..=20).contains(&said["input_tokens"].as_u64().unwrap()), "{kind}: {said}");
        let estimated = if kind == "OpenAICompatible" { "input_tokens" } else { "" };
        assert_eq!(counted.header("x-sluicegate-estimated"), estimated, "{kind}");
    }
}

#[tokio::test]
async fn a_search_that_agents_only_offer_keeps_no_provider_from_answering() {
    let simulator = good();
    let text = manifests(simulator.address, "")
        + &pool(
            "strict",
            &[provider("only", "Anthropic", simulator.address, "compatibility: {serverTools: Refuse}")],
            "",
        )
        + &route("strict", "strict")
        + &pool("gemini", &[provider("only", "Gemini", simulator.address, "")], "")
        + &route("gemini", "gemini");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let tools = json!([{"type": "web_search", "external_web_access": true}]);
    for model in ["openaicompatible", "anthropic", "gemini"] {
        for (choice, status) in [
            (json!(null), 200),
            (json!("auto"), 200),
            (json!("none"), 200),
            (json!("required"), 400),
            (json!({"type": "web_search"}), 400),
        ] {
            let body = json!({"model": model, "input": "x", "tools": tools, "tool_choice": choice});
            let said = ask(&proxy.client(), &[], &body).await;
            assert_eq!(said.status, status, "{model}, {choice}: {}", said.text());
            if status == 400 {
                assert_eq!(said.json()["error"]["param"], "tool_choice", "{model}, {choice}");
            }
        }
        let likelihoods = ask(&proxy.client(), &[], &json!({"model": model, "input": "x", "top_logprobs": 2})).await;
        assert_eq!(
            (likelihoods.status, &likelihoods.json()["error"]["param"]),
            (400, &json!("top_logprobs")),
            "{model}"
        );
        let searched = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}});
        let alone = ask(&proxy.client(), &[], &json!({"model": model, "input": [searched]})).await;
        assert_eq!((alone.status, &alone.json()["error"]["param"]), (400, &json!("input")), "{model}");
        let other = json!({"model": model, "input": "x", "tools": [{"type": "code_interpreter"}]});
        let refused = ask(&proxy.client(), &[], &other).await;
        assert!(refused.status == 400 && refused.text().contains("code_interpreter"), "{model}: {}", refused.text());
    }
    let refused = ask(&proxy.client(), &[], &json!({"model": "strict", "input": "x", "tools": tools})).await;
    assert!(refused.status == 400 && refused.text().contains("web_search"), "{}", refused.text());
}

#[tokio::test]
async fn thoughts_of_one_vendor_never_reach_another() {
    let json_head = [("content-type", "application/json")];
    let openai = Upstream::always(vec![answer(
        200,
        &json_head,
        br#"{"id":"r","object":"response","status":"completed","output":[{"type":"message"}]}"#,
    )])
    .unwrap();
    let anthropic = Upstream::always(vec![answer(
        200,
        &json_head,
        br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":"x"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}"#,
    )])
    .unwrap();
    let text = pool("openai", &[provider("only", "OpenAI", openai.address, "")], "")
        + &route("openai", "openai")
        + &pool("anthropic", &[provider("only", "Anthropic", anthropic.address, "")], "")
        + &route("anthropic", "anthropic");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let first = ask(&proxy.client(), &[], &json!({"model": "anthropic", "input": "x"})).await.json();
    let thought = first["output"][0].clone();
    assert!(thought["encrypted_content"].as_str().unwrap().starts_with("sluicegate."), "{first}");
    // The next turn goes to another vendor, and the one after it back again.
    let (asked, said, more) = (
        json!({"role": "user", "content": "x"}),
        json!({"role": "assistant", "content": "x"}),
        json!({"role": "user", "content": "y"}),
    );
    let turn = |model: &str| json!({"model": model, "input": [asked, thought, said, more]});
    ask(&proxy.client(), &[], &turn("openai")).await;
    let sent: Value = serde_json::from_slice(&openai.received().pop().unwrap().body).unwrap();
    assert_eq!(sent["input"], json!([asked, said, more]));
    ask(&proxy.client(), &[], &turn("anthropic")).await;
    let sent: Value = serde_json::from_slice(&anthropic.received().pop().unwrap().body).unwrap();
    assert_eq!(sent["messages"][1]["content"][0]["signature"], "c2ln", "{sent}");
    // What Gemini has signed is in Anthropic's own words only marked, and no model of Anthropic's takes it.
    let body = r#"{"model":"anthropic","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"gemini:Q3A="},{"type":"thinking","thinking":"ours","signature":"c2ln"},{"type":"text","text":"x"}]},{"role":"user","content":"y"}]}"#;
    proxy.client().post("/v1/messages", &[], body).await.unwrap();
    let sent = String::from_utf8(anthropic.received().pop().unwrap().body.to_vec()).unwrap();
    assert_eq!(sent, body.replace(r#"{"type":"thinking","thinking":"","signature":"gemini:Q3A="},"#, ""));
}

/// An account of OpenAI's that reads no thoughts but its own.
fn account(name: &'static str) -> Upstream {
    Upstream::start(move |received| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let kind = [("content-type", "application/json")];
        let sealed = |item: &Value| item["encrypted_content"].as_str().map(str::to_owned);
        let items = body["input"].as_array().cloned().unwrap_or_default();
        if items.iter().filter_map(sealed).any(|content| !content.starts_with(name)) {
            let error = json!({"error": {"message": "The encrypted content gAAA... could not be verified.",
                "type": "invalid_request_error", "param": null, "code": "invalid_encrypted_content"}});
            return vec![answer(400, &kind, error.to_string().as_bytes())];
        }
        let output = json!([
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": format!("{name}-thought")},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": name, "annotations": []}]}]);
        let usage = json!({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12});
        let said = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.5", "output": output, "usage": usage});
        vec![answer(200, &kind, said.to_string().as_bytes())]
    })
    .unwrap()
}

#[tokio::test]
async fn thoughts_of_another_account_are_left_out_and_the_conversation_goes_on() {
    let (one, two) = (account("one"), account("two"));
    let providers = [provider("one", "OpenAI", one.address, ""), provider("two", "OpenAI", two.address, "")];
    let turns = "  loadBalancing: {strategy: RoundRobin}\n";
    let alone = [provider("only", "OpenAI", two.address, "")];
    let text = pool("both", &providers, turns)
        + &route("both", "both")
        + &pool("alone", &alone, "")
        + &route("alone", "alone");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let user = json!({"role": "user", "content": "go on"});
    let mut input = vec![user.clone()];
    for turn in 0..6 {
        let body = json!({"model": "both", "store": false, "include": ["reasoning.encrypted_content"], "input": input});
        let said = ask(&client, &[], &body).await;
        assert_eq!(said.status, 200, "turn {turn}: {}", said.text());
        let said: Value = serde_json::from_slice(&said.body).unwrap();
        input.extend(said["output"].as_array().unwrap().iter().cloned());
        input.push(user.clone());
    }
    // Where there is one provider it is asked once more.
    let body = json!({"model": "alone", "store": false, "input": input});
    assert_eq!(ask(&client, &[], &body).await.status, 200);
    // What is refused for it without any such thought is refused.
    let item = json!({"type": "compaction", "encrypted_content": "other"});
    let body = json!({"model": "alone", "store": false, "input": [user, item]});
    let said = ask(&client, &[], &body).await;
    assert_eq!((said.status, said.text().contains("invalid_encrypted_content")), (400, true));
}

#[tokio::test]
async fn a_conversation_that_one_account_has_made_shorter_goes_on_there() {
    let accounts = ["one", "two", "three", "four"].map(account);
    let providers: Vec<String> = ["one", "two", "three", "four"]
        .iter()
        .zip(&accounts)
        .map(|(name, account)| provider(name, "OpenAI", account.address, ""))
        .collect();
    let more = "  loadBalancing: {strategy: RoundRobin}\n  retry: {attempts: 1}\n";
    let text = pool("all", &providers, more) + &route("all", "all");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let user = json!({"role": "user", "content": "go on"});
    let item = json!({"type": "compaction", "encrypted_content": "three-summary"});
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "three-thought"});
    // Whoever is asked first: refusals take none of the attempts.
    for input in [json!([item, user]), json!([item, thought, user])] {
        for _ in 0..4 {
            let said = ask(&proxy.client(), &[], &json!({"model": "all", "store": false, "input": input})).await;
            assert_eq!((said.status, said.text().contains("three-thought")), (200, true), "{}", said.text());
        }
    }
    // Nobody reads it.
    let item = json!({"type": "compaction", "encrypted_content": "other"});
    let said = ask(&proxy.client(), &[], &json!({"model": "all", "store": false, "input": [item, user]})).await;
    assert_eq!((said.status, said.text().contains("invalid_encrypted_content")), (400, true));
}

#[tokio::test]
async fn thoughts_of_an_account_that_is_away_are_left_out_at_the_other_one() {
    let kind = [("content-type", "application/json")];
    let away =
        Upstream::always(vec![answer(503, &kind, br#"{"error":{"message":"away","type":"server_error"}}"#)]).unwrap();
    let two = account("two");
    let providers = [provider("one", "OpenAI", away.address, ""), provider("two", "OpenAI", two.address, "")];
    let text = pool("both", &providers, "  loadBalancing: {strategy: RoundRobin}\n") + &route("both", "both");
    let user = json!({"role": "user", "content": "go on"});
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "one-thought"});
    let body = json!({"model": "both", "store": false, "input": [user, thought, user]});
    // Whoever is asked first, and asked again: the refusal takes none of the attempts.
    for _ in 0..6 {
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        for _ in 0..2 {
            let said = ask(&proxy.client(), &[], &body).await;
            assert_eq!(said.status, 200, "{}", said.text());
        }
    }
}

#[tokio::test]
async fn a_model_that_takes_tools_by_responses_alone_is_asked_so_whatever_its_caller_speaks() {
    let openai = account("two");
    let text = pool("openai", &[provider("only", "OpenAI", openai.address, "")], "") + &route("gpt-6-astra", "openai");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let body = r#"{"model":"gpt-6-astra","max_tokens":90,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#;
    let said = proxy.client().post("/v1/messages", &[], body).await.unwrap();
    assert_eq!(said.status, 200, "{}", said.text());
    let received = openai.received().pop().unwrap();
    let sent: Value = serde_json::from_slice(&received.body).unwrap();
    assert!(sent.get("messages").is_none() && sent["tools"][0]["name"] == "f", "{sent}");
    // Who speaks Chat Completions knows the vendor.
    let body = json!({"model": "gpt-6-astra", "messages": [{"role": "user", "content": "x"}]}).to_string();
    proxy.client().post("/v1/chat/completions", &[], body).await.unwrap();
    let sent: Value = serde_json::from_slice(&openai.received().pop().unwrap().body).unwrap();
    assert!(sent.get("messages").is_some(), "{sent}");
}

#[tokio::test]
async fn a_caller_that_waits_for_a_silent_model_hears_events_once_its_answer_has_begun() {
    let event = |json: Value| {
        let body = format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or_default());
        Act::Send(format!("{:x}\r\n{body}\r\n", body.len()).into())
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let usage = json!({"input_tokens": 5, "output_tokens": 1});
    let message =
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage});
    let block = |index: u64, block: Value| {
        event(json!({"type": "content_block_start", "index": index, "content_block": block}))
    };
    let mut acts = vec![
        Act::Send(head.into()),
        event(json!({"type": "message_start", "message": message})),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        Act::Wait(Duration::from_millis(600)),
        event(json!({"type": "ping"})),
        Act::Wait(Duration::from_millis(600)),
    ];
    acts.extend([
        event(json!({"type": "content_block_stop", "index": 0})),
        block(1, json!({"type": "text", "text": ""})),
        event(json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "done"}})),
        event(json!({"type": "content_block_stop", "index": 1})),
        event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}})),
        event(json!({"type": "message_stop"})),
        Act::Send("0\r\n\r\n".into()),
    ]);
    let anthropic = Upstream::always(acts).unwrap();
    let text = pool("p", &[provider("a", "Anthropic", anthropic.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--stream-keep-alive", "100ms"]).unwrap();
    let said = ask(&proxy.client(), &[], &json!({"model": "m", "input": "x", "stream": true})).await;
    let text = said.text();
    assert!(text.starts_with(": keep-alive\n") && text.contains("\"delta\":\"done\""), "{text}");
    let (before, behind) = text.split_once("event: response.created").unwrap();
    assert!(!before.contains("event:") && !behind.contains(": keep-alive"), "{text}");
    assert!(behind.matches("event: keepalive").count() >= 5, "{text}");
    // Their numbers go on.
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let numbers: Vec<u64> =
        data.filter_map(|data| serde_json::from_str::<Value>(data).ok()?["sequence_number"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
}

#[tokio::test]
async fn a_call_that_acts_elsewhere_is_made_once_where_nobody_knows_what_became_of_it() {
    let dead = Upstream::always(vec![Act::Reset]).unwrap();
    let patient = "  circuitBreaker: {consecutiveFailures: 100}\n  retry: {backoff: {initial: 1ms, max: 1ms}}";
    let text = pool("p", &[provider("only", "OpenAI", dead.address, "")], patient) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (more, makes) in [
        (r#""background":true"#, 1),
        (r#""conversation":"conv_1""#, 1),
        (
            r#""tools":[{"type":"mcp","server_label":"mail","server_url":"https://mail.example","require_approval":"never"}]"#,
            1,
        ),
        (r#""tools":[{"type":"function","name":"mcp","parameters":{}}]"#, 3),
        (r#""store":true"#, 3),
    ] {
        let before = dead.calls();
        let body = format!(r#"{{"model":"m","input":"Hello",{more}}}"#);
        let said = proxy.client().post("/v1/responses", &[], body).await.unwrap();
        assert_eq!((said.status, dead.calls() - before), (502, makes), "{more}: {}", said.text());
    }
}
