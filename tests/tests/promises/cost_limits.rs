//! Limits of cost (`unit: Cost`) of one proxy: money is reserved before a call and settled by what it cost, however it ends.

use std::time::Duration;

use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::rate_limits::{asking, by_model, limited};
use crate::resources::{CHAT, MESSAGES, message, plain_upstream};

/// A dollar, in billionths.
const DOLLAR: u64 = 1_000_000_000;
/// What a token of prompt costs, and one of answer.
const PRICES: (u64, u64) = (DOLLAR / 10_000, DOLLAR / 1_000);
/// What an answer of three tokens of prompt and two of answer costs.
const COST: u64 = 3 * PRICES.0 + 2 * PRICES.1;

/// A pool that sells these models for a hundred dollars a million tokens of prompt and a thousand of answer, and knows no price of `f`.
fn pool(upstream: &Upstream, models: &[&str], more: &str) -> String {
    let price = "price: {inputPerMillion: \"100\", outputPerMillion: \"1000\"}";
    let models: String = models.iter().map(|model| format!("    - {{name: {model}, {price}}}\n")).collect();
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  retry: {{attempts: 1}}\n{more}  providers:\n  \
         - name: only\n    type: OpenAICompatible\n    url: \"http://{}\"\n    models:\n{models}    - {{name: f}}\n---\n",
        upstream.address
    )
}

/// The billionths of a dollar that remain, as the answer says.
fn remaining(answer: &Answer) -> u64 {
    let text = answer.header("x-sluicegate-cost-remaining");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    whole.parse::<u64>().unwrap_or_else(|_| panic!("{:?}", answer.headers)) * DOLLAR
        + format!("{fraction:0<9}").parse::<u64>().unwrap()
}

async fn ask(client: &Client, (model, case): (&str, &str), max_tokens: u64, stream: bool) -> Answer {
    client.post(CHAT, &[("x-case", case)], asking(model, max_tokens, stream)).await.unwrap()
}

#[tokio::test]
async fn money_is_reserved_and_settled_by_what_a_call_cost_however_it_ends() {
    let upstream = by_model();
    let limit = "{per: Header, header: x-case, unit: Cost, amount: \"10\", window: 1h}";
    let models = ["good", "silent", "fails", "cuts", "hangs", "opens"];
    let times = "  timeouts: {connect: 1s, firstToken: 3s, idle: 3s, total: 6s}\n";
    let text = pool(&upstream, &models, times) + &models.map(|model| limited(model, limit)).concat();
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let whole = 1_000 * PRICES.1;
    for (model, stream, used) in [
        ("good", false, COST..=COST),
        ("good", true, COST..=COST),
        ("silent", true, whole..=whole + 100 * PRICES.0),
        ("fails", false, 0..=0),
        ("cuts", true, 2 * PRICES.1..=200 * PRICES.1),
        // Its provider says nothing, and its time is over.
        ("hangs", false, whole..=whole + 100 * PRICES.0),
    ] {
        let case = format!("{model}-{stream}");
        let first = ask(&client, (model, &case), 1_000, stream).await;
        let reserved = 10 * DOLLAR - remaining(&first);
        assert!((whole..whole + 100 * PRICES.0).contains(&reserved), "{case}: {reserved}");
        let second = ask(&client, (model, &case), 1_000, stream).await;
        let now = 10 * DOLLAR - reserved - remaining(&second);
        assert!(used.contains(&now), "{case}: {now} of {reserved}");
    }
    // Callers that leave: of a whole answer all that was reserved stays taken, of a stream before its first token the prompt.
    let gone = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", "client_gone")]);
    let paid = whole..=whole + 100 * PRICES.0;
    for (number, (model, stream, used)) in (1..).zip([("hangs", false, paid), ("opens", true, 0..=100 * PRICES.0)]) {
        let case = format!("left-{model}");
        let left = sluicegate_tests::client::post(CHAT, &[("x-case", &case)], asking(model, 1_000, stream)).unwrap();
        drop(tokio::time::timeout(Duration::from_millis(300), client.send(left)).await);
        proxy.until("the call is over", |proxy| gone(proxy) >= f64::from(number)).await.unwrap();
        let after = ask(&client, ("good", &case), 1_000, stream).await;
        let reserved = whole..whole + 100 * PRICES.0;
        // A count of another route: the first one's own is asked once more.
        assert!(reserved.contains(&(10 * DOLLAR - remaining(&after))), "{case}: {}", remaining(&after));
        let after = ask(&client, (model, &case), 10, false).await;
        let now = 10 * DOLLAR - remaining(&after);
        assert!(now >= *used.start() && now <= used.end() + 10 * PRICES.1 + 100 * PRICES.0, "{case}: {now}");
    }
    let metrics = proxy.metrics().unwrap();
    assert!(metrics.sum("sluicegate_limit_checks_total", &[("unit", "cost"), ("outcome", "admitted")]) as u64 >= 12);
}

