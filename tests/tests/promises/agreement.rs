//! What a call used and cost is one truth: its line in the access log, the metrics, its consumer's metrics and its budgets say the same,
//! however many attempts it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, openai_piece, openai_whole, pool, provider, rule};

const KEY: &str = "one-key-that-nobody-can-guess";
const PRICED: &str = "models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '1'}}]";
/// What the consumer's budgets have at first: so many tokens, and a dollar.
const TOKENS: f64 = 1e8;

/// A proxy whose pool has these providers, one after the other, and whose only consumer has a budget of money and one of tokens.
fn house(providers: &[(&Upstream, &str)], of_pool: &str, of_rule: &str) -> Proxy {
    let consumer = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: c}}\nstringData: {{api-key: {KEY}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: c}}\nspec:\n  keys: [{{name: k, secretRef: {{name: c}}}}]\n  \
         limits: {{budgets: [{{amount: '1', period: Total, unknownPrice: Free}}, {{amount: '{TOKENS}', unit: Tokens, period: Total}}]}}\n---\n"
    );
    let providers: Vec<String> = (0..)
        .zip(providers)
        .map(|(at, (upstream, more))| {
            provider(&format!("p{at}"), "OpenAICompatible", upstream.address, &format!("priority: {at}, {more}"))
        })
        .collect();
    let lines = format!("    targets: [{{poolRef: {{name: p}}}}]\n{of_rule}");
    let text = consumer + &pool("p", &providers, of_pool) + &rule("m", &lines);
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

/// The lines of calls.
fn lines(proxy: &Proxy) -> Vec<Value> {
    let all = proxy.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    all.filter(|line| line["kind"] == "call" && line["operation"] == "chat").collect()
}

/// What is known of a line's cost, in millionths of a dollar.
fn cost(line: &Value) -> f64 {
    line["cost_usd"].as_f64().or(line["cost_usd_at_least"].as_f64()).unwrap_or_default() * 1e6
}

/// What all books have of a call.
struct Books {
    line: Value,
    metrics: [f64; 3],
    consumer: [f64; 3],
    /// What the budgets of money and tokens were told.
    budgets: [f64; 2],
}

/// Makes a call, and then another one whose answer tells what the first one left of the budgets.
async fn books(proxy: &Proxy, stream: bool) -> Books {
    let client = proxy.client();
    let first = client.post(CHAT, &[("x-api-key", KEY)], ask(stream)).await.unwrap();
    let counted = |proxy: &Proxy| {
        proxy.metrics().unwrap().sum("sluicegate_consumer_requests_total", &[]) > 0.5 && !lines(proxy).is_empty()
    };
    proxy.until("the call is counted", counted).await.unwrap();
    let metrics = proxy.metrics().unwrap();
    let line = lines(proxy).into_iter().find(|line| line["mirror"].is_null()).unwrap();
    let of = |family: &str| {
        let tokens = |kind| metrics.sum(&format!("sluicegate_{family}tokens_total"), &[("type", kind)]);
        [tokens("input"), tokens("output"), metrics.sum(&format!("sluicegate_{family}cost_usd_total"), &[]) * 1e6]
    };
    let (metrics, consumer) = (of(""), of("consumer_"));
    // A later call's head is written after its own reservation is taken: the difference of two is what was booked between.
    let told = |answer: &sluicegate_tests::client::Answer| {
        let header = |name: &str| answer.header(name).parse::<f64>().unwrap();
        [header("x-sluicegate-budget-remaining") * 1e6, header("x-sluicegate-token-budget-remaining")]
    };
    let second = client.post(CHAT, &[("x-api-key", KEY)], ask(stream)).await.unwrap();
    let (before, after) = (told(&first), told(&second));
    Books { line, metrics, consumer, budgets: [before[0] - after[0], before[1] - after[1]] }
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-3
}

/// All books have the same; what is unknown is booked by the budgets alone, as it was reserved.
fn agree(name: &str, books: &Books) {
    let Books { line, metrics, consumer, budgets } = books;
    let usage = |kind: &str| line["usage"][kind].as_f64().unwrap_or_default();
    let of_line = [usage("input"), usage("output"), cost(line)];
    for (at, word) in ["input", "output", "cost"].iter().enumerate() {
        assert!(
            near(of_line[at], metrics[at]),
            "{name}: {word} of the line and of metrics: {of_line:?} {metrics:?}\n{line}"
        );
        assert!(
            near(consumer[at], metrics[at]),
            "{name}: {word} of the consumer and of metrics: {consumer:?} {metrics:?}"
        );
    }
    let tokens = of_line[0] + of_line[1];
    if line["cost_usd"].is_null() {
        assert!(budgets[0] > of_line[2] + 0.5 && budgets[1] > tokens + 0.5, "{name}: {budgets:?} {line}");
    } else {
        assert!(near(budgets[0], of_line[2]) && near(budgets[1], tokens), "{name}: {budgets:?} {line}");
    }
}

/// Slow once, then quick.
fn slow_once(slow: Vec<Act>) -> Upstream {
    let was_slow = Arc::new(AtomicBool::new(false));
    Upstream::start(move |received| {
        if !was_slow.swap(true, Ordering::Relaxed) {
            return slow.clone();
        }
        well(received)
    })
    .unwrap()
}

fn well(received: &Received) -> Vec<Act> {
    if received.streams() { stream() } else { vec![openai_whole("fine")] }
}

fn quick() -> Upstream {
    Upstream::start(well).unwrap()
}

fn ask(stream: bool) -> String {
    format!(
        r#"{{"model":"m","stream":{stream},"max_tokens":9,"messages":[{{"role":"user","content":"Say something."}}]}}"#
    )
}

