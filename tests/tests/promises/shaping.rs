//! Requests that a rule changes, and calls that go by how much they ask for.

use serde_json::{Value, json};
use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Received, Upstream};

use crate::resources::{CHAT, MESSAGES, chat, plain_upstream, pool, provider, rule};

/// A proxy whose route `m` has these lines in its rule.
fn house(upstream: &Upstream, kind: &str, lines: &str) -> Proxy {
    let text = pool("p", &[provider("a", kind, upstream.address, "")], "")
        + &rule("m", &format!("    targets: [{{poolRef: {{name: p}}}}]\n{lines}"));
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

async fn ask(client: &Client, path: &str, headers: &[(&str, &str)], body: &str) {
    let answer = client.post(path, headers, body.to_owned()).await.unwrap();
    assert!(answer.is_good(), "{path} {body}: {}", answer.text());
}

fn last(upstream: &Upstream) -> Received {
    upstream.received().pop().unwrap()
}

const CHANGES: &str = "    request:
      defaults: [{field: temperature, value: \"0.2\"}]
      overrides: [{field: service_tier, value: '\"flex\"'}]
      remove: [metadata]
      maxTokensCap: 100
      prepend: Be brief.
      headers: {set: [{name: X-Team, value: blue}], remove: [X-Session-Id]}
";

#[tokio::test]
async fn what_a_rule_changes_is_changed_and_every_other_byte_stays() {
    let upstream = plain_upstream();
    let proxy = house(&upstream, "OpenAICompatible", CHANGES);
    let client = proxy.client();
    let body = r#"{ "model":"m", "metadata":{"a":1}, "seed":1e2,  "max_tokens":900, "messages":[{"role":"user","content":"Hi"}]}"#;
    ask(&client, CHAT, &[("x-session-id", "s"), ("x-team", "red"), ("x-client-request-id", "r")], body).await;
    let sent = last(&upstream);
    assert_eq!(
        String::from_utf8_lossy(&sent.body),
        r#"{"temperature":0.2,"service_tier":"flex", "model":"m",  "seed":1e2,  "max_tokens":100, "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#
    );
    let headers = [sent.header("x-team"), sent.header("x-session-id"), sent.header("x-client-request-id")];
    assert_eq!(headers, ["blue", "", "r"]);
    // A default is no more than that, and a cap too.
    ask(
        &client,
        CHAT,
        &[],
        r#"{"model":"m","temperature":1,"max_tokens":7,"messages":[{"role":"user","content":"Hi"}]}"#,
    )
    .await;
    let sent: Value = serde_json::from_slice(&last(&upstream).body).unwrap();
    assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&json!(1), &json!(7)));
    // In the caller's dialect, whoever answers.
    ask(
        &client,
        MESSAGES,
        &[],
        r#"{"model":"m","max_tokens":900,"system":"Help.","messages":[{"role":"user","content":"Hi"}]}"#,
    )
    .await;
    let sent: Value = serde_json::from_slice(&last(&upstream).body).unwrap();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Be brief.\n\nHelp."}), "{sent}");
    assert_eq!(sent["max_tokens"], 100, "{sent}");
}

#[tokio::test]
async fn changed_fields_are_in_the_caches_key() {
    let upstream = plain_upstream();
    let cached = |more: &str| {
        format!(
            "    cache: {{ttl: 1m, scope: Route, memory: {{maxEntries: 9}}, store: {{minContentLength: 1}}}}\n{more}"
        )
    };
    let proxy =
        house(&upstream, "OpenAICompatible", &cached("    request: {overrides: [{field: seed, value: \"1\"}]}\n"));
    let client = proxy.client();
    let of = |seed: u32| format!(r#"{{"model":"m","seed":{seed},"messages":[{{"role":"user","content":"Hi"}}]}}"#);
    for seed in [1, 2, 3] {
        ask(&client, CHAT, &[], &of(seed)).await;
    }
    assert_eq!(upstream.calls(), 1, "what is written over tells no calls apart");
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &rule(
            "m",
            &format!(
                "    targets: [{{poolRef: {{name: p}}}}]\n{}",
                cached("    request: {overrides: [{field: seed, value: \"2\"}]}\n")
            ),
        );
    proxy.write("all.yaml", &text).unwrap();
    for _ in 0..400 {
        ask(&client, CHAT, &[], &of(1)).await;
        if upstream.calls() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(upstream.calls(), 2, "another change is another call");
}

#[tokio::test]
async fn simple_calls_go_to_another_model() {
    let upstream = plain_upstream();
    let rules = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: m}\nspec:\n  rules:\n  - name: simple\n    matches: [{model: {exact: m}, complexity: {maxInputTokens: 200, maxMessages: 2, tools: false, images: false, thinking: false}}]\n    targets: [{poolRef: {name: p}, model: small}]\n  - name: streamed\n    matches: [{model: {exact: m}, complexity: {stream: true}}]\n    targets: [{poolRef: {name: p}, model: streaming}]\n  - name: others\n    matches: [{model: {exact: m}}]\n    coalesce: {scope: Pod}\n    request: {maxTokensCap: 50, remove: [tools]}\n    targets: [{poolRef: {name: p}, model: large}]\n---\n";
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "") + rules;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let turn = json!({"role": "user", "content": "Hi"});
    let long = "word ".repeat(1_000);
    let image =
        json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]});
    let tool = json!([{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]);
    for (body, model) in [
        (json!({"messages": [turn]}), "small"),
        (json!({"messages": [turn], "stream": true}), "small"),
        (json!({"messages": [{"role": "user", "content": long}]}), "large"),
        (json!({"messages": [{"role": "user", "content": long}], "stream": true}), "streaming"),
        (json!({"messages": [turn, {"role": "assistant", "content": "Yes?"}, turn]}), "large"),
        // Its tools are taken away, and it stays what it was: it is asked for by the rule that has found it.
        (json!({"messages": [turn], "tools": tool}), "large"),
        (json!({"messages": [image]}), "large"),
        (json!({"messages": [turn], "reasoning_effort": "high"}), "large"),
        (json!({"messages": [turn], "reasoning_effort": "none"}), "small"),
    ] {
        let mut body = body;
        body["model"] = json!("m");
        ask(&client, CHAT, &[], &body.to_string()).await;
        let sent: Value = serde_json::from_slice(&last(&upstream).body).unwrap();
        assert_eq!(sent["model"], model, "{body}");
        assert!(model != "large" || (sent.get("tools").is_none() && sent["max_completion_tokens"] == 50), "{sent}");
    }
    assert!(chat("m", false).contains("\"m\""));
}
