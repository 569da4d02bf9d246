//! Rate limits of one proxy: what is counted together, what a refusal says in each dialect, what is given back and settled.

use std::time::Duration;

use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, chat, message, openai_whole, plain_upstream, pool, provider, route};

const KEY: &str = "one-key-that-nobody-can-guess";
const OTHER: &str = "other-key-that-nobody-can-guess";

/// A route for one model with these limits, in flow style.
pub(crate) fn limited(model: &str, limits: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec:\n  limits: {{rate: [{limits}]}}\n  \
         rules:\n  - name: only\n    matches: [{{model: {{exact: {model}}}}}]\n    targets: [{{poolRef: {{name: p}}}}]\n---\n"
    )
}

fn consumer(name: &str, key: &str, limits: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {key}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  keys: [{{name: k, secretRef: {{name: {name}}}}}]\n{limits}---\n"
    )
}

fn pool_of(upstream: &Upstream) -> String {
    pool("p", &[provider("only", "OpenAICompatible", upstream.address, "")], "  retry: {attempts: 1}\n")
}

pub(crate) fn asking(model: &str, max_tokens: u64, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"max_tokens":{max_tokens},"messages":[{{"role":"user","content":"Say something."}}]}}"#
    )
}

async fn ask(client: &Client, model: &str, headers: &[(&str, &str)]) -> Answer {
    client.post(CHAT, headers, chat(model, false)).await.unwrap()
}

/// What remains of the tokens, as the answer says.
fn remaining(answer: &Answer) -> u64 {
    answer.header("x-ratelimit-remaining-tokens").parse().unwrap_or_else(|_| panic!("{:?}", answer.headers))
}

