//! What is measured: the requests, who answers them, and what each is held against.

use bytes::Bytes;

use crate::load::post;

/// Which server a scenario runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The proxy.
    Sluicegate,
    /// The bare hyper proxy.
    Bare,
    /// nginx.
    Nginx,
    /// Nobody in between.
    Direct,
}

/// What the CPU time is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    /// Whole answers.
    Call,
    /// Streamed events.
    Event,
}

/// One thing that is measured.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// What it is called in the table.
    pub name: &'static str,
    /// The request.
    pub request: Bytes,
    /// Connections.
    pub connections: usize,
    /// Calls per second; `None`: as fast as answers come.
    pub rate: Option<f64>,
    /// Whether the upstream paces its stream.
    pub paced: bool,
    /// Whether the proxy writes a line for every call.
    pub logged: bool,
    /// What is counted.
    pub per: Per,
    /// On which servers.
    pub on: &'static [Who],
    /// The scenario and server that its CPU time is divided by, when not its own bare proxy.
    pub against: Option<(&'static str, Who)>,
    /// The first step and the goal for the ratio.
    pub bars: (f64, f64),
}

const ALL: &[Who] = &[Who::Sluicegate, Who::Bare, Who::Nginx];
const OURS: &[Who] = &[Who::Sluicegate];

/// Every scenario, in the table's order.
#[must_use]
pub(crate) fn all() -> Vec<Scenario> {
    let base = verbatim();
    let bare = Some(("verbatim, 32 connections", Who::Bare));
    let ours = Some(("verbatim, 32 connections", Who::Sluicegate));
    let prompt = |name, size, bars| Scenario { name, request: chat("verbatim", size, false), bars, ..base.clone() };
    let hit = |name, model, bars| Scenario {
        name,
        request: chat(model, 1000, false),
        on: OURS,
        against: bare,
        bars,
        ..base.clone()
    };
    vec![
        base.clone(),
        Scenario { name: "verbatim, 256 connections", connections: 256, ..base.clone() },
        Scenario { name: "access log, 32 connections", logged: true, on: OURS, against: bare, ..base.clone() },
        Scenario {
            name: "access log, 256 connections",
            connections: 256,
            logged: true,
            on: OURS,
            against: Some(("verbatim, 256 connections", Who::Bare)),
            ..base.clone()
        },
        full_policy(&base),
        prompt("prompt of 20 KB", 20_000, (1.5, 1.3)),
        prompt("prompt of 200 KB", 200_000, (1.5, 1.3)),
        Scenario { name: "stream of 64", request: chat("verbatim", 1000, true), bars: (1.2, 1.0), ..base.clone() },
        Scenario {
            name: "paced event",
            request: chat("paced", 1000, true),
            connections: 128,
            paced: true,
            per: Per::Event,
            bars: (1.2, 1.1),
            ..base.clone()
        },
        hit("memory hit", "memory", (0.9, 0.8)),
        hit("Redis hit", "redis", (1.6, 1.2)),
        // One connection: a call is over when the next one comes, and shares nothing.
        Scenario { connections: 1, ..hit("Redis miss", "missed", (3.0, 2.5)) },
        lone(hit("coalescing miss", "coalesced", (1.15, 1.1)), "Redis miss"),
        Scenario {
            name: "translated",
            request: chat("translated", 1000, false),
            on: OURS,
            against: ours,
            bars: (2.0, 1.6),
            ..base.clone()
        },
        Scenario {
            name: "translated stream of 64",
            request: chat("translated", 1000, true),
            on: OURS,
            against: Some(("stream of 64", Who::Sluicegate)),
            bars: (2.0, 1.6),
            ..base
        },
    ]
}

/// A known consumer, whose calls, tokens and money are counted for all proxies.
fn full_policy(base: &Scenario) -> Scenario {
    Scenario {
        name: "full policy, 32 connections",
        request: chat_of("policy", KEY, 1000, false),
        on: OURS,
        against: Some(("verbatim, 32 connections", Who::Bare)),
        bars: (1.25, 1.15),
        ..base.clone()
    }
}

