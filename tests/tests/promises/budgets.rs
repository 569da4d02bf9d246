//! Budgets of one proxy: spent and no more, settled by what calls cost, refused in each dialect's own words.

use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, openai_whole, plain_upstream};

const KEY: &str = "one-key-that-nobody-can-guess";
/// A dollar, in picodollars.
const DOLLAR: u64 = 1_000_000_000_000;

/// A consumer with these budgets, in flow style.
fn consumer(name: &str, key: &str, budgets: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {key}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  \
         keys: [{{name: k, secretRef: {{name: {name}}}}}]\n  limits: {{budgets: [{budgets}]}}\n---\n"
    )
}

/// A pool that sells `m` for a hundred dollars a million tokens of prompt and a thousand of answer, and knows no price of `f`.
fn pool(upstream: &Upstream) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  retry: {{attempts: 1}}\n  providers:\n  \
         - name: only\n    type: OpenAICompatible\n    url: \"http://{}\"\n    models:\n    \
         - {{name: m, price: {{inputPerMillion: \"100\", outputPerMillion: \"1000\"}}}}\n    - {{name: f}}\n---\n",
        upstream.address
    )
}

fn route(limits: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n{limits}  rules:\n  \
         - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n---\n"
    )
}

fn asking(model: &str, max_tokens: u64, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"max_tokens":{max_tokens},"messages":[{{"role":"user","content":"Say something."}}]}}"#
    )
}

async fn ask(client: &Client, model: &str, max_tokens: u64, stream: bool) -> Answer {
    client.post(CHAT, &[("x-api-key", KEY)], asking(model, max_tokens, stream)).await.unwrap()
}

/// The picodollars that remain, as the answer says.
fn remaining(answer: &Answer) -> u64 {
    let text = answer.header("x-sluicegate-budget-remaining");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    whole.parse::<u64>().unwrap_or_else(|_| panic!("{:?}", answer.headers)) * DOLLAR
        + format!("{fraction:0<12}").parse::<u64>().unwrap()
}

