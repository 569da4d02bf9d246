//! Breakpoints for prompt caches: put in where the rule says so, in the vendor's words, whoever calls; and what a cache saves.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer};

use crate::resources::{CHAT, MESSAGES, anthropic_whole, pool, provider, rule};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const MARK: &str = r#""cache_control":{"type":"ephemeral"}"#;

fn gateway(kind: &str, upstream: &Upstream, (said, more): (&str, &str)) -> Proxy {
    let text = pool("p", &[provider("only", kind, upstream.address, more)], "")
        + &rule("m", &format!("{said}    targets: [{{poolRef: {{name: p}}}}]\n"));
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

fn sent(upstream: &Upstream) -> String {
    String::from_utf8(upstream.received().pop().unwrap().body).unwrap()
}

#[tokio::test]
async fn a_rule_that_asks_for_them_has_them_and_every_other_byte_stays() {
    let upstream = Upstream::always(vec![anthropic_whole("fine")]).unwrap();
    let body = r#"{ "model":"m" ,"max_tokens": 64,"x":1.50,"system":"be good","tools":[{"name":"t","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"Hello"}]}"#;
    let helped = format!(
        r#"{{ "model":"m" ,"max_tokens": 64,"x":1.50,"system":[{{"type":"text","text":"be good",{MARK}}}],"tools":[{{"name":"t","input_schema":{{"type":"object"}},{MARK}}}],"messages":[{{"role":"user","content":[{{"type":"text","text":"Hello",{MARK}}}]}}]}}"#
    );
    for (said, expected) in [
        ("", body.to_owned()),
        ("    promptCache: {}\n", helped),
        ("    promptCache: {tools: false, system: false, turns: 0}\n", body.to_owned()),
        (
            "    promptCache: {tools: false, system: false, turns: 1, ttl: 1h}\n",
            body.replace(
                r#""content":"Hello""#,
                r#""content":[{"type":"text","text":"Hello","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#,
            ),
        ),
    ] {
        let proxy = gateway("Anthropic", &upstream, (said, ""));
        let got = proxy.client().post(MESSAGES, JSON, body).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(sent(&upstream), expected, "{said}");
    }
}

#[tokio::test]
async fn a_caller_of_another_dialect_is_helped_and_a_provider_of_another_is_sent_none() {
    let chat = json!({"model": "m", "messages": [
        {"role": "system", "content": "be good"}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]});
    let anthropic = Upstream::always(vec![anthropic_whole("fine")]).unwrap();
    let proxy = gateway("Anthropic", &anthropic, ("    promptCache: {}\n", ""));
    assert_eq!(proxy.client().post(CHAT, JSON, chat.to_string()).await.unwrap().status, 200);
    let told: Value = serde_json::from_str(&sent(&anthropic)).unwrap();
    let marked = |block: &Value| block["cache_control"] == json!({"type": "ephemeral"});
    assert!(marked(&told["system"][0]) && marked(&told["messages"][0]["content"][0]), "{told}");
    assert!(
        marked(&told["messages"][2]["content"][0]) && !told["messages"][1].to_string().contains("cache_control"),
        "{told}"
    );

    let openai = Upstream::always(vec![crate::resources::openai_whole("fine")]).unwrap();
    let proxy = gateway("OpenAI", &openai, ("    promptCache: {}\n", ""));
    assert_eq!(proxy.client().post(CHAT, JSON, chat.to_string()).await.unwrap().status, 200);
    assert_eq!(sent(&openai), chat.to_string());

    // Claude behind a host that keeps what is marked, also of a caller's own marks in another dialect.
    let routed = "models: [{name: m, upstreamName: anthropic/claude-sonnet-5}], compatibility: {profile: OpenRouter}";
    let proxy = gateway("OpenAICompatible", &openai, ("    promptCache: {}\n", routed));
    assert_eq!(proxy.client().post(CHAT, JSON, chat.to_string()).await.unwrap().status, 200);
    let told: Value = serde_json::from_str(&sent(&openai)).unwrap();
    assert!([0, 1, 3].iter().all(|at| marked(&told["messages"][at]["content"][0])), "{told}");
    let proxy = gateway("OpenAICompatible", &openai, ("", routed));
    let own = json!({"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "one"}]});
    assert_eq!(proxy.client().post(MESSAGES, JSON, own.to_string()).await.unwrap().status, 200);
    let told: Value = serde_json::from_str(&sent(&openai)).unwrap();
    assert!(marked(&told["messages"][0]["content"][0]), "{told}");

    let converse = r#"{"output":{"message":{"role":"assistant","content":[{"text":"fine"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":1}}"#;
    let amazon = Upstream::always(vec![answer(200, JSON, converse.as_bytes())]).unwrap();
    for (name, points) in [("amazon.nova-pro-v1:0", 3), ("meta.llama3-70b", 0)] {
        let proxy = gateway(
            "Bedrock",
            &amazon,
            ("    promptCache: {}\n", &format!("models: [{{name: m, upstreamName: \"{name}\"}}]")),
        );
        let got = proxy.client().post(CHAT, JSON, chat.to_string()).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(
            sent(&amazon).matches(r#"{"cachePoint":{"type":"default"}}"#).count(),
            points,
            "{name}: {}",
            sent(&amazon)
        );
    }
}

#[tokio::test]
async fn what_a_cache_saves_and_what_writing_to_it_costs_is_counted() {
    const PRICE: &str = "models: [{name: m, price: {inputPerMillion: '10', cachedInputPerMillion: '1', cacheWritePerMillion: '12.5', outputPerMillion: '50'}}]";
    let said = |read: u64, written: u64| -> Vec<Act> {
        let body = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "fine"}],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": read, "cache_creation_input_tokens": written, "output_tokens": 2}});
        vec![answer(200, JSON, body.to_string().as_bytes())]
    };
    let upstream =
        Upstream::start(move |received| if received.number == 0 { said(0, 1_000) } else { said(1_000, 0) }).unwrap();
    let proxy = gateway("Anthropic", &upstream, ("    promptCache: {}\n", PRICE));
    for _ in 0..4 {
        let got = proxy.client().post(MESSAGES, JSON, crate::resources::message("m", false)).await.unwrap();
        assert_eq!(got.status, 200);
    }
    let metrics = proxy.metrics().unwrap();
    let millionths = |name: &str| (metrics.sum(name, &[("model", "m")]) * 1e6).round();
    assert_eq!(millionths("sluicegate_prompt_cache_saved_usd_total"), 3.0 * 9_000.0);
    assert_eq!(millionths("sluicegate_prompt_cache_added_usd_total"), 2_500.0);
}
