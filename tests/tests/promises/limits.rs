//! What is not tried again, and how often the rest is.

use futures_util::StreamExt as _;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{
    CHAT, MESSAGES, SAVED, WAYS, Way, chat, good, message, openai_whole, plain_upstream, pool, provider, route,
};

const WHOLE: Way = Way { anthropic: false, stream: false };
const ODD: &[u8] = b"{ \"error\" : {\"message\":\"caf\\u00e9 \xc3\xa9  is not a model\", \"type\":\"invalid_request_error\",\"param\":null,\"extra\":[1.0e2,12345678901234567890123]} }\n";

fn two(bad: &Upstream, kind: &str, well: std::net::SocketAddr) -> String {
    let providers = [provider("bad", kind, bad.address, "priority: 0"), provider("well", kind, well, "priority: 1")];
    pool("p", &providers, "") + &route("m", "p")
}

#[tokio::test]
async fn the_callers_own_error_comes_back_as_the_provider_wrote_it_and_is_asked_once() {
    let well = good();
    for code in [400, 409, 413, 422] {
        let headers = [("content-type", "application/json"), ("x-request-id", "theirs"), ("x-odd", "kept")];
        let bad = Upstream::always(vec![answer(code, &headers, ODD)]).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &two(&bad, "OpenAI", well.address))], &[]).unwrap();
        for stream in [false, true] {
            let said = proxy.client().post(CHAT, &[], chat("m", stream)).await.unwrap();
            assert_eq!((said.status, said.whole), (code, true));
            assert_eq!(said.body, ODD, "the body is not the provider's");
            assert_eq!(said.header("x-odd"), "kept");
            assert_eq!(said.header("x-upstream-request-id"), "theirs");
        }
        assert_eq!(bad.calls(), 2, "{code}: asked once each");
    }
}

#[tokio::test]
async fn a_model_that_a_provider_has_no_longer_is_asked_of_the_next_one() {
    let well = good();
    for code in [404, 410, 412, 498] {
        let bad = Upstream::always(vec![answer(code, &[("content-type", "application/json")], ODD)]).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &two(&bad, "OpenAI", well.address))], &[]).unwrap();
        for stream in [false, true] {
            let said = proxy.client().post(CHAT, &[], chat("m", stream)).await.unwrap();
            assert!(said.is_good(), "{code}: {} {}", said.status, said.text());
        }
        // Where nobody has it, its own words come back.
        let alone = pool("p", &[provider("only", "OpenAI", bad.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &alone)], &[]).unwrap();
        let said = proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap();
        assert_eq!((said.status, said.body[..] == *ODD), (code, true));
    }
}

#[tokio::test]
async fn the_callers_own_error_is_put_into_its_dialect_where_the_provider_speaks_another() {
    let bad = Upstream::always(vec![answer(400, &[("content-type", "application/json")], ODD)]).unwrap();
    let well = good();
    let proxy = Proxy::start(&[("all.yaml", &two(&bad, "OpenAI", well.address))], &[]).unwrap();
    let said = proxy.client().post(MESSAGES, &[], message("m", false)).await.unwrap();
    let way = Way { anthropic: true, stream: false };
    assert_eq!(said.status, 400);
    assert_eq!(way.error(&said), ("invalid_request_error".to_owned(), "café é  is not a model".to_owned()));
    assert_eq!(bad.calls(), 1);
}

#[tokio::test]
async fn a_vendor_that_says_400_of_the_gateways_key_or_money_is_taken_at_its_word() {
    let json = [("content-type", "application/json")];
    let key = br#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
    let money = br#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#;
    let masked = br#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***23."}"#;
    for (kind, body) in [("Gemini", &key[..]), ("Anthropic", &money[..]), ("OpenAI", &masked[..])] {
        let (bad, good) = (Upstream::always(vec![answer(400, &json, body)]).unwrap(), plain_upstream());
        let alone = provider("bad", kind, bad.address, "priority: 0");
        let both = [alone.clone(), provider("good", "OpenAICompatible", good.address, "priority: 1")];
        let text = pool("alone", &[alone], "") + &route("alone", "alone") + &pool("p", &both, "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for way in WAYS {
            let saved = way.call(&proxy.client(), "m", &[]).await;
            assert_eq!(way.said(&saved), "fine", "{kind} {way:?}: {}", saved.text());
        }
        // After three in a row it rests, and nobody asks it.
        assert_eq!(bad.calls(), 3, "{kind}");
        let said = WHOLE.call(&proxy.client(), "alone", &[]).await;
        assert!(said.status >= 500 && !said.text().contains("xa***23"), "{kind}: {} {}", said.status, said.text());
    }
}

