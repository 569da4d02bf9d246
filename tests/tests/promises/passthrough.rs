//! Callers' own keys that are passed on to a provider, where its pool says so: in the provider's place, to nobody else, and what the
//! provider says of one caller's key is no other's matter.

use std::net::SocketAddr;

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{CHAT, MESSAGES, chat, message, pool, provider, rule};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const OWN: &str = "credentials: {type: Passthrough}";

/// A provider in OpenAI's words that knows some keys, and says of each who it is.
fn openai() -> Upstream {
    Upstream::start(|received| {
        let key = received.header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
        let refuse = |status: u16, code: &str| {
            let said = format!(r#"{{"error":{{"message":"said of a key","type":"invalid_request_error","code":"{code}"}}}}"#);
            vec![answer(status, JSON, said.as_bytes())]
        };
        match key.as_str() {
            "planted-limited" => refuse(429, "rate_limit_exceeded"),
            "planted-poor" => refuse(429, "insufficient_quota"),
            key if key.starts_with("planted-good") => {
                let said = format!(
                    r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"for {}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#,
                    key.replace("planted", "")
                );
                vec![answer(200, JSON, said.as_bytes())]
            }
            _ => refuse(401, "invalid_api_key"),
        }
    })
    .unwrap()
}

fn one(kind: &str, address: SocketAddr, lines: &str) -> String {
    pool("p", &[provider("only", kind, address, OWN)], "")
        + &rule("m", &format!("{lines}    targets: [{{poolRef: {{name: p}}}}]\n"))
}

async fn asked(proxy: &Proxy, headers: &[(&str, &str)]) -> (u16, String) {
    let headers: Vec<_> = headers.iter().chain(JSON).copied().collect();
    let got = proxy.client().post(CHAT, &headers, chat("m", false)).await.unwrap();
    (got.status, got.text())
}

fn no_key_is_told(proxy: &Proxy) {
    let pages = ["/metrics", "/config", "/status"].map(|path| proxy.page(path).unwrap().1).concat();
    let told = proxy.log().join("\n") + &pages;
    assert!(!told.contains("planted"), "{told}");
}

#[tokio::test]
async fn a_key_goes_where_the_provider_wants_it_wherever_its_caller_puts_it() {
    for (kind, header, before) in [
        ("OpenAI", "authorization", "Bearer "),
        ("Anthropic", "x-api-key", ""),
        ("Gemini", "x-goog-api-key", ""),
        ("AzureOpenAI", "api-key", ""),
        ("Bedrock", "authorization", "Bearer "),
        ("Cohere", "authorization", "Bearer "),
    ] {
        let upstream = Upstream::always(vec![answer(500, JSON, b"{}")]).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &one(kind, upstream.address, ""))], &["--log", "debug"]).unwrap();
        for (name, value) in
            [("authorization", "Bearer planted-1"), ("x-api-key", "planted-1"), ("x-goog-api-key", "planted-1")]
        {
            let calls = upstream.calls();
            asked(&proxy, &[(name, value)]).await;
            let received = upstream.received();
            assert!(upstream.calls() > calls, "{kind} {name}");
            let head = &received.last().unwrap().head;
            assert_eq!(received.last().unwrap().header(header), format!("{before}planted-1"), "{kind} {name}: {head}");
            assert_eq!(head.matches("planted").count(), 1, "{kind} {name}: {head}");
        }
        no_key_is_told(&proxy);
    }
    // A token of a login goes as one.
    let upstream = Upstream::always(vec![answer(500, JSON, b"{}")]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Anthropic", upstream.address, ""))], &[]).unwrap();
    let headers = [JSON[0], ("authorization", "Bearer sk-ant-oat01-planted")];
    proxy.client().post(MESSAGES, &headers, message("m", false)).await.unwrap();
    let received = upstream.received();
    let received = received.last().unwrap();
    assert_eq!((received.header("authorization"), received.header("x-api-key")), ("Bearer sk-ant-oat01-planted", ""));
}

