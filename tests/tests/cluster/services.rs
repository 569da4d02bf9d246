//! A pool's Service through the operator to the proxies' endpoint lists, under load: pods come, turn unready, end and go, the
//! slices are cut anew, the Service is another or absent. As long as one endpoint can serve, no call fails.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use serde_json::{Value, json};
use sluicegate_tests::client::Answer;
use sluicegate_tests::listen;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::gateway::{Gateway, current, route};

/// Nobody is there (RFC 5737): a call to it would wait, and fail.
const NOWHERE: &str = "198.51.100.77";
const READY: (bool, bool, bool) = (true, true, false);
const UNREADY: (bool, bool, bool) = (false, false, false);
/// Being ended, and still answering.
const ENDING: (bool, bool, bool) = (false, true, true);
/// Being ended, and answering no more.
const ENDED: (bool, bool, bool) = (false, false, true);

/// A pod's server that answers by its name. `None`: this machine has no address that a slice may hold.
fn server(name: &'static str) -> Option<Upstream> {
    let listener = listen::at_own_address().unwrap()?;
    let message = json!({"role": "assistant", "content": name});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
    let acts = vec![answer(200, &[("content-type", "application/json")], body.to_string().as_bytes())];
    Some(Upstream::on(listener, move |_| acts.clone()).unwrap())
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
}

/// A slice of a Service with a server's endpoint in this condition, and beside it two that must never be called.
fn slice(name: &str, service: &str, server: &Upstream, condition: (bool, bool, bool)) -> Value {
    let endpoint = |address: &str, (ready, serving, terminating): (bool, bool, bool)| {
        let conditions = json!({"ready": ready, "serving": serving, "terminating": terminating});
        json!({"addresses": [address], "conditions": conditions})
    };
    let own = endpoint(&server.address.ip().to_string(), condition);
    let labels = json!({"kubernetes.io/service-name": service});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "labels": labels},
        "addressType": "IPv4", "ports": [{"name": "", "port": server.address.port()}],
        "endpoints": [endpoint(NOWHERE, UNREADY), own, endpoint("198.51.100.78", ENDED)]})
}

fn pool(service: &str) -> Value {
    let provider = json!({"name": "local", "type": "OpenAICompatible", "serviceRef": {"name": service, "port": 80}});
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "ProviderPool", "metadata": {"name": "p"},
        "spec": {"providers": [provider]}})
}

struct Scene {
    gateway: Gateway,
    /// Calls must be answered now.
    must_serve: Cell<bool>,
    calls: Cell<u64>,
    failed: RefCell<Vec<String>>,
}

impl Scene {
    async fn apply(&self, objects: &[Value]) {
        for object in objects {
            self.gateway.apply(&object.to_string()).await;
        }
    }

    async fn delete_slice(&self, name: &str) {
        let api: Api<EndpointSlice> = Api::namespaced(self.gateway.client.clone(), &self.gateway.namespace);
        api.delete(name, &Default::default()).await.unwrap();
    }

    async fn delete_service(&self, name: &str) {
        let api: Api<Service> = Api::namespaced(self.gateway.client.clone(), &self.gateway.namespace);
        api.delete(name, &Default::default()).await.unwrap();
    }