/// A scenario of one connection, measured against another one of ours.
fn lone(scenario: Scenario, against: &'static str) -> Scenario {
    Scenario { connections: 1, against: Some((against, Who::Sluicegate)), ..scenario }
}

/// The first scenario, of which the others differ in this or that.
fn verbatim() -> Scenario {
    Scenario {
        name: "verbatim, 32 connections",
        request: chat("verbatim", 1000, false),
        connections: 32,
        rate: None,
        paced: false,
        logged: false,
        per: Per::Call,
        on: ALL,
        against: None,
        bars: (1.4, 1.15),
    }
}

/// The key of a consumer that has limits and a budget; no other call's is one that is known.
const KEY: &str = "sk-bench-of-a-consumer-with-limits";

/// A chat call with a prompt of about so many bytes.
#[must_use]
pub(crate) fn chat(model: &str, bytes: usize, stream: bool) -> Bytes {
    chat_of(model, "sk-bench", bytes, stream)
}

fn chat_of(model: &str, key: &str, bytes: usize, stream: bool) -> Bytes {
    let words = "The gate lets through what the channel can carry, and no more. ";
    let prompt: String = words.chars().cycle().take(bytes).collect();
    let body = serde_json::json!({
        "model": model,
        "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": prompt}],
        "temperature": 0.2,
        "stream": stream,
    });
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("accept", "application/json"), ("user-agent", "bench")];
    post("/v1/chat/completions", &headers, &body.to_string())
}

/// A price, by which a budget counts.
const PRICED: &str = ", models: [{name: policy, price: {inputPerMillion: \"1\", outputPerMillion: \"4\"}}]";

/// A cache that is asked and keeps nothing.
const NEVER_KEPT: &str = "  cache: {ttl: 1h, scope: Route, memory: {maxEntries: 0}, redis: {enabled: true}, store: {minContentLength: 10000000}}\n";

/// A consumer with a limit of calls, one of tokens and a budget, none of which is ever reached.
fn consumer() -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: bench}}\nstringData: {{api-key: {KEY}}}\n\
         ---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: bench}}\nspec:\n  \
         keys: [{{name: only, secretRef: {{name: bench}}}}]\n  limits:\n    rate:\n    \
         - {{per: Consumer, unit: Requests, amount: 100000000, window: 1m}}\n    \
         - {{per: Consumer, unit: Tokens, amount: 1000000000000, window: 1m}}\n    \
         budgets: [{{amount: \"1000000\", period: Daily}}]\n"
    )
}

/// The resources that the proxy runs on; `plain` and `paced` are the addresses of the upstreams.
#[must_use]
pub(crate) fn manifests(plain: std::net::SocketAddr, paced: std::net::SocketAddr) -> String {
    let pool = |name: &str, kind: &str, url: String, more: &str| {
        format!(
            "---\napiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\n\
             spec: {{providers: [{{name: it, type: {kind}, url: \"{url}\" {more}}}]}}\n"
        )
    };
    let route = |name: &str, pool: &str, cache: &str| {
        format!(
            "---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {name}}}\n\
             spec:\n  rules:\n  - {{name: all, matches: [{{model: {{exact: {name}}}}}], targets: [{{poolRef: {{name: {pool}}}}}]}}\n{cache}"
        )
    };
    [
        consumer(),
        pool("plain", "OpenAI", format!("http://{plain}/v1"), ""),
        pool("paced", "OpenAI", format!("http://{paced}/v1"), ""),
        pool("anthropic", "Anthropic", format!("http://{plain}/v1"), ""),
        pool("priced", "OpenAI", format!("http://{plain}/v1"), PRICED),
        route("verbatim", "plain", ""),
        route("policy", "priced", ""),
        route("paced", "paced", ""),
        route("translated", "anthropic", ""),
        route("memory", "plain", "  cache: {ttl: 1h, scope: Route, redis: {enabled: false}}\n"),
        route("missed", "plain", NEVER_KEPT),
        route("coalesced", "plain", &format!("  coalesce: {{scope: Cluster}}\n{NEVER_KEPT}")),
        route("redis", "plain", "  cache: {ttl: 1h, scope: Route, memory: {maxEntries: 0}, redis: {enabled: true}}\n"),
    ]
    .concat()
}