/// A call for a model in every dialect: its path and body, and where and how its error begins.
pub(crate) fn in_every_dialect(model: &str) -> Vec<(String, String, &'static str, &'static str)> {
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"Say something."}]}]}"#;
    let invoke =
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"?"}]}"#;
    let responses = format!(r#"{{"model":"{model}","input":"Say something."}}"#);
    let completions = format!(r#"{{"model":"{model}","prompt":"Say something."}}"#);
    vec![
        ("/v1/chat/completions".to_owned(), chat(model, false), "/error/code", "rate_limit_exceeded"),
        ("/v1/responses".to_owned(), responses, "/error/code", "rate_limit_exceeded"),
        ("/v1/completions".to_owned(), completions, "/error/code", "rate_limit_exceeded"),
        (MESSAGES.to_owned(), message(model, false), "/error/type", "rate_limit_error"),
        (format!("/v1beta/models/{model}:generateContent"), gemini.to_owned(), "/error/status", "RESOURCE_EXHAUSTED"),
        (format!("/model/{model}/invoke"), invoke.to_owned(), "/message", "Rate limit reached"),
    ]
}

#[tokio::test]
async fn a_refusal_is_the_vendors_own_in_every_dialect() {
    let upstream = plain_upstream();
    let per = |window: &str| format!("{{per: Header, header: X-Case, unit: Requests, amount: 1, window: {window}}}");
    let text = pool_of(&upstream) + &limited("soon", &per("60s")) + &limited("late", &per("1h"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let mut refused = 0;
    for (model, retry) in [("soon", "true"), ("late", "false")] {
        for (path, body, at, word) in in_every_dialect(model) {
            let headers = [("x-case", path.as_str())];
            let first = client.post(&path, &headers, body.clone()).await.unwrap();
            assert_ne!(first.status, 429, "{path}: {}", first.text());
            let answer = client.post(&path, &headers, body).await.unwrap();
            refused += 1;
            let (seconds, millis) = (answer.header("retry-after"), answer.header("retry-after-ms"));
            assert_eq!((answer.status, answer.header("x-should-retry")), (429, retry), "{path}: {}", answer.text());
            assert!((1..=120).contains(&seconds.parse::<u64>().unwrap()) && !millis.is_empty(), "{seconds} {millis}");
            let said = answer.json();
            let said = said.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            assert!(said.starts_with(word), "{path}: {}", answer.text());
            let said = answer.text();
            assert!(said.contains("is 1 request per") && said.contains("for each `x-case`"), "{said}");
            let (first, expected) = match path.as_str() {
                MESSAGES => (first.header("anthropic-ratelimit-requests-remaining").to_owned(), "0"),
                path if path.starts_with("/v1/") => (first.header("x-ratelimit-remaining-requests").to_owned(), "0"),
                _ => (first.header("x-ratelimit-remaining-requests").to_owned(), ""),
            };
            assert_eq!(first, expected, "{path}");
            if path == MESSAGES {
                assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "1");
                assert!(answer.header("anthropic-ratelimit-requests-reset").ends_with('Z'), "{:?}", answer.headers);
            } else if path == CHAT {
                assert_eq!(answer.header("x-ratelimit-limit-requests"), "1");
                assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'), "{:?}", answer.headers);
            }
        }
    }
    let metrics = proxy.metrics().unwrap();
    let checks = |outcome: &str| {
        metrics.sum("sluicegate_limit_checks_total", &[("unit", "requests"), ("outcome", outcome)]) as u64
    };
    assert_eq!((checks("refused"), checks("admitted")), (refused, refused));
    assert!(
        proxy
            .log()
            .iter()
            .any(|line| line.contains(r#""limit":"LLMRoute default/soon: 1 request per 1m, per header""#))
    );
}

#[tokio::test]
async fn each_consumer_route_and_value_has_a_count_of_its_own_and_a_rule_has_one_apart() {
    let upstream = plain_upstream();
    let one = "unit: Requests, amount: 2, window: 1h";
    let own = "  limits: {rate: [{per: Consumer, unit: Requests, amount: 3, window: 1h}]}\n";
    let rules = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: rules}}\nspec:\n  limits: {{rate: [{{per: Route, {one}}}]}}\n  rules:\n  \
         - {{name: a, matches: [{{model: {{exact: a}}}}], targets: [{{poolRef: {{name: p}}}}]}}\n  \
         - {{name: b, matches: [{{model: {{exact: b}}}}], targets: [{{poolRef: {{name: p}}}}]}}\n  \
         - {{name: c, matches: [{{model: {{exact: c}}}}], targets: [{{poolRef: {{name: p}}}}], limits: {{rate: [{{per: Route, {one}}}]}}}}\n---\n"
    );
    let text = pool_of(&upstream)
        + &consumer("first", KEY, own)
        + &consumer("second", OTHER, "")
        + &limited("each", &format!("{{per: Consumer, {one}}}"))
        + &limited("free", "{per: Route, unit: Requests, amount: 1000, window: 1h}")
        + &rules;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let mut taken = Vec::new();
    for (model, key) in [
        ("each", Some(KEY)),
        ("each", Some(OTHER)),
        ("each", None),
        ("each", Some("nobodys-key-that-is-long-enough")),
        // Two of its three are taken.
        ("free", Some(KEY)),
        ("free", Some(OTHER)),
        ("a", None),
        ("b", None),
        ("c", None),
    ] {
        let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
        let mut good = 0;
        for _ in 0..5 {
            good += usize::from(ask(&client, model, &headers).await.status == 200);
        }
        taken.push((model, good));
    }
    // Those that nobody knows are counted together; so are the rules that have no limits of their own.
    let expected =
        [("each", 2), ("each", 2), ("each", 2), ("each", 0), ("free", 1), ("free", 5), ("a", 2), ("b", 0), ("c", 2)];
    assert_eq!(taken, expected);
    assert_eq!(upstream.calls(), 16);
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_consumer_limited_total", &[("consumer", "default/first")]) as u64, 7);
}

#[tokio::test]
async fn of_two_limits_both_are_taken_from_or_neither() {
    let upstream = plain_upstream();
    let limits = "{per: Route, unit: Requests, amount: 10, window: 1h}, {per: Header, header: x-team, unit: Requests, amount: 1, window: 1h}";
    let text = pool_of(&upstream) + &limited("m", limits);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let team = |name: String| {
        let client = &client;
        async move { ask(client, "m", &[("x-team", &name)]).await.status }
    };
    assert_eq!(team("a".to_owned()).await, 200);
    for _ in 0..20 {
        assert_eq!(team("a".to_owned()).await, 429, "its own limit");
    }
    for other in 0..9 {
        assert_eq!(team(format!("b{other}")).await, 200, "what was refused took nothing of the route's");
    }
    assert_eq!(team("c".to_owned()).await, 429, "the route's limit");
    // Checks are counted by what became of the call: 10 of each limit; 20 refused by the team's, one by the route's.
    let metrics = proxy.metrics().unwrap();
    let checks = |outcome: &str| metrics.sum("sluicegate_limit_checks_total", &[("outcome", outcome)]) as u64;
    assert_eq!((checks("admitted"), checks("refused")), (20, 21));
}

#[tokio::test]
async fn a_refusal_shows_nothing_of_its_own_as_taken() {
    let upstream = plain_upstream();
    let limits = "{per: Route, unit: Tokens, amount: 1000, window: 1h}, {per: Header, header: x-team, unit: Requests, amount: 1, window: 1h}";
    let text = pool_of(&upstream) + &limited("m", limits);
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let ask = |team: &'static str| {
        let client = &client;
        async move { client.post(CHAT, &[("x-team", team)], asking("m", 500, false)).await }
    };
    let first = ask("a").await.unwrap();
    assert!(first.is_good() && remaining(&first) < 500, "{:?}", first.headers);
    for _ in 0..3 {
        let refused = ask("a").await.unwrap();
        // Five of a thousand were used, and nothing of the second call's own five hundred.
        assert_eq!((refused.status, remaining(&refused)), (429, 995), "{:?}", refused.headers);
        assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    }
    assert!(ask("b").await.unwrap().is_good());
}