    /// Waits until the servers that answer each proxy's calls are these and no others, then it must stay so that calls are
    /// answered; none: all calls fail.
    async fn served_by(&self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let (deadline, mut last) = (Instant::now() + Duration::from_secs(60), Vec::new());
        while Instant::now() < deadline {
            last.clear();
            for proxy in &self.gateway.proxies {
                let mut names = BTreeSet::new();
                for _ in 0..6 {
                    names.extend(self.call(proxy).await);
                }
                last.push(names);
            }
            if last.iter().all(|names| *names == wanted) {
                return self.must_serve.set(!wanted.is_empty());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{last:?} serve, not {wanted:?}:\n{}", self.gateway.operator.log().join("\n"));
    }

    /// One call: who has answered it.
    async fn call(&self, proxy: &Proxy) -> Option<String> {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "?"}]}).to_string();
        // What may fail now may fail at any time of the call.
        let must_serve = self.must_serve.get();
        let answer: Answer = proxy.client().post("/v1/chat/completions", &[], body).await.unwrap();
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
            for proxy in &self.gateway.proxies {
                self.call(proxy).await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until `ResolvedRefs` reads so.
    async fn resolved(&self, wanted: &str) {
        let mut last = Value::Null;
        for _ in 0..1_500 {
            let object = self.gateway.get("ProviderPool", "p").await;
            if let Some(found) = current(&object, "ResolvedRefs") {
                last = found.clone();
                let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
                if format!("{} {}", text("status"), text("reason")) == wanted {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{last:#}, not {wanted}:\n{}", self.gateway.operator.log().join("\n"));
    }

    /// Pods of two servers come, turn unready, end and go; there is always one that serves.
    async fn pods_come_and_go(&self, [a, b]: [&Upstream; 2]) {
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
        self.resolved("True ResolvedRefs").await;
        self.gateway.programmed("ProviderPool", "p", "True Programmed").await;
    }

    /// The pool names another Service, and the one before goes.
    async fn the_service_is_renamed(&self, [a, b]: [&Upstream; 2]) {
        self.apply(&[service("t"), slice("of-t", "t", b, READY), pool("t")]).await;
        self.served_by(&["b"]).await;
        self.delete_service("s").await;
        self.gateway.programmed("ProviderPool", "p", "True Programmed").await;
        self.apply(&[service("s"), slice("one", "s", a, READY), pool("s")]).await;
        self.served_by(&["a"]).await;
        self.delete_service("t").await;
        self.delete_slice("of-t").await;
        self.resolved("True ResolvedRefs").await;
    }

    /// No pod is ready, then there is no Service; both are told, and both heal.
    async fn nobody_is_there(&self, a: &Upstream) {
        self.must_serve.set(false);
        self.apply(&[slice("one", "s", a, UNREADY)]).await;
        self.resolved("False NoEndpoints").await;
        self.served_by(&[]).await;
        self.apply(&[slice("one", "s", a, READY)]).await;
        self.served_by(&["a"]).await;
        self.resolved("True ResolvedRefs").await;
        self.must_serve.set(false);
        self.delete_service("s").await;
        self.resolved("False ServiceNotFound").await;
        self.served_by(&[]).await;
        self.apply(&[service("s")]).await;
        self.served_by(&["a"]).await;
        self.resolved("True ResolvedRefs").await;
        self.gateway.programmed("ProviderPool", "p", "True Programmed").await;
    }
}

#[tokio::test]
async fn a_services_pods_are_followed_to_every_proxy_and_no_call_fails_while_one_serves() {
    let (Some(a), Some(b)) = (server("a"), server("b")) else {
        return println!("skipped: this machine has no address but loopback, and an EndpointSlice holds none of those");
    };
    let gateway = Gateway::start(2).await;
    let (must_serve, calls, failed) = (Cell::new(false), Cell::new(0), RefCell::default());
    let scene = Scene { gateway, must_serve, calls, failed };
    scene.apply(&[service("s"), slice("one", "s", &a, READY), pool("s")]).await;
    scene.gateway.apply(&route("m", "p")).await;
    scene.gateway.programmed("LLMRoute", "m", "True Programmed").await;
    scene.served_by(&["a"]).await;
    let story = async {
        for _ in 0..3 {
            scene.pods_come_and_go([&a, &b]).await;
            scene.the_service_is_renamed([&a, &b]).await;
            scene.nobody_is_there(&a).await;
        }
    };
    tokio::select! {
        () = story => {}
        () = scene.load() => {}
        () = scene.load() => {}
    }
    let (calls, failed) = (scene.calls.get(), scene.failed.take());
    assert!(failed.is_empty(), "{} of {calls} calls failed, such as {}", failed.len(), failed[0]);
    assert!(calls > 500, "{calls} calls are no load");
}
