//! What proxies make of published objects, written here by hand: there is no operator in these tests.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluicegate_config::compile::{Compiled, Inputs, compile, manifests::read};
use sluicegate_config::published::{
    CONTENT_LABEL, Content, DATA_KEY, GATEWAY_LABEL, OBJECT_ANNOTATION, REVISION_ANNOTATION, WITHDRAWN_ANNOTATION, name,
};
use sluicegate_config::{CredentialId, Kind, ObjectId};
use sluicegate_tests::kube::account::{self, Grant, rule};
use sluicegate_tests::kube::{ControlPlane, Options, manifests};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};
use tempfile::TempPath;

const GATEWAY: &str = "gw";
const CHAT: &str = "/v1/chat/completions";

/// What an operator would do, in a namespace of its own.
struct Publisher {
    client: Client,
    namespace: String,
    /// With a proxy's rights in that namespace.
    account: TempPath,
}

impl Publisher {
    async fn start(cluster: &ControlPlane) -> Self {
        let client = cluster.client().await.unwrap();
        let namespace = manifests::namespace(&client, "gateway", &[]).await.unwrap();
        let rules = vec![rule("", &["configmaps", "secrets"], &["list", "watch"])];
        let grants = [Grant::In { namespace: namespace.clone(), rules }];
        let account = account::create(&client, cluster.kubeconfig(), (&namespace, "proxy"), &grants).await.unwrap();
        Self { client, namespace, account }
    }

    fn proxy(&self) -> Proxy {
        Proxy::watching(&self.account, (GATEWAY, &self.namespace), &[]).unwrap()
    }

    /// Publishes all of a compiled text: credentials and pools before routes.
    async fn publish(&self, text: &str) {
        let inputs: Inputs<'_> = read(&[("all.yaml".to_owned(), text.to_owned())]).0;
        let Compiled { snapshot, credentials, .. } = compile(&inputs);
        for (id, pool) in &snapshot.pools {
            let named = pool.providers.iter().filter_map(|provider| provider.credential.as_ref());
            let values: BTreeMap<&CredentialId, String> =
                named.map(|id| (id, STANDARD.encode(credentials[id].expose()))).collect();
            if !values.is_empty() {
                self.secret(id, &json!(values)).await;
            }
            self.config_map(Content::Compiled(Kind::ProviderPool), id, &pool.revision, &json!(pool)).await;
        }
        for (id, route) in &snapshot.routes {
            self.config_map(Content::Compiled(Kind::LlmRoute), id, &route.revision, &json!(route)).await;
        }
    }

    fn metadata(content: Content, id: &ObjectId, revision: &str) -> Value {
        json!({
            "name": name(GATEWAY, content, id),
            "labels": {GATEWAY_LABEL: GATEWAY, CONTENT_LABEL: content.as_str()},
            "annotations": {OBJECT_ANNOTATION: id.0, REVISION_ANNOTATION: revision},
        })
    }

    async fn config_map(&self, content: Content, id: &ObjectId, revision: &str, form: &Value) {
        let metadata = Self::metadata(content, id, revision);
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {DATA_KEY: form.to_string()}});
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let apply = PatchParams::apply("sluicegate-operator").force();
        api.patch(&name(GATEWAY, content, id), &apply, &Patch::Apply(&object)).await.unwrap();
    }

    async fn secret(&self, id: &ObjectId, values: &Value) {
        let (content, data) = (Content::Credentials(Kind::ProviderPool), STANDARD.encode(values.to_string()));
        let metadata = Self::metadata(content, id, "");
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {DATA_KEY: data}});
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let apply = PatchParams::apply("sluicegate-operator").force();
        api.patch(&name(GATEWAY, content, id), &apply, &Patch::Apply(&object)).await.unwrap();
    }

    /// As the operator does it: said first, then done.
    async fn delete(&self, content: Content, id: &str) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let name = name(GATEWAY, content, &ObjectId(id.to_owned()));
        let withdrawn = json!({"metadata": {"annotations": {WITHDRAWN_ANNOTATION: "true"}}});
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&withdrawn)).await.unwrap();
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

fn upstream() -> Upstream {
    let body = br#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#;
    Upstream::always(vec![answer(200, &[("content-type", "application/json")], body)]).unwrap()
}

fn pool(name: &str, upstream: &Upstream, key: Option<&str>) -> String {
    let credentials = key.map_or("", |_| ", credentials: {secretRef: {name: keys, key: k}}");
    let secret = key
        .map(|key| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{k: {key}}}\n---\n"));
    format!(
        "{}apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\n\
         spec: {{providers: [{{name: a, type: OpenAI, url: \"http://{}/v1\"{credentials}}}]}}\n---\n",
        secret.unwrap_or_default(),
        upstream.address
    )
}

