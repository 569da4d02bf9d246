//! Several keys of one provider: each rests by itself when it is limited or refused, the others serve, and no key is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use sluicegate_config::{Kind, ObjectId};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::rollout::Rollout;
use sluicegate_tests::upstream::{Act, Gate, Received, Upstream, answer};

use crate::resources::{CHAT, WAYS, chat, openai_stream, openai_whole, plain_upstream, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// A Secret with the keys `planted-NAME`.
fn secret(names: &[&str]) -> String {
    let keys: String = names.iter().map(|name| format!("{name}: \"planted-{name}\", ")).collect();
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{{keys}}}\n---\n")
}

/// A provider with these keys. `more` are further fields of each.
fn keyed(address: SocketAddr, names: &[&str], more: &str) -> String {
    let key = |name: &&str| format!("{{name: {name}, secretRef: {{name: keys, key: {name}}}{more}}}");
    let keys = names.iter().map(key).collect::<Vec<_>>().join(", ");
    provider("a", "OpenAI", address, &format!("credentials: {{keys: [{keys}]}}"))
}

fn key_of(received: &Received) -> String {
    received.header("authorization").trim_start_matches("Bearer planted-").to_owned()
}

fn error(status: u16, headers: &[(&str, &str)], code: &str) -> Vec<Act> {
    let headers: Vec<_> = JSON.iter().chain(headers).copied().collect();
    let body = format!(r#"{{"error":{{"message":"said of a key","type":"tokens","code":"{code}"}}}}"#);
    vec![answer(status, &headers, body.as_bytes())]
}

/// An upstream that answers by the key it is called with.
fn upstream(script: impl Fn(&str) -> Option<Vec<Act>> + Send + Sync + 'static) -> Upstream {
    let well = |received: &Received| match received.streams() {
        true => openai_stream("fine"),
        false => vec![openai_whole("fine")],
    };
    Upstream::start(move |received| script(&key_of(received)).unwrap_or_else(|| well(received))).unwrap()
}

fn used(upstream: &Upstream, key: &str) -> usize {
    upstream.received().iter().filter(|received| key_of(received) == key).count()
}

async fn asked(proxy: &Proxy, model: &str) -> u16 {
    proxy.client().post(CHAT, JSON, chat(model, false)).await.unwrap().status
}

fn state(proxy: &Proxy, key: &str) -> f64 {
    proxy.metrics().unwrap().sum("sluicegate_provider_key_state", &[("key", key)])
}

fn no_key_is_told(proxy: &Proxy) {
    let pages = ["/metrics", "/config", "/status"].map(|path| proxy.page(path).unwrap().1).concat();
    let told = proxy.log().join("\n") + &pages;
    assert!(!told.contains("planted"), "{told}");
}

#[tokio::test]
async fn a_limited_key_rests_by_itself_and_the_others_serve_before_another_provider_does() {
    let upstream = upstream(|key| (key == "one").then(|| error(429, &[("retry-after", "600")], "rate_limit_exceeded")));
    let other = plain_upstream();
    let providers =
        [keyed(upstream.address, &["one", "two", "three"], ""), provider("b", "OpenAI", other.address, "priority: 1")];
    let text = secret(&["one", "two", "three"]) + &pool("p", &providers, "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--log", "debug"]).unwrap();
    let client = proxy.client();
    for _ in 0..10 {
        for way in WAYS {
            let got = way.call(&client, "m", &[]).await;
            assert!(got.is_good(), "{}", got.text());
        }
    }
    assert_eq!((used(&upstream, "one"), other.calls()), (1, 0), "it was asked once, and nobody else for its sake");
    assert!(used(&upstream, "two") > 5 && used(&upstream, "three") > 5, "{:?}", upstream.calls());
    assert_eq!((state(&proxy, "one"), state(&proxy, "two")), (1.0, 0.0));
    let attempts = |outcome| {
        proxy.metrics().unwrap().sum("sluicegate_provider_key_attempts_total", &[("key", "one"), ("outcome", outcome)])
    };
    assert_eq!((attempts("used"), attempts("limited"), attempts("refused")), (1.0, 1.0, 0.0));
    assert_eq!(proxy.metrics().unwrap().sum("sluicegate_endpoint_circuit_state", &[("provider", "a")]), 0.0);
    no_key_is_told(&proxy);
}

