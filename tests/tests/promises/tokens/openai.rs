//! Tokens of OpenAI's: the gateway's own token, of a file or of Google's metadata server, is exchanged for one of a service account.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer};

use super::{JSON, ROUNDS, no_secret_is_told, status, until};
use crate::resources::{pool, rule};

/// OpenAI's exchange, which looks at all of a question and numbers its tokens, and Google's metadata server.
struct Exchange {
    upstream: Upstream,
    life: Arc<AtomicU64>,
}

impl Exchange {
    fn start(life: u64) -> Self {
        let life = Arc::new(AtomicU64::new(life));
        let (now, given) = (Arc::clone(&life), AtomicU64::new(0));
        let upstream = Upstream::start(move |received| {
            let path = received.head.split(' ').nth(1).unwrap_or_default();
            vec![if path.starts_with("/computeMetadata/") {
                Self::google(received, path)
            } else {
                Self::exchanged(received, path, (now.load(Ordering::SeqCst), given.fetch_add(1, Ordering::SeqCst) + 1))
            }]
        })
        .unwrap();
        Self { upstream, life }
    }

    fn exchanged(received: &Received, path: &str, (life, number): (u64, u64)) -> Act {
        let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let says = |field: &str| asked[field].as_str().unwrap_or_default();
        let is_right = received.head.starts_with("POST ")
            && path == "/oauth/token"
            && received.header("content-type") == "application/json"
            && says("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
            && asked.as_object().is_some_and(|fields| fields.len() == 5);
        let who = match (says("subject_token_type"), says("subject_token")) {
            ("urn:ietf:params:oauth:token-type:jwt", token) if token.starts_with("planted-subject.") => Some("file"),
            ("urn:ietf:params:oauth:token-type:id_token", "planted-google") => Some("google"),
            _ => None,
        };
        let is_known = (says("identity_provider_id"), says("service_account_id")) == ("idp_1", "svc_1");
        match who.filter(|_| is_right && is_known) {
            Some(_) if life == 0 => answer(503, JSON, b"planted"),
            Some(who) => {
                let text = format!(
                    r#"{{"access_token":"eyJ.planted-{who}.{number}","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":{life}}}"#
                );
                answer(200, JSON, text.as_bytes())
            }
            None => answer(400, JSON, br#"{"error":"invalid_grant","error_description":"planted"}"#),
        }
    }

    fn google(received: &Received, path: &str) -> Act {
        let wanted =
            "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fapi.openai.com%2Fv1";
        let is_right = received.header("metadata-flavor") == "Google" && path.starts_with(wanted);
        if is_right { answer(200, &[], b"planted-google\n") } else { answer(404, &[], b"planted") }
    }
}

/// A provider that answers whoever shows a token.
fn provider() -> Upstream {
    Upstream::start(|received| {
        let said = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
        let shown = received.header("authorization").starts_with("Bearer eyJ.planted-");
        vec![answer(if shown { 200 } else { 401 }, JSON, said.as_bytes())]
    })
    .unwrap()
}

fn openai(address: SocketAddr, account: &str) -> String {
    let one = format!(
        "  - {{name: only, type: OpenAI, url: \"http://{address}\", credentials: {{type: OpenAI, identityProviderID: idp_1, serviceAccountID: {account}}}}}\n"
    );
    pool("openai", &[one], "") + &rule("claude-x", "    targets: [{poolRef: {name: openai}}]\n")
}

fn last(upstream: &Upstream) -> String {
    upstream.received().last().map(|received| received.header("authorization").to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_pods_own_token_is_exchanged_and_the_exchange_renewed_beside_the_calls() {
    let (exchange, upstream) = (Exchange::start(3), provider());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "planted-subject.1\n").unwrap();
    let at = format!("http://{}", exchange.upstream.address);
    let environment = [("OPENAI_AUTH_URL", at.as_str()), ("OPENAI_IDENTITY_TOKEN_FILE", file.to_str().unwrap())];
    let text = openai(upstream.address, "svc_1");
    let proxy = Proxy::with_environment(&environment, &[("all.yaml", &text)], &["--log", "debug"]).unwrap();
    until(&proxy, 200).await;
    let first = last(&upstream);
    assert!(first.starts_with("Bearer eyJ.planted-file."), "{first}");
    // The kubelet renews the file: the next exchange is of what stands there then.
    std::fs::write(&file, "planted-subject.2\n").unwrap();
    for _ in 0..ROUNDS {
        assert_eq!(status(&proxy).await.0, 200, "no call waits or fails");
        if last(&upstream) != first {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_ne!(last(&upstream), first, "it was renewed");
    let subject = |received: &Received| String::from_utf8_lossy(&received.body).contains("planted-subject.2");
    assert!(exchange.upstream.received().iter().any(subject), "the file was read again");
    no_secret_is_told(&proxy);
    // An account that nobody has mapped is told by the exchange's code, and nothing else of its answer.
    proxy.write("all.yaml", &openai(upstream.address, "svc_2")).unwrap();
    until(&proxy, 503).await;
    let page = proxy.page("/status").unwrap().1;
    assert!(page.contains("it answered with status 400 (invalid_grant)") && page.contains("svc_2"), "{page}");
    proxy.write("all.yaml", &text).unwrap();
    until(&proxy, 200).await;
    // The last token is kept over an outage until its end.
    exchange.life.store(0, Ordering::SeqCst);
    until(&proxy, 503).await;
    no_secret_is_told(&proxy);
}

#[tokio::test]
async fn without_a_file_googles_metadata_server_is_asked_and_nobody_but_openai_is_shown_what_comes_of_it() {
    let (exchange, upstream) = (Exchange::start(3600), provider());
    let (at, host) = (format!("http://{}", exchange.upstream.address), exchange.upstream.address.to_string());
    let environment = [("OPENAI_AUTH_URL", at.as_str()), ("GCE_METADATA_HOST", host.as_str())];
    let text = openai(upstream.address, "svc_1");
    let proxy = Proxy::with_environment(&environment, &[("all.yaml", &text)], &["--log", "debug"]).unwrap();
    until(&proxy, 200).await;
    assert!(last(&upstream).starts_with("Bearer eyJ.planted-google."), "{}", last(&upstream));
    no_secret_is_told(&proxy);
    let elsewhere = text.replace(&format!("http://{}", upstream.address), "https://api.openai.com.evil.example");
    let proxy = Proxy::with_environment(&environment, &[("all.yaml", &elsewhere)], &["--log", "debug"]).unwrap();
    assert!(proxy.page("/config").unwrap().1.contains("the gateway's own identity is shown to OpenAI alone"));
    assert_eq!(status(&proxy).await.0, 503);
}