#[tokio::test]
async fn what_is_said_of_one_callers_key_reaches_that_caller_and_keeps_no_other_one_away() {
    let upstream = openai();
    let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", upstream.address, ""))], &[]).unwrap();
    let good = [("authorization", "Bearer planted-good")];
    let (status, text) = asked(&proxy, &[]).await;
    assert_eq!((status, upstream.calls()), (401, 0), "{text}");
    assert!(text.contains("is called with your own key, and you sent none"), "{text}");
    for (key, status, code) in [
        ("Bearer planted-bad", 401, "invalid_api_key"),
        ("Bearer planted-limited", 429, "rate_limit_exceeded"),
        ("Bearer planted-poor", 429, "insufficient_quota"),
    ] {
        for _ in 0..30 {
            let (got, text) = asked(&proxy, &[("authorization", key)]).await;
            assert_eq!(got, status, "{key}: {text}");
            assert!(text.contains(code), "{key}: {text}");
        }
        let calls = upstream.calls();
        let (got, text) = asked(&proxy, &good).await;
        assert_eq!((got, upstream.calls()), (200, calls + 1), "{key}: {text}");
    }
    no_key_is_told(&proxy);
}

#[tokio::test]
async fn answers_are_kept_and_shared_for_each_key_alone() {
    let upstream = openai();
    let text = one("OpenAI", upstream.address, "    cache: {ttl: 1h, scope: Route}\n");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (key, calls) in [("planted-good1", 1), ("planted-good2", 2), ("planted-good1", 2), ("planted-good2", 2)] {
        let (status, text) = asked(&proxy, &[("authorization", &format!("Bearer {key}"))]).await;
        assert_eq!((status, upstream.calls()), (200, calls), "{text}");
        assert!(text.contains(&format!("for {}", key.replace("planted", ""))), "{text}");
    }
    // Nor does a key that is good for nothing get what another one's paid for.
    assert_eq!(asked(&proxy, &[("authorization", "Bearer planted-bad")]).await.0, 401);
    assert_eq!(asked(&proxy, &[]).await.0, 401);
    no_key_is_told(&proxy);
}

#[tokio::test]
async fn a_consumers_key_is_the_gateways_and_another_one_beside_it_the_providers() {
    let upstream = openai();
    let consumer = "apiVersion: v1\nkind: Secret\nmetadata: {name: bob}\nstringData: {api-key: planted-gateway-key-of-bob}\n---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {name: bob}\nspec: {keys: [{name: current, secretRef: {name: bob}}]}\n---\n";
    let text = consumer.to_owned()
        + &one("OpenAI", upstream.address, "").replace("spec:\n  rules", "spec:\n  access: {from: Known}\n  rules");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let ours = ("authorization", "Bearer planted-gateway-key-of-bob");
    let (status, text) = asked(&proxy, &[ours]).await;
    assert_eq!((status, upstream.calls()), (401, 0), "{text}");
    assert!(text.contains("is called with your own key"), "{text}");
    for (name, value) in [("x-api-key", "planted-good"), ("api-key", "planted-good")] {
        let (status, text) = asked(&proxy, &[ours, (name, value)]).await;
        assert_eq!(status, 200, "{text}");
        let received = upstream.received();
        let head = &received.last().unwrap().head;
        assert!(head.contains("Bearer planted-good") && !head.contains("of-bob"), "{head}");
    }
    assert_eq!(asked(&proxy, &[("x-api-key", "planted-good")]).await.0, 401);
    no_key_is_told(&proxy);

    // Nor does it go on in a form in which it is not known, where anyone may call; nor one that an operator has made.
    let text = consumer.to_owned() + &one("OpenAI", upstream.address, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let calls = upstream.calls();
    for (name, before, behind) in [
        ("authorization", "Basic ", ""),
        ("authorization", "Token ", ""),
        ("authorization", "Bearer Bearer ", ""),
        ("authorization", "Bearer \"", "\""),
        ("authorization", "Bearer ", ","),
        ("authorization", "Bearer ", ", Bearer planted-good"),
        ("x-api-key", "Bearer ", ""),
        ("x-api-key", "sgk_", ""),
    ] {
        let value = format!("{before}planted-gateway-key-of-bob{behind}");
        let (status, text) = asked(&proxy, &[(name, &value)]).await;
        assert_eq!((status, upstream.calls()), (401, calls), "{name}: {value}: {text}");
    }
    no_key_is_told(&proxy);
}
