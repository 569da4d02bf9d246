//! Chargeback in the vendors' own fields: a consumer's labels go to providers that have a place for them, where it says so.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Received, Upstream, answer};

use crate::resources::{CHAT, pool, provider, rule};

const KEY: &str = "the-key-of-the-team-that-pays";
const JSON: &[(&str, &str)] =
    &[("content-type", "application/json"), ("authorization", "Bearer the-key-of-the-team-that-pays")];
const VERTEX: &str = "vertexAI: {project: own-1, location: europe-west1}";

fn consumer(chargeback: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: team}}\nstringData: {{api-key: {KEY}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: team}}\nspec:\n  keys: [{{name: k, secretRef: {{name: team}}}}]\n  \
         labels: {{acme.com/Department: Research.EU, cost-center: \"4711\", tier: gold}}\n  chargeback: {chargeback}\n---\n"
    )
}

/// The requests that providers get of one call each of a Gemini, a Converse, an InvokeModel and an OpenAI model.
async fn told(chargeback: &str, key: bool) -> Vec<Received> {
    // No answer of theirs matters here: a call is told before.
    let upstream = Upstream::always(vec![answer(400, &[("content-type", "application/json")], b"{}")]).unwrap();
    let kinds = [
        ("gemini-x", "VertexAI", VERTEX),
        ("nova-x", "Bedrock", ""),
        ("claude-x", "Bedrock", ""),
        ("gpt-x", "OpenAI", ""),
    ];
    let of = |(model, kind, more): (&str, &str, &str)| {
        pool(model, &[provider("only", kind, upstream.address, more)], "")
            + &rule(model, &format!("    targets: [{{poolRef: {{name: {model}}}}}]\n"))
    };
    let text = consumer(chargeback) + &kinds.map(of).concat();
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (model, ..) in kinds {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}], "metadata": {"own": "1"}})
            .to_string();
        proxy.client().post(CHAT, if key { JSON } else { &JSON[..1] }, body).await.unwrap();
    }
    // What Bedrock's callers say in its own words stays beside it.
    let own = r#"{"requestMetadata":{"run":"7","tier":"lead"},"messages":[{"role":"user","content":[{"text":"x"}]}]}"#;
    proxy.client().post("/model/nova-x/converse", if key { JSON } else { &JSON[..1] }, own).await.unwrap();
    upstream.received()
}

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

#[tokio::test]
async fn labels_reach_providers_that_have_a_place_for_them_and_no_other() {
    let sent = told("{labels: [acme.com/Department, cost-center], toProviders: true}", true).await;
    let [vertex, converse, invoke, openai, own] = &sent[..] else { panic!("{}", sent.len()) };
    assert_eq!(body(vertex)["labels"], json!({"acme_com_department": "research_eu", "cost-center": "4711"}));
    let amazon = json!({"acme.com/Department": "Research.EU", "cost-center": "4711"});
    assert_eq!(body(converse)["requestMetadata"], amazon);
    let line = invoke.head.lines().find_map(|line| line.strip_prefix("x-amzn-bedrock-request-metadata: "));
    assert_eq!(line.and_then(|line| serde_json::from_str::<Value>(line).ok()), Some(amazon));
    assert!(!body(invoke).to_string().contains("4711"), "{}", body(invoke));
    assert_eq!(body(openai)["metadata"], json!({"own": "1"}));
    assert!(!openai.head.contains("4711"), "{}", openai.head);
    let both = json!({"acme.com/Department": "Research.EU", "cost-center": "4711", "run": "7", "tier": "lead"});
    assert_eq!(body(own)["requestMetadata"], both);
}

#[tokio::test]
async fn no_provider_is_told_where_it_is_not_asked_for_or_nobody_is_known() {
    let quiet = told("{labels: [acme.com/Department, cost-center]}", true).await;
    let nobody = told("{labels: [acme.com/Department, cost-center], toProviders: true}", false).await;
    for received in quiet.iter().chain(&nobody) {
        let text = format!("{} {}", received.head, String::from_utf8_lossy(&received.body));
        assert!(!text.contains("4711") && !text.contains("epartment"), "{text}");
    }
    assert_eq!((quiet.len(), nobody.len()), (5, 5));
}
