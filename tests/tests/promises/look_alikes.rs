//! Servers that look like OpenAI, each with its refusals and habits: a simulated provider that has them, called through the
//! proxy by callers of either dialect. What they are is docs/providers.md.

use serde_json::{Value, json};
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{CHAT, MESSAGES, WAYS, events, plain_upstream, pool, provider, route};

/// A gateway in front of a provider that is called by this name and behaves so.
fn gateway(like: &str, profile: &str) -> (Simulator, Proxy) {
    let simulator = Simulator::start(&["--like", like, "--text", "It is sunny."]).unwrap();
    let profile = format!("compatibility: {{profile: {profile}}}");
    let text = pool("p", &[provider("only", "OpenAICompatible", simulator.address, &profile)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    (simulator, proxy)
}

/// A second turn of an agent's: it has called a tool, got its result, and says something beside it.
fn loop_in_anthropics_words(stream: bool) -> String {
    json!({
        "model": "m", "max_tokens": 64, "stream": stream, "metadata": {"user_id": "u"}, "top_k": 3,
        "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "weather", "input": {"city": "Rome"}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01A09q90qw90lq917835lq9", "content": "30 degrees"},
                {"type": "text", "text": "Hurry."}
            ]}
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
    })
    .to_string()
}

fn loop_in_openais_words(stream: bool) -> String {
    let mut call = json!({
        "model": "m", "max_completion_tokens": 64, "stream": stream, "seed": 7, "user": "u", "store": false,
        "service_tier": "auto",
        "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "tool_calls": [
                {"id": "call_PTLP8xhu3uwZk4l3", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            ]},
            {"role": "tool", "tool_call_id": "call_PTLP8xhu3uwZk4l3", "content": "30 degrees"}
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}],
    });
    if stream {
        call["stream_options"] = json!({ "include_usage": true });
    }
    call.to_string()
}

fn used(proxy: &Proxy, kind: &str) -> f64 {
    proxy.metrics().unwrap().sum("gen_ai_client_token_usage_sum", &[("gen_ai_token_type", kind)])
}

#[tokio::test]
async fn an_agents_loop_goes_on_at_each_of_them() {
    for (like, profile) in [("mistral", "Mistral"), ("deepseek", "DeepSeek"), ("groq", "groq")] {
        let (_simulator, proxy) = gateway(like, profile);
        for way in WAYS {
            let (path, body) = match way.anthropic {
                true => (MESSAGES, loop_in_anthropics_words(way.stream)),
                false => (CHAT, loop_in_openais_words(way.stream)),
            };
            let got = proxy.client().post(path, &[], body).await.unwrap();
            assert_eq!(got.status, 200, "{like} {way:?}: {}", got.text());
            let thinks = like == "deepseek" && way.anthropic && !way.stream;
            let said = if thinks { got.json()["content"][1]["text"].to_string() } else { way.said(&got) };
            assert!(said.contains("It is sunny."), "{like} {way:?}: {}", got.text());
        }
        assert!(used(&proxy, "input") > 0.0 && used(&proxy, "output") > 0.0, "{like}: usage is metered");
        let estimated = proxy.metrics().unwrap().sum("sluicegate_usage_estimated_total", &[]);
        assert!(estimated < 0.5, "{like}: by what the provider says");
    }
}

/// The calls of an answer, as either dialect's stream or whole answer has them: ids and arguments.
fn calls_of(anthropic: bool, events: &[Value]) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for event in events {
        if anthropic {
            if event["content_block"]["type"] == "tool_use" {
                calls.push((event["content_block"]["id"].as_str().unwrap().to_owned(), String::new()));
            }
            if let Some(more) = event["delta"]["partial_json"].as_str() {
                calls.last_mut().unwrap().1.push_str(more);
            }
        } else {
            for call in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                if let Some(id) = call["id"].as_str() {
                    calls.push((id.to_owned(), String::new()));
                }
                calls.last_mut().unwrap().1.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
    }
    calls
}

#[tokio::test]
async fn calls_that_come_whole_and_usage_beside_the_last_choice_reach_every_caller() {
    let (_simulator, proxy) = gateway("mistral", "Mistral");
    let tools = json!([{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);
    let asked = json!({
        "model": "m", "max_tokens": 64, "stream": true, "tools": tools, "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": "weather?"}],
    });
    let got = proxy.client().post(MESSAGES, &[], asked.to_string()).await.unwrap();
    let told = events(&got);
    let calls = calls_of(true, &told);
    assert!(
        calls.len() == 1 && serde_json::from_str::<Value>(&calls[0].1).unwrap()["city"].is_string(),
        "{}",
        got.text()
    );
    let usage = told.iter().rev().find(|event| event["type"] == "message_delta").unwrap();
    assert!(usage["usage"]["output_tokens"].as_u64().unwrap() > 0, "{usage}");

    let function = json!({"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}});
    let asked = json!({
        "model": "m", "stream": true, "tool_choice": "required", "tools": [{"type": "function", "function": function}],
        "messages": [{"role": "user", "content": "weather?"}],
    });
    let got = proxy.client().post(CHAT, &[], asked.to_string()).await.unwrap();
    let calls = calls_of(false, &events(&got));
    assert!(calls.len() == 1 && calls[0].0.len() == 9, "{}", got.text());
}

#[tokio::test]
async fn usage_in_every_chunk_is_counted_once_and_nothing_of_it_is_taken_out() {
    let (_simulator, proxy) = gateway("perplexity", "Perplexity");
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let got = proxy.client().post(CHAT, &[], body).await.unwrap();
    let told = events(&got);
    assert!(got.is_good() && told.iter().all(|event| event["usage"].is_object()), "{}", got.text());
    let last = &told.last().unwrap()["usage"];
    proxy.until("the call is counted", |proxy| used(proxy, "output") > 0.0).await.unwrap();
    let counted = (used(&proxy, "input"), used(&proxy, "output"));
    assert_eq!(counted, (last["prompt_tokens"].as_f64().unwrap(), last["completion_tokens"].as_f64().unwrap()));
    // It has no tools: the call is not sent, and the field is named.
    let tools = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"hi"}]}"#;
    let got = proxy.client().post(CHAT, &[], tools).await.unwrap();
    assert_eq!((got.status, got.json()["error"]["param"].as_str()), (400, Some("tools")), "{}", got.text());
}

