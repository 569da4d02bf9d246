//! Calls that are left, or whose providers fall silent, before anything is said of what they used: the log, the metrics and the budget
//! say the same of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::Answer;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Upstream, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, anthropic_whole, openai_whole, pool, provider};

const KEY: &str = "one-key-that-nobody-can-guess";
const CONSUMER: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: team}\nstringData: {api-key: one-key-that-nobody-can-guess}\n---\n\
     apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {name: team}\nspec:\n  \
     keys: [{name: k, secretRef: {name: team}}]\n  limits: {budgets: [{amount: \"100\", period: Total}]}\n---\n\
     apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec:\n  rules:\n  \
     - {name: all, targets: [{poolRef: {name: p}}]}\n---\n";
/// A hundred dollars a million tokens of prompt, and a thousand of answer.
const MODELS: &str = "models: [{name: m, price: {inputPerMillion: '100', outputPerMillion: '1000'}}, \
     {name: o3-mini, price: {inputPerMillion: '100', outputPerMillion: '1000'}}]";
/// The part of a dollar that a token of an answer costs, in picodollars.
const OUTPUT: u64 = 1_000_000_000;
/// The cost of an answer: three tokens of prompt and two more.
const ANSWER: u64 = 2_300_000_000;

/// What became of a call that nobody waited for.
enum Left {
    /// It is not known.
    Unknown,
    /// It is the prompt, by an estimate.
    Prompt,
}

/// A provider that answers calls for one token, and says nothing to others, or no more than a head.
fn silent() -> Upstream {
    Upstream::start(|received| {
        let body = String::from_utf8_lossy(&received.body);
        match (body.contains("\"max_tokens\":1,"), body.contains("\"seed\":1")) {
            (true, _) => vec![openai_whole("fine")],
            (false, true) => vec![stream_head(), Act::Hang],
            (false, false) => vec![Act::Hang],
        }
    })
    .unwrap()
}

fn asking(model: &str, max_tokens: u64, more: &str) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":{max_tokens},{more}"messages":[{{"role":"user","content":"Say something."}}]}}"#
    )
}

/// The picodollars that remain, as the answer to a call for one token says, which is over then.
async fn remaining(proxy: &Proxy) -> u64 {
    let answer: Answer = proxy.client().post(CHAT, &[("x-api-key", KEY)], asking("m", 1, "")).await.unwrap();
    let text = answer.header("x-sluicegate-budget-remaining");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let told = whole.parse::<u64>().unwrap() * 1_000_000_000_000 + format!("{fraction:0<12}").parse::<u64>().unwrap();
    idle(proxy).await;
    told
}

async fn idle(proxy: &Proxy) {
    let idle = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_inflight_requests", &[]) == 0.0;
    proxy.until("the calls are over", idle).await.unwrap();
}

/// Asks, and leaves as soon as the provider has been asked.
async fn leave(proxy: &Proxy, upstream: &Upstream, body: &str) {
    let before = upstream.calls();
    let mut socket = TcpStream::connect(proxy.address).unwrap();
    let length = body.len();
    write!(socket, "POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    proxy.until("the provider is asked", |_| upstream.calls() > before).await.unwrap();
    drop(socket);
}

/// The lines of the log that tell what calls cost.
fn lines(proxy: &Proxy) -> Vec<Value> {
    let log = proxy.log();
    log.iter().filter(|line| line.contains("\"cost_usd\"")).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Looks at what was booked of the one call between two looks at the budget.
async fn agree(proxy: &Proxy, left: &Left, (before, max_tokens): (u64, u64), what: &str) {
    proxy.until("the calls are in the log", |proxy| lines(proxy).len() >= 2).await.unwrap();
    let booked = before - remaining(proxy).await - ANSWER;
    let line = lines(proxy).remove(1);
    let metrics = proxy.metrics().unwrap();
    let sum = |name: &str| metrics.sum(name, &[]);
    let known = (sum("sluicegate_cost_usd_total") * 1e12).round() as u64 - 2 * ANSWER;
    match left {
        Left::Unknown => {
            assert_eq!((&line["cost_usd"], &line["usage_estimated"]), (&Value::Null, &Value::Null), "{what}: {line}");
            assert_eq!((sum("sluicegate_cost_unknown_total"), known), (1.0, 0), "{what}");
            assert!(booked >= max_tokens * OUTPUT, "{what}: it counts as it was reserved: {booked}");
        }
        Left::Prompt => {
            assert_eq!(
                (&line["usage_estimated"], &line["usage"]["output"]),
                (&json!(true), &json!(0)),
                "{what}: {line}"
            );
            let cost = (line["cost_usd"].as_f64().unwrap() * 1e12).round() as u64;
            assert!(cost > 0 && cost < 10 * OUTPUT, "{what}: {line}");
            assert_eq!((booked, known), (cost, cost), "{what}");
            assert_eq!((sum("sluicegate_cost_unknown_total"), sum("sluicegate_usage_estimated_total")), (0.0, 1.0));
        }
    }
}

#[tokio::test]
async fn what_a_call_used_that_its_caller_left_is_the_same_in_log_metrics_and_budget() {
    for (what, left, model, more) in [
        ("a whole answer", Left::Unknown, "m", ""),
        ("a stream", Left::Prompt, "m", "\"stream\":true,"),
        ("a stream that has a head", Left::Prompt, "m", "\"seed\":1,\"stream\":true,"),
        ("a stream of a model that thinks unseen", Left::Unknown, "o3-mini", "\"stream\":true,"),
        ("a stream that is to think", Left::Unknown, "m", "\"reasoning_effort\":\"low\",\"stream\":true,"),
    ] {
        let upstream = silent();
        let text = pool("p", &[provider("only", "OpenAI", upstream.address, MODELS)], "") + CONSUMER;
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        let before = remaining(&proxy).await;
        leave(&proxy, &upstream, &asking(model, 50, more)).await;
        idle(&proxy).await;
        agree(&proxy, &left, (before, 50), what).await;
    }
}

#[tokio::test]
async fn what_a_provider_used_that_fell_silent_is_the_same_in_log_metrics_and_budget() {
    for (what, left, more) in [("a whole answer", Left::Unknown, ""), ("a stream", Left::Prompt, "\"stream\":true,")] {
        let upstream = silent();
        let times = "  timeouts: {connect: 100ms, firstToken: 300ms, idle: 300ms, total: 1s}\n  retry: {attempts: 1}\n";
        let text = pool("p", &[provider("only", "OpenAI", upstream.address, MODELS)], times) + CONSUMER;
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        let before = remaining(&proxy).await;
        let answer = proxy.client().post(CHAT, &[("x-api-key", KEY)], asking("m", 50, more)).await.unwrap();
        assert_eq!(answer.status, 504, "{what}: {}", answer.text());
        idle(&proxy).await;
        agree(&proxy, &left, (before, 50), what).await;
    }
}

/// A provider that answers what is no stream, and of one begins thoughts that it shows nothing of.
fn thinking() -> Upstream {
    Upstream::start(|received| {
        if !String::from_utf8_lossy(&received.body).contains("\"stream\":true") {
            return vec![anthropic_whole("fine")];
        }
        let begun = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\
                     \"role\":\"assistant\",\"model\":\"u\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
                     \"usage\":{\"input_tokens\":100,\"output_tokens\":2}}}\n\nevent: content_block_start\ndata: \
                     {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\
                     \"signature\":\"\"}}\n\n";
        vec![stream_head(), chunk(begun.as_bytes()), Act::Hang]
    })
    .unwrap()
}

#[tokio::test]
async fn the_usage_at_a_streams_beginning_is_not_the_last_word_of_a_model_that_thinks() {
    let models = MODELS.replace("o3-mini", "claude-opus-5-5");
    let upstream = thinking();
    let times = "  timeouts: {connect: 100ms, firstToken: 500ms, idle: 500ms, total: 2s}\n  retry: {attempts: 1}\n";
    let text = pool("p", &[provider("only", "Anthropic", upstream.address, &models)], times) + CONSUMER;
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let before = remaining(&proxy).await;
    let asking = asking("claude-opus-5-5", 50, "\"stream\":true,");
    let answer = proxy.client().post(CHAT, &[("x-api-key", KEY)], asking).await.unwrap();
    assert_eq!(answer.status, 504, "{}", answer.text());
    idle(&proxy).await;
    agree(&proxy, &Left::Unknown, (before, 50), "thoughts that nobody is shown").await;
}

/// A provider whose streams say a word, and what they used when the gate opens.
fn counting(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |received| {
        if !received.streams() {
            return vec![openai_whole("fine")];
        }
        let piece = |rest: &str| {
            let text = format!("data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",{rest}}}\n\n");
            chunk(text.as_bytes())
        };
        let usage = "\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":40,\"total_tokens\":70}";
        vec![
            stream_head(),
            piece("\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"word\"},\"finish_reason\":null}]"),
            Act::Until(gate.clone()),
            piece("\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]"),
            piece(usage),
            chunk(b"data: [DONE]\n\n"),
            last_chunk(),
        ]
    })
    .unwrap()
}

/// Asks for a stream, and leaves when its first word has come.
fn leave_in_mid_answer(proxy: &Proxy) {
    let body = asking("m", 50, "\"stream\":true,");
    let mut socket = TcpStream::connect(proxy.address).unwrap();
    let length = body.len();
    write!(socket, "POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut seen = Vec::new();
    while !seen.windows(6).any(|part| part == b"\"word\"") {
        let mut some = [0; 4096];
        let read = socket.read(&mut some).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&some[..read]);
    }
}

#[tokio::test]
async fn a_stream_that_is_left_is_listened_to_for_the_providers_own_count_where_the_pool_says_so() {
    for (connection, opens, used, estimated) in [
        ("connection: {drainAbandoned: 20s}", true, json!([30, 40]), json!(null)),
        ("connection: {drainAbandoned: 300ms}", false, json!(null), json!(true)),
        ("connection: {}", false, json!(null), json!(true)),
    ] {
        let gate = Gate::default();
        let upstream = counting(&gate);
        let text = pool("p", &[provider("only", "OpenAI", upstream.address, &format!("{connection}, {MODELS}"))], "")
            + CONSUMER;
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        let before = remaining(&proxy).await;
        leave_in_mid_answer(&proxy);
        if opens {
            // It has left by then.
            tokio::time::sleep(Duration::from_millis(300)).await;
            gate.open();
        }
        idle(&proxy).await;
        proxy.until("the calls are in the log", |proxy| lines(proxy).len() >= 2).await.unwrap();
        let line = lines(&proxy).remove(1);
        assert_eq!(line["usage_estimated"], estimated, "{connection}: {line}");
        if !used.is_null() {
            assert_eq!(json!([line["usage"]["input"], line["usage"]["output"]]), used, "{connection}: {line}");
            assert_eq!(before - remaining(&proxy).await - ANSWER, 30 * OUTPUT / 10 + 40 * OUTPUT, "{connection}");
        }
        gate.open();
    }
}