/// A call for a model in every dialect: its path and body, the status of its refusal, and where and how that begins.
fn in_every_dialect(model: &str) -> Vec<(String, String, u16, &'static str, &'static str)> {
    let text = "Say something.";
    let message =
        |more: &str| format!(r#"{{{more}"max_tokens":99,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let gemini = format!(
        r#"{{"contents":[{{"role":"user","parts":[{{"text":"{text}"}}]}}],"generationConfig":{{"maxOutputTokens":99}}}}"#
    );
    let named = format!(r#""model":"{model}","#);
    let converse = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"text":"{text}"}}]}}],"inferenceConfig":{{"maxTokens":99}}}}"#
    );
    vec![
        ("/v1/chat/completions".to_owned(), message(&named), 429, "/error/code", "insufficient_quota"),
        (
            "/v1/responses".to_owned(),
            format!(r#"{{{named}"max_output_tokens":99,"input":"{text}"}}"#),
            429,
            "/error/code",
            "insufficient_quota",
        ),
        (
            "/v1/completions".to_owned(),
            format!(r#"{{{named}"max_tokens":99,"prompt":"{text}"}}"#),
            429,
            "/error/code",
            "insufficient_quota",
        ),
        (MESSAGES.to_owned(), message(&named), 402, "/error/type", "billing_error"),
        (format!("/v1beta/models/{model}:generateContent"), gemini, 429, "/error/status", "RESOURCE_EXHAUSTED"),
        (
            format!("/model/{model}/invoke"),
            message(r#""anthropic_version":"bedrock-2023-05-31","#),
            400,
            "/message",
            "You exceeded",
        ),
        (format!("/model/{model}/converse"), converse, 400, "/message", "You exceeded"),
        ("/v2/chat".to_owned(), message(&named), 429, "/message", "You exceeded"),
    ]
}

#[tokio::test]
async fn a_spent_budget_is_refused_in_the_vendors_own_words_in_every_dialect() {
    let upstream = plain_upstream();
    // A hundred tokens of answer may cost more than there is.
    let text =
        pool(&upstream) + &route("") + &consumer("team", KEY, "{amount: \"0.05\", period: Daily, alertAt: [50, 100]}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let mut refused = 0;
    for (path, body, status, at, word) in in_every_dialect("m") {
        let answer = client.post(&path, &[("x-api-key", KEY)], body).await.unwrap();
        refused += 1;
        assert_eq!((answer.status, answer.header("x-should-retry")), (status, "false"), "{path}: {}", answer.text());
        assert!(answer.header("retry-after").is_empty(), "{path}: {:?}", answer.headers);
        let said = answer.json();
        let said = said.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        assert!(said.starts_with(word), "{path}: {}", answer.text());
        assert!(answer.text().contains("0.05 USD per day"), "{path}: {}", answer.text());
        assert_eq!(answer.header("x-sluicegate-budget-limit"), "0.05", "{path}");
        assert!(answer.header("x-sluicegate-budget-reset").ends_with("T00:00:00Z"), "{path}: {:?}", answer.headers);
    }
    assert_eq!(upstream.calls(), 0);
    let metrics = proxy.metrics().unwrap();
    let checks =
        |outcome: &str| metrics.sum("sluicegate_budget_checks_total", &[("unit", "usd"), ("outcome", outcome)]) as u64;
    assert_eq!((checks("refused"), checks("admitted")), (refused, 0));
    assert_eq!(metrics.sum("sluicegate_consumer_limited_total", &[("consumer", "default/team")]) as u64, refused);
    let line = r#""limit":"LLMConsumer default/team: 0.05 USD per day""#;
    assert!(proxy.log().iter().any(|said| said.contains(line)));
}

/// An upstream that answers by what the model is called.
fn by_words() -> Upstream {
    Upstream::start(|received| {
        let body = String::from_utf8_lossy(&received.body);
        let says = |word: &str| body.contains(word);
        if says("\"max_tokens\":13") {
            return vec![answer(503, &[("content-type", "application/json")], b"{\"error\":{\"message\":\"no\"}}")];
        }
        if !received.streams() {
            return vec![openai_whole("fine")];
        }
        let said = chunk(
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"fine\"},\"finish_reason\":\"stop\"}]}\n\n",
        );
        let used = chunk(
            b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
        );
        match () {
            // A stream that does not say what it used stays as it was reserved.
            () if says("\"max_tokens\":14") => vec![stream_head(), said, chunk(b"data: [DONE]\n\n"), last_chunk()],
            () if says("\"max_tokens\":15") => vec![stream_head(), said, used, Act::Reset],
            () => vec![stream_head(), said, used, chunk(b"data: [DONE]\n\n"), last_chunk()],
        }
    })
    .unwrap()
}

#[tokio::test]
async fn money_is_reserved_and_settled_to_the_last_picodollar_however_a_call_ends() {
    let upstream = by_words();
    let text = pool(&upstream) + &route("") + &consumer("team", KEY, "{amount: \"100\", period: Monthly}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    // Three tokens for a hundred millionths each, two for a thousand.
    const COST: u64 = 2_300_000_000;
    let mut spent = 0;
    for (max_tokens, stream, cost) in [
        (12, false, Some(COST)),
        (12, true, Some(COST)),
        (13, false, Some(0)),
        (15, true, Some(COST)),
        (14, true, None),
    ] {
        let first = ask(&client, "m", max_tokens, stream).await;
        let reserved = 100 * DOLLAR - spent - remaining(&first);
        let answer = max_tokens * 1_000_000_000;
        assert!((answer + 1_000_000_000..answer + 10_000_000_000).contains(&reserved), "{max_tokens}: {reserved}");
        spent += cost.unwrap_or(reserved);
        let settled = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_inflight_requests", &[]) as u64 == 0;
        proxy.until("the call is over", settled).await.unwrap();
    }
    let last = ask(&client, "m", 12, false).await;
    let reserved = 100 * DOLLAR - spent - remaining(&last);
    assert!((13_000_000_000..22_000_000_000).contains(&reserved), "{reserved}");
    // The ledger says the same of what is known.
    let cost = proxy.metrics().unwrap().sum("sluicegate_consumer_cost_usd_total", &[("consumer", "default/team")]);
    assert_eq!((cost * 1e12).round() as u64, 4 * COST, "three calls and the last one");
}

#[tokio::test]
async fn every_level_has_room_or_none_is_taken_and_calls_of_no_cost_always_pass() {
    let upstream = plain_upstream();
    let other = "other-key-that-nobody-can-guess";
    let text = pool(&upstream)
        + &route("  limits: {budgets: [{amount: \"1000\", unit: Tokens, period: Total, unknownPrice: Free}]}\n")
        + &consumer("team", KEY, "{amount: \"0.12\", period: Daily}")
        + &consumer("open", other, "{amount: \"0.000001\", period: Daily, unknownPrice: Free}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let tokens = |answer: &Answer| answer.header("x-sluicegate-token-budget-remaining").parse::<u64>().unwrap();
    // The consumer has room for 100 tokens of answer once.
    let first = ask(&client, "m", 100, false).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = ask(&client, "m", 118, false).await;
    assert_eq!(second.status, 429, "{}", second.text());
    let free = client.post(CHAT, &[("x-api-key", other)], asking("f", 100, false)).await.unwrap();
    assert_eq!(free.status, 200, "what costs nothing: {}", free.text());
    // What was refused took nothing of the route's: five of a thousand are spent, and what is asked for now.
    assert_eq!(tokens(&free), tokens(&first) - 5, "{} {}", tokens(&free), tokens(&first));
    let dear = client.post(CHAT, &[("x-api-key", other)], asking("m", 100, false)).await.unwrap();
    assert_eq!(dear.status, 429, "{}", dear.text());
    let unpriced = ask(&client, "f", 100, false).await;
    assert_eq!((unpriced.status, unpriced.header("x-should-retry")), (403, "false"), "{}", unpriced.text());
    assert!(unpriced.text().contains("no price of the model `f`"), "{}", unpriced.text());
    // It is told how its budgets stand as any other call is: 0.12 less what the first has cost, and two calls of five tokens.
    let said = ["limit", "remaining"].map(|word| unpriced.header(&format!("x-sluicegate-budget-{word}")));
    assert_eq!(said, ["0.12", "0.1177"], "{:?}", unpriced.headers);
    assert_eq!(tokens(&unpriced), 1000 - 2 * 5, "{:?}", unpriced.headers);
}

#[tokio::test]
async fn keys_consumers_groups_and_a_namespace_are_a_tree_in_which_every_level_has_room() {
    let upstream = plain_upstream();
    // Every call has five tokens.
    let object = |name: &str, spec: &str| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n"
        )
    };
    let tokens = |amount: u32, more: &str| {
        format!("limits: {{budgets: [{{unit: Tokens, amount: \"{amount}\", period: Total{more}}}]}}")
    };
    let key = |name: &str| format!("{{name: {name}, secretRef: {{name: {name}}}}}");
    let secret = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: the-key-of-nobody-else-{name}}}\n---\n"
        )
    };
    let text = |group: u32| {
        let secrets: String = ["one", "two", "bob", "eve"].map(secret).concat();
        let ann = format!("keys: [{}, {}], labels: {{team: x}}, {}", key("one"), key("two"), tokens(60, ", per: Key"));
        [
            secrets,
            object("ann", &ann),
            object("bob", &format!("keys: [{}], labels: {{team: x}}", key("bob"))),
            object("eve", &format!("keys: [{}]", key("eve"))),
            object("team-x", &format!("members: {{matchLabels: {{team: x}}}}, {}", tokens(group, ""))),
            object("everybody", &format!("members: {{namespaces: [default]}}, {}", tokens(160, ""))),
            pool(&upstream),
            route(""),
        ]
        .concat()
    };
    let proxy = Proxy::start(&[("all.yaml", &text(90))], &[]).unwrap();
    let client = proxy.client();
    // Calls until one is refused: how many were answered, and what the last was told.
    let spend = async |name: &str| {
        let (key, mut good) = (format!("the-key-of-nobody-else-{name}"), 0);
        for _ in 0..50 {
            let answer = client.post(CHAT, &[("x-api-key", &key)], asking("m", 1, false)).await.unwrap();
            if answer.status == 429 {
                return (good, answer.text());
            }
            assert_eq!(answer.status, 200, "{}", answer.text());
            good += 1;
        }
        panic!("{name} is never refused");
    };
    let (one, by) = spend("one").await;
    assert!(by.contains("60 tokens in total"), "its own: {by}");
    let (two, by) = spend("two").await;
    assert!(by.contains("90 tokens in total"), "the group's: {by}");
    let (bob, by) = spend("bob").await;
    assert!(bob == 0 && by.contains("90 tokens in total"), "the group's, whoever of it calls: {bob} {by}");
    let (eve, by) = spend("eve").await;
    assert!(by.contains("160 tokens in total"), "the namespace's: {by}");
    assert!(5 * one <= 60 && 5 * (one + two) <= 90 && 5 * (one + two + eve) <= 160, "{one} {two} {eve}");
    // What is left of each is less than a call may use.
    assert!(5 * one > 30 && 5 * (one + two) > 60 && 5 * (one + two + eve) > 130, "{one} {two} {eve}");
    assert_eq!(upstream.calls(), one + two + eve);
}

