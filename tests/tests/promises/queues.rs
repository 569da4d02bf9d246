//! Limits of concurrency of one proxy: providers never work on more calls at once, and those that wait have their turn by
//! priority, fairly, and in time.

use std::cell::Cell;
use std::time::Duration;

use serde_json::Value;
use sluicegate_tests::client::{Client, post};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, AtWork, Gate, Upstream};

use crate::resources::{CHAT, MESSAGES, WAYS, chat, message, openai_stream, openai_whole, pool, provider};

const KEYS: [&str; 2] = ["first-key-that-nobody-can-guess", "second-key-that-nobody-can-guess"];

/// An upstream that counts how many calls it works on, each for so long.
fn counting(at_work: &AtWork, time: Duration) -> Upstream {
    let at_work = at_work.clone();
    Upstream::start(move |received| {
        at_work.come();
        let mut acts = vec![Act::Wait(time)];
        let mut answer = if received.streams() { openai_stream("fine") } else { vec![openai_whole("fine")] };
        // It is over before its last bytes are: who reads them may call again at once.
        answer.insert(answer.len() - 1, Act::Over(at_work.clone()));
        acts.extend(answer);
        acts
    })
    .unwrap()
}

/// An upstream that answers when the test lets it.
fn held(gate: &Gate) -> Upstream {
    Upstream::always(vec![Act::Until(gate.clone()), openai_whole("fine")]).unwrap()
}

/// A route for a model with this limit of concurrency, in flow style.
fn limited(model: &str, concurrency: &str, more: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec:\n  limits: {{concurrency: {concurrency}}}\n{more}  \
         rules:\n  - name: only\n    matches: [{{model: {{exact: {model}}}}}]\n    targets: [{{poolRef: {{name: p}}}}]\n---\n"
    )
}

fn consumer(name: &str, key: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {key}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  keys: [{{name: k, secretRef: {{name: {name}}}}}]\n{more}---\n"
    )
}

fn one(upstream: &Upstream, more: &str) -> String {
    pool("p", &[provider("a", "OpenAICompatible", upstream.address, more)], "  retry: {attempts: 1}\n")
}

fn start(text: &str) -> Proxy {
    Proxy::start(&[("all.yaml", text)], &["--workers", "2"]).unwrap()
}

fn waiting(proxy: &Proxy, scope: &str) -> f64 {
    sum(proxy, "sluicegate_queued_calls", &[("scope", scope)])
}

fn sum(proxy: &Proxy, name: &str, labels: &[(&str, &str)]) -> f64 {
    proxy.metrics().unwrap().sum(name, labels)
}

fn is(number: f64, wanted: f64) -> bool {
    (number - wanted).abs() < 0.1
}

#[tokio::test(flavor = "local")]
async fn a_provider_never_works_on_more_calls_than_the_limit() {
    let at_work = AtWork::default();
    let upstream = counting(&at_work, Duration::from_millis(20));
    let limit = "{max: 3, queue: {timeout: 60s}}";
    let own = format!("limits: {{concurrency: {limit}}}");
    let each = format!("limits: {{endpointConcurrency: {limit}}}");
    let open = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: m}\nspec:\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
    for (scope, text) in [
        ("route", one(&upstream, "") + &limited("m", limit, "")),
        ("provider", one(&upstream, &own) + open),
        ("endpoint", one(&upstream, &each) + open),
        (
            "consumer",
            one(&upstream, "") + open + &consumer("c", KEYS[0], &format!("  limits: {{concurrency: {limit}}}\n")),
        ),
    ] {
        let proxy = start(&text);
        let (before, bearer) = (upstream.calls(), format!("Bearer {}", KEYS[0]));
        let client = proxy.client();
        let calls = (0..40).map(|number| {
            let (client, bearer) = (&client, &bearer);
            async move {
                // Anthropic's callers have the answer translated.
                let way = WAYS[number % 4];
                let key = [("authorization", bearer.as_str())];
                way.call(client, "m", if scope == "consumer" { &key } else { &[] }).await
            }
        });
        for answer in futures_util::future::join_all(calls).await {
            assert!(answer.is_good(), "{scope}: {}", answer.text());
        }
        assert_eq!((at_work.most(), at_work.now(), upstream.calls() - before), (3, 0, 40), "{scope}");
        let labels = [("scope", scope)];
        let over = |proxy: &Proxy| sum(proxy, "sluicegate_concurrency_inflight_calls", &labels);
        proxy.until("all have given their places back", |proxy| is(over(proxy), 0.0)).await.unwrap();
        let metrics = proxy.metrics().unwrap();
        assert!(metrics.sum("sluicegate_queued_seconds_total", &labels) > 0.0);
        assert!(metrics.sum("sluicegate_concurrency_inflight_seconds_total", &labels) >= 0.8);
        assert!(is(waiting(&proxy, scope), 0.0));
    }
}

