//! Versions side by side: a proxy that was built before a feature beside one that has it, under one operator.

use serde_json::json;
use sluicegate_tests::kube::ControlPlane;
use sluicegate_tests::proxy::Proxy;

use crate::gateway::{Gateway, pool, route};

/// A route for one call an hour.
fn limited(name: &str) -> String {
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": name}, "spec": {
        "limits": {"rate": [{"per": "Route", "unit": "Requests", "amount": 1, "window": "1h"}]},
        "rules": [{"name": "only", "matches": [{"model": {"exact": name}}], "targets": [{"poolRef": {"name": "p"}}]}],
    }})
    .to_string()
}

/// The statuses of three calls of one proxy, one after the other.
async fn statuses(proxy: &Proxy, model: &str) -> Vec<u16> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "?"}]}).to_string();
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(proxy.client().post("/v1/chat/completions", &[], body.clone()).await.unwrap().status);
    }
    all
}

#[tokio::test]
async fn an_older_proxy_runs_nothing_without_the_limits_that_it_does_not_know() {
    let mut gateway = Gateway::start(1).await;
    let kubeconfig = ControlPlane::shared().unwrap().kubeconfig();
    let older = Proxy::older_in_cluster(kubeconfig, ("gw", &gateway.namespace), &["--workers", "1"]).unwrap();
    gateway.add_pod("older", older.admin).await;
    gateway.proxies.push(older);
    gateway.apply(&(pool("p", "fine") + &route("m", "p"))).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;

    // What runs there goes on, and is not taken for what was written.
    gateway.apply(&limited("m")).await;
    let (message, proxies) = gateway.programmed("LLMRoute", "m", "False Rejected").await;
    assert!(message.contains("refused by older: it requires \"limits\""), "{message}");
    assert_eq!(proxies, "1/2");
    // What begins with it is not there at all, instead of there without its limit.
    gateway.apply(&limited("n")).await;
    gateway.programmed("LLMRoute", "n", "False Rejected").await;
    let [newer, older] = &gateway.proxies[..] else { panic!("two proxies") };
    for (model, of_newer, of_older) in [("m", [200, 429, 429], [200; 3]), ("n", [200, 429, 429], [404; 3])] {
        assert_eq!(statuses(newer, model).await, of_newer, "{model}");
        assert_eq!(statuses(older, model).await, of_older, "{model}");
    }

    // Taken back, it runs everywhere.
    gateway.apply(&route("m", "p")).await;
    let (_, proxies) = gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(proxies, "2/2");
}
