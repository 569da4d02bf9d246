//! Each call is counted exactly once, however it ends, and what is in flight comes back to nothing.

use sluicegate_tests::client::{Client, post, raw};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, WAYS, Way, chat, good, message, pool, provider, route, rule};

const STREAM: Way = Way { anthropic: false, stream: true };
const REQUESTS: &str = "sluicegate_requests_total";

#[tokio::test]
async fn each_call_is_counted_once_however_it_ends() {
    let (simulator, dead) = (good(), Upstream::always(vec![sluicegate_tests::upstream::Act::Reset]).unwrap());
    let patience = "  timeouts: {firstToken: 5s, idle: 300ms, total: 30s}";
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], patience)
        + &pool(
            "dead",
            &[provider("a", "OpenAI", dead.address, "")],
            "  retry: {attempts: 2, backoff: {initial: 1ms}}",
        )
        + &route("m", "p")
        + &route("dead", "dead");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let mut calls = 0.0;
    // Good ones, over both protocols.
    let second = Client::http2(proxy.address);
    for way in WAYS {
        assert!(way.call(&client, "m", &[]).await.is_good());
        assert!(way.call(&second, "m", &[]).await.is_good());
        calls += 2.0;
    }
    settled(&proxy, calls).await;
    count(&proxy, &[("outcome", "done"), ("code", "200")], 8.0);
    // Cut by the provider, and fallen silent.
    for way in [STREAM, Way { anthropic: true, stream: true }] {
        assert!(!way.call(&client, "m", &[("x-simulate", "fail=cut; after=2; tokens=9")]).await.is_good());
        assert!(!way.call(&client, "m", &[("x-simulate", "fail=stall; after=2; tokens=9")]).await.is_good());
        calls += 2.0;
    }
    settled(&proxy, calls).await;
    count(&proxy, &[("outcome", "upstream_cut")], 2.0);
    count(&proxy, &[("outcome", "timed_out")], 2.0);
    // Left by the caller: in mid-stream, before the first token, and while a whole answer is waited for.
    calls += leave(&client).await;
    settled(&proxy, calls).await;
    count(&proxy, &[("outcome", "client_gone")], 4.0);
    // Refused: by the gateway, by the provider, and because nobody could serve.
    calls += be_refused(&client).await;
    settled(&proxy, calls).await;
    count(&proxy, &[("outcome", "refused")], 4.0);
    count(&proxy, &[("outcome", "failed")], 1.0);
    let metrics = proxy.metrics().unwrap();
    assert_eq!(
        metrics.sum("sluicegate_attempts_total", &[("pool", "default/dead"), ("result", "reset")]),
        2.0,
        "{}",
        metrics.0
    );
    assert_eq!(dead.calls(), 2);
    // What is listed or asked of no model is counted too, and what is no call at all is not.
    assert_eq!(client.get("/v1/models").await.unwrap().status, 200);
    calls += 1.0;
    raw(proxy.address, b"not http at all\r\n\r\n", usize::MAX).await.unwrap();
    settled(&proxy, calls).await;
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_endpoint_inflight_requests", &[]), 0.0);
    assert_eq!(metrics.sum("sluicegate_request_duration_seconds_count", &[]), calls);
}

/// Calls whose caller goes before the answer is whole; gives back how many.
async fn leave(client: &Client) -> f64 {
    let mut calls = 0.0;
    for (path, body, steer) in [
        (CHAT, chat("m", true), "tokens=900; interval=50ms"),
        (MESSAGES, message("m", true), "tokens=900; interval=50ms"),
    ] {
        drop(client.open(post(path, &[("x-simulate", steer)], body).unwrap()).await.unwrap());
        calls += 1.0;
    }
    for stream in [false, true] {
        let request = post(CHAT, &[("x-simulate", "first-token=30s")], chat("m", stream)).unwrap();
        let open = client.open(request);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(400), open).await.is_err());
        calls += 1.0;
    }
    calls
}

/// Calls that get an error; gives back how many.
async fn be_refused(client: &Client) -> f64 {
    let mut calls = 1.0;
    for (path, body, status) in [
        (CHAT, "nonsense".to_owned(), 400),
        (MESSAGES, message("unknown", true), 404),
        ("/v1/nowhere", "{}".to_owned(), 404),
        (CHAT, chat("dead", false), 502),
    ] {
        assert_eq!(client.post(path, &[], body).await.unwrap().status, status);
        calls += 1.0;
    }
    let refused = client.post(CHAT, &[("x-simulate", "status=400")], chat("m", false)).await.unwrap();
    assert_eq!(refused.status, 400);
    calls
}