#[tokio::test]
async fn a_call_without_room_goes_to_a_cheaper_target_and_no_further() {
    let (dear, cheap) = (plain_upstream(), plain_upstream());
    let price = |input: &str, output: &str| format!("{{inputPerMillion: \"{input}\", outputPerMillion: \"{output}\"}}");
    let cheaper = pool(&cheap).replace("{name: p}", "{name: cheap}").replace(&price("100", "1000"), &price("1", "10"));
    let targets = "targets: [{poolRef: {name: p}}]";
    let soft = route("").replace(targets, &format!("{targets}, fallbacks: [{{poolRef: {{name: cheap}}}}]"));
    let budget = consumer("team", KEY, "{amount: \"0.05\", period: Total, onExceeded: Fallback}");
    let text = pool(&dear) + &cheaper + &soft + &budget;
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    for (max_tokens, stream, status, exceeded, calls) in [
        (10, false, 200, "", (1, 0)),
        (100, false, 200, "true", (1, 1)),
        (100, true, 200, "true", (1, 2)),
        (10, false, 200, "", (2, 2)),
        // Nor has it room for the cheaper one.
        (10_000, false, 429, "true", (2, 2)),
    ] {
        let answer = ask(&client, "m", max_tokens, stream).await;
        assert_eq!(answer.status, status, "{max_tokens}: {}", answer.text());
        assert_eq!(answer.header("x-sluicegate-budget-exceeded"), exceeded, "{max_tokens}: {:?}", answer.headers);
        assert_eq!((dear.calls(), cheap.calls()), calls, "{max_tokens}");
        assert_eq!(answer.header("x-sluicegate-budget-limit"), "0.05");
    }
    // Of several it lands at those that are for it, else at those for what could not serve.
    for (reasons, lands) in [
        ("{poolRef: {name: p}, reasons: [ContextWindow]}, {poolRef: {name: cheap}}", true),
        ("{poolRef: {name: p}}, {poolRef: {name: cheap}, reasons: [Budget]}", true),
        ("{poolRef: {name: cheap}, reasons: [ContentPolicy]}", false),
    ] {
        let soft = route("").replace(targets, &format!("{targets}, fallbacks: [{reasons}]"));
        let proxy = Proxy::start(&[("all.yaml", &(pool(&dear) + &cheaper + &soft + &budget))], &[]).unwrap();
        let (before, answer) = (cheap.calls(), ask(&proxy.client(), "m", 100, false).await);
        assert_eq!(
            (answer.status == 200, cheap.calls() - before),
            (lands, u64::from(lands)),
            "{reasons}: {}",
            answer.text()
        );
    }
    // A rule without fallbacks has nowhere to go, and says so.
    let nowhere =
        pool(&dear) + &route("  limits: {budgets: [{amount: \"9\", period: Daily, onExceeded: Fallback}]}\n") + &budget;
    let proxy = Proxy::start(&[("all.yaml", &nowhere)], &[]).unwrap();
    assert_eq!(ask(&proxy.client(), "m", 100, false).await.status, 429);
    let said = proxy.page("/config").unwrap().1;
    assert!(said.contains("the rule has no fallbacks") && said.contains("ModelUnpriced"), "{said}");
}

