//! Providers that are gateways themselves and lead back: a call that has come round ends, at once and for good.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{CHAT, WAYS, chat, openai_whole, plain_upstream, pool, provider, route, rule};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
/// The gateways that a call may come through.
const MOST: u32 = 8;
const PATHS: &str = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: paths}\nspec:\n  rules:\n  - name: only\n    \
                     matches: [{path: {exact: /tokenize}}]\n    targets: [{poolRef: {name: p}}]\n---\n";

/// A gateway that is given its manifests when its own address is known.
async fn gateway(manifests: impl Fn(SocketAddr) -> String) -> Proxy {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let first = pool("first", &[provider("a", "OpenAI", nobody, "")], "") + &route("first", "first");
    let proxy = Proxy::start(&[("first.yaml", &first)], &[]).unwrap();
    lead(&proxy, &manifests(proxy.address)).await;
    proxy
}

/// Leads it elsewhere, and waits until it has read that.
async fn lead(proxy: &Proxy, manifests: &str) {
    let applied = |proxy: &Proxy| proxy.log().iter().filter(|line| line.contains("configuration applied")).count();
    let before = applied(proxy);
    proxy.write("all.yaml", manifests).unwrap();
    proxy.until("the manifests are read", |proxy| applied(proxy) > before).await.unwrap();
}

fn calls(proxy: &Proxy) -> u32 {
    let all = proxy.metrics().unwrap().sum("sluicegate_requests_total", &[]);
    (0..).find(|count| f64::from(*count) >= all).unwrap_or_default()
}

fn has_come_round(said: &Answer, what: &str) {
    assert_eq!((said.status, said.header("x-should-retry")), (508, "false"), "{what}: {}", said.text());
    assert!(said.text().contains("come round"), "{what}: {}", said.text());
}

/// The calls of a moment, of which each is seen by each gateway in a ring once.
async fn counted(proxy: &Proxy, before: u32, call: impl Future<Output = Answer>) -> (Answer, u32) {
    let said = call.await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    (said, calls(proxy) - before)
}

#[tokio::test]
async fn a_provider_that_is_the_gateway_itself_makes_no_storm_of_a_call() {
    let of = |kind: &str, http: &str| {
        let (kind, more) = (kind.to_owned(), format!("connection: {{http: {http}}}"));
        move |own| pool("p", &[provider("self", &kind, own, &more)], "") + &route("m", "p") + PATHS
    };
    for (kind, http) in [("OpenAICompatible", "HTTP1"), ("OpenAICompatible", "HTTP2"), ("Anthropic", "HTTP1")] {
        let proxy = gateway(of(kind, http)).await;
        let client = proxy.client();
        for way in WAYS {
            let (said, made) = counted(&proxy, calls(&proxy), way.call(&client, "m", &[])).await;
            has_come_round(&said, &format!("{kind} {http} {way:?}"));
            assert_eq!(made, MOST + 1, "{kind} {http} {way:?}");
        }
        if kind == "Anthropic" {
            continue;
        }
        let others = [
            ("/v1/embeddings", json!({"model": "m", "input": "a"})),
            ("/v1/moderations", json!({"model": "m", "input": "a"})),
            ("/tokenize", json!({"a": 1})),
            ("/v1/responses", json!({"model": "m", "input": "a".repeat(3_000_000)})),
        ];
        for (path, body) in others {
            let asking = async { client.post(path, &[], body.to_string()).await.unwrap() };
            let (said, made) = counted(&proxy, calls(&proxy), asking).await;
            has_come_round(&said, path);
            assert_eq!(made, MOST + 1, "{path}");
        }
        // A circuit that opened, or a rest, would say something else.
        has_come_round(&WAYS[0].call(&client, "m", &[]).await, "behind all of them");
        let refused = proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", "refused")]);
        assert!(refused > 0.0, "{}", proxy.metrics().unwrap().0);
    }
}

