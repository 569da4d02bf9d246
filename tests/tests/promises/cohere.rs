//! Cohere's Chat and vectors: as a provider of every caller, and as callers speak to it; every byte of a body as it came.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, SAVED, WAYS, events, good, message, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const COHERE: &str = "/v2/chat";

fn one(kind: &str, address: std::net::SocketAddr, more: &str) -> String {
    pool("p", &[provider("only", kind, address, more)], "") + &route("m", "p")
}

fn asked(stream: bool) -> String {
    format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"Say something."}}]}}"#)
}

/// The text of a stream of Cohere's, and whether it says its end.
fn streamed(told: &[Value]) -> (String, bool) {
    let text = told.iter().filter_map(|event| event["delta"]["message"]["content"]["text"].as_str()).collect();
    (text, told.iter().any(|event| event["type"] == "message-end"))
}

#[tokio::test]
async fn every_caller_is_answered_by_it_and_it_answers_before_every_provider() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &one("Cohere", simulator.address, ""))], &[]).unwrap();
    for way in WAYS {
        let got = way.call(&proxy.client(), "m", &[]).await;
        assert_eq!((got.status, way.said(&got).as_str()), (200, SAVED), "{way:?}: {}", got.text());
    }
    for kind in ["OpenAI", "Anthropic", "Gemini", "Cohere"] {
        let proxy = Proxy::start(&[("all.yaml", &one(kind, simulator.address, ""))], &[]).unwrap();
        let whole = proxy.client().post(COHERE, JSON, asked(false)).await.unwrap();
        assert_eq!(whole.json()["message"]["content"][0]["text"], SAVED, "{kind}: {}", whole.text());
        assert!(whole.json()["usage"]["billed_units"]["output_tokens"].as_u64().unwrap() > 0, "{kind}");
        let got = proxy.client().post(COHERE, JSON, asked(true)).await.unwrap();
        assert_eq!(streamed(&events(&got)), (SAVED.to_owned(), true), "{kind}: {}", got.text());
        assert!(got.text().ends_with("data: [DONE]\n\n"), "{kind}");
    }
}

#[tokio::test]
async fn tools_go_to_it_and_its_plan_and_calls_come_back() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &one("Cohere", simulator.address, ""))], &[]).unwrap();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    for stream in [false, true] {
        let call = json!({
            "model": "m", "stream": stream, "max_tokens": 99, "tool_choice": {"type": "tool", "name": "weather"},
            "tools": [{"name": "clock", "input_schema": {"type": "object"}}, {"name": "weather", "input_schema": schema}],
            "messages": [
                {"role": "user", "content": "weather?"},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "30"}]},
                    {"type": "text", "text": "And in Oslo?"}
                ]}
            ],
        });
        let got = proxy.client().post(MESSAGES, JSON, call.to_string()).await.unwrap();
        let said = got.text();
        assert!(got.status == 200 && said.contains("tool_use") && said.contains("\"weather\""), "{said}");
        assert!(!said.contains("clock"), "{said}");
    }
}

#[tokio::test]
async fn a_caller_of_the_dialect_gets_and_gives_every_byte_and_usage_is_what_is_billed() {
    let said = r#"{"id":"c" ,"message":{"role":"assistant","content":[{"type":"text","text":"x", "n":1.0}],"citations":[ ]},"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":3.0,"output_tokens":2.0},"tokens":{"input_tokens":71.0,"output_tokens":4.0}}}"#;
    let told = "event: message-start\ndata: {\"id\":\"c\",\"type\":\"message-start\", \"delta\":{}}\n\nevent: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"x\"}}}}\n\nevent: citation-start\ndata: {\"type\":\"citation-start\"}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":3.0,\"output_tokens\":2.0}}}}\n\ndata: [DONE]\n\n";
    let upstream = Upstream::start(move |received| match received.streams() {
        true => vec![stream_head(), chunk(told.as_bytes()), last_chunk()],
        false => vec![answer(200, JSON, said.as_bytes())],
    })
    .unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Cohere", upstream.address, ""))], &[]).unwrap();
    for (stream, expected) in [(false, said), (true, told)] {
        let body = format!(
            r#"{{"model":"m", "stream":{stream},"documents":[ "a"],"messages":[{{"role":"user","content":"x"}}],"new":1.50e2}}"#
        );
        let got = proxy.client().post(COHERE, JSON, body.clone()).await.unwrap();
        assert_eq!((got.status, got.text().as_str()), (200, expected));
        let sent = upstream.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&sent.body), body);
        assert!(sent.head.starts_with("POST /v2/chat HTTP"), "{}", sent.head);
    }
    let used =
        |kind: &str| proxy.metrics().unwrap().sum("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", kind)]);
    proxy.until("both are counted", |_| used("output") >= 4.0).await.unwrap();
    assert_eq!((used("input"), used("output")), (6.0, 4.0));
}

#[tokio::test]
async fn its_errors_reach_every_caller_and_a_stream_that_fails_says_so() {
    let long = br#"{"id":"x","message":"too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs."}"#;
    let upstream = Upstream::always(vec![answer(400, JSON, long)]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Cohere", upstream.address, ""))], &[]).unwrap();
    let got = proxy.client().post(MESSAGES, JSON, message("m", false)).await.unwrap();
    assert!(got.status == 400 && got.text().contains("prompt is too long"), "{}", got.text());
    let got = proxy.client().post(CHAT, JSON, asked(false)).await.unwrap();
    assert_eq!(got.json()["error"]["code"], "context_length_exceeded", "{}", got.text());
    let got = proxy.client().post(COHERE, JSON, asked(false)).await.unwrap();
    assert_eq!((got.status, got.body.as_ref()), (400, &long[..]));

    let simulator = good();
    let proxy =
        Proxy::start(&[("all.yaml", &one("Cohere", simulator.address, "headers: {pass: [x-simulate]}"))], &[]).unwrap();
    let steer = [("x-simulate", "fail=stream-error; after=2")];
    for way in WAYS.into_iter().filter(|way| way.stream) {
        let got = way.call(&proxy.client(), "m", &steer).await;
        assert!(!way.says_end(&got) && !way.error(&got).1.is_empty(), "{way:?}: {}", got.text());
    }
    let got = proxy.client().post(COHERE, &steer, asked(true)).await.unwrap();
    let last = events(&got).pop().unwrap();
    assert_eq!(
        (&last["type"], &last["delta"]["finish_reason"]),
        (&json!("message-end"), &json!("ERROR")),
        "{}",
        got.text()
    );
}

#[tokio::test]
async fn vectors_are_given_to_openais_callers_and_asked_for_in_its_words() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &one("Cohere", simulator.address, ""))], &[]).unwrap();
    let got = proxy.client().post("/v1/embeddings", JSON, r#"{"model":"m","input":["a","b"]}"#).await.unwrap();
    let value = got.json();
    assert_eq!(value["data"].as_array().map(Vec::len), Some(2), "{}", got.text());
    assert!(value["data"][1]["embedding"][0].is_number() && value["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
    let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", simulator.address, ""))], &[]).unwrap();
    let asked = r#"{"model":"m","texts":["a","b"],"input_type":"search_query","embedding_types":["float"]}"#;
    let got = proxy.client().post("/v2/embed", JSON, asked).await.unwrap();
    let value = got.json();
    assert_eq!(value["embeddings"]["float"].as_array().map(Vec::len), Some(2), "{}", got.text());
    assert_eq!((&value["texts"], &value["response_type"]), (&json!(["a", "b"]), &json!("embeddings_by_type")));
}
