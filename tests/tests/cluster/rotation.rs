//! A key is written anew, and nothing else: `Programmed` turns, and is true again when every ready proxy sends the new one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use sluicegate_config::published::{Content, DATA_KEY, REVISION_ANNOTATION, name};
use sluicegate_config::{Kind, ObjectId};
use sluicegate_tests::upstream::{Upstream, answer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::gateway::{Gateway, current, objects, route};

fn secret(token: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"token": token}})
        .to_string()
}

fn keyed(upstream: &str) -> String {
    let credentials = json!({"secretRef": {"name": "key", "key": "token"}});
    let provider = json!({"name": "one", "type": "OpenAI", "url": upstream, "credentials": credentials});
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "ProviderPool", "metadata": {"name": "keyed"},
        "spec": {"providers": [provider]}})
    .to_string()
}

/// The published credentials of the pool: the one key in it, and the `resourceVersion`.
async fn published(gateway: &Gateway) -> Option<(String, String)> {
    let id = ObjectId(format!("{}/keyed", gateway.namespace));
    let secrets: Api<Secret> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let secret = secrets.get_opt(&name("gw", Content::Credentials(Kind::ProviderPool), &id)).await.unwrap()?;
    let keys: BTreeMap<String, String> = serde_json::from_slice(&secret.data.unwrap()[DATA_KEY].0).unwrap();
    let key = STANDARD.decode(keys.into_values().next().unwrap()).unwrap();
    Some((String::from_utf8(key).unwrap(), secret.metadata.resource_version.unwrap()))
}