#[tokio::test]
async fn each_request_of_a_batch_and_each_copy_is_on_its_calls_way() {
    let lines = "    targets: [{poolRef: {name: p}}]\n    mirror: {poolRef: {name: p}, percent: 100}\n";
    let proxy =
        gateway(|own| pool("p", &[provider("self", "OpenAICompatible", own, "")], "") + &rule("m", lines)).await;
    let item = |id: u32| json!({"custom_id": id.to_string(), "method": "POST", "url": CHAT, "body": body("m")});
    let batch = json!({"requests": [item(1), item(2)]});
    let client = proxy.client();
    let said = client.post("/v1/batch", &[], batch.to_string()).await.unwrap();
    assert_eq!(said.text().matches("come round").count(), 2, "{}", said.text());
    let in_flight = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_inflight_requests", &[]) < 0.5;
    proxy.until("nobody is under way", in_flight).await.unwrap();
    // Two at each hop: the call and its copy.
    assert!(calls(&proxy) <= 1 + 2_u32.pow(MOST + 2), "{}", calls(&proxy));
}

fn body(model: &str) -> Value {
    serde_json::from_str(&chat(model, false)).unwrap()
}

#[tokio::test]
async fn two_gateways_that_name_each_other_end_a_call_too() {
    let hub = |at| pool("p", &[provider("hub", "OpenAICompatible", at, "")], "") + &route("m", "p");
    let one = gateway(hub).await;
    let other = gateway(|_| hub(one.address)).await;
    lead(&one, &hub(other.address)).await;
    has_come_round(&WAYS[1].call(&one.client(), "m", &[]).await, "in a ring of two");
    assert_eq!(calls(&one) + calls(&other), MOST + 1);
}

#[tokio::test]
async fn gateways_behind_one_another_are_no_ring_and_a_caller_forges_trouble_for_itself_alone() {
    let upstream = plain_upstream();
    let at = |to: SocketAddr| pool("p", &[provider("a", "OpenAICompatible", to, "")], "") + &route("m", "p");
    let inner = gateway(|_| at(upstream.address)).await;
    let outer = gateway(|_| at(inner.address)).await;
    let client = Client::new(outer.address);
    let ask = async |said: &str| {
        let headers = if said.is_empty() { vec![] } else { vec![("cdn-loop", said)] };
        client.post(CHAT, &headers, chat("m", false)).await.unwrap()
    };
    for (said, goes_on) in [("", 2), ("cloudflare; loops=7", 2), ("sluicegate; hops=5, other", 7)] {
        assert!(ask(said).await.is_good(), "{said}");
        assert_eq!(upstream.received().pop().unwrap().header("cdn-loop"), format!("sluicegate; hops={goes_on}"));
    }
    for said in ["sluicegate; hops=8", "sluicegate; hops=7", "sluicegate; hops=99999", "sluicegate; hops=7"].repeat(5) {
        has_come_round(&ask(said).await, said);
    }
    assert!(ask("").await.is_good(), "the circuit is open, or the provider rests");
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test]
async fn a_caller_that_shares_a_flight_is_not_told_of_anothers_way() {
    let gate = sluicegate_tests::upstream::Gate::default();
    let open = gate.clone();
    let upstream = Upstream::start(move |received| {
        if received.header("cdn-loop").ends_with('8') {
            return vec![answer(508, &JSON, br#"{"error":{"message":"come round"}}"#)];
        }
        vec![sluicegate_tests::upstream::Act::Until(gate.clone()), openai_whole("fine")]
    })
    .unwrap();
    let lines = "    targets: [{poolRef: {name: p}}]\n    coalesce: {scope: Pod}\n";
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "") + &rule("m", lines);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let honest = client.post(CHAT, &[], chat("m", false));
    let forged = async {
        proxy.until("the first is at its provider", |_| upstream.calls() == 1).await.unwrap();
        let said = [("cdn-loop", "sluicegate; hops=7")];
        let forged = proxy.client().post(CHAT, &said, chat("m", false)).await.unwrap();
        assert_eq!(forged.status, 508, "{}", forged.text());
        open.open();
    };
    let (honest, ()) = tokio::join!(honest, forged);
    assert!(honest.unwrap().is_good());
}