#[tokio::test]
async fn usage_of_a_cut_stream_is_counted_as_far_as_it_was_said() {
    let simulator = good();
    let text = pool("p", &[provider("a", "Anthropic", simulator.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let way = Way { anthropic: true, stream: true };
    assert!(!way.call(&proxy.client(), "m", &[("x-simulate", "fail=cut; after=2; tokens=9")]).await.is_good());
    settled(&proxy, 1.0).await;
    // Anthropic's first event says what the input was.
    assert!(proxy.metrics().unwrap().sum("sluicegate_tokens_total", &[("type", "input")]) > 0.0);
}

#[tokio::test]
async fn the_access_log_has_one_line_for_each_call() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let mut ids = Vec::new();
    for (number, way) in WAYS.into_iter().cycle().take(12).enumerate() {
        let id = format!("call-{number}");
        let model = if number % 3 == 0 { "unknown" } else { "m" };
        let answer = way.call(&proxy.client(), model, &[("x-request-id", &id)]).await;
        assert_eq!(answer.header("x-request-id"), id);
        ids.push(id);
    }
    settled(&proxy, 12.0).await;
    let lines = |proxy: &Proxy, id: &str| proxy.log().iter().filter(|line| line.contains(&format!("\"{id}\""))).count();
    proxy.until("a line for each", |proxy| ids.iter().all(|id| lines(proxy, id) > 0)).await.unwrap();
    for id in &ids {
        assert_eq!(lines(&proxy, id), 1, "{id}");
    }
}

/// Waits until so many calls are counted and none is in flight.
async fn settled(proxy: &Proxy, calls: f64) {
    let holds = |proxy: &Proxy| {
        proxy.metrics().is_ok_and(|metrics| {
            metrics.sum(REQUESTS, &[]) >= calls && metrics.sum("sluicegate_inflight_requests", &[]) == 0.0
        })
    };
    let waited = proxy.until("every call is counted", holds).await;
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum(REQUESTS, &[]), calls, "{}", metrics.0);
    waited.unwrap();
}

fn count(proxy: &Proxy, labels: &[(&str, &str)], wanted: f64) {
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum(REQUESTS, labels), wanted, "{labels:?}\n{}", metrics.0);
}

#[tokio::test]
async fn circuits_that_open_are_counted_and_a_callers_time_that_is_over_opens_none() {
    let dead = Upstream::always(vec![sluicegate_tests::upstream::Act::Reset]).unwrap();
    let simulator = good();
    let once = "  retry: {attempts: 1}\n  circuitBreaker: {consecutiveFailures: 1, openFor: 60s}\n";
    let text = pool("dead", &[provider("a", "OpenAI", dead.address, "")], once)
        + &pool(
            "long",
            &[provider("a", "OpenAI", simulator.address, "")],
            &format!("{once}  timeouts: {{connect: 900ms, firstToken: 900ms, idle: 900ms, total: 1s}}"),
        )
        + &route("dead", "dead")
        + &route("long", "long");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!(STREAM.call(&proxy.client(), "dead", &[]).await.status, 502);
    let long = STREAM.call(&proxy.client(), "long", &[("x-simulate", "tokens=900; interval=20ms")]).await;
    assert!(!long.is_good() && long.text().contains("total timeout"), "{}", long.text());
    settled(&proxy, 2.0).await;
    let metrics = proxy.metrics().unwrap();
    let opened = |pool: &str| metrics.sum("sluicegate_endpoint_circuit_opened_total", &[("pool", pool)]);
    assert_eq!((opened("default/dead"), opened("default/long")), (1.0, 0.0), "{}", metrics.0);
}

#[tokio::test]
async fn what_the_cache_keeps_and_does_not_is_counted() {
    let simulator = good();
    let cached = "    targets: [{poolRef: {name: p}}]\n    cache: {ttl: 60s, scope: Route}\n";
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &rule("m", cached);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert!(STREAM.call(&proxy.client(), "m", &[]).await.is_good());
    let kept = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_cache_stores_total", &[("layer", "memory")]);
    proxy.until("a kept answer", |proxy| kept(proxy) > 0.0).await.unwrap();
    assert!(proxy.metrics().unwrap().0.contains("sluicegate_cache_refused_total{reason=\"cut\"}"));
}

#[tokio::test]
async fn a_part_of_an_answer_that_the_callers_dialect_has_no_words_for_is_counted() {
    let searched = r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}}"#;
    let upstream = Upstream::start(move |received| {
        if !received.streams() {
            let body = format!(
                r#"{{"id":"m","type":"message","role":"assistant","model":"m","content":[{searched},{{"type":"text","text":"hi"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":3,"output_tokens":2}}}}"#
            );
            return vec![answer(200, &[("content-type", "application/json")], body.as_bytes())];
        }
        let begins = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}"#;
        let events = [
            ("message_start", format!(r#","message":{begins}"#)),
            ("content_block_start", format!(r#","index":0,"content_block":{searched}"#)),
            ("content_block_stop", r#","index":0"#.to_owned()),
            ("content_block_start", r#","index":1,"content_block":{"type":"text","text":""}"#.to_owned()),
            ("content_block_delta", r#","index":1,"delta":{"type":"text_delta","text":"hi"}"#.to_owned()),
            ("content_block_stop", r#","index":1"#.to_owned()),
            ("message_delta", r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}"#.to_owned()),
            ("message_stop", String::new()),
        ];
        let text: String =
            events.iter().map(|(name, rest)| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n")).collect();
        vec![stream_head(), chunk(text.as_bytes()), last_chunk()]
    })
    .unwrap();
    let text = pool("p", &[provider("a", "Anthropic", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for (stream, so_far) in [(false, 1.0), (true, 2.0)] {
        let way = Way { anthropic: false, stream };
        let answer = way.call(&client, "m", &[]).await;
        assert!(answer.is_good() && answer.text().contains("hi"), "{}", answer.text());
        let skipped =
            |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_skipped_parts_total", &[("provider", "a")]);
        assert_eq!(skipped(&proxy), so_far, "stream={stream}");
        // Its own dialect has words for all of it.
        assert!(Way { anthropic: true, stream }.call(&client, "m", &[]).await.is_good());
        assert_eq!(skipped(&proxy), so_far);
    }
}