fn route(model: &str, pools: &[&str]) -> String {
    let targets: Vec<String> = pools.iter().map(|pool| format!("{{poolRef: {{name: {pool}}}}}")).collect();
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec: {{rules: [{{name: only, \
         matches: [{{model: {{exact: {model}}}}}], targets: [{}]}}]}}\n---\n",
        targets.join(", ")
    )
}

async fn ask(proxy: &Proxy, model: &str) -> u16 {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}]}}"#);
    proxy.client().post(CHAT, &[], body).await.unwrap().status
}

/// Asks until the answer is this one.
async fn until(proxy: &Proxy, model: &str, status: u16) {
    for _ in 0..3_000 {
        if ask(proxy, model).await == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{model} is not answered with {status}:\n{}", proxy.log().join("\n"));
}

fn config(proxy: &Proxy) -> Value {
    serde_json::from_str(&proxy.page("/config").unwrap().1).unwrap()
}

fn object(proxy: &Proxy, id: &str) -> Value {
    let config = config(proxy);
    config["objects"].as_array().unwrap().iter().find(|object| object["name"] == id).cloned().unwrap_or_default()
}

#[tokio::test]
async fn what_is_published_is_served_with_rights_in_one_namespace_and_after_a_restart() {
    let cluster = ControlPlane::shared().unwrap();
    let (publisher, upstream) = (Publisher::start(cluster).await, upstream());
    let proxy = publisher.proxy();
    proxy.ready().unwrap();
    assert_eq!(ask(&proxy, "m").await, 404, "an empty gateway is ready, and knows no model");
    publisher.publish(&(pool("p", &upstream, Some("sk-one")) + &route("m", &["p"]))).await;
    until(&proxy, "m", 200).await;
    let sent = |key: &str| upstream.received().last().unwrap().header("authorization") == format!("Bearer {key}");
    assert!(sent("sk-one"));
    let stands = object(&proxy, "default/p");
    assert!(stands["revision"].is_string() && stands["credentials"].is_string(), "{stands}");
    // Rotated: the call after it is told is made with the new one.
    publisher.publish(&pool("p", &upstream, Some("sk-two"))).await;
    proxy
        .until("the rotated credential", |proxy| object(proxy, "default/p")["credentials"] != stands["credentials"])
        .await
        .unwrap();
    assert_eq!(ask(&proxy, "m").await, 200);
    assert!(sent("sk-two"));
    // Nobody is there to write anything while another one starts.
    let other = publisher.proxy();
    other.ready().unwrap();
    assert_eq!(ask(&other, "m").await, 200);
    assert_eq!(config(&other)["revision"], config(&proxy)["revision"]);
    publisher.delete(Content::Compiled(Kind::LlmRoute), "default/m").await;
    for proxy in [&proxy, &other] {
        until(proxy, "m", 404).await;
        assert!(!proxy.log().join("\n").contains("sk-"), "a credential in the log");
    }
}

#[tokio::test]
async fn what_a_proxy_cannot_take_changes_nothing_and_is_told() {
    let cluster = ControlPlane::shared().unwrap();
    let (publisher, upstream) = (Publisher::start(cluster).await, upstream());
    publisher.publish(&(pool("p", &upstream, None) + &route("m", &["p"]))).await;
    let proxy = publisher.proxy();
    proxy.ready().unwrap();
    assert_eq!(ask(&proxy, "m").await, 200);
    let ran = object(&proxy, "default/m")["revision"].clone();
    let id = ObjectId("default/m".to_owned());
    let later = json!({"format": 99, "revision": "later", "else": {}});
    publisher.config_map(Content::Compiled(Kind::LlmRoute), &id, "later", &later).await;
    let rejected = |proxy: &Proxy| {
        object(proxy, "default/m")["rejected"]["message"].as_str().is_some_and(|why| why.contains("format 99"))
    };
    proxy.until("the rejection", rejected).await.unwrap();
    let stands = object(&proxy, "default/m");
    assert_eq!((&stands["revision"], &stands["state"]), (&ran, &json!("keptPrevious")));
    assert_eq!(ask(&proxy, "m").await, 200);
    assert_eq!(proxy.page("/readyz").unwrap().0, 200);
    // Nor is one that requires what this proxy does not know.
    let more = json!({"format": 1, "revision": "more", "requires": ["tomorrow"], "created": 0, "rules": []});
    publisher.config_map(Content::Compiled(Kind::LlmRoute), &id, "more", &more).await;
    let rejected = |proxy: &Proxy| {
        object(proxy, "default/m")["rejected"]["message"]
            .as_str()
            .is_some_and(|why| why.contains("requires \"tomorrow\""))
    };
    proxy.until("the rejection", rejected).await.unwrap();
    assert_eq!(ask(&proxy, "m").await, 200);
    // A route whose new form names a pool that is nowhere keeps its form too; mended, it is taken.
    publisher.publish(&(pool("p", &upstream, None) + &route("m", &["p"]))).await;
    proxy.until("the mended route", |proxy| object(proxy, "default/m")["state"] == "applied").await.unwrap();
    publisher.publish(&(pool("p", &upstream, None) + &pool("q", &upstream, None) + &route("m", &["q"]))).await;
    proxy.until("the other pool", |proxy| object(proxy, "default/m")["revision"] != ran).await.unwrap();
    assert_eq!(ask(&proxy, "m").await, 200);
    // A pool that goes beneath its route: the call is refused, not misled.
    publisher.delete(Content::Compiled(Kind::ProviderPool), "default/q").await;
    until(&proxy, "m", 503).await;
    publisher.publish(&pool("q", &upstream, None)).await;
    until(&proxy, "m", 200).await;
}

#[tokio::test]
async fn changes_under_load_fail_no_call() {
    let cluster = ControlPlane::shared().unwrap();
    let publisher = Publisher::start(cluster).await;
    let upstreams = [upstream(), upstream()];
    publisher.publish(&(pool("p", &upstreams[0], Some("sk-0")) + &route("m", &["p"]))).await;
    let proxy = publisher.proxy();
    proxy.ready().unwrap();
    let changes = async {
        for turn in 1..=60 {
            let (upstream, key) = (&upstreams[turn % 2], format!("sk-{turn}"));
            publisher.publish(&(pool("p", upstream, Some(&key)) + &route(&format!("extra-{turn}"), &["p"]))).await;
            let other = if turn % 2 == 0 { &["p"][..] } else { &["p", "q"] };
            publisher
                .publish(&(pool("p", upstream, Some(&key)) + &pool("q", upstream, None) + &route("m", other)))
                .await;
            if turn > 10 {
                publisher.delete(Content::Compiled(Kind::LlmRoute), &format!("default/extra-{}", turn - 10)).await;
            }
        }
    };
    let client = proxy.client();
    let load = async {
        let (mut calls, mut failed) = (0, Vec::new());
        loop {
            let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
            let answer = client.post(CHAT, &[], body).await.unwrap();
            calls += 1;
            if !answer.is_good() {
                failed.push(answer.text());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            if calls % 16 == 0 && object(&proxy, "default/extra-60")["revision"].is_string() {
                return (calls, failed);
            }
        }
    };
    let ((calls, failed), ()) = tokio::join!(load, changes);
    assert!(failed.is_empty(), "{} of {calls} failed: {:?}", failed.len(), failed.first());
    assert!(calls > 100, "{calls} calls are no load");
    assert!(upstreams.iter().all(|upstream| upstream.calls() > 0));
}

/// The API server ends, and what runs runs on; who begins then waits for it.
#[tokio::test]
async fn without_an_api_server_what_runs_runs_on() {
    let cluster = ControlPlane::start_with(Options { controllers: false }).unwrap();
    let (publisher, upstream) = (Publisher::start(&cluster).await, upstream());
    publisher.publish(&(pool("p", &upstream, Some("sk-one")) + &route("m", &["p"]))).await;
    let proxy = publisher.proxy();
    proxy.ready().unwrap();
    cluster.stop().unwrap();
    proxy
        .until("the word that the API server is gone", |proxy| {
            config(proxy)["problems"].to_string().contains("NotWatched")
        })
        .await
        .unwrap();
    assert_eq!(ask(&proxy, "m").await, 200);
    assert_eq!(proxy.page("/readyz").unwrap().0, 200);
    let nowhere = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    });
    std::fs::write(&publisher.account, nowhere.to_string()).unwrap();
    let late = publisher.proxy();
    late.until("the reason", |proxy| proxy.page("/readyz").is_ok_and(|(_, text)| text.contains("can not be followed")))
        .await
        .unwrap();
    assert_eq!(late.page("/readyz").unwrap().0, 503);
    assert_eq!(late.page("/healthz").unwrap().0, 200);
    assert_eq!(ask(&proxy, "m").await, 200);
}