/// Waits until this key is published, and gives its `resourceVersion`.
async fn until_published(gateway: &Gateway, key: &str) -> String {
    for _ in 0..3_000 {
        if let Some((_, version)) = published(gateway).await.filter(|(published, _)| published == key) {
            return version;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{key} is not published:\n{}", gateway.operator.log().join("\n"));
}

async fn is_programmed(gateway: &Gateway) -> bool {
    let object = gateway.get("ProviderPool", "keyed").await;
    current(&object, "Programmed").is_some_and(|found| found["status"] == "True")
}

/// Waits until the last event on the pool is this one; it comes after its status.
async fn until_told(gateway: &Gateway, wanted: &str) {
    let mut told = Vec::new();
    for _ in 0..1_500 {
        told = gateway.events("keyed").await;
        if told.last().is_some_and(|last| last == wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{wanted} was not told: {told:?}");
}

/// The line of a proxy that runs the published pool, with the credentials of this version.
async fn line(gateway: &Gateway, credentials: &str) -> String {
    let id = ObjectId(format!("{}/keyed", gateway.namespace));
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let map = maps.get(&name("gw", Content::Compiled(Kind::ProviderPool), &id)).await.unwrap().metadata;
    let running = json!({
        "revision": map.annotations.unwrap()[REVISION_ANNOTATION], "version": map.resource_version,
        "credentials": credentials,
    });
    json!({"whole": true, "ready": true, "objects": {"ProviderPool": {id.0: running}}}).to_string()
}

/// A proxy that says what it is told to say. Whoever asks anew, as the operator does with another token, is told the last of it again.
async fn say(listener: TcpListener, mut lines: mpsc::Receiver<String>) {
    let mut last = String::new();
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        assert!(socket.read(&mut request).await.unwrap() > 0);
        let mut said = format!("HTTP/1.1 200 OK\r\n\r\n{last}\n");
        while socket.write_all(said.as_bytes()).await.is_ok() {
            let line = tokio::time::timeout(Duration::from_secs(1), lines.recv()).await.ok().flatten();
            line.clone().into_iter().for_each(|line| last = line);
            said = line.unwrap_or_default() + "\n";
        }
    }
}

#[tokio::test]
async fn a_rotated_key_is_not_programmed_before_every_ready_proxy_has_it() {
    let gateway = Gateway::start(0).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    gateway.add_pod("scripted", listener.local_addr().unwrap()).await;
    let (tell, lines) = mpsc::channel(4);
    let asked = async {
        gateway.apply(&secret("sk-0")).await;
        gateway.apply(&keyed("https://llm.example.com/v1")).await;
        let version = until_published(&gateway, "sk-0").await;
        gateway.programmed("ProviderPool", "keyed", "False Pending").await;
        tell.send(line(&gateway, &version).await).await.unwrap();
        let (_, proxies) = gateway.programmed("ProviderPool", "keyed", "True Programmed").await;
        assert_eq!(proxies, "1/1");
        for turn in 1..=5 {
            let before = gateway.operator.writes("").await.unwrap();
            let key = format!("sk-{turn}");
            gateway.apply(&secret(&key)).await;
            let version = until_published(&gateway, &key).await;
            for _ in 0..20 {
                assert!(!is_programmed(&gateway).await, "{key} is published, and nobody has it");
            }
            if turn == 5 {
                // The proxy takes long: that is told, with its name.
                gateway.message("ProviderPool", "keyed", "False Pending", "0/1 proxies run revision ").await;
                until_told(&gateway, "Normal Pending").await;
            }
            tell.send(line(&gateway, &version).await).await.unwrap();
            gateway.programmed("ProviderPool", "keyed", "True Programmed").await;
            let writes = gateway.operator.writes("").await.unwrap() - before;
            assert!(writes >= 3, "the credentials and two statuses, at least: {writes}");
        }
    };
    tokio::select! {
        () = say(listener, lines) => {}
        () = asked => {}
    }
}

/// What counts is what a provider is sent.
#[tokio::test]
async fn programmed_is_never_true_while_a_ready_proxy_sends_an_older_key() {
    const TURNS: u32 = 40;
    let echo = Upstream::start(|received| {
        let key = received.header("authorization").trim_start_matches("Bearer ").to_owned();
        let message = json!({"role": "assistant", "content": key});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
        vec![answer(200, &[("content-type", "application/json")], body.to_string().as_bytes())]
    });
    let echo = echo.unwrap();
    let gateway = Gateway::start(3).await;
    gateway.apply(&secret("sk-0")).await;
    gateway.apply(&format!("{}\n---\n{}", keyed(&format!("http://{}/v1", echo.address)), route("m", "keyed"))).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    gateway.message("ProviderPool", "keyed", "True Programmed", "3/3 ").await;
    let number = |key: &str| key.trim_start_matches("sk-").parse::<u32>().unwrap();
    let (judged, last) = (Cell::new(0_u32), Cell::new(0_u32));
    let churn = async {
        // Where everything is slow, until enough was looked at.
        for turn in (1..=10 * TURNS).take_while(|turn| *turn <= TURNS || judged.get() <= 5) {
            gateway.apply(&secret(&format!("sk-{turn}"))).await;
            last.set(turn);
            tokio::time::sleep(Duration::from_millis(u64::from(turn % 7) * 15)).await;
        }
    };
    // Somebody else writes the object all the time.
    let others = async {
        let api = objects(&gateway.client, &gateway.namespace, "ProviderPool");
        for number in 0_u64.. {
            let patch = json!({"metadata": {"annotations": {"example.com/number": number.to_string()}}});
            api.patch("keyed", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(number % 5)).await;
        }
    };
    let probe = async {
        loop {
            // What is published before a status is read is what the status is about, or older.
            let (key, _) = published(&gateway).await.unwrap();
            if !is_programmed(&gateway).await {
                continue;
            }
            let sent = gateway.answers("m").await;
            let older: Vec<&String> = sent.iter().filter(|sent| number(sent) < number(&key)).collect();
            assert!(older.is_empty(), "{older:?} is sent, {key} is programmed");
            judged.set(judged.get() + 1);
        }
    };
    tokio::select! {
        () = churn => {}
        () = probe => {}
        () = others => {}
    }
    assert!(judged.get() > 5, "{judged:?}");
    let last = format!("sk-{}", last.get());
    until_published(&gateway, &last).await;
    gateway.programmed("ProviderPool", "keyed", "True Programmed").await;
    assert_eq!(gateway.answers("m").await, [last].into());
}
