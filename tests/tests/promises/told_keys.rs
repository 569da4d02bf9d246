//! The gateway's own key in what a provider says: nobody is told it. And a model whose name is a way up in a path.

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{CHAT, MESSAGES, chat, message, pool, provider, route};

const KEY: &str = "sk-the-key-of-the-gateway-itself";
const KEYED: &str = "credentials: {secretRef: {name: vendor}}";

fn secret() -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: vendor}}\nstringData: {{api-key: {KEY}}}\n---\n")
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_is_told_to_nobody() {
    for status in [400, 404, 422, 500] {
        let upstream = Upstream::start(move |received| {
            let sent = received.header("authorization").to_owned();
            let body = format!(r#"{{"error":{{"message":"you sent {sent}, that is {KEY}","type":"x"}}}}"#);
            vec![answer(status, &[("content-type", "application/json")], body.as_bytes())]
        })
        .unwrap();
        let text = secret() + &pool("p", &[provider("only", "OpenAI", upstream.address, KEYED)], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for (path, body) in [(CHAT, chat("m", false)), (CHAT, chat("m", true)), (MESSAGES, message("m", false))] {
            let told = proxy.client().post(path, &[], body).await.unwrap();
            assert!(!told.text().contains(KEY) && told.text().contains("***"), "{status} {path}: {}", told.text());
        }
        assert!(upstream.received().iter().all(|received| received.head.contains(KEY)));
        assert!(proxy.log().iter().all(|line| !line.contains(KEY)), "{:?}", proxy.log());
    }
}

#[tokio::test]
async fn a_coding_that_is_no_word_is_not_repeated() {
    let upstream =
        Upstream::always(vec![answer(200, &[("content-type", "application/json"), ("content-encoding", KEY)], b"{}")])
            .unwrap();
    let text = secret() + &pool("p", &[provider("only", "OpenAI", upstream.address, KEYED)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let told = proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap();
    assert!(told.status == 502 && !told.text().contains(KEY), "{}", told.text());
    assert!(proxy.log().iter().all(|line| !line.contains(KEY)), "{:?}", proxy.log());
}

#[tokio::test]
async fn no_models_name_is_a_way_up() {
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], b"{}")]).unwrap();
    for (kind, more) in [("Bedrock", ""), ("AzureOpenAI", "apiVersion: \"2024-10-21\""), ("Gemini", "")] {
        let everything = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {rules: [{name: all, targets: [{poolRef: {name: p}}]}]}\n";
        let text = pool("p", &[provider("only", kind, upstream.address, more)], "") + everything;
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for model in ["..", "."] {
            let refused = proxy.client().post(CHAT, &[], chat(model, false)).await.unwrap();
            assert_eq!(refused.status, 400, "{kind} {model}: {}", refused.text());
        }
    }
    assert_eq!(upstream.received().len(), 0);
}
