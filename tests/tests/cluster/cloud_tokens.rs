//! A cloud's key from `kubectl apply` to the provider: it is published as a Secret, proxies get a token with it, and a new key brings
//! a new token to all of them.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sluicegate_tests::upstream::{Received, Upstream, answer};

use crate::gateway::{Gateway, route};

/// The account that an assertion is of.
fn account(received: &Received) -> Option<String> {
    let body =
        String::from_utf8(received.body.clone()).ok()?.replace("%2E", ".").replace("%2D", "-").replace("%5F", "_");
    let claims = URL_SAFE_NO_PAD.decode(body.split_once("assertion=")?.1.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Value>(&claims).ok()?["iss"].as_str()?.to_owned())
}

/// Google in one: its token service, and a provider that answers with the token that it is shown.
fn google() -> Upstream {
    Upstream::start(|received| {
        let json = [("content-type", "application/json")];
        let said = match account(received) {
            Some(account) => json!({"access_token": format!("ya29.of-{account}"), "expires_in": 3600}),
            None => {
                json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": received.header("authorization")}],
                "usage": {"input_tokens": 1, "output_tokens": 1}})
            }
        };
        vec![answer(200, &json, said.to_string().as_bytes())]
    })
    .unwrap()
}

fn secret(account: &str, google: &Upstream) -> String {
    let key: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let key = STANDARD.encode(key.as_ref());
    let file = json!({"type": "service_account", "client_email": account, "private_key_id": "1",
        "token_uri": format!("http://{}/token", google.address),
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"api-key": file.to_string()}})
        .to_string()
}

#[tokio::test]
async fn a_clouds_key_becomes_tokens_at_every_proxy_and_so_does_the_next_one() {
    let google = google();
    let gateway = Gateway::start(2).await;
    let provider = json!({"name": "one", "type": "VertexAI", "url": format!("http://{}", google.address),
        "vertexAI": {"project": "p", "location": "global"}, "models": [{"name": "m", "upstreamName": "claude-m"}],
        "credentials": {"type": "GCP", "secretRef": {"name": "key"}}});
    let pool = json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "ProviderPool", "metadata": {"name": "google"},
        "spec": {"providers": [provider]}});
    gateway.apply(&[secret("first@p.iam", &google), pool.to_string(), route("m", "google")].join("\n---\n")).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    gateway.message("ProviderPool", "google", "True Programmed", "2/2 ").await;
    assert_eq!(gateway.answers("m").await, ["Bearer ya29.of-first@p.iam".to_owned()].into());
    gateway.apply(&secret("second@p.iam", &google)).await;
    for _ in 0..1_500 {
        if gateway.answers("m").await == ["Bearer ya29.of-second@p.iam".to_owned()].into() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.answers("m").await, ["Bearer ya29.of-second@p.iam".to_owned()].into());
}