#[tokio::test]
async fn a_providers_own_limits_are_not_told_beside_the_gateways() {
    let own = [
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "7000"),
        ("x-ratelimit-limit-tokens", "9000"),
        ("x-ratelimit-remaining-tokens", "8999"),
        ("x-ratelimit-limit-project-tokens", "5"),
        ("openai-processing-ms", "3"),
    ];
    let body = br#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#;
    let upstream = Upstream::always(vec![answer(200, &own, body)]).unwrap();
    let limit = "{per: Route, unit: Requests, amount: 5, window: 1h}";
    let text = pool_of(&upstream) + &limited("m", limit) + &route("free", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let limits = |answer: &Answer| {
        let names = answer.headers.keys().filter(|name| name.as_str().contains("ratelimit"));
        names.map(|name| format!("{name}: {}", answer.header(name.as_str()))).collect::<std::collections::BTreeSet<_>>()
    };
    let answer = ask(&proxy.client(), "m", &[]).await;
    let told = limits(&answer);
    assert!(told.len() == 3 && told.contains("x-ratelimit-limit-requests: 5"), "{told:?}");
    assert_eq!(answer.header("openai-processing-ms"), "3");
    // Where the gateway has none to tell, the provider's are what there is.
    assert_eq!(limits(&ask(&proxy.client(), "free", &[]).await).len(), 4);
}

