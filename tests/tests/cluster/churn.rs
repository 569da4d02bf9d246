//! Hundreds of routes come, change and go at speed, and whenever a status says that all proxies run a route, they do.

use std::cell::Cell;
use std::time::Duration;

use futures_util::{StreamExt as _, future, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};

use crate::gateway::{Gateway, current, objects, pool};

const ROUTES: usize = 500;
/// Requests on their way at once.
const AT_ONCE: usize = 16;
/// Of these routes each has its turn of being deleted and made again, or deleted for good.
const AGAIN: usize = 5;
const FOR_GOOD: usize = 7;

/// What was done to a route.
#[derive(Default)]
struct Done {
    /// The newest revision that may have been written.
    written: Cell<u32>,
    /// The newest revision that may have been deleted.
    deleted: Cell<u32>,
}

fn name(route: usize) -> String {
    format!("r-{route}")
}

/// Writes a route in its next form, which its answers tell: revisions go on when it is deleted and made again.
async fn write(api: &Api<DynamicObject>, route: usize, done: &Done) {
    done.written.set(done.written.get() + 1);
    let (name, answer) = (name(route), format!("{route}.{}", done.written.get()));
    let target = json!({"poolRef": {"name": "p"}, "model": answer});
    let rule = json!({"name": "only", "matches": [{"model": {"exact": name}}], "targets": [target]});
    let object = json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": name},
        "spec": {"rules": [rule]}});
    api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(&object)).await.unwrap();
}

async fn delete(api: &Api<DynamicObject>, route: usize, done: &Done) {
    done.deleted.set(done.written.get());
    api.delete(&name(route), &Default::default()).await.unwrap();
}

/// The revision that a route has and that its status says all proxies run, and its words.
fn programmed(object: &DynamicObject) -> Option<(usize, u32, String)> {
    let said = current(object, "Programmed").filter(|found| found["status"] == "True")?;
    let (route, revision) = object.data["spec"]["rules"][0]["targets"][0]["model"].as_str()?.split_once('.')?;
    Some((route.parse().ok()?, revision.parse().ok()?, said["message"].to_string()))
}

/// The revision that each proxy answers a route by; `None`: it knows no such route.
async fn answers(gateway: &Gateway, route: usize) -> Vec<Option<u32>> {
    let body = json!({"model": name(route), "messages": [{"role": "user", "content": "?"}]}).to_string();
    let calls = gateway.proxies.iter().map(|proxy| {
        let (client, body) = (proxy.client(), body.clone());
        async move { client.post("/v1/chat/completions", &[], body).await.unwrap() }
    });
    let revision = |answer: sluicegate_tests::client::Answer| match answer.status {
        404 => None,
        200 => {
            let said = answer.json()["model"].as_str().unwrap_or_default().to_owned();
            let (of, revision) = said.split_once('.').unwrap_or_else(|| panic!("{said}"));
            assert_eq!(of, route.to_string(), "another route's answer");
            Some(revision.parse().unwrap())
        }
        other => panic!("{} is answered by {other}: {}", name(route), answer.text()),
    };
    future::join_all(calls).await.into_iter().map(revision).collect()
}

/// Follows all routes; of each that is said to run everywhere all proxies are asked.
async fn probe(gateway: &Gateway, all: &[Done], judged: &Cell<usize>) {
    let api = objects(&gateway.client, &gateway.namespace, "LLMRoute");
    let said = watcher(api, watcher::Config::default()).filter_map(|event| {
        future::ready(match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => programmed(&object),
            _ => None,
        })
    });
    said.for_each_concurrent(AT_ONCE, |(route, revision, said)| async move {
        for answer in answers(gateway, route).await {
            let done = &all[route];
            match answer {
                // What was asked for since is not to be told from a wrong answer.
                Some(answer) => {
                    assert!((revision..=done.written.get()).contains(&answer), "{route}.{revision}: {answer}; {said}");
                }
                None => assert!(done.deleted.get() >= revision, "{route}.{revision} is not known, not deleted; {said}"),
            }
        }
        judged.set(judged.get() + 1);
    })
    .await;
}

/// Waits until everything that is there is said to run everywhere; how many routes that are.
async fn settled(gateway: &Gateway) -> usize {
    let api = objects(&gateway.client, &gateway.namespace, "LLMRoute");
    let mut left = Vec::new();
    for _ in 0..1_200 {
        let all = api.list(&Default::default()).await.unwrap().items;
        left = all.iter().filter(|object| programmed(object).is_none()).map(|object| object.data.clone()).collect();
        if left.is_empty() {
            return all.len();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} do not run everywhere, such as {:#}\n{}", left.len(), left[0], gateway.operator.log().join("\n"));
}

#[tokio::test]
async fn programmed_tells_the_truth_through_a_churn_of_five_hundred_routes() {
    let gateway = Gateway::start(3).await;
    gateway.apply(&pool("p", "fine")).await;
    // These pods are ready from their first moment on, which no kubelet's are: the operator has to have seen them.
    gateway.message("ProviderPool", "p", "True Programmed", "3/3 ").await;
    let api = objects(&gateway.client, &gateway.namespace, "LLMRoute");
    let all: Vec<Done> = (0..ROUTES).map(|_| Done::default()).collect();
    let judged = Cell::new(0);
    let each = |begin: usize| stream::iter((0..ROUTES).map(move |number| (begin + number) % ROUTES));
    let churn = async {
        each(0).for_each_concurrent(AT_ONCE, |route| write(&api, route, &all[route])).await;
        assert_eq!(settled(&gateway).await, ROUTES);
        each(ROUTES / 3)
            .for_each_concurrent(AT_ONCE, |route| {
                let (api, done) = (&api, &all[route]);
                async move {
                    write(api, route, done).await;
                    if route % AGAIN == 0 {
                        delete(api, route, done).await;
                    }
                    write(api, route, done).await;
                    if route % FOR_GOOD == 0 {
                        delete(api, route, done).await;
                    }
                }
            })
            .await;
        settled(&gateway).await
    };
    let left = tokio::select! {
        left = churn => left,
        () = probe(&gateway, &all, &judged) => unreachable!("a watch has no end"),
    };
    assert_eq!(left, (0..ROUTES).filter(|route| route % FOR_GOOD != 0).count());
    assert!(judged.get() >= ROUTES, "{judged:?}");
    for (route, done) in all.iter().enumerate() {
        let is_gone = route % FOR_GOOD == 0;
        let wanted = (!is_gone).then(|| done.written.get());
        let mut last = Vec::new();
        // A status tells that a route runs; that one has gone is known when nobody answers by it any more.
        for _ in 0..1_000 {
            last = answers(&gateway, route).await;
            if !is_gone || last.iter().all(Option::is_none) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(last, [wanted; 3], "{route}");
    }
    let told: Value = gateway.get("ProviderPool", "p").await.data["status"].clone();
    let writes = gateway.operator.writes("providerpools/status").await.unwrap();
    assert!(writes < 100, "{writes} statuses of a pool for the coming and going of its routes: {told:#}");
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let events = events.list(&Default::default()).await.unwrap().items;
    // A rollout may take longer than a second here, which is told; but nothing was wrong at any time.
    assert!(events.iter().all(|event| event.type_.as_deref() == Some("Normal")), "{events:#?}");
}
