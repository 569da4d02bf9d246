//! The second half of a stream that went on elsewhere: who leaves in it, what it costs, when it has to end, and how often it may break.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client, post, read};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, events, openai_piece, openai_stream, pool, provider, rule};

/// The most text that somebody else can go on with.
const BOUND: usize = 256 << 10;

fn said(text: &str) -> Act {
    chunk(openai_piece(&json!({"content": text}).to_string(), "null").as_bytes())
}

/// An upstream that says this and then does that.
fn saying(text: &str, then: Act) -> Upstream {
    Upstream::always(vec![stream_head(), said(text), then]).unwrap()
}

/// The rest of an answer, with its usage.
fn rest(text: &str) -> Vec<Act> {
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24});
    let told = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage});
    let end = openai_piece("{}", "\"stop\"") + &format!("data: {told}\n\ndata: [DONE]\n\n");
    vec![stream_head(), said(text), chunk(end.as_bytes()), last_chunk()]
}

/// A proxy that asks these providers, one after another.
fn house(providers: &[SocketAddr], spec: &str, lines: &str) -> Proxy {
    let providers: Vec<String> = providers
        .iter()
        .enumerate()
        .map(|(tier, address)| {
            let price = "models: [{name: m, price: {inputPerMillion: \"1\", outputPerMillion: \"2\"}}]";
            provider(&format!("p{tier}"), "OpenAICompatible", *address, &format!("priority: {tier}, {price}"))
        })
        .collect();
    let times = format!(
        "  circuitBreaker: {{consecutiveFailures: 1000, minimumRequests: 1000}}\n  retry: {{attempts: 5}}\n{spec}"
    );
    let text = pool("p", &providers, &times) + &rule("m", &format!("    targets: [{{poolRef: {{name: p}}}}]\n{lines}"));
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

fn call() -> Value {
    json!({"model": "m", "stream": true, "max_tokens": 1000, "stream_options": {"include_usage": true},
           "messages": [{"role": "user", "content": "Say something."}]})
}

async fn ask(client: &Client) -> Answer {
    client.post(CHAT, &[], call().to_string()).await.unwrap()
}

fn text_of(answer: &Answer) -> String {
    let deltas = events(answer);
    deltas.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

/// The line of the one call there was.
async fn line(proxy: &Proxy) -> Value {
    let lines =
        |proxy: &Proxy| proxy.log().into_iter().filter(|line| line.contains("\"continued\":")).collect::<Vec<_>>();
    proxy.until("the call is logged", |proxy| !lines(proxy).is_empty()).await.unwrap();
    serde_json::from_str(lines(proxy).last().unwrap()).unwrap()
}

const GOES_ON: &str = "    streamFailover: {}\n";

#[tokio::test]
async fn who_leaves_in_the_second_half_leaves_its_provider_and_both_halves_are_counted() {
    for path in [CHAT, MESSAGES] {
        let (first, second) = (saying("one two ", Act::Close), saying("six ", Act::Hang));
        let proxy = house(&[first.address, second.address], "", GOES_ON);
        let mut body = call();
        if path == MESSAGES {
            body.as_object_mut().unwrap().remove("stream_options");
        }
        let request = post(path, &[], body.to_string()).unwrap();
        let mut response = proxy.client().open(request).await.unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("six") {
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            heard.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        drop(response);
        let line = line(&proxy).await;
        assert_eq!(
            (&line["outcome"], &line["attempts"], &line["continued"]),
            (&json!("client_gone"), &json!(2), &json!(1))
        );
        let metrics = proxy.metrics().unwrap();
        for (provider, result) in [("p0", "reset"), ("p1", "cancelled")] {
            let of = metrics.sum("sluicegate_attempts_total", &[("provider", provider), ("result", result)]);
            assert_eq!(of, 1.0, "{provider}: {line}");
            let tokens = metrics.sum("sluicegate_tokens_total", &[("provider", provider), ("type", "output")]);
            assert!(tokens > 0.0, "{provider}: {line}");
        }
        let tokens = metrics.sum("sluicegate_tokens_total", &[("type", "output")]);
        assert_eq!(line["usage"]["output"].as_f64(), Some(tokens), "{line}");
    }
}

#[tokio::test]
async fn beyond_the_bound_of_its_text_nobody_goes_on() {
    for (length, goes_on) in [(BOUND - 64, true), (BOUND + 64, false)] {
        // In pieces, as answers come.
        let words = "word ".repeat(length / 5);
        let mut acts = vec![stream_head()];
        acts.extend(words.as_bytes().chunks(16 << 10).map(|piece| said(std::str::from_utf8(piece).unwrap())));
        acts.push(Act::Close);
        let (first, second) = (Upstream::always(acts).unwrap(), Upstream::start(|_| openai_stream("the end")).unwrap());
        let proxy = house(&[first.address, second.address], "", GOES_ON);
        let mut body = call();
        body["max_tokens"] = 1_000_000.into();
        let answer = proxy.client().post(CHAT, &[], body.to_string()).await.unwrap();
        assert_eq!(answer.text().contains("[DONE]"), goes_on, "{length}");
        assert_eq!(second.calls(), u64::from(goes_on), "{length}");
        assert!(text_of(&answer).starts_with(words.trim_end()), "{length}: what came is told");
        if goes_on {
            let sent: Value = serde_json::from_slice(&second.received()[0].body).unwrap();
            assert_eq!(sent["messages"][1]["content"], words.trim_end());
        }
    }
}

#[tokio::test]
async fn a_budget_is_charged_for_both_halves() {
    let (first, second) = (saying("one two ", Act::Close), Upstream::start(|_| rest("six ten")).unwrap());
    let lines = "    streamFailover: {}\n    limits: {budgets: [{amount: \"1\", period: Total}]}\n";
    let proxy = house(&[first.address, second.address], "", lines);
    let left = |answer: &Answer| answer.header("x-sluicegate-budget-remaining").parse::<f64>().unwrap();
    let one = ask(&proxy.client()).await;
    assert_eq!(text_of(&one), "one two six ten", "{}", one.text());
    let cost = line(&proxy).await["cost_usd"].as_f64().unwrap();
    let metrics = proxy.metrics().unwrap();
    let of = |provider| metrics.sum("sluicegate_cost_usd_total", &[("provider", provider)]);
    assert!(of("p0") > 0.0 && of("p1") > 0.0, "{}", metrics.0);
    assert!((of("p0") + of("p1") - cost).abs() < 1e-12);
    // Both reserve the same: what is left before the second is less by what the first cost.
    let two = ask(&proxy.client()).await;
    assert!((left(&one) - left(&two) - cost).abs() < 2e-6, "{} and {}, {cost}", left(&one), left(&two));
}

#[tokio::test]
async fn the_calls_deadline_and_the_silence_that_is_allowed_hold_in_the_second_half_too() {
    let slowly = || {
        let mut acts = vec![stream_head()];
        for _ in 0..200 {
            acts.extend([said("six "), Act::Wait(std::time::Duration::from_millis(100))]);
        }
        Upstream::always(acts).unwrap()
    };
    let silent = || saying("six ", Act::Hang);
    for (second, times, outcome) in [
        (slowly(), "  timeouts: {connect: 1s, firstToken: 2s, idle: 5s, total: 3s}\n", "timed_out"),
        (silent(), "  timeouts: {connect: 1s, firstToken: 10s, idle: 500ms, total: 20s}\n", "timed_out"),
    ] {
        let first = saying("one two ", Act::Close);
        let proxy = house(&[first.address, second.address], times, GOES_ON);
        let answer = ask(&proxy.client()).await;
        let text = text_of(&answer);
        assert!(text.starts_with("one two six"), "{}", answer.text());
        assert!(answer.text().contains("\"error\"") && !answer.text().contains("[DONE]"), "{}", answer.text());
        let line = line(&proxy).await;
        assert_eq!((&line["outcome"], &line["continued"]), (&json!(outcome), &json!(1)), "{line}");
    }
}

#[tokio::test]
async fn it_goes_on_as_often_as_its_rule_says() {
    let words = ["one two ", "six ten ", "new old "];
    for (attempts, whole) in [(1, false), (2, false), (3, true)] {
        let broken: Vec<Upstream> = words.iter().map(|text| saying(text, Act::Close)).collect();
        let last = Upstream::start(|_| rest("the end")).unwrap();
        let mut all: Vec<SocketAddr> = broken.iter().map(|upstream| upstream.address).collect();
        all.push(last.address);
        let proxy = house(&all, "", &format!("    streamFailover: {{attempts: {attempts}}}\n"));
        let answer = ask(&proxy.client()).await;
        assert_eq!(answer.text().contains("[DONE]"), whole, "{attempts}: {}", answer.text());
        let told = words[..attempts.min(2) + 1].concat();
        assert!(text_of(&answer).starts_with(told.trim_end()), "{attempts}: {}", answer.text());
        let ids: BTreeMap<String, ()> =
            events(&answer).iter().filter_map(|event| Some((event["id"].as_str()?.to_owned(), ()))).collect();
        assert_eq!(ids.len(), 1, "{attempts}: {}", answer.text());
        let line = line(&proxy).await;
        assert_eq!(line["continued"], attempts, "{line}");
        let asked: Vec<u64> = broken.iter().chain([&last]).map(Upstream::calls).collect();
        let wanted: Vec<u64> = (0..4).map(|at| u64::from(at <= attempts)).collect();
        assert_eq!(asked, wanted, "{attempts}: nobody who broke off is asked again");
        if whole {
            let usage = events(&answer).into_iter().find(|event| event["usage"].is_object()).unwrap()["usage"].clone();
            assert_eq!(line["usage"]["output"], usage["completion_tokens"], "{line}");
            let metrics = proxy.metrics().unwrap();
            let tokens = metrics.sum("sluicegate_tokens_total", &[("type", "output")]);
            assert_eq!(usage["completion_tokens"].as_f64(), Some(tokens), "{line}");
            let sent: Value = serde_json::from_slice(&last.received()[0].body).unwrap();
            assert_eq!(sent["messages"][1]["content"], words.concat().trim_end(), "all that was said");
        }
    }
}

#[tokio::test]
async fn over_http2_it_is_one_stream_too() {
    let (first, second) = (saying("one two ", Act::Close), Upstream::start(|_| openai_stream("six ten")).unwrap());
    let proxy = house(&[first.address, second.address], "", GOES_ON);
    let client = Client::http2(proxy.address);
    // Several at once on one connection.
    let all = futures_util::future::join_all((0..8).map(|_| async {
        let request = post(CHAT, &[], call().to_string()).unwrap();
        read(client.open(request).await.unwrap()).await.unwrap()
    }));
    for answer in all.await {
        assert!(answer.is_good() && answer.text().contains("[DONE]"), "{}", answer.text());
        assert_eq!(text_of(&answer), "one two six ten", "{}", answer.text());
    }
    let went_on = proxy.metrics().unwrap().sum("sluicegate_continued_streams_total", &[]);
    assert_eq!(went_on, 8.0);
}
