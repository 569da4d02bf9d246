//! Credentials are in their Secrets and nowhere else: planted keys are looked for in everything that a run leaves.

use std::path::Path;

use sluicegate_tests::client::Client;

use crate::gateway::{Gateway, NAME, question};

/// The providers' keys: the first one, the one it is rotated to, one that is refused.
const PROVIDER: [&str; 3] = ["sk-planted-provider-one", "sk-planted-provider-two", "sk-planted-provider-bad"];
/// What callers send.
const CALLER: &str = "sk-planted-caller";
/// Redis' password.
const REDIS: &str = "planted-redis-password";

fn resources(url: &str) -> String {
    let keyed = |name: &str| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\nspec:\n  providers:\n\
             \x20 - {{name: one, type: OpenAI, url: \"{url}\", credentials: {{secretRef: {{name: {name}, key: token}}}}}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {name}}}\nspec:\n  rules:\n\
             \x20 - name: all\n    matches: [{{model: {{exact: {name}}}}}]\n    targets: [{{poolRef: {{name: {name}}}, model: m}}]\n---\n"
        )
    };
    keyed("keyed") + &keyed("refused")
}

fn secret(name: &str, key: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{{key}: {value}}}\n---\n")
}

/// What is around a planted key, or around its base64 in any of the three places that it can have in a text's.
fn leaks(text: &str) -> Option<String> {
    let forms = ["planted-", "cGxhbnRlZC", "BsYW50ZWQt", "wbGFudGVkL"];
    let (at, form) = forms.iter().find_map(|form| Some((text.find(form)?, form)))?;
    let (from, to) = (text.floor_char_boundary(at.saturating_sub(200)), text.ceil_char_boundary(at + form.len() + 60));
    text.get(from..to).map(str::to_owned)
}

fn logs(folder: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => logs(&entry.path(), all),
            Ok(kind) if kind.is_file() => {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()).into_owned();
                all.push((entry.path().display().to_string(), text));
            }
            _ => {}
        }
    }
}

/// Calls of every kind of outcome; what was answered, heads too.
async fn calls(gateway: &Gateway) -> Vec<(String, String)> {
    let (way, bearer) = (gateway.service(), format!("Bearer {CALLER}"));
    let client = Client::new(way.address);
    let mut answers = Vec::new();
    for model in ["keyed", "refused", "nobodys"] {
        for stream in [false, true] {
            for (path, headers) in [
                ("/v1/chat/completions", vec![("authorization", bearer.as_str())]),
                ("/v1/messages", vec![("x-api-key", CALLER), ("anthropic-version", "2023-06-01")]),
                ("/v1/chat/completions", vec![("authorization", bearer.as_str()), ("x-simulate", "status=500")]),
                ("/v1/no/such/path", vec![("authorization", bearer.as_str())]),
            ] {
                let answer = client.post(path, &headers, question(model, stream, 5)).await.unwrap();
                let name = format!("{model} {path} stream={stream}: {}", answer.status);
                answers.push((name, format!("{:?} {}", answer.headers, answer.text())));
            }
        }
    }
    answers
}

/// What the proxies' and the operator's pods and the cluster say.
fn everything(gateway: &Gateway) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let kinds = gateway.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
    for kind in kinds.lines().filter(|kind| *kind != "secrets") {
        let objects = gateway.kubectl(&["get", kind, "-A", "-o", "yaml", "--show-managed-fields"]);
        all.push((kind.to_owned(), objects));
    }
    let path = "jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{\"\\n\"}{end}";
    let pods = gateway.kubectl(&["get", "pods", "-n", NAME, "-o", path]);
    for (pod, address) in pods.lines().filter_map(|line| line.split_once(' ')) {
        all.push((format!("log of {pod}"), gateway.kubectl(&["logs", "-n", NAME, pod])));
        for page in ["metrics", "config", "status", "rollout", "readyz"] {
            // The rollout is a stream without an end.
            let script = format!("curl -sS -i -m 3 http://{address}:9090/{page} || true");
            let said = gateway.node.sh(&["bash", "-c", &script]).unwrap();
            assert!(said.starts_with("HTTP/1.1"), "{pod} {page}: {said}");
            all.push((format!("{page} of {pod}"), said));
        }
    }
    for version in [3, 4] {
        all.push((format!("helm {version}"), gateway.helm(version, &["get", "all", NAME, "-n", NAME])));
    }
    all
}

#[tokio::test]
async fn credentials_appear_nowhere_but_in_their_secrets() {
    let Some(gateway) = Gateway::bare().await else { return };
    // A Redis that nobody runs, so that it is complained about.
    gateway.apply(NAME, &secret("redis-login", "password", REDIS));
    let debug = "proxy.settings.log=debug,operator.log=debug";
    gateway.upgrade(4, &format!("redis.urls={{redis://198.18.0.1:1}},redis.auth.secretName=redis-login,{debug}"));
    let simulator = gateway.simulator(&["--models", "m", "--api-key", PROVIDER[0]]);
    let keys = secret("keyed", "token", PROVIDER[0]) + &secret("refused", "token", PROVIDER[2]);
    gateway.apply("planted", &(keys + &resources(&simulator.url(""))));
    gateway.programmed("planted");
    let mut all = calls(&gateway).await;
    // Rotated, spoilt (no header can carry a line break), missing.
    let rotated = gateway.simulator(&["--models", "m", "--api-key", PROVIDER[1]]);
    gateway.apply("planted", &(secret("keyed", "token", PROVIDER[1]) + &resources(&rotated.url(""))));
    gateway.apply("planted", &secret("refused", "token", &format!("\"{}\\n\\nx\"", PROVIDER[2])));
    gateway.until("the spoilt Secret's condition", |gateway| {
        let said = gateway.kubectl(&["get", "providerpool", "refused", "-n", "planted", "-o", "yaml"]);
        said.contains("SecretInvalid").then_some(())
    });
    all.extend(calls(&gateway).await);
    gateway.kubectl(&["delete", "secret", "refused", "-n", "planted"]);
    gateway.until("the missing Secret's condition", |gateway| {
        let said = gateway.kubectl(&["get", "providerpool", "refused", "-n", "planted", "-o", "yaml"]);
        said.contains("SecretNotFound").then_some(())
    });
    all.extend(calls(&gateway).await);
    let good = all.iter().filter(|(name, _)| name.starts_with("keyed /v1/chat") && name.ends_with("200")).count();
    assert!(good >= 6, "the keys are used: {good}");

    all.extend(everything(&gateway));
    logs(&gateway.node.folder().join("logs"), &mut all);
    logs(&gateway.node.folder().join("own/var/log"), &mut all);
    let bytes: usize = all.iter().map(|(_, text)| text.len()).sum();
    println!("looked for planted keys in {} places, {bytes} bytes", all.len());
    for (place, text) in &all {
        assert_eq!(leaks(text), None, "{place}");
    }
    // And where they are to be, they are found.
    let secrets = gateway.kubectl(&["get", "secrets", "-n", NAME, "-o", "yaml"]);
    assert!(leaks(&secrets).is_some(), "they are not found where they are");
    gateway.kubectl(&["delete", "secret", "redis-login", "-n", NAME]);
    gateway.forget(&["planted"]);
}
