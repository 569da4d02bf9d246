//! What most tests of a cluster begin with: a namespace with an operator for it, and proxies that have a pod each.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};
use sluicegate_tests::kube::{ControlPlane, account, manifests, pod};
use sluicegate_tests::operator::Operator;
use sluicegate_tests::proxy::Proxy;
use tempfile::TempPath;

/// A gateway: its namespace, an operator that watches it alone, and proxies with a pod each.
pub(crate) struct Gateway {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) operator: Operator,
    pub(crate) proxies: Vec<Proxy>,
}

/// The ConfigMap that owns what is published.
pub(crate) const OWNER: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}";

impl Gateway {
    pub(crate) async fn start(proxies: usize) -> Self {
        Self::watching(proxies, &[]).await
    }

    /// One whose published objects are owned by the ConfigMap `settings`, which is made here.
    pub(crate) async fn owned(proxies: usize) -> Self {
        let client = ControlPlane::shared().unwrap().client().await.unwrap();
        manifests::install_crds(&client).await.unwrap();
        let namespace = manifests::namespace(&client, "owned", &[]).await.unwrap();
        manifests::apply(&client, &namespace, OWNER).await.unwrap();
        let kubeconfig = rights(&client, &namespace, &[]).await;
        let flags = ["--watch-namespaces", &namespace, "--owner-config-map", "settings"];
        let operator = Operator::start(&kubeconfig, ("gw", &namespace), &flags).unwrap();
        operator.ready().await.unwrap();
        let mut gateway = Self { client, namespace, operator, proxies: Vec::new() };
        for _ in 0..proxies {
            gateway.add_proxy().await;
        }
        gateway
    }

    /// One whose operator watches these namespaces beside its own.
    pub(crate) async fn watching(proxies: usize, others: &[&str]) -> Self {
        let client = ControlPlane::shared().unwrap().client().await.unwrap();
        manifests::install_crds(&client).await.unwrap();
        let namespace = manifests::namespace(&client, "gateway", &[]).await.unwrap();
        let operator = operator(&client, &namespace, others).await;
        operator.ready().await.unwrap();
        let mut gateway = Self { client, namespace, operator, proxies: Vec::new() };
        for _ in 0..proxies {
            gateway.add_proxy().await;
        }
        gateway
    }

    pub(crate) async fn add_proxy(&mut self) {
        self.add_proxy_with(&[]).await;
    }

    pub(crate) async fn add_proxy_with(&mut self, flags: &[&str]) {
        let kubeconfig = ControlPlane::shared().unwrap().kubeconfig();
        let flags = [&["--workers", "1"], flags].concat();
        let proxy = Proxy::in_cluster(kubeconfig, ("gw", &self.namespace), &flags).unwrap();
        let name = format!("pod-{}", self.proxies.len());
        self.add_pod(&name, proxy.admin).await;
        self.proxies.push(proxy);
    }

    pub(crate) async fn add_pod(&self, name: &str, admin: std::net::SocketAddr) {
        let labels = json!({"sluicegate.dev/gateway": "gw", "app.kubernetes.io/component": "proxy"});
        pod::create(&self.client, (&self.namespace, name), &labels, admin).await.unwrap();
    }

    pub(crate) async fn apply(&self, yaml: &str) {
        manifests::apply(&self.client, &self.namespace, yaml).await.unwrap();
    }

    pub(crate) async fn get(&self, kind: &str, name: &str) -> DynamicObject {
        objects(&self.client, &self.namespace, kind).get(name).await.unwrap()
    }

    /// Waits until `Programmed` is of the object's generation and reads so: `STATUS REASON`. Its message and `proxies`.
    pub(crate) async fn programmed(&self, kind: &str, name: &str, wanted: &str) -> (String, String) {
        let mut last = Value::Null;
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let object = self.get(kind, name).await;
            if let Some(found) = current(&object, "Programmed") {
                let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
                if format!("{} {}", text("status"), text("reason")) == wanted {
                    return (text("message"), object.data["status"]["proxies"].as_str().unwrap_or_default().to_owned());
                }
            }
            last = object.data["status"].clone();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{kind} {name} is not {wanted}: {last:#}\n{}", self.operator.log().join("\n"));
    }

    /// Waits until the message of such a `Programmed` begins so; numbers may follow some seconds late. The whole message.
    pub(crate) async fn message(&self, kind: &str, name: &str, wanted: &str, begins: &str) -> String {
        let (deadline, mut last) = (Instant::now() + Duration::from_secs(60), String::new());
        while Instant::now() < deadline {
            (last, _) = self.programmed(kind, name, wanted).await;
            if last.starts_with(begins) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{kind} {name} does not say {begins:?}, but {last:?}\n{}", self.operator.log().join("\n"));
    }

    /// `TYPE REASON` of the events on an object.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut all = events.list(&ListParams::default()).await.unwrap().items;
        all.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let of = |event: &&Event| event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name);
        let words = |event: &Event| {
            let note = event.note.as_deref().unwrap_or_default();
            assert!(!note.is_empty() && note.len() <= 1_024, "{event:?}");
            format!("{} {}", event.type_.as_deref().unwrap_or_default(), event.reason.as_deref().unwrap_or_default())
        };
        all.iter().filter(of).map(words).collect()
    }

    /// Every proxy's answer to a call for this model; empty: an error.
    pub(crate) async fn answers(&self, model: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for proxy in &self.proxies {
            let body = json!({"model": model, "messages": [{"role": "user", "content": "?"}]}).to_string();
            let answer = proxy.client().post("/v1/chat/completions", &[], body).await.unwrap();
            let text = answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
            all.insert(text);
        }
        all
    }
}

/// The API of one of our kinds.
pub(crate) fn objects(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let gvk = kube::core::GroupVersionKind::gvk("sluicegate.dev", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &kube::core::ApiResource::from_gvk(&gvk))
}

/// A kubeconfig with the rights that the chart gives an operator of a namespace, which watches it and these others.
pub(crate) async fn rights(client: &Client, namespace: &str, others: &[&str]) -> TempPath {
    let admin = ControlPlane::shared().unwrap().kubeconfig();
    let grants = account::of_operator(("gw", namespace), &watched(namespace, others)).unwrap();
    account::create(client, admin, (namespace, "operator"), &grants).await.unwrap()
}

pub(crate) fn watched<'a>(namespace: &'a str, others: &[&'a str]) -> Vec<&'a str> {
    [&[namespace], others].concat()
}

/// An operator with the rights that the chart gives it, and no others.
pub(crate) async fn operator(client: &Client, namespace: &str, others: &[&str]) -> Operator {
    let kubeconfig = rights(client, namespace, others).await;
    let watched = watched(namespace, others).join(",");
    Operator::start(&kubeconfig, ("gw", namespace), &["--watch-namespaces", &watched]).unwrap()
}

/// A condition, if it is of the object's own generation.
pub(crate) fn current<'a>(object: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    (found["observedGeneration"] == json!(object.metadata.generation)).then_some(found)
}

pub(crate) fn pool(name: &str, text: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\n\
         spec: {{providers: [{{name: one, type: Simulated, simulated: {{text: {text}}}}}]}}\n---\n"
    )
}

pub(crate) fn route(name: &str, pool: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {name}}}\nspec:\n  rules:\n\
         \x20 - {{name: only, matches: [{{model: {{exact: {name}}}}}], targets: [{{poolRef: {{name: {pool}}}}}]}}\n---\n"
    )
}
