//! A pool's Service through the operator to the proxies' endpoint lists, under load: pods come, turn unready, end and go, the
//! slices are cut anew, the Service is another or absent. As long as one endpoint can serve, no call fails.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use sluicegate_tests::client::{self, Answer};
use sluicegate_tests::kube::manifests;
use sluicegate_tests::kube::node::Forward;

use crate::gateway::{Gateway, question, route};

/// The namespace, and the model that is asked for.
const NAME: &str = "followed";
/// Nobody is there: a call to it would wait, and fail.
const NOWHERE: [&str; 2] = ["198.18.0.77", "198.18.0.78"];
const READY: (bool, bool, bool) = (true, true, false);
const UNREADY: (bool, bool, bool) = (false, false, false);
/// Being ended, and still answering.
const ENDING: (bool, bool, bool) = (false, true, true);
/// Being ended, and answering no more.
const ENDED: (bool, bool, bool) = (false, false, true);

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
}

/// A slice of a Service with a server's endpoint in this condition, and beside it two that must never be called.
fn slice(name: &str, service: &str, server: SocketAddr, condition: (bool, bool, bool)) -> Value {
    let endpoint = |address: &str, (ready, serving, terminating): (bool, bool, bool)| {
        let conditions = json!({"ready": ready, "serving": serving, "terminating": terminating});
        json!({"addresses": [address], "conditions": conditions})
    };
    let own = endpoint(&server.ip().to_string(), condition);
    let labels = json!({"kubernetes.io/service-name": service});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "labels": labels},
        "addressType": "IPv4", "ports": [{"name": "", "port": server.port()}],
        "endpoints": [endpoint(NOWHERE[0], UNREADY), own, endpoint(NOWHERE[1], ENDED)]})
}

fn pool(service: &str) -> Value {
    let provider = json!({"name": "local", "type": "OpenAICompatible", "serviceRef": {"name": service, "port": 80}});
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "ProviderPool", "metadata": {"name": "models"},
        "spec": {"providers": [provider]}})
}

struct Scene<'a> {
    gateway: &'a Gateway,
    client: Client,
    /// To each proxy.
    ways: Vec<Forward>,
    /// Calls must be answered now.
    must_serve: Cell<bool>,
    calls: Cell<u64>,
    failed: RefCell<Vec<String>>,
}