#[tokio::test]
async fn when_every_key_rests_another_provider_serves_and_the_first_to_end_is_asked_where_there_is_none() {
    let limited = upstream(|_| Some(error(429, &[("retry-after", "600")], "rate_limit_exceeded")));
    let other = plain_upstream();
    let text = secret(&["one", "two"])
        + &pool(
            "p",
            &[keyed(limited.address, &["one", "two"], ""), provider("b", "OpenAI", other.address, "priority: 1")],
            "",
        )
        + &pool("alone", &[keyed(limited.address, &["one", "two"], "")], "")
        + &route("m", "p")
        + &route("alone", "alone");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for _ in 0..6 {
        assert_eq!(asked(&proxy, "m").await, 200);
    }
    assert_eq!((used(&limited, "one"), used(&limited, "two"), other.calls()), (1, 1, 6));
    // Nobody else: what the provider says reaches the caller, with its time.
    let got = proxy.client().post(CHAT, JSON, chat("alone", false)).await.unwrap();
    assert_eq!((got.status, got.header("retry-after")), (429, "600"), "{}", got.text());
}

#[tokio::test]
async fn a_refused_key_that_is_the_only_one_is_told_although_another_provider_serves() {
    let revoked = Arc::new(AtomicBool::new(true));
    let is_revoked = Arc::clone(&revoked);
    let upstream = upstream(move |_| is_revoked.load(SeqCst).then(|| error(401, &[], "invalid_api_key")));
    let other = plain_upstream();
    let main = provider("main", "OpenAI", upstream.address, "credentials: {secretRef: {name: keys, key: one}}");
    let providers = [main, provider("spare", "OpenAI", other.address, "priority: 1")];
    let text = secret(&["one"]) + &pool("p", &providers, "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let state = || proxy.metrics().unwrap().sum("sluicegate_provider_key_state", &[("provider", "main")]);
    assert_eq!(state(), 0.0);
    for _ in 0..6 {
        assert_eq!(asked(&proxy, "m").await, 200);
    }
    assert_eq!(state(), 2.0);
    let attempts =
        |result| proxy.metrics().unwrap().sum("sluicegate_attempts_total", &[("provider", "main"), ("result", result)]);
    assert_eq!((attempts("key_refused"), attempts("client_error")), (3.0, 0.0), "it rests then");
    let told = proxy.log().into_iter().filter(|line| line.contains("refuses its key")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].contains("\"provider\":\"main\""), "{told:?}");
    no_key_is_told(&proxy);
    // Its Secret is changed.
    revoked.store(false, SeqCst);
    proxy.write("all.yaml", &text.replace("planted-one", "planted-new")).unwrap();
    proxy.until("the new value is used", |_| state() == 0.0).await.unwrap();
    assert_eq!(asked(&proxy, "m").await, 200);
    assert_eq!(attempts("success"), 1.0);
}

#[tokio::test]
async fn a_refused_key_is_taken_out_alone_and_a_new_value_brings_it_back() {
    for (status, code) in [(401, "invalid_api_key"), (403, "invalid_api_key"), (429, "insufficient_quota")] {
        let revoked = Arc::new(AtomicBool::new(true));
        let is_revoked = Arc::clone(&revoked);
        let upstream = upstream(move |key| (key == "one" && is_revoked.load(SeqCst)).then(|| error(status, &[], code)));
        let text = secret(&["one", "two"])
            + &pool("p", &[keyed(upstream.address, &["one", "two"], "")], "  loadBalancing: {strategy: RoundRobin}")
            + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for _ in 0..8 {
            assert_eq!(asked(&proxy, "m").await, 200, "{status}");
        }
        assert_eq!(used(&upstream, "one"), 1, "{status}");
        assert_eq!((state(&proxy, "one"), state(&proxy, "two")), (2.0, 0.0), "{status}");
        let told = proxy.log().into_iter().filter(|line| line.contains("refuses one of its keys")).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].contains("\"key\":\"one\""), "{told:?}");
        let (_, page) = proxy.page("/status").unwrap();
        assert!(page.contains(r#"{"pool":"default/p","provider":"a","key":"one","state":"refused"}"#), "{page}");
        // An operator is told which one, by its name.
        let mut rollout = Rollout::open(proxy.admin).await.unwrap();
        let whole = rollout.next().await.unwrap().unwrap();
        let pool = ObjectId("default/p".to_owned());
        assert_eq!(whole.of(Kind::ProviderPool, &pool).unwrap().refused_keys, ["a/one"], "{whole:?}");
        // Its Secret is changed, without a restart.
        revoked.store(false, SeqCst);
        proxy.write("all.yaml", &text.replace("one: \"planted-one\"", "one: \"planted-new\"")).unwrap();
        proxy.until("the new value is used", |proxy| state(proxy, "one") == 0.0).await.unwrap();
        for _ in 0..4 {
            assert_eq!(asked(&proxy, "m").await, 200, "{status}");
        }
        assert!(used(&upstream, "new") > 0, "{status}");
        // A line says it anew, also where nothing else of the pool has changed.
        while let Some(line) = rollout.next().await.unwrap() {
            if line.of(Kind::ProviderPool, &pool).is_some_and(|running| running.refused_keys.is_empty()) {
                break;
            }
        }
        no_key_is_told(&proxy);
    }
}