#[tokio::test]
async fn a_call_that_lands_softly_is_given_what_is_kept_and_keeps_nothing() {
    let (dear, cheap) = (plain_upstream(), plain_upstream());
    let other = "other-key-that-nobody-can-guess";
    let cheaper =
        pool(&cheap).replace("{name: p}", "{name: cheap}").replace("\"100\"", "\"1\"").replace("\"1000\"", "\"10\"");
    let targets = "targets: [{poolRef: {name: p}}]";
    let soft = route("  cache: {ttl: 60s, scope: Route}\n")
        .replace(targets, &format!("{targets}, fallbacks: [{{poolRef: {{name: cheap}}}}]"));
    let text = pool(&dear)
        + &cheaper
        + &soft
        + &consumer("team", KEY, "{amount: \"0.05\", period: Total, onExceeded: Fallback}")
        + &consumer("rich", other, "{amount: \"100\", period: Total}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    // Who asks, for how many tokens; whether the budget has room, and which calls the providers have had by then.
    for (key, max_tokens, exceeded, is_hit, calls) in [
        (other, 100, "", false, (1, 0)),
        // There is no room for it, and its answer is kept: nothing is paid.
        (KEY, 100, "true", true, (1, 0)),
        // What the fallback says is not kept: neither for the one nor for the other.
        (KEY, 101, "true", false, (1, 1)),
        (KEY, 101, "true", false, (1, 2)),
        (other, 101, "", false, (2, 2)),
        (KEY, 101, "true", true, (2, 2)),
    ] {
        let answer = client.post(CHAT, &[("x-api-key", key)], asking("m", max_tokens, false)).await.unwrap();
        assert!(answer.is_good(), "{max_tokens}: {}", answer.text());
        assert_eq!(answer.header("x-sluicegate-budget-exceeded"), exceeded, "{max_tokens}: {:?}", answer.headers);
        assert_eq!(answer.header("x-cache").to_ascii_lowercase().starts_with("hit"), is_hit, "{:?}", answer.headers);
        assert_eq!((dear.calls(), cheap.calls()), calls, "{max_tokens}");
    }
}

#[tokio::test]
async fn of_two_limits_of_an_answer_the_larger_is_reserved() {
    let upstream = plain_upstream();
    let text = pool(&upstream) + &route("") + &consumer("team", KEY, "{amount: \"100\", period: Total}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let both = asking("m", 5_000, false).replace("\"stream\"", "\"max_completion_tokens\":7,\"stream\"");
    let answer = proxy.client().post(CHAT, &[("x-api-key", KEY)], both).await.unwrap();
    assert!(100 * DOLLAR - remaining(&answer) >= 5 * DOLLAR, "{:?}", answer.headers);
}

#[tokio::test]
async fn a_shadow_counts_and_a_warning_is_told_and_both_let_calls_in() {
    let upstream = plain_upstream();
    let other = "other-key-that-nobody-can-guess";
    let text = pool(&upstream)
        + &route("")
        + &consumer("team", KEY, "{amount: \"0.01\", period: Daily, mode: Shadow, alertAt: [50, 100]}")
        + &consumer("warned", other, "{amount: \"0.01\", period: Daily, onExceeded: Warn}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    for _ in 0..3 {
        let shadow = ask(&client, "m", 100, false).await;
        assert_eq!((shadow.status, shadow.header("x-sluicegate-budget-limit")), (200, ""), "{:?}", shadow.headers);
        let warned = client.post(CHAT, &[("x-api-key", other)], asking("m", 100, false)).await.unwrap();
        let said = (warned.header("x-sluicegate-budget-exceeded"), warned.header("x-sluicegate-budget-remaining"));
        assert_eq!((warned.status, said), (200, ("true", "0")), "{:?}", warned.headers);
    }
    let metrics = proxy.metrics().unwrap();
    let sum = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels) as u64;
    assert_eq!(sum("sluicegate_budget_checks_total", &[("unit", "usd"), ("outcome", "exceeded")]), 6);
    let budget = ("budget", "LLMConsumer default/team: 0.01 USD per day");
    // Three calls have cost 0.0069, whatever was reserved for them; the fifth is the one with which it is spent.
    let told = |proxy: &Proxy, percent: &str| {
        proxy.metrics().unwrap().sum("sluicegate_budget_alerts_total", &[budget, ("percent", percent)]) as u64
    };
    proxy.until("half of it is spent", |proxy| told(proxy, "50") == 1).await.unwrap();
    assert_eq!(told(&proxy, "100"), 0);
    for _ in 0..2 {
        assert_eq!(ask(&client, "m", 100, false).await.status, 200);
    }
    proxy.until("all of it is spent", |proxy| told(proxy, "100") == 1).await.unwrap();
    assert_eq!(told(&proxy, "50"), 1);
}

