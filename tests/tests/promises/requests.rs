//! What a provider is sent: fields and betas under its policy, words of its make, no more tokens than it answers with.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Received, Upstream, answer};

use crate::resources::{CHAT, MESSAGES, plain_upstream, pool, provider, route, rule};

/// A gateway with one provider for the model.
fn gateway(model: &str, kind: &str, upstream: &Upstream, more: &str) -> Proxy {
    let manifest = pool("p", &[provider("only", kind, upstream.address, more)], "") + &route(model, "p");
    Proxy::start(&[("all.yaml", &manifest)], &[]).unwrap()
}

/// The same, whose answers are kept.
fn caching_gateway(model: &str, kind: &str, upstream: &Upstream, more: &str) -> Proxy {
    let manifest = pool("p", &[provider("only", kind, upstream.address, more)], "")
        + &rule(model, "    targets: [{poolRef: {name: p}}]\n    cache: {ttl: 1h}\n");
    Proxy::start(&[("all.yaml", &manifest)], &["--workers", "1"]).unwrap()
}

fn body(sent: &Received) -> Value {
    serde_json::from_slice(&sent.body).unwrap()
}

fn length(sent: &Received) -> usize {
    sent.header("content-length").parse().unwrap()
}

const BETAS: &str = "context-management-2025-06-27,claude-code-20250219";
const MANAGED: &str = r#"{"model":"m","max_tokens":256,"messages":[{"role":"user","content":"hi"}],"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}}"#;

#[tokio::test]
async fn fields_and_betas_reach_a_provider_under_its_policy() {
    let policy = "compatibility: {fields: [{name: context_management, action: Drop}], betas: [{name: context-management-*, action: Drop}]}";
    let headers = [("anthropic-beta", BETAS)];
    for (kind, more, kept, betas) in [
        ("Anthropic", "", true, BETAS),
        ("Anthropic", policy, false, "claude-code-20250219"),
        ("OpenAI", "", false, ""),
        ("OpenAICompatible", "compatibility: {fields: [{name: context_management, action: Pass}]}", true, ""),
    ] {
        let upstream = plain_upstream();
        let proxy = gateway("m", kind, &upstream, more);
        let got = proxy.client().post(MESSAGES, &headers, MANAGED).await.unwrap();
        let sent = upstream.received().pop().unwrap();
        assert_eq!(got.status, 200, "{kind} {more}: {}", got.text());
        assert_eq!(sent.header("anthropic-beta"), betas, "{kind} {more}");
        assert_eq!(body(&sent).get("context_management").is_some(), kept, "{kind} {more}");
        assert_eq!(length(&sent), sent.body.len(), "{kind} {more}");
        if kind == "Anthropic" && more.is_empty() {
            assert_eq!(String::from_utf8_lossy(&sent.body), MANAGED);
        }
    }
}

#[tokio::test]
async fn what_a_provider_refuses_goes_to_another_and_with_none_left_names_the_field() {
    let (first, second) = (plain_upstream(), plain_upstream());
    let refuse = "compatibility: {fields: [{name: context_management, action: Refuse}]}";
    let providers = [
        provider("first", "Anthropic", first.address, refuse),
        provider("second", "Anthropic", second.address, "priority: 1"),
    ];
    let manifest = pool("p", &providers, "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &manifest)], &[]).unwrap();
    let got = proxy.client().post(MESSAGES, &[], MANAGED).await.unwrap();
    assert_eq!((got.status, first.received().len(), second.received().len()), (200, 0, 1));

    let proxy = gateway("m", "Anthropic", &first, refuse);
    let got = proxy.client().post(MESSAGES, &[], MANAGED).await.unwrap();
    assert_eq!(got.status, 400);
    assert!(got.json()["error"]["message"].as_str().unwrap().starts_with("context_management:"), "{}", got.text());
    assert!(first.received().is_empty());
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let upstream = plain_upstream();
    let proxy = gateway("m", "Anthropic", &upstream, "");
    let call =
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stop": ["\n\n", "END"], "seed": 1});
    assert_eq!(proxy.client().post(CHAT, &[], call.to_string()).await.unwrap().status, 200);
    assert_eq!(body(&upstream.received().pop().unwrap())["stop_sequences"], json!(["END"]));
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_dropped_fields_total", &[("provider", "only")]), 2.0, "{}", metrics.0);
}

#[tokio::test]
async fn a_providers_own_words_for_a_fields_error_reach_the_caller() {
    let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"context_management: Extra inputs are not permitted"}}"#;
    let upstream =
        Upstream::always(vec![answer(400, &[("content-type", "application/json")], error.as_bytes())]).unwrap();
    let proxy = gateway("m", "Anthropic", &upstream, "");
    let got = proxy.client().post(MESSAGES, &[("anthropic-beta", BETAS)], MANAGED).await.unwrap();
    assert_eq!((got.status, got.text().as_str()), (400, error));
}