#[tokio::test]
async fn what_every_key_is_refused_for_is_the_calls_fault_and_takes_no_key_out() {
    // A 403 about the model: whoever asks for it does not push the keys aside for others.
    let upstream =
        Upstream::start(|received| match String::from_utf8_lossy(&received.body).contains("\"forbidden\"") {
            true => error(403, &[], "model_not_allowed"),
            false => vec![openai_whole("fine")],
        })
        .unwrap();
    let text = secret(&["one", "two"])
        + &pool("p", &[keyed(upstream.address, &["one", "two"], "")], "")
        + &route("m", "p")
        + &route("forbidden", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for _ in 0..10 {
        assert_eq!(asked(&proxy, "forbidden").await, 502);
    }
    assert_eq!((state(&proxy, "one"), state(&proxy, "two")), (0.0, 0.0));
    assert_eq!(asked(&proxy, "m").await, 200);
}

#[tokio::test]
async fn a_conversation_stays_with_its_key_and_a_key_has_a_limit_of_its_own() {
    let steady = upstream(|_| None);
    let text = secret(&["one", "two", "three"])
        + &pool("p", &[keyed(steady.address, &["one", "two", "three"], "")], "  loadBalancing: {affinity: {}}")
        + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for conversation in 0..12 {
        let before = steady.received().len();
        let named = format!("conversation-{conversation}");
        for _ in 0..3 {
            let headers = [JSON[0], ("x-session-id", named.as_str())];
            assert_eq!(proxy.client().post(CHAT, &headers, chat("m", false)).await.unwrap().status, 200);
        }
        let keys: Vec<String> = steady.received()[before..].iter().map(key_of).collect();
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
    assert!(["one", "two", "three"].iter().all(|key| used(&steady, key) > 0), "conversations are spread");

    let gate = Gate::default();
    let waits = gate.clone();
    let held = upstream(move |_| Some(vec![Act::Until(waits.clone()), openai_whole("fine")]));
    let limit = ", limits: {concurrency: {max: 1}}";
    let text =
        secret(&["one", "two"]) + &pool("p", &[keyed(held.address, &["one", "two"], limit)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let call = || async {
        let client = proxy.client();
        client.post(CHAT, JSON, chat("m", false)).await.unwrap().status
    };
    let both = async { tokio::join!(call(), call()) };
    let third = async {
        proxy.until("both keys are in use", |_| held.calls() == 2).await.unwrap();
        let refused = call().await;
        gate.open();
        refused
    };
    let ((first, second), refused) = tokio::join!(both, third);
    assert_eq!((first, second, refused), (200, 200, 429));
    assert_eq!((used(&held, "one"), used(&held, "two")), (1, 1));
}

#[tokio::test]
async fn a_key_whose_secret_is_missing_leaves_the_others_to_serve() {
    let upstream = upstream(|_| None);
    let text = secret(&["one"]) + &pool("p", &[keyed(upstream.address, &["one", "gone"], "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for _ in 0..4 {
        assert_eq!(asked(&proxy, "m").await, 200);
    }
    assert_eq!(used(&upstream, "one"), 4);
    let (_, page) = proxy.page("/config").unwrap();
    assert!(page.contains("spec.providers[0].credentials.keys[1].secretRef"), "{page}");
}