/// A stream that says what it used: three of prompt, two of answer.
fn stream() -> Vec<Act> {
    let usage = r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let said = openai_piece(r#"{"role":"assistant","content":"fine"}"#, "null") + &openai_piece("{}", "\"stop\"");
    let text = format!("{said}data: {usage}\n\ndata: [DONE]\n\n");
    vec![stream_head(), chunk(text.as_bytes()), last_chunk()]
}

/// An answer that is none: another provider is asked.
fn malformed() -> Vec<Act> {
    vec![answer(200, &[("content-type", "application/json")], b"{\"choices\":7}")]
}

#[tokio::test]
async fn a_hedged_call_costs_what_both_attempts_cost() {
    for stream in [true, false] {
        let (first, second) = (slow_once(vec![Act::Hang]), quick());
        let proxy = house(&[(&first, PRICED), (&second, PRICED)], "", "    hedge: {after: 100ms, maxPercent: 100}\n");
        let books = books(&proxy, stream).await;
        agree(if stream { "hedged stream" } else { "hedged whole" }, &books);
        let line = &books.line;
        assert_eq!((&line["hedged"], &line["failover"]), (&Value::Bool(true), &Value::Bool(false)), "{line}");
        assert_eq!(line["usage_estimated"].as_bool(), stream.then_some(true), "{line}");
        // What a whole answer used that was let go of nobody knows.
        assert_eq!(line["cost_usd"].is_null(), !stream, "{line}");
        assert_eq!(line["other_attempts"]["cost_usd"].is_null(), !stream, "{line}");
        let metrics = proxy.metrics().unwrap();
        for name in ["sluicegate_failovers_total", "sluicegate_retries_total"] {
            assert!(near(metrics.sum(name, &[]), 0.0), "{name}\n{}", metrics.0);
        }
    }
}

#[tokio::test]
async fn a_failover_costs_what_all_attempts_cost() {
    let timeouts = "  timeouts: {firstToken: 300ms}\n";
    for (name, acts, stream) in [
        ("silent stream", vec![Act::Hang], true),
        ("reset", vec![Act::Reset], false),
        ("cut before its first token", vec![stream_head(), Act::Wait(Duration::from_millis(20)), Act::Reset], true),
        ("malformed", malformed(), false),
    ] {
        let (first, second) = (slow_once(acts), quick());
        let proxy = house(&[(&first, PRICED), (&second, PRICED)], timeouts, "");
        let books = books(&proxy, stream).await;
        agree(name, &books);
        assert_eq!(books.line["failover"], true, "{name}: {}", books.line);
        assert_eq!(books.line["attempts"], 2, "{name}: {}", books.line);
    }
    // One that stays alone, and is asked again.
    let only = slow_once(vec![Act::Hang]);
    let proxy = house(&[(&only, PRICED)], timeouts, "");
    let books = books(&proxy, true).await;
    agree("retried", &books);
    assert_eq!(
        (&books.line["failover"], &books.line["attempts"]),
        (&Value::Bool(false), &Value::from(2)),
        "{}",
        books.line
    );
    assert!(books.line["other_attempts"]["input"].as_u64() > Some(0), "{}", books.line);
}

#[tokio::test]
async fn an_attempt_without_a_price_makes_the_cost_unknown() {
    let (first, second) = (slow_once(vec![Act::Hang]), quick());
    let (timeouts, unpriced) = ("  timeouts: {firstToken: 300ms}\n", "models: [{name: m}]");
    let proxy = house(&[(&first, unpriced), (&second, PRICED)], timeouts, "");
    let Books { line, metrics, consumer, .. } = books(&proxy, true).await;
    assert!(line["cost_usd"].is_null() && line["other_attempts"]["cost_usd"].is_null(), "{line}");
    assert!(near(cost(&line), metrics[2]) && near(cost(&line), consumer[2]) && cost(&line) > 0.0, "{line} {metrics:?}");
    assert!(proxy.metrics().unwrap().sum("sluicegate_cost_unknown_total", &[]) > 0.5);
}

#[tokio::test]
async fn a_copy_is_no_consumers_and_no_budgets() {
    let (only, other) = (quick(), quick());
    let mirror = "    mirror: {poolRef: {name: other}, percent: 100}\n";
    let copies = pool("other", &[provider("o", "OpenAICompatible", other.address, PRICED)], "");
    let proxy = house(&[(&only, PRICED)], "", mirror);
    proxy.write("other.yaml", &copies).unwrap();
    let sent =
        |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_mirrored_calls_total", &[("outcome", "sent")]) > 0.5;
    let client = proxy.client();
    for _ in 0..200 {
        client.post(CHAT, &[("x-api-key", KEY)], ask(false)).await.unwrap();
        if sent(&proxy) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let is_over = |proxy: &Proxy| lines(proxy).iter().any(|line| line["mirror"] == true);
    proxy.until("a copy is in the log", is_over).await.unwrap();
    let written = |proxy: &Proxy| {
        let of_log: f64 = lines(proxy).iter().map(cost).sum();
        near(of_log, proxy.metrics().unwrap().sum("sluicegate_cost_usd_total", &[]) * 1e6)
    };
    proxy.until("log and metrics agree, copies included", written).await.unwrap();
    let own: f64 = lines(&proxy).iter().filter(|line| line["mirror"].is_null()).map(cost).sum();
    let consumer = proxy.metrics().unwrap().sum("sluicegate_consumer_cost_usd_total", &[]) * 1e6;
    assert!(near(own, consumer), "{own} {consumer}");
    assert!(lines(&proxy).iter().filter(|line| line["mirror"] == true).all(|line| line["consumer"].is_null()));
}