/// Where and how the two refusals begin in a dialect.
fn in_every_dialect() -> Vec<(String, String, &'static str, [&'static str; 2])> {
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"?"}]}]}"#.to_owned();
    let responses = r#"{"model":"m","input":"?"}"#.to_owned();
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"?"}]}]}"#.to_owned();
    vec![
        (CHAT.to_owned(), chat("m", false), "/error/code", ["rate_limit_exceeded", "overloaded"]),
        ("/v1/responses".to_owned(), responses, "/error/code", ["rate_limit_exceeded", "overloaded"]),
        (MESSAGES.to_owned(), message("m", false), "/error/type", ["rate_limit_error", "overloaded_error"]),
        ("/v1beta/models/m:generateContent".to_owned(), gemini, "/error/status", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"]),
        ("/model/m/converse".to_owned(), converse, "/message", ["Too many calls at once", "This call has waited 0.2s"]),
    ]
}

#[tokio::test(flavor = "local")]
async fn who_finds_no_place_is_told_so_in_every_dialect_and_when_to_come_back() {
    let gate = Gate::default();
    let upstream = held(&gate);
    let text = one(&upstream, "") + &limited("m", "{max: 1, queue: {size: 1, timeout: 200ms}}", "");
    let proxy = start(&text);
    let first = tokio::task::spawn_local({
        let client = proxy.client();
        async move { client.post(CHAT, &[], chat("m", false)).await.unwrap() }
    });
    proxy.until("one is at work", |_| upstream.calls() == 1).await.unwrap();
    let client = proxy.client();
    for (path, body, at, words) in in_every_dialect() {
        // Of two one may wait, and does so in vain.
        let (a, b) = tokio::join!(client.post(&path, &[], body.clone()), client.post(&path, &[], body));
        let mut both = [a.unwrap(), b.unwrap()];
        both.sort_by_key(|answer| answer.status != 429);
        for (answer, word) in both.iter().zip(words) {
            let said = answer.json();
            let said = said.pointer(at).and_then(Value::as_str).unwrap_or_default();
            assert!(said.starts_with(word), "{path}: {}", answer.text());
            assert!(matches!(answer.status, 429 | 503 | 529), "{path}: {}", answer.status);
            let seconds = answer.header("retry-after").parse::<u64>().unwrap();
            assert!((1..=60).contains(&seconds) && answer.header("x-should-retry") == "true", "{:?}", answer.headers);
            assert!(
                answer.text().contains("is 1 call") && answer.text().contains("for this route"),
                "{}",
                answer.text()
            );
        }
    }
    gate.open();
    assert!(first.await.unwrap().is_good());
    assert_eq!(upstream.calls(), 1);
    let refused = |reason| sum(&proxy, "sluicegate_queue_refusals_total", &[("scope", "route"), ("reason", reason)]);
    assert!(is(refused("full"), 5.0) && is(refused("timeout"), 5.0));
    let line = proxy.log().into_iter().find(|line| line.contains("\"limit\":\"LLMRoute default/m\""));
    assert!(line.is_some(), "{:?}", proxy.log());
}