#[tokio::test]
async fn a_field_has_its_providers_own_name_whoever_wrote_it() {
    let upstream = plain_upstream();
    let rename = "compatibility: {fields: [{name: seed, action: Rename, to: random_seed}]}";
    let proxy = gateway("m", "OpenAICompatible", &upstream, rename);
    let call = r#"{"seed":7, "model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    proxy.client().post(CHAT, &[], call).await.unwrap();
    let sent = upstream.received().pop().unwrap();
    assert_eq!(String::from_utf8_lossy(&sent.body), call.replace("\"seed\"", "\"random_seed\""));
    assert_eq!(length(&sent), sent.body.len());
}

#[tokio::test]
async fn prompt_caching_marks_reach_look_alikes_and_not_openai() {
    let call = r#"{"model":"m", "messages":[{"role":"user","content":[{"type":"text","text":"cache_control","cache_control":{"type":"ephemeral"}}],"cache_control":{"type":"ephemeral"}}]}"#;
    let bare = r#"{"model":"m", "messages":[{"role":"user","content":[{"type":"text","text":"cache_control"}]}]}"#;
    for (kind, sent_so) in [("OpenAI", bare), ("OpenAICompatible", call)] {
        let upstream = plain_upstream();
        gateway("m", kind, &upstream, "").client().post(CHAT, &[], call).await.unwrap();
        let sent = upstream.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&sent.body), sent_so, "{kind}");
        assert_eq!(length(&sent), sent.body.len());
    }
}

#[tokio::test]
async fn no_more_tokens_are_asked_for_than_the_model_answers_with() {
    let anthropic =
        |model: &str| json!({"model": model, "max_tokens": 64000, "messages": [{"role": "user", "content": "hi"}]});
    let chat = |model: &str, field: &str| {
        let mut call = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        call[field] = 64000.into();
        call
    };
    let limit = "models: [{name: m, upstreamName: theirs, maxOutputTokens: 8000}]";
    for (model, kind, more, path, call, field, most) in [
        ("gpt-4o", "OpenAI", "", MESSAGES, anthropic("gpt-4o"), "max_completion_tokens", Some(16_384)),
        ("m", "OpenAICompatible", limit, MESSAGES, anthropic("m"), "max_tokens", Some(8000)),
        ("m", "OpenAI", "", MESSAGES, anthropic("m"), "max_completion_tokens", None),
        // Within a dialect the caller knows its vendor, unless the pool says a number.
        ("gpt-4o", "OpenAI", "", CHAT, chat("gpt-4o", "max_tokens"), "max_tokens", None),
        ("m", "OpenAI", limit, CHAT, chat("m", "max_completion_tokens"), "max_completion_tokens", Some(8000)),
        ("m", "Anthropic", limit, MESSAGES, anthropic("m"), "max_tokens", Some(8000)),
        (
            "claude-3-haiku-20240307",
            "Anthropic",
            "",
            CHAT,
            chat("claude-3-haiku-20240307", "max_tokens"),
            "max_tokens",
            Some(4096),
        ),
    ] {
        let upstream = plain_upstream();
        let proxy = gateway(model, kind, &upstream, more);
        let got = proxy.client().post(path, &[], call.to_string()).await.unwrap();
        let sent = upstream.received().pop().unwrap();
        assert_eq!(body(&sent)[field], most.unwrap_or(64_000), "{model} {kind} {path}");
        let said = most.map(|most| most.to_string()).unwrap_or_default();
        assert_eq!(got.header("x-sluicegate-max-tokens"), said, "{model} {kind} {path}");
        // A kept answer says so as well, and so does a head that goes out before there is an answer.
        let kept = caching_gateway(model, kind, &upstream, more);
        let client = kept.client();
        for state in ["miss", "hit"] {
            let got = client.post(path, &[], call.to_string()).await.unwrap();
            assert_eq!(got.header("x-sluicegate-max-tokens"), said, "{state} {model} {kind} {path}");
            if state == "miss" {
                let is_kept = |kept: &Proxy| kept.metrics().unwrap().sum("sluicegate_cache_entries", &[]) == 1.0;
                kept.until("the answer is kept", is_kept).await.unwrap();
            } else {
                assert_eq!(got.header("x-cache"), "hit", "{}", got.text());
            }
        }
    }
}