#[tokio::test]
async fn a_refused_credential_is_the_operators_matter_and_not_the_callers() {
    let body = br#"{"error":{"message":"Incorrect API key provided: sk-abc","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    for code in [401, 403] {
        let bad = Upstream::always(vec![answer(code, &[("content-type", "application/json")], body)]).unwrap();
        let text = pool("p", &[provider("only", "OpenAI", bad.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let said = WHOLE.call(&proxy.client(), "m", &[]).await;
        assert!(said.status >= 500, "{}: the caller did nothing wrong", said.status);
        assert!(!said.text().contains("sk-abc"));
        assert!(WHOLE.error(&said).1.contains("credential"), "{}", said.text());
        assert_eq!(bad.calls(), 1, "the same answer again is of no use");
    }
}

#[tokio::test]
async fn the_retry_budget_bounds_attempts_when_everything_fails() {
    let body = br#"{"error":{"message":"down","type":"server_error"}}"#;
    let dead = Upstream::always(vec![answer(500, &[("content-type", "application/json")], body)]).unwrap();
    let more = "  retry: {attempts: 3, budgetPercent: 20, backoff: {initial: 1ms, max: 2ms}}\n";
    let text = pool("p", &[provider("only", "OpenAI", dead.address, "")], more) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let calls = futures_util::stream::iter(0..200).map(|_| WHOLE.call(&client, "m", &[]));
    let answers: Vec<_> = calls.buffer_unordered(8).collect().await;
    for said in &answers {
        assert_eq!(said.status, 500);
        assert_eq!(said.body, &body[..]);
        assert_eq!(said.header("x-should-retry"), "false", "the gateway's own retries were enough");
    }
    // 200 calls, 20 % of them, and ten that are always free; a slow machine may see a second window begin.
    assert!(dead.calls() <= 200 + 40 + 20, "{} attempts", dead.calls());
    assert!(dead.calls() > 200, "nothing was tried again");
}

#[tokio::test]
async fn attempts_of_one_call_are_bounded() {
    let body = br#"{"error":{"message":"down","type":"server_error"}}"#;
    let dead = Upstream::always(vec![answer(503, &[("content-type", "application/json")], body)]).unwrap();
    let more = "  retry: {attempts: 4, backoff: {initial: 1ms, max: 2ms}}\n";
    let text = pool("p", &[provider("only", "OpenAI", dead.address, "")], more)
        + &route("m", "p")
        + &pool("once", &[provider("only", "OpenAI", dead.address, "")], "  retry: {attempts: 1}")
        + &route("once", "once");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!(WHOLE.call(&proxy.client(), "m", &[]).await.status, 503);
    assert_eq!(dead.calls(), 4);
    assert_eq!(WHOLE.call(&proxy.client(), "once", &[]).await.status, 503);
    assert_eq!(dead.calls(), 5);
}

#[tokio::test]
async fn retry_after_is_honoured_by_leaving_the_provider_alone() {
    let headers = [("content-type", "application/json"), ("retry-after", "60")];
    let busy =
        Upstream::always(vec![answer(429, &headers, br#"{"error":{"message":"slow down","type":"rate"}}"#)]).unwrap();
    let well = good();
    let proxy = Proxy::start(&[("all.yaml", &two(&busy, "OpenAI", well.address))], &[]).unwrap();
    for _ in 0..5 {
        for way in WAYS {
            let said = way.call(&proxy.client(), "m", &[]).await;
            assert!(said.is_good());
            assert_eq!(way.said(&said).trim(), SAVED);
        }
    }
    assert_eq!(busy.calls(), 1, "it asked for a minute of quiet");
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_when_nobody_else_can_serve() {
    let busy = Upstream::start(|received| match received.number {
        0 => vec![answer(429, &[("retry-after-ms", "50")], br#"{"error":{"message":"slow down","type":"rate"}}"#)],
        _ => vec![openai_whole("now")],
    })
    .unwrap();
    let text = pool("p", &[provider("only", "OpenAI", busy.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let said = WHOLE.call(&proxy.client(), "m", &[]).await;
    assert_eq!((said.status, WHOLE.said(&said).as_str()), (200, "now"));
    assert_eq!(busy.calls(), 2);
}

#[tokio::test]
async fn a_long_retry_after_is_told_to_the_caller() {
    let headers =
        [("content-type", "application/json"), ("retry-after", "90"), ("x-ratelimit-remaining-requests", "0")];
    let busy = Upstream::always(vec![answer(429, &headers, ODD)]).unwrap();
    let text = pool("p", &[provider("only", "OpenAI", busy.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let said = WHOLE.call(&proxy.client(), "m", &[]).await;
    assert_eq!((said.status, said.header("retry-after")), (429, "90"));
    assert_eq!(said.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(said.body, ODD);
    assert_eq!(busy.calls(), 1);
}

#[tokio::test]
async fn the_end_of_a_window_is_waited_for_and_told() {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 7_200;
    let reset = format!("{at}000");
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &*reset)];
    let capped = Upstream::always(vec![answer(429, &headers, ODD)]).unwrap();
    let text = pool("p", &[provider("only", "OpenAI", capped.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let said = WHOLE.call(&proxy.client(), "m", &[]).await;
    assert_eq!((said.status, said.header("retry-after"), said.header("x-should-retry")), (429, "120", "false"));
    assert_eq!(capped.calls(), 1, "nobody waits for it");
}

#[tokio::test]
async fn of_two_that_are_limited_the_caller_is_told_the_sooner_time() {
    for (first, second) in [("100", "30"), ("30", "100")] {
        let [one, two] =
            [first, second].map(|after| Upstream::always(vec![answer(429, &[("retry-after", after)], ODD)]).unwrap());
        let proxy = Proxy::start(&[("all.yaml", &self::two(&one, "OpenAI", two.address))], &[]).unwrap();
        let said = WHOLE.call(&proxy.client(), "m", &[]).await;
        assert_eq!((said.status, said.header("retry-after")), (429, "30"), "{first} {second}");
        assert_eq!((one.calls(), two.calls()), (1, 1));
    }
}

#[tokio::test]
async fn a_time_that_is_none_is_not_passed_on() {
    let busy = Upstream::always(vec![answer(429, &[("retry-after", "NaN")], ODD)]).unwrap();
    let text = pool("p", &[provider("only", "OpenAI", busy.address, "")], "  retry: {attempts: 1}") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let said = WHOLE.call(&proxy.client(), "m", &[]).await;
    assert_eq!((said.status, said.header("retry-after"), said.header("x-should-retry")), (429, "", "false"));
}

#[tokio::test]
async fn what_leaves_something_behind_is_asked_for_once_where_nobody_knows_what_became_of_it() {
    let asking = |more: &str| format!(r#"{{"model":"m","input":"Go on."{more}}}"#);
    for (code, more, calls) in
        [(504, r#","conversation":"conv_1""#, 1), (504, "", 3), (429, r#","conversation":"conv_1""#, 3)]
    {
        let gone = Upstream::always(vec![answer(code, &[("content-type", "application/json")], ODD)]).unwrap();
        let text = pool("p", &[provider("only", "OpenAI", gone.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let said = proxy.client().post("/v1/responses", &[], asking(more)).await.unwrap();
        assert_eq!((said.status, said.header("x-should-retry")), (code, "false"), "{code} {more}");
        assert_eq!(gone.calls(), calls, "{code} {more}");
    }
}

#[tokio::test]
async fn a_provider_that_says_whether_to_retry_is_passed_on() {
    let headers = [("content-type", "application/json"), ("x-should-retry", "true")];
    let odd = Upstream::always(vec![answer(400, &headers, ODD)]).unwrap();
    let text = pool("p", &[provider("only", "OpenAI", odd.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!(WHOLE.call(&proxy.client(), "m", &[]).await.header("x-should-retry"), "true");
}
