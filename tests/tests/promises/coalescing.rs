//! Identical calls that come together are one call to a provider, and each of their callers has the whole answer.

use http_body_util::BodyExt as _;
use sluicegate_tests::client::{Answer, post, read};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{
    CHAT, SAVED, WAYS, Way, anthropic_whole, chat, events, openai_piece, openai_stream, openai_whole, pool, provider,
    rule,
};

const JOINED: (&str, &[(&str, &str)]) = ("sluicegate_coalesced_calls_total", &[("outcome", "joined")]);
const WHOLE: Way = Way { anthropic: false, stream: false };
const STREAM: Way = Way { anthropic: false, stream: true };

/// A proxy whose route `m` shares answers, with further lines of its rule.
fn house(providers: &[String], more: &str) -> Proxy {
    let text = pool("p", providers, "  retry: {backoff: {initial: 1ms, max: 1ms}}\n")
        + &rule("m", &format!("    targets: [{{poolRef: {{name: p}}}}]\n    coalesce: {{scope: Pod}}\n{more}"));
    Proxy::start(&[("all.yaml", &text)], &["--workers", "2"]).unwrap()
}

fn openai(upstream: &Upstream) -> [String; 1] {
    [provider("a", "OpenAICompatible", upstream.address, "")]
}

fn count(proxy: &Proxy, (name, labels): (&str, &[(&str, &str)])) -> f64 {
    proxy.metrics().unwrap().sum(name, labels)
}

/// A call that goes on by itself.
fn begin(proxy: &Proxy, way: Way, headers: &'static [(&'static str, &'static str)]) -> tokio::task::JoinHandle<Answer> {
    let client = proxy.client();
    tokio::task::spawn_local(async move { way.call(&client, "m", headers).await })
}

/// So many calls, of all of these forms, which have all joined the one that is under way.
async fn join(proxy: &Proxy, ways: &[Way], calls: usize) -> Vec<(Way, tokio::task::JoinHandle<Answer>)> {
    let before = count(proxy, JOINED);
    let begun = ways.iter().cycle().take(calls).map(|way| (*way, begin(proxy, *way, &[]))).collect();
    let wanted = before + f64::from(u32::try_from(calls).unwrap());
    proxy.until("all have joined", |proxy| count(proxy, JOINED) >= wanted).await.unwrap();
    begun
}