#[tokio::test]
async fn a_limit_of_cost_is_told_by_headers_of_its_own_and_refuses_in_dollars() {
    let own = [("content-type", "application/json"), ("x-ratelimit-limit-tokens", "9000")];
    let body = br#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let upstream = Upstream::always(vec![answer(200, &own, body)]).unwrap();
    let text = pool(&upstream, &["m", "both"], "")
        + &limited("m", "{per: Route, unit: Cost, amount: \"0.1\", window: 1h}")
        + &limited("both", "{per: Route, unit: Cost, amount: \"0.1\"}, {per: Route, unit: Tokens, amount: 1000}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let first = ask(&client, ("m", ""), 50, false).await;
    assert_eq!((first.status, first.header("x-sluicegate-cost-limit")), (200, "0.10"), "{:?}", first.headers);
    assert!(first.header("x-sluicegate-cost-reset").ends_with('s'), "{:?}", first.headers);
    // It says nothing of tokens: what the provider says of its own passes.
    assert_eq!(first.header("x-ratelimit-limit-tokens"), "9000");
    let large = ask(&client, ("m", ""), 100, false).await;
    assert_eq!((large.status, large.header("x-should-retry")), (429, "false"), "{}", large.text());
    assert!(
        large.text().contains("too large: it may use 0.10") && large.text().contains("0.10 USD per 1h"),
        "{}",
        large.text()
    );
    let refused = ask(&client, ("m", ""), 97, false).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("the limit is 0.10 USD per 1h for this route"), "{}", refused.text());
    // What was refused took nothing.
    assert_eq!(remaining(&refused), DOLLAR / 10 - COST);
    let foreign = client.post(MESSAGES, &[], message("m", false)).await.unwrap();
    let names: Vec<_> = foreign.headers.keys().filter(|name| name.as_str().contains("anthropic-ratelimit")).collect();
    assert!(names.is_empty() && foreign.headers.contains_key("x-sluicegate-cost-remaining"), "{:?}", foreign.headers);
    // Beside a limit of tokens each has its own.
    let both = ask(&client, ("both", ""), 50, false).await;
    assert_eq!((both.header("x-ratelimit-limit-tokens"), both.header("x-sluicegate-cost-limit")), ("1000", "0.10"));
    let limited = r#""limit":"LLMRoute default/m: 0.10 USD per 1h, per route""#;
    assert!(proxy.log().iter().any(|line| line.contains(limited)));
}

#[tokio::test]
async fn what_nobody_knows_the_price_of_is_refused_or_free_as_the_limit_says() {
    let upstream = plain_upstream();
    let rules = |name: &str, more: &str| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             limits: {{rate: [{{per: Route, unit: Cost, amount: \"0.06\", window: 1h{more}}}]}}\n  rules:\n  \
             - {{name: all, matches: [{{headers: [{{name: x-case, exact: {name}}}]}}], targets: [{{poolRef: {{name: p}}}}]}}\n---\n"
        )
    };
    let text = pool(&upstream, &["m"], "") + &rules("strict", "") + &rules("free", ", unknownPrice: Free");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let strict = ask(&client, ("f", "strict"), 50, false).await;
    assert_eq!((strict.status, strict.header("x-should-retry")), (403, "false"), "{}", strict.text());
    assert!(strict.text().contains("no price of the model `f`"), "{}", strict.text());
    assert_eq!((strict.header("x-sluicegate-cost-remaining"), upstream.calls()), ("0.06", 0));
    // What is free always has room, also where all of it is taken.
    for (model, most, status) in [("f", 50, 200), ("m", 50, 200), ("m", 58, 429), ("f", 5_000, 200), ("m", 50, 200)] {
        let answer = ask(&client, (model, "free"), most, false).await;
        assert_eq!(answer.status, status, "{model} {most}: {}", answer.text());
    }
    let last = ask(&client, ("f", "free"), 50, false).await;
    assert_eq!(remaining(&last), DOLLAR * 6 / 100 - 2 * COST);
}