#[tokio::test]
async fn server_tools_are_refused_by_name_or_left_out_as_the_pool_says() {
    let call = json!({
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto"},
    });
    let upstream = plain_upstream();
    let proxy = gateway("m", "OpenAI", &upstream, "");
    let got = proxy.client().post(MESSAGES, &[], call.to_string()).await.unwrap();
    let message = got.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(got.status == 400 && message.contains("`web_search_20250305`"), "{}: {message}", got.status);
    assert!(upstream.received().is_empty());

    let proxy = gateway("m", "OpenAI", &upstream, "compatibility: {serverTools: Drop}");
    assert_eq!(proxy.client().post(MESSAGES, &[], call.to_string()).await.unwrap().status, 200);
    let sent = body(&upstream.received().pop().unwrap());
    assert_eq!((sent.get("tools"), sent.get("tool_choice")), (None, None));
}

#[tokio::test]
async fn a_look_alike_is_spoken_to_as_its_pool_says() {
    let call = json!({
        "model": "m", "max_tokens": 9,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
            {"role": "system", "content": "MID"},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    });
    let upstream = plain_upstream();
    let proxy = gateway("m", "OpenAICompatible", &upstream, "");
    proxy.client().post(MESSAGES, &[], call.to_string()).await.unwrap();
    let sent = body(&upstream.received().pop().unwrap());
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "MID"}));
    assert_eq!(sent["messages"][1], json!({"role": "user", "content": "a\n\nb"}));
    assert_eq!(sent["messages"][2].get("reasoning_content"), None);

    let forms = "compatibility: {content: Parts, systemMessages: InPlace, reasoningContent: Sent}";
    let proxy = gateway("m", "OpenAICompatible", &upstream, forms);
    proxy.client().post(MESSAGES, &[], call.to_string()).await.unwrap();
    let sent = body(&upstream.received().pop().unwrap());
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    assert_eq!(sent["messages"][0], json!({"role": "user", "content": parts}));
    assert_eq!(sent["messages"][1]["reasoning_content"], "hm");
    assert_eq!(sent["messages"][3], json!({"role": "system", "content": "MID"}));
}

#[tokio::test]
async fn messages_that_pass_have_the_form_that_their_provider_takes() {
    let plain = json!([{"role": "developer", "content": "D"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "x", "refusal": null}, {"role": "user", "content": "y"}]);
    let groqs = json!([{"role": "system", "content": "D"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]);
    let late = json!([{"role": "user", "content": "hi"}, {"role": "system", "content": "S"}]);
    let words = "<system-reminder>\nS\n</system-reminder>";
    let told = json!([{"role": "user", "content": "hi"}, {"role": "user", "content": words}]);
    for (model, kind, path, more, said, expected) in [
        ("m", "OpenAICompatible", CHAT, "compatibility: {profile: Groq}", &plain, &groqs),
        ("m", "OpenAI", CHAT, "", &plain, &plain),
        ("claude-sonnet-4-5", "Anthropic", MESSAGES, "", &late, &told),
        ("claude-opus-4-8", "Anthropic", MESSAGES, "", &late, &late),
    ] {
        let upstream = plain_upstream();
        let proxy = gateway(model, kind, &upstream, more);
        let call = json!({"model": model, "max_tokens": 9, "messages": said});
        proxy.client().post(path, &[], call.to_string()).await.unwrap();
        assert_eq!(body(&upstream.received().pop().unwrap())["messages"], *expected, "{kind} {model}");
    }
}