#[tokio::test]
async fn without_its_name_a_server_of_an_unknown_make_refuses_what_the_row_knows() {
    let simulator = Simulator::start(&["--like", "mistral"]).unwrap();
    let text = pool("p", &[provider("only", "OpenAICompatible", simulator.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let got = proxy.client().post(MESSAGES, &[], loop_in_anthropics_words(true)).await.unwrap();
    assert_eq!(got.status, 422, "{}", got.text());
    assert_eq!(got.json()["error"]["message"], "user: Extra inputs are not permitted");
}

#[tokio::test]
async fn a_field_that_a_server_refuses_is_no_reason_where_it_says_nothing() {
    let upstream = plain_upstream();
    let profile = "compatibility: {profile: Groq}";
    let text = pool("p", &[provider("only", "OpenAICompatible", upstream.address, profile)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let call =
        |bias: &str| format!(r#"{{"model":"m","logit_bias":{bias},"messages":[{{"role":"user","content":"hi"}}]}}"#);
    assert_eq!(proxy.client().post(CHAT, &[], call("null")).await.unwrap().status, 200);
    assert!(!String::from_utf8_lossy(&upstream.received().pop().unwrap().body).contains("logit_bias"));
    let got = proxy.client().post(CHAT, &[], call(r#"{"50256":-100}"#)).await.unwrap();
    assert_eq!((got.status, got.json()["error"]["param"].as_str()), (400, Some("logit_bias")), "{}", got.text());
    assert_eq!(upstream.calls(), 1);
    // It has no legacy Completions and no embeddings: nobody is asked.
    let embed = proxy.client().post("/v1/embeddings", &[], r#"{"model":"m","input":"hi"}"#).await.unwrap();
    assert_eq!((embed.status, upstream.calls()), (400, 1), "{}", embed.text());
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_warned_of_and_served_with_care() {
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], br#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#)]).unwrap();
    let profile = "compatibility: {profile: vLMM}";
    let text = pool("p", &[provider("only", "OpenAICompatible", upstream.address, profile)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let got =
        proxy.client().post(CHAT, &[], r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#).await.unwrap();
    assert_eq!(got.status, 200);
    assert!(proxy.log().iter().any(|line| line.contains("no look-alike has the name") && line.contains("vLMM")));
}

#[tokio::test]
async fn ids_that_begin_anew_in_every_answer_are_given_out_once_and_kimi_k2_hears_its_own() {
    let said = br#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"functions.f:0","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], said)]).unwrap();
    let text = pool(
        "p",
        &[provider("only", "OpenAICompatible", upstream.address, "models: [{name: m, upstreamName: kimi-k2.6}]")],
        "",
    ) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let mut messages = vec![json!({"role": "user", "content": "go"})];
    let mut ids = Vec::new();
    for _ in 0..3 {
        let body = json!({"model": "m", "max_tokens": 64, "messages": messages, "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
        let got = proxy.client().post(MESSAGES, &[], body.to_string()).await.unwrap();
        let call = got.json()["content"][0].clone();
        assert_eq!((got.status, &call["type"]), (200, &json!("tool_use")), "{}", got.text());
        ids.push(call["id"].as_str().unwrap().to_owned());
        messages.push(json!({"role": "assistant", "content": [call]}));
        let result = json!({"type": "tool_result", "tool_use_id": ids.last(), "content": "r"});
        messages.push(json!({"role": "user", "content": [result]}));
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    let received = upstream.received();
    let last: Value = serde_json::from_slice(&received.last().unwrap().body).unwrap();
    let told = |at: usize| (&last["messages"][at]["tool_calls"][0]["id"], &last["messages"][at + 1]["tool_call_id"]);
    let (first, second) = (json!("functions.f:0"), json!("functions.f:1"));
    assert_eq!((told(1), told(3)), ((&first, &first), (&second, &second)), "{last}");
}

#[tokio::test]
async fn a_history_whose_ids_repeat_is_told_apart_before_claude() {
    let said = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], said)]).unwrap();
    let text = pool("p", &[provider("only", "Anthropic", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let step = r#"{"role":"assistant","tool_calls":[{"id":"f:0","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"f:0","content":"r"}"#;
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"go"}},{step},{step}]}}"#);
    let got = proxy.client().post(CHAT, &[], body).await.unwrap();
    assert_eq!(got.status, 200, "{}", got.text());
    let sent: Value = serde_json::from_slice(&upstream.received().last().unwrap().body).unwrap();
    let id = |turn: usize, name: &str| sent["messages"][turn]["content"][0][name].clone();
    assert_eq!((id(1, "id"), id(3, "id")), (id(2, "tool_use_id"), id(4, "tool_use_id")), "{sent}");
    assert_ne!(id(1, "id"), id(3, "id"), "{sent}");
}
