//! What a caller sends moves nobody's health, and what goes wrong is booked where it belongs.

use sluicegate_tests::client::post;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer, chunk, stream_head};

use crate::resources::{
    CHAT, MESSAGES, SAVED, WAYS, Way, chat, good, message, openai_piece, openai_whole, pool, provider, route, rule,
};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const SSE: &[(&str, &str)] = &[("content-type", "text/event-stream")];
const WHOLE: Way = Way { anthropic: false, stream: false };
const STREAM: Way = Way { anthropic: false, stream: true };
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {api-key: sk-of-the-provider}\n---\n";

fn two(first: &Upstream, kind: &str, well: std::net::SocketAddr, more: &str) -> String {
    let providers =
        [provider("first", kind, first.address, "priority: 0"), provider("well", "OpenAI", well, "priority: 1")];
    pool("p", &providers, more) + &route("m", "p")
}

/// A vendor that refuses whoever names an account beside its key.
fn strict(received: &Received) -> Vec<Act> {
    let lines = received.head.to_lowercase();
    let ours = [
        "organization",
        "project",
        "workspace",
        "x-auth-request",
        "x-amzn",
        "x-goog",
        "sec-fetch",
        "baggage",
        "via:",
        "x-sluicegate",
    ];
    match ours.iter().find(|name| lines.contains(*name)) {
        Some(name) => vec![answer(401, JSON, format!(r#"{{"error":{{"message":"{name}","type":"t"}}}}"#).as_bytes())],
        None => vec![openai_whole("fine")],
    }
}

#[tokio::test]
async fn what_a_proxy_a_browser_or_a_caller_adds_goes_to_no_provider() {
    let upstream = Upstream::start(strict).unwrap();
    let with = "credentials: {secretRef: {name: key}}";
    let text =
        SECRET.to_owned() + &pool("p", &[provider("only", "OpenAI", upstream.address, with)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let headers = [
        ("openai-organization", "org-1"),
        ("openai-project", "proj-1"),
        ("x-goog-user-project", "p"),
        ("anthropic-workspace-id", "w"),
        ("x-auth-request-email", "a@b.c"),
        ("x-amzn-oidc-data", "jwt"),
        ("x-goog-iap-jwt-assertion", "jwt"),
        ("cf-connecting-ip", "1.2.3.4"),
        ("x-ms-client-principal", "x"),
        ("via", "1.1 proxy"),
        ("sec-fetch-mode", "cors"),
        ("sec-ch-ua", "x"),
        ("baggage", "user=a"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-sluicegate-consumer", "admin"),
        ("x-mine", "1"),
        ("accept", "text/html"),
        ("openai-beta", "assistants=v2"),
        ("openai-new", "1"),
        ("x-stainless-lang", "python"),
        ("user-agent", "OpenAI/Python"),
        ("idempotency-key", "k"),
    ];
    for _ in 0..5 {
        let said = proxy.client().post(CHAT, &headers, chat("m", false)).await.unwrap();
        assert_eq!(said.status, 200, "{}", said.text());
    }
    let sent = upstream.received().pop().unwrap();
    for name in ["cf-connecting-ip", "x-ms-client-principal", "traceparent", "x-mine", "sec-ch-ua"] {
        assert_eq!(sent.header(name), "", "{}", sent.head);
    }
    for (name, value) in [
        ("openai-beta", "assistants=v2"),
        ("openai-new", "1"),
        ("x-stainless-lang", "python"),
        ("user-agent", "OpenAI/Python"),
        ("idempotency-key", "k"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
    ] {
        assert_eq!(sent.header(name), value, "{}", sent.head);
    }
}

#[tokio::test]
async fn a_version_said_twice_goes_on_once_and_betas_all() {
    let upstream = Upstream::always(vec![answer(
        200,
        &[("content-type", "application/json"), ("anthropic-organization-id", "org"), ("x-cache", "HIT"), ("age", "7")],
        br#"{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":1,"output_tokens":1}}"#,
    )])
    .unwrap();
    let text = pool("p", &[provider("only", "Anthropic", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let headers = [
        ("anthropic-version", "2026-10-21"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one"),
        ("anthropic-beta", "two"),
        ("x-sluicegate-consumer", "admin"),
        ("x-forwarded-for", "6.6.6.6"),
        ("te", "trailers"),
    ];
    let said = proxy.client().post(MESSAGES, &headers, message("m", false)).await.unwrap();
    assert_eq!(said.status, 200, "{}", said.text());
    for name in ["anthropic-organization-id", "x-cache", "age"] {
        assert_eq!(said.header(name), "", "{name}");
    }
    let head = upstream.received().pop().unwrap().head.to_lowercase();
    assert_eq!(head.matches("anthropic-version: ").count(), 1, "{head}");
    assert!(head.contains("anthropic-version: 2026-10-21"), "{head}");
    assert!(head.contains("anthropic-beta: one") && head.contains("anthropic-beta: two"), "{head}");
    for name in ["x-sluicegate", "x-forwarded", "\nte:"] {
        assert!(!head.contains(name), "{head}");
    }
}

/// How often the first provider was asked in five calls of which it answers none well.
async fn asked(status: u16, body: &str, callers: u16) -> u64 {
    let body = body.to_owned();
    let first = Upstream::start(move |_| vec![answer(status, JSON, body.as_bytes())]).unwrap();
    let well = good();
    let text = two(&first, "OpenAI", well.address, "  circuitBreaker: {consecutiveFailures: 2, openFor: 60s}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for _ in 0..5 {
        let said = WHOLE.call(&proxy.client(), "m", &[]).await;
        assert_eq!(said.status, callers, "{}", said.text());
    }
    first.calls()
}

#[tokio::test]
async fn a_delay_in_the_body_is_learnt_and_a_callers_mistake_is_not() {
    let delay = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"retry in 52.4s","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"52s"}]}}"#;
    assert_eq!(asked(429, delay, 200).await, 1);
    assert_eq!(asked(503, delay, 200).await, 1);
    assert_eq!(asked(429, r#"{"error":{"message":"slow down"}}"#, 200).await, 1, "a short cooldown without a hint");
    // A credential that is refused may be about what one caller asked for; some in a row are not.
    assert_eq!(asked(401, r#"{"error":{"message":"no"}}"#, 200).await, 3);
    for status in [400, 413, 422, 431] {
        assert_eq!(asked(status, r#"{"error":{"message":"no"}}"#, status).await, 5, "{status}");
    }
    assert_eq!(asked(403, r#"{"error":{"message":"no"}}"#, 200).await, 5);
    assert_eq!(asked(500, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#, 200).await, 5);
}

#[tokio::test]
async fn two_hundred_without_an_answer_is_a_failed_attempt() {
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":0}"#;
    let bodies = [
        "null".to_owned(),
        "[]".to_owned(),
        "\"\"".to_owned(),
        "{}".to_owned(),
        String::new(),
        r#"{"choices":null}"#.to_owned(),
        r#"{"choices":[]}"#.to_owned(),
        format!(r#"{{"id":"c","object":"chat.completion","choices":[],{usage}}}"#),
        r#"{"error":{"message":"no capacity"}}"#.to_owned(),
    ];
    let well = good();
    for body in bodies {
        let said = body.clone();
        let empty = Upstream::start(move |_| vec![answer(200, JSON, said.as_bytes())]).unwrap();
        let cached = "    targets: [{poolRef: {name: alone}}]\n    cache: {ttl: 60s, scope: Route}\n";
        let text = two(&empty, "OpenAI", well.address, "")
            + &pool("alone", &[provider("only", "OpenAI", empty.address, "")], "  retry: {attempts: 1}")
            + &rule("alone", cached);
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for way in WAYS {
            let answer = way.call(&proxy.client(), "m", &[]).await;
            assert_eq!((answer.status, way.said(&answer).trim()), (200, SAVED), "{way:?} {body}");
            let before = empty.calls();
            let alone = way.call(&proxy.client(), "alone", &[]).await;
            // An error says what it is, whatever the status above it.
            let status = if body.contains("error") { 500 } else { 502 };
            assert_eq!((alone.status, empty.calls()), (status, before + 1), "{way:?} {body}: {}", alone.text());
        }
    }
}

#[tokio::test]
async fn a_stream_without_an_answer_is_a_failed_attempt_too() {
    let role = openai_piece(r#"{"role":"assistant","content":""}"#, "null");
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":0}}\n\n";
    let well = good();
    for events in ["data: [DONE]\n\n".to_owned(), format!("{usage}data: [DONE]\n\n"), format!("{role}data: [DONE]\n\n")]
    {
        let said = events.clone();
        let empty = Upstream::start(move |_| vec![answer(200, SSE, said.as_bytes())]).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &two(&empty, "OpenAI", well.address, ""))], &[]).unwrap();
        for way in [STREAM, Way { anthropic: true, stream: true }] {
            // Translated, an answer that began and is done is an empty one.
            if way.anthropic && events.starts_with(&role) {
                continue;
            }
            let answer = way.call(&proxy.client(), "m", &[]).await;
            assert_eq!((answer.status, way.said(&answer).trim()), (200, SAVED), "{way:?} {events}");
        }
    }
}

#[tokio::test]
async fn an_error_as_a_streams_first_event_keeps_its_status() {
    let openai = |error: &str| format!("data: {{\"error\":{error}}}\n\n");
    let anthropic = |word: &str| {
        format!("event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{word}\",\"message\":\"no\"}}}}\n\n")
    };
    let cases = [
        ("OpenAI", openai(r#"{"message":"upstream at capacity","code":"overloaded"}"#), [503, 529]),
        ("OpenAI", openai(r#"{"message":"slow down","code":"rate_limit_exceeded"}"#), [429, 429]),
        ("OpenAI", openai(r#"{"message":"too long","code":"context_length_exceeded"}"#), [400, 400]),
        ("Anthropic", anthropic("overloaded_error"), [503, 529]),
        ("Anthropic", anthropic("rate_limit_error"), [429, 429]),
    ];
    for (kind, event, statuses) in cases {
        let said = event.clone();
        let failing = Upstream::start(move |_| vec![answer(200, SSE, said.as_bytes())]).unwrap();
        let once = "  retry: {attempts: 1}";
        let text = pool("p", &[provider("only", kind, failing.address, "")], once) + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for (way, status) in [STREAM, Way { anthropic: true, stream: true }].into_iter().zip(statuses) {
            let answer = way.call(&proxy.client(), "m", &[]).await;
            assert_eq!(answer.status, status, "{way:?} {event}: {}", answer.text());
            assert_ne!(way.error(&answer).1, "");
        }
    }
}

#[tokio::test]
async fn a_mistake_that_only_the_caller_can_mend_wins_over_a_fallbacks_failure() {
    let wrong = br#"{"error":{"message":"messages: wrong","type":"invalid_request_error","code":null}}"#;
    let strict = Upstream::always(vec![answer(400, JSON, wrong)]).unwrap();
    let dead = Upstream::always(vec![Act::Reset]).unwrap();
    let tried = "  retry: {attempts: 1, retryOn: {statusCodes: [400]}}";
    let lines = "    targets: [{poolRef: {name: strict}}]\n    fallbacks: [{poolRef: {name: dead}}]\n";
    let text = pool("strict", &[provider("a", "OpenAI", strict.address, "")], tried)
        + &pool("dead", &[provider("a", "OpenAI", dead.address, "")], "")
        + &rule("m", lines);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for way in WAYS {
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert_eq!(answer.status, 400, "{way:?} {}", answer.text());
    }
    assert!(dead.calls() > 0);
}

#[tokio::test]
async fn faults_are_booked_where_they_belong() {
    let down = Upstream::always(vec![answer(500, JSON, br#"{"error":{"message":"down"}}"#)]).unwrap();
    let once = "  retry: {attempts: 1, retryOn: {statusCodes: [503]}}";
    let anthropic = good();
    let text = pool("p", &[provider("only", "OpenAI", down.address, "")], once)
        + &pool("c", &[provider("only", "Anthropic", anthropic.address, "")], "")
        + &route("m", "p")
        + &route("c", "c");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let said = WHOLE.call(&proxy.client(), "m", &[("x-request-id", "down-1")]).await;
    assert_eq!(said.status, 500);
    let counting = [("x-request-id", "count-1")];
    let _ = proxy.client().post("/v1/messages/count_tokens", &counting, message("c", false)).await.unwrap();
    let line = |proxy: &Proxy, id: &str| proxy.log().into_iter().find(|line| line.contains(id));
    proxy.until("both lines", |proxy| line(proxy, "down-1").and(line(proxy, "count-1")).is_some()).await.unwrap();
    let down = line(&proxy, "down-1").unwrap();
    assert!(down.contains("\"fault\":\"upstream\"") && down.contains("\"outcome\":\"failed\""), "{down}");
    assert!(line(&proxy, "count-1").unwrap().contains("\"operation\":\"count_tokens\""));
}

#[tokio::test]
async fn a_provider_that_can_not_be_told_a_call_is_not_asked_and_costs_no_attempt() {
    let (cannot, can) = (Upstream::always(vec![Act::Reset]).unwrap(), good());
    // Several answers at once have no word in Anthropic's dialect.
    let once = "  retry: {attempts: 1}";
    let text = pool(
        "p",
        &[
            provider("cannot", "Anthropic", cannot.address, "priority: 0"),
            provider("can", "OpenAI", can.address, "priority: 1"),
        ],
        once,
    ) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let body = r#"{"model":"m","n":2,"messages":[{"role":"user","content":"a"}]}"#;
    let said = proxy.client().post(CHAT, &[], body).await.unwrap();
    assert_eq!((said.status, cannot.calls()), (200, 0), "{}", said.text());
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_attempts_total", &[]), 1.0, "{}", metrics.0);
}

#[tokio::test]
async fn a_whole_answer_has_the_total_time_and_a_stream_the_first_tokens() {
    let slow = good();
    let patience = "  timeouts: {connect: 100ms, firstToken: 150ms, idle: 150ms, total: 20s}\n  retry: {attempts: 1}";
    let text = pool("p", &[provider("only", "OpenAI", slow.address, "")], patience) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let steer = [("x-simulate", "first-token=600ms")];
    assert_eq!(WHOLE.call(&proxy.client(), "m", &steer).await.status, 200);
    assert_eq!(STREAM.call(&proxy.client(), "m", &steer).await.status, 504);
}

#[tokio::test]
async fn a_stream_that_is_left_costs_what_was_seen_of_it() {
    let first = openai_piece(r#"{"role":"assistant","content":"one two three"}"#, "null");
    let endless = Upstream::always(vec![stream_head(), chunk(first.as_bytes()), Act::Hang]).unwrap();
    let priced = "models: [{name: m, price: {inputPerMillion: '1000', outputPerMillion: '1000'}}]";
    for kind in ["chat", "messages"] {
        let text = pool("p", &[provider("only", "OpenAI", endless.address, priced)], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let (path, body) = if kind == "chat" { (CHAT, chat("m", true)) } else { (MESSAGES, message("m", true)) };
        drop(proxy.client().open(post(path, &[], body).unwrap()).await.unwrap());
        let gone = |proxy: &Proxy| {
            proxy.metrics().is_ok_and(|m| m.sum("sluicegate_requests_total", &[("outcome", "client_gone")]) == 1.0)
        };
        proxy.until("the call is counted", gone).await.unwrap();
        let metrics = proxy.metrics().unwrap();
        let tokens = |of: &str| metrics.sum("sluicegate_tokens_total", &[("type", of)]);
        assert_eq!(tokens("output"), 4.0, "{}", metrics.0);
        assert!((10.0..=60.0).contains(&tokens("input")), "{}", metrics.0);
        assert_eq!(metrics.sum("sluicegate_usage_estimated_total", &[]), 1.0);
        assert!(metrics.sum("sluicegate_cost_usd_total", &[]) > 0.0);
        let marked = |proxy: &Proxy| proxy.log().iter().any(|line| line.contains("\"usage_estimated\":true"));
        proxy.until("the log marks it", marked).await.unwrap();
    }
}

#[tokio::test]
async fn a_usage_that_nobody_can_have_is_not_believed() {
    let body = r#"{"choices":[{"index":0,"message":{"content":"x"}}],"usage":{"prompt_tokens":9223372036854775808,"completion_tokens":1}}"#;
    let boastful = Upstream::always(vec![answer(200, JSON, body.as_bytes())]).unwrap();
    let text = pool("p", &[provider("only", "OpenAI", boastful.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!(WHOLE.call(&proxy.client(), "m", &[]).await.status, 200);
    let counted = |proxy: &Proxy| proxy.metrics().is_ok_and(|m| m.sum("sluicegate_requests_total", &[]) == 1.0);
    proxy.until("the call is counted", counted).await.unwrap();
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_usage_disbelieved_total", &[]), 1.0);
    assert_eq!(metrics.sum("sluicegate_tokens_total", &[]), 0.0);
}

#[tokio::test]
async fn what_breaks_every_provider_is_held_against_none_and_what_breaks_one_is() {
    let poisoned = |received: &Received| String::from_utf8_lossy(&received.body).contains("poison");
    let broken = |word: &'static str| {
        move |received: &Received| match poisoned(received) || String::from_utf8_lossy(&received.body).contains(word) {
            true => vec![answer(500, JSON, br#"{"error":{"message":"boom","type":"server_error"}}"#)],
            false => vec![openai_whole("fine")],
        }
    };
    let first = Upstream::start(broken("first")).unwrap();
    let second = Upstream::start(broken("never")).unwrap();
    let circuit =
        "  circuitBreaker: {consecutiveFailures: 2, openFor: 60s}\n  retry: {backoff: {initial: 1ms, max: 1ms}}";
    let providers = [
        provider("first", "OpenAI", first.address, "priority: 0"),
        provider("second", "OpenAI", second.address, "priority: 1"),
    ];
    let text = pool("p", &providers, circuit) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let ask = async |word: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{word}"}}]}}"#);
        client.post(CHAT, &[], body).await.unwrap().status
    };
    let open = |provider: &str| {
        let metrics = proxy.metrics().unwrap();
        metrics.sum("sluicegate_endpoint_circuit_state", &[("provider", provider)])
    };
    for _ in 0..8 {
        assert_eq!(ask("poison").await, 500);
        assert_eq!((open("first"), open("second")), (0.0, 0.0));
    }
    let before = first.calls();
    assert_eq!(ask("well").await, 200);
    assert_eq!(first.calls(), before + 1, "the first is asked first, as before");
    // The same status to a call that another provider answers is its own failure.
    for _ in 0..2 {
        assert_eq!(ask("first").await, 200);
    }
    assert_eq!((open("first"), open("second")), (2.0, 0.0));
}

#[tokio::test]
async fn an_error_that_stands_where_a_whole_answer_should_is_told_as_what_it_is() {
    let failed = |code: &str| {
        format!(
            r#"{{"id":"resp_1","object":"response","status":"failed","model":"m","output":[],"error":{{"code":"{code}","message":"no"}},"usage":null}}"#
        )
    };
    let chat_error = r#"{"error":{"message":"slow down","code":429}}"#.to_owned();
    let anthropic = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#.to_owned();
    for (kind, path, body, status, calls) in [
        ("OpenAI", "/v1/responses", failed("invalid_prompt"), 400, 1),
        ("OpenAI", "/v1/responses", failed("rate_limit_exceeded"), 429, 2),
        ("OpenAI", CHAT, chat_error, 429, 2),
        ("Anthropic", MESSAGES, anthropic, 529, 2),
    ] {
        let upstream = Upstream::always(vec![answer(200, JSON, body.as_bytes())]).unwrap();
        let patience = "  retry: {attempts: 2, backoff: {initial: 1ms, max: 1ms}}";
        let text = pool("p", &[provider("only", kind, upstream.address, "")], patience) + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let call = match path {
            "/v1/responses" => r#"{"model":"m","input":"x"}"#.to_owned(),
            CHAT => chat("m", false),
            _ => message("m", false),
        };
        let got = proxy.client().post(path, &[], call).await.unwrap();
        assert_eq!(got.status, status, "{body}: {}", got.text());
        assert!(upstream.calls() <= calls, "{body}: {}", upstream.calls());
    }
}

#[tokio::test]
async fn a_mark_of_byte_order_spoils_no_answer() {
    let body = "\u{feff}{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"fine\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}";
    let upstream = Upstream::always(vec![answer(200, JSON, body.as_bytes())]).unwrap();
    let text = pool("p", &[provider("only", "OpenAICompatible", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for way in [WHOLE, Way { anthropic: true, stream: false }] {
        let got = way.call(&proxy.client(), "m", &[]).await;
        assert_eq!(way.said(&got), "fine", "{way:?}: {}", got.text());
    }
}

#[tokio::test]
async fn a_model_that_nobody_serves_is_the_callers_mistake_unless_the_rule_names_it() {
    let models = "models: [{name: served}]";
    let upstream = Upstream::start(|_| vec![openai_whole("fine")]).unwrap();
    let any = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: any}\nspec:\n  rules:\n  \
               - {name: all, targets: [{poolRef: {name: p}}]}\n---\n";
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, models)], "") + &route("promised", "p") + any;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (model, outcome) in [("misspelt", "refused"), ("promised", "failed")] {
        let count = |proxy: &Proxy| {
            proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", outcome)]).round() as u64
        };
        let before = count(&proxy);
        let answer = proxy.client().post(CHAT, &[], chat(model, false)).await.unwrap();
        assert_eq!((answer.status, answer.header("x-should-retry")), (404, "false"), "{}", answer.text());
        proxy.until(model, |proxy| count(proxy) == before + 1).await.unwrap();
    }
}