impl Scene<'_> {
    async fn apply(&self, objects: &[Value]) {
        for object in objects {
            manifests::apply(&self.client, NAME, &object.to_string()).await.unwrap();
        }
    }

    async fn delete_slice(&self, name: &str) {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), NAME);
        api.delete(name, &Default::default()).await.unwrap();
    }

    async fn delete_service(&self, name: &str) {
        let api: Api<Service> = Api::namespaced(self.client.clone(), NAME);
        api.delete(name, &Default::default()).await.unwrap();
    }

    /// Waits until the servers that answer each proxy's calls are these and no others, then it must stay so that calls are
    /// answered; none: all calls fail.
    async fn served_by(&self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let (deadline, mut last) = (Instant::now() + Duration::from_secs(60), Vec::new());
        while Instant::now() < deadline {
            last.clear();
            for way in &self.ways {
                let mut names = BTreeSet::new();
                for _ in 0..6 {
                    names.extend(self.call(way).await);
                }
                last.push(names);
            }
            if last.iter().all(|names| *names == wanted) {
                return self.must_serve.set(!wanted.is_empty());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{last:?} serve, not {wanted:?}:\n{}", self.gateway.state());
    }

    /// One call: who has answered it.
    async fn call(&self, way: &Forward) -> Option<String> {
        // What may fail now may fail at any time of the call.
        let must_serve = self.must_serve.get();
        let client = client::Client::new(way.address);
        let answer: Answer = client.post("/v1/chat/completions", &[], question(NAME, false, 5)).await.unwrap();
        self.calls.set(self.calls.get() + 1);
        if answer.is_good() {
            return Some(answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned());
        }
        if must_serve && self.must_serve.get() {
            self.failed.borrow_mut().push(format!("{} {}", answer.status, answer.text()));
        }
        None
    }

    async fn load(&self) {
        loop {
            for way in &self.ways {
                self.call(way).await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the pool's `ResolvedRefs` or `Programmed` is of its generation and reads so: `STATUS REASON`.
    async fn says(&self, kind: &str, wanted: &str) {
        let gvk = GroupVersionKind::gvk("sluicegate.dev", "v1alpha1", "ProviderPool");
        let pools: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAME, &ApiResource::from_gvk(&gvk));
        let (deadline, mut last) = (Instant::now() + Duration::from_secs(60), Value::Null);
        while Instant::now() < deadline {
            let pool = pools.get("models").await.unwrap();
            last = pool.data["status"].clone();
            let conditions = last["conditions"].as_array().cloned().unwrap_or_default();
            let is_it = |found: &Value| {
                let reads = format!("{} {}", found["status"].as_str().unwrap(), found["reason"].as_str().unwrap());
                found["type"] == kind
                    && found["observedGeneration"] == json!(pool.metadata.generation)
                    && reads == wanted
            };
            if conditions.iter().any(is_it) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{last:#}, not {wanted}:\n{}", self.gateway.state());
    }

    /// Pods of two servers come, turn unready, end and go; there is always one that serves.
    async fn pods_come_and_go(&self, [a, b]: [SocketAddr; 2]) {
        self.apply(&[slice("two", "s", b, READY)]).await;
        self.served_by(&["a", "b"]).await;
        self.apply(&[slice("one", "s", a, UNREADY)]).await;
        self.served_by(&["b"]).await;
        self.apply(&[slice("one", "s", a, READY), slice("two", "s", b, ENDING)]).await;
        self.served_by(&["a"]).await;
        self.delete_slice("two").await;
        // The only one there is, and it is being ended: better than nobody.
        self.apply(&[slice("one", "s", a, ENDING)]).await;
        self.served_by(&["a"]).await;
        self.apply(&[slice("two", "s", b, READY)]).await;
        self.served_by(&["b"]).await;
        // The same pods in other slices: for a moment one of them is in two.
        self.apply(&[slice("one", "s", a, READY), slice("three", "s", a, READY)]).await;
        self.served_by(&["a", "b"]).await;
        self.delete_slice("one").await;
        self.apply(&[slice("four", "s", b, READY)]).await;
        self.delete_slice("two").await;
        self.served_by(&["a", "b"]).await;
        self.apply(&[slice("one", "s", a, READY)]).await;
        self.delete_slice("three").await;
        self.delete_slice("four").await;
        self.served_by(&["a"]).await;
        self.says("ResolvedRefs", "True ResolvedRefs").await;
        self.says("Programmed", "True Programmed").await;
    }

    /// The pool names another Service, and the one before goes.
    async fn the_service_is_renamed(&self, [a, b]: [SocketAddr; 2]) {
        self.apply(&[service("t"), slice("of-t", "t", b, READY), pool("t")]).await;
        self.served_by(&["b"]).await;
        self.delete_service("s").await;
        self.says("Programmed", "True Programmed").await;
        self.apply(&[service("s"), slice("one", "s", a, READY), pool("s")]).await;
        self.served_by(&["a"]).await;
        self.delete_service("t").await;
        self.delete_slice("of-t").await;
        self.says("ResolvedRefs", "True ResolvedRefs").await;
    }

    /// No pod is ready, then there is no Service; both are told, and both heal.
    async fn nobody_is_there(&self, a: SocketAddr) {
        self.must_serve.set(false);
        self.apply(&[slice("one", "s", a, UNREADY)]).await;
        self.says("ResolvedRefs", "False NoEndpoints").await;
        self.served_by(&[]).await;
        self.apply(&[slice("one", "s", a, READY)]).await;
        self.served_by(&["a"]).await;
        self.says("ResolvedRefs", "True ResolvedRefs").await;
        self.must_serve.set(false);
        self.delete_service("s").await;
        self.says("ResolvedRefs", "False ServiceNotFound").await;
        self.served_by(&[]).await;
        self.apply(&[service("s")]).await;
        self.served_by(&["a"]).await;
        self.says("ResolvedRefs", "True ResolvedRefs").await;
        self.says("Programmed", "True Programmed").await;
    }
}

#[tokio::test]
async fn a_services_pods_are_followed_to_every_proxy_and_no_call_fails_while_one_serves() {
    let Some(gateway) = Gateway::installed("proxy.replicas=2").await else { return };
    // They stand for pods: whether one is ready, or being ended, is then for the test to say.
    let servers = ["a", "b"].map(|name| gateway.simulator(&["--text", name]));
    let [a, b] = [servers[0].address, servers[1].address];
    let client = gateway.node.client().await.unwrap();
    gateway.apply(NAME, &route(NAME));
    let ways: Vec<Forward> = gateway.ready().iter().map(|pod| gateway.pod(pod, 8080)).collect();
    assert_eq!(ways.len(), 2);
    let (must_serve, calls, failed) = (Cell::new(false), Cell::new(0), RefCell::default());
    let scene = Scene { gateway: &gateway, client, ways, must_serve, calls, failed };
    scene.apply(&[service("s"), slice("one", "s", a, READY), pool("s")]).await;
    gateway.programmed(NAME);
    scene.served_by(&["a"]).await;
    let story = async {
        for _ in 0..2 {
            scene.pods_come_and_go([a, b]).await;
            scene.the_service_is_renamed([a, b]).await;
            scene.nobody_is_there(a).await;
        }
    };
    tokio::select! {
        () = story => {}
        () = scene.load() => {}
        () = scene.load() => {}
    }
    let (calls, failed) = (scene.calls.get(), scene.failed.take());
    println!("{calls} calls while pods came and went");
    assert!(failed.is_empty(), "{} of {calls} calls failed, such as {}", failed.len(), failed[0]);
    assert!(calls > 500, "{calls} calls are no load");
    gateway.forget(&[NAME]);
}