#[tokio::test(flavor = "local")]
async fn who_leaves_leaves_the_queue_and_a_stream_that_is_left_gives_its_place_back() {
    let gate = Gate::default();
    let waits = gate.clone();
    let upstream = Upstream::start(move |_| {
        let mut acts = openai_stream("fine");
        acts.insert(2, Act::Until(waits.clone()));
        acts
    })
    .unwrap();
    let proxy = start(&(one(&upstream, "") + &limited("m", "{max: 1, queue: {timeout: 60s}}", "")));
    let client = proxy.client();
    let stream = tokio::task::spawn_local(async move {
        let answer = client.open(post(CHAT, &[], chat("m", true)).unwrap()).await;
        // As long as the test lets it.
        std::future::pending::<()>().await;
        drop(answer);
    });
    proxy.until("one is at work", |_| upstream.calls() == 1).await.unwrap();
    let call = |proxy: &Proxy| {
        let client = proxy.client();
        tokio::task::spawn_local(async move { client.post(CHAT, &[], chat("m", true)).await })
    };
    let (leaves, stays) = (call(&proxy), call(&proxy));
    proxy.until("two wait", |proxy| is(waiting(proxy, "route"), 2.0)).await.unwrap();
    // Those who wait are calls in flight: what scales proxies by those counts them.
    assert!(is(sum(&proxy, "sluicegate_inflight_requests", &[]), 3.0));
    leaves.abort();
    proxy.until("one waits", |proxy| is(waiting(proxy, "route"), 1.0)).await.unwrap();
    assert_eq!(upstream.calls(), 1);
    stream.abort();
    proxy.until("the next one is at work", |_| upstream.calls() == 2).await.unwrap();
    gate.open();
    assert!(stays.await.unwrap().unwrap().is_good());
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(flavor = "local")]
async fn of_two_consumers_one_floods_and_the_other_gets_its_half() {
    let at_work = AtWork::default();
    let upstream = counting(&at_work, Duration::from_millis(10));
    let text = one(&upstream, "headers: {pass: [x-lane]}")
        + &limited("m", "{max: 4, queue: {size: 30, timeout: 60s}}", "")
        + &consumer("a", KEYS[0], "")
        + &consumer("b", KEYS[1], "");
    let proxy = start(&text);
    let client = proxy.client();
    let over = Cell::new(false);
    // One has 60 calls on their way at any time, more than may wait; the other 6.
    let call = |lane: &'static str, key: &'static str| {
        let (client, over) = (&client, &over);
        async move {
            let bearer = format!("Bearer {key}");
            while !over.get() {
                let answer = client.post(CHAT, &[("authorization", &bearer), ("x-lane", lane)], chat("m", false)).await;
                let status = answer.unwrap().status;
                assert!(status == 200 || (status == 429 && lane == "flood"), "{lane}: {status}");
                if status == 429 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let flood = futures_util::future::join_all((0..60).map(|_| call("flood", KEYS[0])));
    let other = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let from = usize::try_from(upstream.calls()).unwrap();
        let calls = futures_util::future::join_all((0..6).map(|_| call("other", KEYS[1])));
        let watch = async {
            proxy.until("enough has been served", |_| upstream.calls() >= from as u64 + 200).await.unwrap();
            over.set(true);
        };
        tokio::join!(calls, watch);
        from
    };
    let (_, from) = tokio::join!(flood, other);
    let served = upstream.received();
    let served = &served[from..from + 200];
    let others = served.iter().filter(|call| call.header("x-lane") == "other").count();
    assert!(others * 100 >= 45 * served.len(), "{others} of {}", served.len());
    assert_eq!(at_work.most(), 4);
}

#[tokio::test(flavor = "local")]
async fn low_priority_is_served_within_its_ageing_under_a_full_flood_of_high() {
    let upstream = counting(&AtWork::default(), Duration::from_millis(10));
    // Who has not been served when it is as old as that is refused.
    let queue = "{size: 20, timeout: 4s, ageing: 4s, priorityHeader: {name: X-Priority, values: [{value: urgent, priority: 10}]}}";
    let text = one(&upstream, "headers: {pass: [x-lane]}")
        + &limited("m", &format!("{{max: 2, queue: {queue}}}"), "")
        + &consumer("low", KEYS[0], "  priority: -5\n");
    let proxy = start(&text);
    let client = proxy.client();
    let over = Cell::new(false);
    let high = futures_util::future::join_all((0..40).map(|_| async {
        while !over.get() {
            let answer = client.post(CHAT, &[("x-priority", "urgent")], chat("m", false)).await.unwrap();
            if answer.status == 429 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }));
    let low = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let bearer = format!("Bearer {}", KEYS[0]);
        let before = upstream.calls();
        let mut waited = Vec::new();
        for _ in 0..3 {
            // What is not listed chooses nothing.
            let headers = [("authorization", bearer.as_str()), ("x-priority", "10"), ("x-lane", "low")];
            let answer = client.post(CHAT, &headers, chat("m", false)).await.unwrap();
            assert!(answer.is_good(), "{}", answer.text());
            waited.push(upstream.calls());
        }
        over.set(true);
        (before, waited)
    };
    let (_, (before, waited)) = tokio::join!(high, low);
    // While each of them waited, many of the flood went first.
    let first = waited[0] - before;
    assert!(first > 10, "{first}");
}

/// So many calls at once, and how many of each lane the upstream has then had.
async fn together(client: &Client, count: usize) -> Vec<u16> {
    let calls = (0..count).map(|_| client.post(CHAT, &[], chat("m", false)));
    futures_util::future::join_all(calls).await.into_iter().map(|answer| answer.unwrap().status).collect()
}

#[tokio::test(flavor = "local")]
async fn a_full_provider_is_passed_by_and_waited_for_where_all_are_full() {
    let counts = [AtWork::default(), AtWork::default(), AtWork::default()];
    let ups = counts.each_ref().map(|count| counting(count, Duration::from_millis(30)));
    let full = |max: usize| format!("limits: {{concurrency: {{max: {max}, queue: {{timeout: 30s}}}}}}");
    let both = [
        provider("a", "OpenAICompatible", ups[0].address, &full(1)),
        provider("b", "OpenAICompatible", ups[1].address, &full(2)),
    ];
    let text = pool("p", &both, "  retry: {attempts: 2}\n")
        + "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: m}\nspec:\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
    let proxy = start(&text);
    let all = together(&proxy.client(), 20).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
    assert_eq!((counts[0].most(), counts[1].most()), (1, 2));
    assert_eq!(ups[0].calls() + ups[1].calls(), 20);
    // One without a queue refuses nobody whom another one lets wait, whichever tier that is of.
    for tier in [0, 1] {
        let both = [
            provider("a", "OpenAICompatible", ups[0].address, "limits: {concurrency: {max: 1}}"),
            provider("b", "OpenAICompatible", ups[1].address, &format!("priority: {tier}, {}", full(1))),
        ];
        let text = pool("p", &both, "  retry: {attempts: 2}\n")
            + "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: m}\nspec:\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n---\n";
        let all = together(&start(&text).client(), 12).await;
        assert!(all.iter().all(|status| *status == 200), "tier {tier}: {all:?}");
    }
    // Without a queue a call goes on to the fallback.
    let none = [provider("a", "OpenAICompatible", ups[0].address, "limits: {concurrency: {max: 1}}")];
    let other = [provider("c", "OpenAICompatible", ups[2].address, "")];
    let text = pool("p", &none, "")
        + &pool("q", &other, "")
        + "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: m}\nspec:\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}], fallbacks: [{poolRef: {name: q}}]}\n---\n";
    let proxy = start(&text);
    let all = together(&proxy.client(), 10).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
    assert!(ups[2].calls() > 0);
    assert_eq!(counts[0].most(), 1);
}

#[tokio::test(flavor = "local")]
async fn hits_take_no_place_and_a_changed_limit_holds_at_once() {
    let gate = Gate::default();
    let upstream = held(&gate);
    let cached = "  cache: {ttl: 60s, scope: Route}\n";
    let text =
        |max: usize| one(&upstream, "") + &limited("m", &format!("{{max: {max}, queue: {{timeout: 60s}}}}"), cached);
    let proxy = start(&text(1));
    let call = |content: &str| {
        let client = proxy.client();
        let body = chat("m", false).replace("Say something.", content);
        tokio::task::spawn_local(async move { client.post(CHAT, &[], body).await.unwrap() })
    };
    let all: Vec<_> = ["one", "two", "three"].map(call).into();
    let one_works = |proxy: &Proxy| is(waiting(proxy, "route"), 2.0) && upstream.calls() == 1;
    proxy.until("two wait, and one is at work", one_works).await.unwrap();
    proxy.write("all.yaml", &text(2)).unwrap();
    proxy.until("one more is at work", |_| upstream.calls() == 2).await.unwrap();
    assert!(is(waiting(&proxy, "route"), 1.0));
    gate.open();
    for answer in all {
        assert!(answer.await.unwrap().is_good());
    }
    let before = upstream.calls();
    assert_eq!(call("one").await.unwrap().header("x-cache"), "hit");
    assert_eq!(upstream.calls(), before);
}

/// A route with these lines for calls of one model, whose pool is `p`.
fn route_of(model: &str, more: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec:\n  rules:\n  - name: only\n    \
         matches: [{{model: {{exact: {model}}}}}]\n    targets: [{{poolRef: {{name: p}}}}]\n{more}---\n"
    )
}

#[tokio::test(flavor = "local")]
async fn a_call_whose_time_is_over_while_it_waits_is_refused_by_the_queue() {
    let own = "{max: 1, queue: {timeout: 60s}}";
    let routes = route_of("long", "") + &route_of("m", "    timeouts: {total: 200ms}\n");
    for scope in ["provider", "consumer"] {
        let gate = Gate::default();
        let upstream = held(&gate);
        let (of_provider, of_consumer, limit) = match scope {
            "provider" => (format!("limits: {{concurrency: {own}}}"), String::new(), "ProviderPool default/p/a"),
            _ => (String::new(), format!("  limits: {{concurrency: {own}}}\n"), "LLMConsumer default/c"),
        };
        let proxy = start(&(one(&upstream, &of_provider) + &routes + &consumer("c", KEYS[0], &of_consumer)));
        let key = ("x-api-key", KEYS[0]);
        let first = tokio::task::spawn_local({
            let client = proxy.client();
            async move { client.post(CHAT, &[key], chat("long", false)).await.unwrap() }
        });
        proxy.until("one is at work", |_| upstream.calls() == 1).await.unwrap();
        let mut refused = 0.0;
        for (path, body, at, [_, word]) in in_every_dialect() {
            let answer = proxy.client().post(&path, &[key], body).await.unwrap();
            let said = answer.json();
            let said = said.pointer(at).and_then(Value::as_str).unwrap_or_default();
            // How much of its time had gone by before depends on the machine.
            assert!(said.starts_with(word.trim_end_matches("2s")), "{scope} {path}: {}", answer.text());
            assert!(matches!(answer.status, 503 | 529), "{scope} {path}: {}", answer.status);
            assert!(answer.text().contains("This call has waited 0."), "{scope} {path}: {}", answer.text());
            assert!(answer.header("x-should-retry") == "true" && !answer.header("retry-after").is_empty());
            refused += 1.0;
        }
        let told = [("scope", scope), ("reason", "timeout")];
        assert!(is(sum(&proxy, "sluicegate_queue_refusals_total", &told), refused), "{scope}");
        let limit = format!("\"limit\":\"{limit}\"");
        let all = |proxy: &Proxy| proxy.log().iter().filter(|line| line.contains(&limit)).count() == 5;
        proxy.until("each refused call's line names the limit", all).await.unwrap();
        gate.open();
        assert!(first.await.unwrap().is_good());
        assert_eq!(upstream.calls(), 1);
    }
}

/// Manifests with a limit of concurrency, or with none, at each of the places where one can be.
fn with_limit(scope: &str, upstream: &Upstream, limit: Option<&str>) -> String {
    let open = route_of("m", "");
    let flow = limit.map(|limit| format!("{{concurrency: {limit}}}")).unwrap_or_default();
    let line = |indent: &str| if flow.is_empty() { String::new() } else { format!("{indent}limits: {flow}\n") };
    match scope {
        "route" => one(upstream, "") + &limit.map_or(open, |limit| limited("m", limit, "")),
        "rule" => one(upstream, "") + &route_of("m", &line("    ")),
        "consumer" => one(upstream, "") + &open + &consumer("c", KEYS[0], &line("  ")),
        "provider" => one(upstream, line("").trim_end()) + &open,
        _ => one(upstream, line("").trim_end().replace("concurrency", "endpointConcurrency").as_str()) + &open,
    }
}

#[tokio::test(flavor = "local")]
async fn a_limit_that_is_removed_or_raised_lets_go_of_those_who_wait() {
    let own = |max: usize| format!("{{max: {max}, queue: {{timeout: 60s}}}}");
    for scope in ["route", "rule", "consumer", "provider", "endpoint"] {
        for then in [None, Some(own(3))] {
            let gate = Gate::default();
            let upstream = held(&gate);
            let proxy = start(&with_limit(scope, &upstream, Some(&own(1))));
            let call = || {
                let client = proxy.client();
                tokio::task::spawn_local(async move {
                    client.post(CHAT, &[("x-api-key", KEYS[0])], chat("m", false)).await.unwrap()
                })
            };
            let calls = [call(), call(), call()];
            let queued = |proxy: &Proxy| is(sum(proxy, "sluicegate_queued_calls", &[]), 2.0) && upstream.calls() == 1;
            proxy.until("one is at work, and two wait", queued).await.unwrap();
            proxy.write("all.yaml", &with_limit(scope, &upstream, then.as_deref())).unwrap();
            proxy.until(&format!("{scope}, then {then:?}: all are at work"), |_| upstream.calls() == 3).await.unwrap();
            gate.open();
            for call in calls {
                assert!(call.await.unwrap().is_good(), "{scope}");
            }
            let nobody = |proxy: &Proxy| is(sum(proxy, "sluicegate_concurrency_inflight_calls", &[]), 0.0);
            proxy.until("all have given their places back", nobody).await.unwrap();
        }
    }
}