/// An upstream that answers by what the model is called.
pub(crate) fn by_model() -> Upstream {
    Upstream::start(|received| {
        let body = String::from_utf8_lossy(&received.body);
        let model = |name: &str| body.contains(&format!("\"{name}\""));
        if model("fails") {
            return vec![answer(503, &[("content-type", "application/json")], b"{\"error\":{\"message\":\"no\"}}")];
        }
        if model("cuts") {
            let said = chunk(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Once upon a time\"}}]}\n\n");
            return vec![stream_head(), said, Act::Wait(Duration::from_millis(50)), Act::Reset];
        }
        if model("hangs") && body.contains("1000") {
            return vec![Act::Hang];
        }
        if model("opens") && body.contains("1000") {
            let opened =
                chunk(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
            return vec![stream_head(), opened, Act::Hang];
        }
        if !received.streams() {
            return vec![openai_whole("fine")];
        }
        // A stream that does not say what it used stays as it was reserved.
        let said = chunk(
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"fine\"},\"finish_reason\":\"stop\"}]}\n\n",
        );
        let used = chunk(
            b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
        );
        if model("silent") {
            return vec![stream_head(), said, chunk(b"data: [DONE]\n\n"), last_chunk()];
        }
        vec![stream_head(), said, used, chunk(b"data: [DONE]\n\n"), last_chunk()]
    })
    .unwrap()
}

#[tokio::test]
async fn tokens_are_reserved_and_settled_by_what_was_used_however_a_call_ends() {
    let upstream = by_model();
    let limit = "{per: Header, header: x-case, unit: Tokens, amount: 10000, window: 1h}";
    let models = ["good", "silent", "fails", "cuts", "hangs", "opens"];
    let text = pool_of(&upstream) + &models.map(|model| limited(model, limit)).concat();
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    for (model, stream, used) in [
        ("good", false, 5..=5),
        ("good", true, 5..=5),
        ("silent", true, 1_000..=1_100),
        ("fails", false, 0..=0),
        ("cuts", true, 5..=200),
    ] {
        let case = format!("{model} {stream}");
        let headers = [("x-case", case.as_str())];
        let first = client.post(CHAT, &headers, asking(model, 1_000, stream)).await.unwrap();
        let reserved = 10_000 - remaining(&first);
        assert!((1_000..1_100).contains(&reserved), "{case}: {reserved}");
        let second = client.post(CHAT, &headers, asking(model, 1_000, stream)).await.unwrap();
        let now = 10_000 - reserved - remaining(&second);
        assert!(used.contains(&now), "{case}: {now} of {reserved}");
    }
    // A caller that leaves before there is any answer: nobody can say what was used, and all of it stays taken.
    let gone = sluicegate_tests::client::post(CHAT, &[("x-case", "gone")], asking("hangs", 1_000, false)).unwrap();
    drop(tokio::time::timeout(Duration::from_millis(300), client.send(gone)).await);
    let gone = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", "client_gone")]);
    proxy.until("the call is over", |proxy| gone(proxy) > 0.0).await.unwrap();
    let after = client.post(CHAT, &[("x-case", "gone")], asking("hangs", 999, false)).await.unwrap();
    assert!((7_800..=8_001).contains(&remaining(&after)), "{}", remaining(&after));
    // A stream that is left before its first token has used its prompt at most, whether its provider has answered or not.
    for (model, calls) in [("hangs", 2.0), ("opens", 3.0)] {
        let left = sluicegate_tests::client::post(CHAT, &[("x-case", model)], asking(model, 1_000, true)).unwrap();
        drop(tokio::time::timeout(Duration::from_millis(300), client.send(left)).await);
        proxy.until("the call is over", |proxy| gone(proxy) >= calls).await.unwrap();
        let after = client.post(CHAT, &[("x-case", model)], asking(model, 999, false)).await.unwrap();
        assert!((8_900..9_001).contains(&remaining(&after)), "{model}: {}", remaining(&after));
    }
}

#[tokio::test]
async fn a_call_that_may_use_more_than_there_ever_is_is_told_so_and_others_are_not_held_up_by_it() {
    let upstream = plain_upstream();
    let of = |unit: &str, amount: u64| format!("{{per: Route, unit: {unit}, amount: {amount}, window: 1h}}");
    let text = pool_of(&upstream)
        + &limited("all", &of("Tokens", 500))
        + &limited("in", &of("InputTokens", 100))
        + &limited("out", &of("OutputTokens", 100));
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for (model, most, status) in [
        ("all", 501, 429),
        ("all", 400, 200),
        ("out", 101, 429),
        ("out", 100, 200),
        // Two were used of a hundred.
        ("out", 99, 429),
        ("out", 98, 200),
        ("in", 100_000, 200),
    ] {
        let answer = client.post(CHAT, &[], asking(model, most, false)).await.unwrap();
        assert_eq!(answer.status, status, "{model} {most}: {}", answer.text());
        if most == 501 || most == 101 {
            assert_eq!(answer.header("x-should-retry"), "false");
            assert!(answer.text().contains("too large"), "{}", answer.text());
            assert_eq!(answer.header("x-ratelimit-limit-tokens"), (most - 1).to_string(), "{:?}", answer.headers);
        }
    }
    // Without a word on its answer a call takes what answers mostly have, and never more than there is.
    let answer = ask(&client, "all", &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The count of tokens is no answer: it takes none.
    let count = client.post("/v1/messages/count_tokens", &[], message("in", false)).await.unwrap();
    assert_eq!(count.status, 200, "{}", count.text());
}

#[tokio::test]
async fn what_is_reserved_is_for_all_the_answers_that_a_call_asks_for() {
    let upstream = plain_upstream();
    let limit = "{per: Header, header: x-case, unit: OutputTokens, amount: 1000, window: 60s}";
    let text = pool_of(&upstream) + &limited("m", limit);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let several = asking("m", 200, false).replace("\"stream\"", "\"n\":8,\"stream\"");
    let prompts = r#"{"model":"m","max_tokens":200,"prompt":["a","b","c","d","e","f"]}"#.to_owned();
    let candidates = r#"{"contents":[{"role":"user","parts":[{"text":"?"}]}],"generationConfig":{"maxOutputTokens":200,"candidateCount":8}}"#;
    let calls =
        [(CHAT, several), ("/v1/completions", prompts), ("/v1beta/models/m:generateContent", candidates.to_owned())];
    for (path, body) in calls {
        let refused = proxy.client().post(path, &[("x-case", path)], body).await.unwrap();
        assert!(refused.status == 429 && refused.text().contains("too large"), "{path}: {}", refused.text());
    }
    let taken = proxy.client().post(CHAT, &[("x-case", CHAT)], asking("m", 200, false)).await.unwrap();
    assert!(taken.is_good(), "{}", taken.text());
}

#[tokio::test]
async fn a_kept_answer_counts_as_a_request_and_uses_no_tokens() {
    let upstream = plain_upstream();
    let limits =
        "{per: Route, unit: Requests, amount: 3, window: 1h}, {per: Route, unit: Tokens, amount: 2000, window: 1h}";
    let text = pool_of(&upstream) + &limited("m", limits).replace("spec:\n", "spec:\n  cache: {scope: Route}\n");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let mut left = Vec::new();
    for word in ["miss", "hit", "hit"] {
        let answer = client.post(CHAT, &[], asking("m", 100, false)).await.unwrap();
        assert_eq!((answer.status, answer.header("x-cache")), (200, word));
        left.push(remaining(&answer));
    }
    assert_eq!((left[0] - left[1], left[1] - left[2]), (5, 0), "{left:?}");
    assert_eq!(client.post(CHAT, &[], asking("m", 100, false)).await.unwrap().status, 429);
}

#[tokio::test]
async fn an_amount_that_shrinks_holds_at_once_and_one_that_grows_is_not_given_twice() {
    let upstream = plain_upstream();
    let text = |amount: u64| {
        pool_of(&upstream) + &limited("m", &format!("{{per: Route, unit: Requests, amount: {amount}, window: 1h}}"))
    };
    let proxy = Proxy::start(&[("all.yaml", &text(10))], &[]).unwrap();
    let client = proxy.client();
    let taken = |calls: u64| {
        let client = &client;
        async move {
            let mut good = 0;
            for _ in 0..calls {
                good += u64::from(ask(client, "m", &[]).await.status == 200);
            }
            good
        }
    };
    let generation = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_config_generation", &[]) as u64;
    assert_eq!(taken(6).await, 6);
    for (amount, expected) in [(4, 0), (8, 2), (7, 0), (20, 12)] {
        let before = generation(&proxy);
        proxy.write("all.yaml", &text(amount)).unwrap();
        proxy.until("the amount is another", |proxy| generation(proxy) > before).await.unwrap();
        assert_eq!(taken(30).await, expected, "{amount}");
    }
    assert_eq!(upstream.calls(), 20);
}

#[tokio::test]
async fn within_no_window_more_than_the_amount_reaches_the_provider() {
    let upstream = plain_upstream();
    let text = pool_of(&upstream) + &limited("m", "{per: Route, unit: Requests, amount: 100, window: 2s}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "2"]).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(5);
    let callers = (0..4).map(|_| {
        let client = proxy.client();
        async move {
            while std::time::Instant::now() < until {
                let status = ask(&client, "m", &[]).await.status;
                assert!(matches!(status, 200 | 429), "{status}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    futures_util::future::join_all(callers).await;
    let mut times: Vec<_> = upstream.received().iter().map(|call| call.at).collect();
    times.sort_unstable();
    let within =
        |start: usize| times[start..].iter().take_while(|at| **at - times[start] < Duration::from_secs(2)).count();
    let most = (0..times.len()).map(within).max().unwrap();
    // Calls that were on their way for longer than others may meet the next window's.
    assert!(most <= 104, "{most} calls within a window");
    assert!(times.len() >= 200, "{} calls", times.len());
}

#[tokio::test]
async fn what_is_reserved_for_a_prompt_goes_by_what_providers_count_for_its_model() {
    // Of each prompt they count three times what its letters say.
    let upstream = Upstream::start(|received| {
        let tokens = received.body.len() / 4 * 3;
        let usage = format!("{{\"prompt_tokens\":{tokens},\"completion_tokens\":1,\"total_tokens\":{}}}", tokens + 1);
        let body = format!("{{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"fine\"}},\"finish_reason\":\"stop\"}}],\"usage\":{usage}}}");
        vec![answer(200, &[("content-type", "application/json")], body.as_bytes())]
    })
    .unwrap();
    let limit = "{per: Header, header: x-case, unit: Tokens, amount: 10000, window: 1h}";
    let text = pool_of(&upstream) + &limited("wide", limit) + &limited("other", limit);
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    // Each case has a window of its own, so that what a call has reserved is what is missing.
    let reserved = async |model: &str, case: usize| {
        let case = format!("{model}-{case}");
        let answer = client.post(CHAT, &[("x-case", &case)], asking(model, 1, false)).await.unwrap();
        assert!(answer.is_good(), "{}", answer.text());
        10_000 - remaining(&answer)
    };
    let first = reserved("wide", 0).await;
    assert!((15..60).contains(&first), "{first}");
    for case in 1..60 {
        reserved("wide", case).await;
    }
    let after = reserved("wide", 60).await;
    assert!(after * 10 >= first * 27 && after <= first * 3 + 3, "{first} before, {after} after");
    // Of another model nothing is known by that.
    assert_eq!(reserved("other", 0).await, first);
}