/// A stream that tells its usage: the gateway asks for it, whoever calls.
fn telling_usage() -> Vec<Act> {
    let said = openai_piece(&format!(r#"{{"role":"assistant","content":"{SAVED}"}}"#), "null");
    let usage = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let end = openai_piece("{}", "\"stop\"") + usage + "\n\ndata: [DONE]\n\n";
    vec![stream_head(), chunk(said.as_bytes()), chunk(end.as_bytes()), last_chunk()]
}

/// Answers in the dialect and form asked for, once the gate is open.
fn gated(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |received| {
        let mut acts = vec![Act::Until(gate.clone())];
        acts.extend(match (received.head.contains("/messages"), received.streams()) {
            (false, true) => telling_usage(),
            (false, false) => vec![openai_whole(SAVED)],
            (true, _) => vec![anthropic_whole(SAVED)],
        });
        acts
    })
    .unwrap()
}

#[tokio::test(flavor = "local")]
async fn a_thousand_identical_calls_are_one_call_to_a_provider() {
    // Who leads has the form of its own, in the provider's dialect or another one; the others have half and half.
    for (leader, calls) in WAYS.into_iter().zip([1_000, 1_000, 50, 50]) {
        let gate = Gate::default();
        let upstream = gated(&gate);
        let proxy = house(&openai(&upstream), "");
        let first = begin(&proxy, leader, &[]);
        proxy.until("it is asked", |_| upstream.calls() == 1).await.unwrap();
        let ways = [Way { stream: true, ..leader }, Way { stream: false, ..leader }];
        let mut all = join(&proxy, &ways, calls - 1).await;
        all.push((leader, first));
        gate.open();
        let mut hits = 0;
        for (way, answer) in all {
            let answer = answer.await.unwrap();
            assert!(answer.is_good(), "{leader:?} {way:?}: {}", answer.text());
            assert_eq!(way.said(&answer), SAVED, "{leader:?} {way:?}: {}", answer.text());
            assert!(!way.stream || way.says_end(&answer), "{leader:?} {way:?}: {}", answer.text());
            assert!(way.anthropic || !way.stream || !answer.text().contains("usage\":{"), "nobody asked for it");
            assert!(way.stream || answer.json()["usage"].is_object(), "{leader:?} {way:?}: {}", answer.text());
            hits += usize::from(answer.header("x-cache") == "hit" && answer.header("x-sluicegate-cache") == "flight");
        }
        assert_eq!((upstream.calls(), hits), (1, calls - 1), "{leader:?}");
        let total = f64::from(u32::try_from(calls).unwrap());
        let counted = |proxy: &Proxy| count(proxy, ("sluicegate_requests_total", &[("outcome", "done")]));
        proxy.until("all are counted", |proxy| counted(proxy) >= total).await.unwrap();
        let metrics = proxy.metrics().unwrap();
        assert_eq!(metrics.sum("sluicegate_requests_total", &[]).to_bits(), total.to_bits());
        for (name, labels, wanted) in [
            ("sluicegate_cache_hits_total", &[("layer", "flight")][..], total - 1.0),
            ("sluicegate_attempts_total", &[], 1.0),
            ("sluicegate_tokens_total", &[("type", "input")], 3.0),
            ("sluicegate_flights", &[], 0.0),
        ] {
            let is = metrics.sum(name, labels);
            assert!((is - wanted).abs() < 0.1, "{leader:?} {name}: {is}");
        }
    }
}

/// A stream of two words, the second of which waits for the gate.
fn two_words(gate: &Gate) -> Vec<Act> {
    let word = |word: &str| openai_piece(&format!(r#"{{"content":"{word}"}}"#), "null");
    let end = openai_piece("{}", "\"stop\"") + "data: [DONE]\n\n";
    let [first, second] = [word("one "), word("two")];
    vec![
        stream_head(),
        chunk(first.as_bytes()),
        Act::Until(gate.clone()),
        chunk(second.as_bytes()),
        chunk(end.as_bytes()),
        last_chunk(),
    ]
}

fn slow(gate: &Gate) -> Upstream {
    Upstream::always(two_words(gate)).unwrap()
}

/// Begins a stream and gives it back when its first word is here.
async fn hear(proxy: &Proxy) -> http::Response<hyper::body::Incoming> {
    let mut response = proxy.client().open(post(CHAT, &[], chat("m", true)).unwrap()).await.unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("one ") {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        heard.extend_from_slice(&frame.into_data().unwrap());
    }
    response
}

#[tokio::test(flavor = "local")]
async fn a_live_stream_is_joined_from_its_beginning() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let proxy = house(&openai(&upstream), "");
    let leader = hear(&proxy).await;
    // The second word is not here: what this one hears is what came before it did.
    let follower = hear(&proxy).await;
    let whole = join(&proxy, &[WHOLE], 1).await;
    gate.open();
    for rest in [leader, follower] {
        let rest = read(rest).await.unwrap();
        assert!(rest.text().contains("two") && STREAM.says_end(&rest), "{}", rest.text());
    }
    for (way, answer) in whole {
        assert_eq!(way.said(&answer.await.unwrap()), "one two");
    }
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn who_leads_may_leave_and_the_others_are_answered() {
    for streams in [true, false] {
        let gate = Gate::default();
        let upstream = if streams { slow(&gate) } else { gated(&gate) };
        let proxy = house(&openai(&upstream), "");
        let way = if streams { STREAM } else { WHOLE };
        let mut others = Vec::new();
        if streams {
            let leader = hear(&proxy).await;
            others.extend(join(&proxy, &[STREAM, WHOLE], 10).await);
            drop(leader);
        } else {
            let leader = begin(&proxy, way, &[]);
            proxy.until("it is asked", |_| upstream.calls() == 1).await.unwrap();
            others.extend(join(&proxy, &[STREAM, WHOLE], 10).await);
            leader.abort();
        }
        let flying = ("sluicegate_inflight_requests", &[][..]);
        proxy.until("it has left", |proxy| count(proxy, flying) < 10.5).await.unwrap();
        gate.open();
        for (way, answer) in others {
            let answer = answer.await.unwrap();
            assert!(answer.is_good(), "{streams} {way:?}: {}", answer.text());
            assert_eq!(way.said(&answer), if streams { "one two" } else { SAVED });
        }
        assert_eq!(upstream.calls(), 1);
        let left = ("sluicegate_requests_total", &[("outcome", "client_gone")][..]);
        proxy.until("it is counted", |proxy| count(proxy, left) > 0.5).await.unwrap();
        assert!((count(&proxy, ("sluicegate_attempts_total", &[("result", "success")])) - 1.0).abs() < 0.1);
    }
}

#[tokio::test(flavor = "local")]
async fn a_flight_that_nobody_reads_any_longer_is_given_up() {
    let gate = Gate::default();
    let upstream = slow(&gate);
    let proxy = house(&openai(&upstream), "");
    let (leader, follower) = (hear(&proxy).await, hear(&proxy).await);
    drop((leader, follower));
    let cancelled = ("sluicegate_attempts_total", &[("result", "cancelled")][..]);
    proxy.until("the provider is left", |proxy| count(proxy, cancelled) > 0.5).await.unwrap();
    assert!(count(&proxy, ("sluicegate_flights", &[])) < 0.5);
    // The next one begins anew.
    gate.open();
    assert_eq!(STREAM.said(&STREAM.call(&proxy.client(), "m", &[]).await), "one two");
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(flavor = "local")]
async fn a_provider_that_dies_before_the_first_token_costs_one_more_call() {
    for way in [STREAM, WHOLE] {
        let gate = Gate::default();
        let dies = gate.clone();
        let bad = Upstream::start(move |received| {
            let head = if received.streams() { vec![stream_head()] } else { Vec::new() };
            [head, vec![Act::Until(dies.clone()), Act::Reset]].concat()
        })
        .unwrap();
        let good = Upstream::start(
            |received| {
                if received.streams() { openai_stream(SAVED) } else { vec![openai_whole(SAVED)] }
            },
        )
        .unwrap();
        let providers = [
            provider("bad", "OpenAICompatible", bad.address, "priority: 0"),
            provider("good", "OpenAICompatible", good.address, "priority: 1"),
        ];
        let proxy = house(&providers, "");
        let first = begin(&proxy, way, &[]);
        proxy.until("it is asked", |_| bad.calls() == 1).await.unwrap();
        let mut all = join(&proxy, &[STREAM, WHOLE], 50).await;
        all.push((way, first));
        gate.open();
        for (way, answer) in all {
            let answer = answer.await.unwrap();
            assert!(answer.is_good() && way.said(&answer) == SAVED, "{way:?}: {}", answer.text());
        }
        assert_eq!((bad.calls(), good.calls()), (1, 1));
    }
}

#[tokio::test(flavor = "local")]
async fn a_stream_that_breaks_ends_for_all_as_a_cut_one_does() {
    let gate = Gate::default();
    let mut acts = two_words(&gate);
    acts.truncate(3);
    acts.push(Act::Reset);
    let upstream = Upstream::always(acts).unwrap();
    let proxy = house(&openai(&upstream), "");
    let (leader, follower) = (hear(&proxy).await, hear(&proxy).await);
    gate.open();
    for rest in [leader, follower] {
        let rest = read(rest).await.unwrap();
        let last = events(&rest).pop().unwrap_or_default();
        assert!(last["error"].is_object() && !STREAM.says_end(&rest), "{}", rest.text());
    }
    assert_eq!(upstream.calls(), 1);
    let cut = ("sluicegate_requests_total", &[("outcome", "upstream_cut")][..]);
    proxy.until("both are counted", |proxy| count(proxy, cut) > 1.5).await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_refusal_is_told_to_all_who_asked_for_the_same() {
    let gate = Gate::default();
    let refusal = answer(400, &[("content-type", "application/json")], br#"{"error":{"message":"no such tool"}}"#);
    let upstream = Upstream::always(vec![Act::Until(gate.clone()), refusal]).unwrap();
    let proxy = house(&openai(&upstream), "");
    let first = begin(&proxy, WHOLE, &[]);
    proxy.until("it is asked", |_| upstream.calls() == 1).await.unwrap();
    let mut all = join(&proxy, &[STREAM, WHOLE], 20).await;
    all.push((WHOLE, first));
    gate.open();
    for (way, answer) in all {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 400, "{way:?}: {}", answer.text());
        assert!(answer.text().contains("no such tool"), "{way:?}: {}", answer.text());
    }
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn calls_share_with_whom_the_cache_would_share_and_no_further() {
    let gate = Gate::default();
    let upstream = gated(&gate);
    let proxy = house(&openai(&upstream), "");
    let mut all = vec![begin(&proxy, WHOLE, &[("authorization", "Bearer alice")])];
    proxy.until("alice's is asked", |_| upstream.calls() == 1).await.unwrap();
    // Another caller, and one who wants an answer of its own.
    all.push(begin(&proxy, WHOLE, &[("authorization", "Bearer bob")]));
    all.push(begin(&proxy, WHOLE, &[("authorization", "Bearer alice"), ("cache-control", "no-cache")]));
    all.push(begin(&proxy, WHOLE, &[("authorization", "Bearer alice"), ("cache-control", "no-store")]));
    proxy.until("each is asked", |_| upstream.calls() == 4).await.unwrap();
    all.push(begin(&proxy, WHOLE, &[("authorization", "Bearer alice")]));
    proxy.until("alice's second has joined", |proxy| count(proxy, JOINED) > 0.5).await.unwrap();
    gate.open();
    for answer in all {
        assert!(answer.await.unwrap().is_good());
    }
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test(flavor = "local")]
async fn what_was_shared_is_kept_where_the_rule_caches_too() {
    for way in [STREAM, WHOLE] {
        let gate = Gate::default();
        let upstream = gated(&gate);
        // The cache's key says what is identical.
        let proxy = house(&openai(&upstream), "    cache: {ttl: 1h, scope: Route}\n");
        let first = begin(&proxy, way, &[("authorization", "Bearer alice")]);
        proxy.until("it is asked", |_| upstream.calls() == 1).await.unwrap();
        let all = join(&proxy, &[STREAM, WHOLE], 20).await;
        gate.open();
        assert_eq!(first.await.unwrap().header("x-cache"), "miss");
        for (_, answer) in all {
            assert_eq!(answer.await.unwrap().header("x-sluicegate-cache"), "flight");
        }
        let stored = ("sluicegate_cache_entries", &[("layer", "memory")][..]);
        proxy.until("it is kept", |proxy| count(proxy, stored) > 0.5).await.unwrap();
        for way in [STREAM, WHOLE] {
            let kept = way.call(&proxy.client(), "m", &[]).await;
            assert_eq!((kept.header("x-sluicegate-cache"), way.said(&kept).as_str()), ("memory", SAVED));
        }
        assert_eq!(upstream.calls(), 1);
    }
}
