//! A provider that fails, in whichever way, does not fail its callers.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use sluicegate_tests::listen::free_port;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, stream_head};

use crate::resources::{
    CHAT, MESSAGES, SAVED, WAYS, Way, chat, good, message, openai_piece, plain_upstream, pool, provider, route, rule,
};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const SSE: &[(&str, &str)] = &[("content-type", "text/event-stream")];

/// Every way to fail before the first token: a name, and what is done to a whole call and to a stream.
fn failures() -> Vec<(&'static str, Vec<Act>)> {
    let status =
        |code: u16, headers: &[(&str, &str)]| vec![answer(code, headers, br#"{"error":{"message":"no","type":"t"}}"#)];
    let role = openai_piece(r#"{"role":"assistant","content":""}"#, "null");
    vec![
        ("reset", vec![Act::Reset]),
        ("closed", vec![Act::Close]),
        ("s500", status(500, JSON)),
        ("s502", status(502, JSON)),
        ("s503", status(503, &[("content-type", "application/json"), ("retry-after", "1")])),
        ("s504", status(504, JSON)),
        ("s529", status(529, JSON)),
        ("s408", status(408, JSON)),
        ("s429", status(429, JSON)),
        ("s429later", status(429, &[("content-type", "application/json"), ("retry-after", "30")])),
        ("s401", status(401, JSON)),
        ("s302", vec![answer(302, &[("location", "http://127.0.0.1:1/")], b"")]),
        ("silent", vec![Act::Hang]),
        ("head-only", vec![stream_head(), Act::Hang]),
        ("half-a-head", vec![Act::Send(b"HTTP/1.1 200 OK\r\ncontent-".to_vec()), Act::Close]),
        ("not-http", vec![Act::Send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()), Act::Close]),
        (
            "cut-whole",
            vec![
                Act::Send(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":"
                        .to_vec(),
                ),
                Act::Close,
            ],
        ),
        ("cut-early", vec![stream_head(), chunk(role.as_bytes()), Act::Close]),
        ("reset-early", vec![stream_head(), chunk(role.as_bytes()), Act::Reset]),
        ("stalled-early", vec![stream_head(), chunk(role.as_bytes()), Act::Hang]),
        ("not-json", vec![answer(200, JSON, b"{\"id\": oops")]),
        ("html", vec![answer(200, &[("content-type", "text/html")], b"<html><body>Welcome</body></html>")]),
        ("empty", vec![answer(200, JSON, b"")]),
        ("error-as-answer", vec![answer(200, JSON, br#"{"error":{"message":"no capacity","type":"t","code":502}}"#)]),
        ("another-answer", vec![answer(200, JSON, br#"{"detail":"pong"}"#)]),
        (
            "error-first",
            vec![answer(200, SSE, b"data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n")],
        ),
        (
            "error-beside-choices",
            vec![answer(
                200,
                SSE,
                b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502,\"message\":\"at capacity\"}}\n\ndata: [DONE]\n\n",
            )],
        ),
        (
            "error-as-a-reason",
            vec![answer(
                200,
                SSE,
                b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n",
            )],
        ),
        ("empty-stream", vec![answer(200, SSE, b"")]),
    ]
}

/// A pool whose first choice is `bad`, of this type, and whose second speaks the other dialect or the same one.
fn two(name: &str, bad: SocketAddr, kinds: (&str, &str), well: SocketAddr) -> String {
    let providers = [provider("bad", kinds.0, bad, "priority: 0"), provider("well", kinds.1, well, "priority: 1")];
    let patience = "  timeouts: {firstToken: 400ms, idle: 400ms, total: 20s}";
    pool(name, &providers, patience) + &route(name, name)
}

async fn each_is_saved(kinds: (&str, &str)) {
    let well = good();
    let mut upstreams = Vec::new();
    let mut text = two("refused", SocketAddr::from(([127, 0, 0, 1], free_port().unwrap())), kinds, well.address);
    let mut names = vec!["refused"];
    for (name, acts) in failures() {
        let upstream = Upstream::always(acts).unwrap();
        text += &two(name, upstream.address, kinds, well.address);
        upstreams.push((name, upstream));
        names.push(name);
    }
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let mut lost = Vec::new();
    for name in names {
        for way in WAYS {
            // A whole answer may take all of the call's time: silence is no failure before that.
            if !way.stream && ["silent", "head-only"].contains(&name) {
                continue;
            }
            let answer = way.call(&client, name, &[]).await;
            let complete = !way.stream || way.says_end(&answer);
            if !answer.is_good() || way.said(&answer).trim() != SAVED || !complete {
                lost.push(format!("{name} {way:?}: {} whole={} {}", answer.status, answer.whole, answer.text()));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    for (name, upstream) in upstreams {
        assert!(upstream.calls() > 0, "{name} was never asked: the failure was not tried");
    }
}

#[tokio::test]
async fn a_call_whose_provider_fails_is_saved_by_the_next() {
    each_is_saved(("OpenAI", "OpenAI")).await;
}

#[tokio::test]
async fn a_call_is_saved_by_a_provider_of_the_other_dialect() {
    each_is_saved(("OpenAI", "Anthropic")).await;
}

#[tokio::test]
async fn a_failing_anthropic_provider_is_saved_by_an_openai_one() {
    each_is_saved(("Anthropic", "OpenAI")).await;
}

#[tokio::test]
async fn a_fallback_pool_saves_what_the_targets_can_not() {
    let (well, dead) = (good(), Upstream::always(vec![Act::Reset]).unwrap());
    let lines = "    targets: [{poolRef: {name: dead}}]\n    fallbacks:\n    - {poolRef: {name: dead-too}}\n    - {poolRef: {name: well}, model: other}\n";
    let text =
        pool("dead", &[provider("a", "OpenAI", dead.address, ""), provider("b", "Anthropic", dead.address, "")], "")
            + &pool("dead-too", &[provider("a", "OpenAI", dead.address, "")], "")
            + &pool("well", &[provider("a", "Anthropic", well.address, "")], "")
            + &rule("m", lines);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for way in WAYS {
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert!(answer.is_good(), "{way:?} {}", answer.text());
        assert_eq!(way.said(&answer).trim(), SAVED, "{way:?}");
    }
}

#[tokio::test]
async fn with_one_of_two_providers_dead_none_of_ten_thousand_calls_fails() {
    let well = sluicegate_tests::binaries::Simulator::start(&["--canned", "--tokens", "4"]).unwrap();
    let dead = Upstream::always(vec![Act::Reset]).unwrap();
    let providers = [provider("dead", "OpenAI", dead.address, ""), provider("well", "OpenAI", well.address, "")];
    let text = pool("both", &providers, "  loadBalancing: {strategy: RoundRobin}") + &route("m", "both");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--log-sample", "0"]).unwrap();
    let client = proxy.client();
    let calls = futures_util::stream::iter(0..10_000_u32).map(|number| {
        let way = Way { anthropic: false, stream: number % 10 == 0 };
        let client = client.clone();
        async move {
            let answer = way.call(&client, "m", &[]).await;
            let good = answer.is_good() && (!way.stream || way.says_end(&answer));
            (!good).then(|| format!("{number}: {} {}", answer.status, answer.text()))
        }
    });
    let failed: Vec<String> = calls.buffer_unordered(32).filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "{} failed, e.g. {:?}", failed.len(), failed.first());
    // Five in a row open the circuit; those under way meanwhile and the few that try it again come on top.
    assert!((5..=200).contains(&dead.calls()), "the dead provider was asked {} times", dead.calls());
}

#[tokio::test]
async fn what_one_route_learns_of_an_endpoint_another_one_knows() {
    let (well, dead) = (good(), Upstream::always(vec![Act::Reset]).unwrap());
    let providers = [
        provider("dead", "OpenAI", dead.address, "priority: 0"),
        provider("well", "OpenAI", well.address, "priority: 1"),
    ];
    let text =
        pool("both", &providers, "  circuitBreaker: {consecutiveFailures: 3, openFor: 300s}") + &route("one", "both");
    let proxy = Proxy::start(&[("all.yaml", &text), ("two.yaml", &route("two", "both"))], &[]).unwrap();
    let client = proxy.client();
    let way = Way { anthropic: false, stream: false };
    for _ in 0..6 {
        assert!(way.call(&client, "one", &[]).await.is_good());
    }
    assert_eq!(dead.calls(), 3, "three failures open the circuit");
    for _ in 0..6 {
        assert!(way.call(&client, "two", &[]).await.is_good());
    }
    // Nor does a change of configuration make it forget.
    proxy.write("three.yaml", &route("three", "both")).unwrap();
    for _ in 0..2_000 {
        if way.call(&client, "three", &[]).await.status != 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..6 {
        assert!(way.call(&client, "three", &[]).await.is_good());
    }
    assert_eq!(dead.calls(), 3, "no other route learns it again");
}

#[tokio::test]
async fn a_provider_that_comes_back_is_used_again() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let ill = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&ill);
    let patient = Upstream::start(move |_| {
        if seen.load(Ordering::Relaxed) { vec![Act::Reset] } else { vec![crate::resources::openai_whole("back")] }
    })
    .unwrap();
    let well = good();
    let providers = [
        provider("ill", "OpenAI", patient.address, "priority: 0"),
        provider("well", "OpenAI", well.address, "priority: 1"),
    ];
    let breaker = "  circuitBreaker: {consecutiveFailures: 2, openFor: 200ms, maxOpenFor: 400ms}";
    let proxy = Proxy::start(&[("all.yaml", &(pool("both", &providers, breaker) + &route("m", "both")))], &[]).unwrap();
    let (client, way) = (proxy.client(), Way { anthropic: false, stream: false });
    for _ in 0..5 {
        assert!(way.call(&client, "m", &[]).await.is_good());
    }
    ill.store(false, Ordering::Relaxed);
    for _ in 0..400 {
        let answer = way.call(&client, "m", &[]).await;
        assert!(answer.is_good());
        if way.said(&answer) == "back" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it was never tried again");
}

#[tokio::test]
async fn a_rule_whose_pools_cannot_serve_is_the_gateways_fault_in_every_dialect() {
    let upstream = plain_upstream();
    let bad = pool("bad", &[provider("a", "OpenAICompatible", upstream.address, "")], "  timeouts: {connect: soon}\n");
    let good = pool("good", &[provider("b", "OpenAICompatible", upstream.address, "models: [{name: other}]")], "");
    let served = "    targets: [{poolRef: {name: good}}]\n";
    let refused = "    targets: [{poolRef: {name: bad}}, {poolRef: {name: missing}}]\n";
    let text = bad + &good + &rule("m", refused) + &rule("n", served);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"?"}]}]}"#.to_owned();
    for (path, body, status, at, word) in [
        (CHAT, chat("m", false), 503, "/error/code", "unavailable"),
        (CHAT, chat("m", true), 503, "/error/code", "unavailable"),
        (MESSAGES, message("m", false), 503, "/error/type", "api_error"),
        ("/v1/messages/count_tokens", message("m", false), 503, "/error/type", "api_error"),
        ("/v1beta/models/m:generateContent", gemini, 503, "/error/status", "UNAVAILABLE"),
        // A model that none of the pools that are there serves is the caller's to change.
        (CHAT, chat("n", false), 404, "/error/code", "model_not_found"),
    ] {
        let answer = client.post(path, &[], body).await.unwrap();
        assert_eq!((answer.status, answer.header("x-should-retry")), (status, "false"), "{path}: {}", answer.text());
        let said = answer.json();
        assert_eq!(said.pointer(at).and_then(serde_json::Value::as_str), Some(word), "{path}: {}", answer.text());
        assert_eq!(answer.text().contains("none of its pools can serve"), status == 503, "{path}: {}", answer.text());
    }
    assert_eq!(upstream.calls(), 0);
}