#[tokio::test]
async fn a_budget_that_leaves_no_room_is_told_as_spent() {
    let upstream = plain_upstream();
    let text =
        pool(&upstream) + &route("") + &consumer("team", KEY, "{amount: \"0.1\", period: Total, alertAt: [100]}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let mut refused = 0;
    for _ in 0..80 {
        refused += u64::from(ask(&client, "m", 10, false).await.status == 429);
    }
    let told = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_budget_alerts_total", &[("percent", "100")]);
    proxy.until("it is told", |proxy| told(proxy) > 0.0).await.unwrap();
    assert!(refused > 1 && (told(&proxy) - 1.0).abs() < 0.1, "{refused} {}", told(&proxy));
}

#[tokio::test]
async fn an_amount_that_shrinks_holds_at_once_and_one_that_grows_is_not_given_twice() {
    let upstream = plain_upstream();
    let text = |amount: &str| {
        let budget = format!("{{amount: \"{amount}\", period: Yearly, timeZone: Pacific/Auckland}}");
        pool(&upstream) + &route("") + &consumer("team", KEY, &budget)
    };
    let proxy = Proxy::start(&[("all.yaml", &text("1"))], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let generation = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_config_generation", &[]) as u64;
    let first = ask(&client, "m", 10, false).await;
    for (amount, status, left) in [("0.001", 429, 0), ("2", 200, DOLLAR)] {
        let before = generation(&proxy);
        proxy.write("all.yaml", &text(amount)).unwrap();
        proxy.until("the amount is another", |proxy| generation(proxy) > before).await.unwrap();
        let answer = ask(&client, "m", 10, false).await;
        assert_eq!(answer.status, status, "{amount}: {}", answer.text());
        if status == 200 {
            assert_eq!(remaining(&answer), remaining(&first) + left - 2_300_000_000);
        }
    }
}

#[tokio::test]
async fn nobody_is_refused_for_a_guess_that_is_more_than_all_of_a_budget() {
    let upstream = plain_upstream();
    for budget in ["{amount: \"0.05\", period: Daily}", "{amount: \"400\", unit: Tokens, period: Daily}"] {
        let text = pool(&upstream) + &route("") + &consumer("team", KEY, budget);
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        let client = proxy.client();
        // 512 tokens would cost half a dollar.
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Say something."}]}"#;
        for _ in 0..3 {
            let answer = client.post(CHAT, &[("x-api-key", KEY)], body.to_owned()).await.unwrap();
            assert_eq!(answer.status, 200, "{budget}: {}", answer.text());
        }
        let asked = ask(&client, "m", 512, false).await;
        assert_eq!(asked.status, 429, "who asks for them is refused: {}", asked.text());
    }
}

#[tokio::test]
async fn a_call_that_may_cost_more_than_there_is_money_is_settled_by_what_it_cost() {
    let upstream = plain_upstream();
    let other = "other-key-that-nobody-can-guess";
    let text = pool(&upstream)
        + &route("")
        + &consumer("team", KEY, "{amount: \"1\", period: Total}")
        + &consumer("warned", other, "{amount: \"1\", period: Total, onExceeded: Warn}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let warned = async |max_tokens: u64| {
        client.post(CHAT, &[("x-api-key", other)], asking("m", max_tokens, false)).await.unwrap()
    };
    let first = warned(10).await;
    let huge = futures_util::future::join_all((0..9).map(|_| warned(u64::MAX))).await;
    assert!(huge.iter().all(|answer| (answer.status, remaining(answer)) == (200, 0)), "{huge:?}");
    let over = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_inflight_requests", &[]) as u64 == 0;
    proxy.until("the calls are over", over).await.unwrap();
    assert_eq!(remaining(&warned(10).await), remaining(&first) - 10 * 2_300_000_000);
    let refused = ask(&client, "m", u64::MAX, false).await;
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("this request may use far more than all of it"), "{}", refused.text());
}
