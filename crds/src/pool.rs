//! `ProviderPool`: who can answer.
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type of its own, and some the same")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::affinity::Affinity;
use crate::allowed::AllowedRoutes;
use crate::health_check::HealthCheck;
use crate::patterns;
use crate::provider::Provider;
use crate::rules::{self, validations};
use crate::scalar::{Decimal, Duration};
use crate::status::Status;

/// Providers that can stand in for each other, and how calls are shared out among them.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluicegate.dev",
    version = "v1alpha1",
    kind = "ProviderPool",
    plural = "providerpools",
    namespaced,
    status = "Status",
    shortname = "pp",
    shortname = "llmpp",
    category = "sluicegate",
    doc = "Providers that can stand in for each other, and how calls are shared out among them.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
    ),
    printcolumn(
        name = "ResolvedRefs",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="ResolvedRefs")].status"#
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].status"#
    ),
    printcolumn(name = "Proxies", type_ = "string", json_path = ".status.proxies"),
    printcolumn(name = "Routes", type_ = "integer", json_path = ".status.attachedRoutes"),
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.loadBalancing.strategy", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderPoolSpec {
    /// The choice of a provider.
    #[serde(default)]
    pub load_balancing: LoadBalancing,
    /// The providers, by name.
    #[schemars(
        length(min = 1, max = 64),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = validations(&[rules::PROVIDER_WEIGHTS]),
        )
    )]
    pub providers: Vec<Provider>,
    /// The time limits of a call. A route can set its own.
    #[serde(default)]
    pub timeouts: PoolTimeouts,
    /// The rules by which a failed call is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// The rule by which a failing provider is left alone, and for how long.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,
    /// Endpoints are asked whether they are well, beside the calls. Left out: they are judged by their calls alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// The routes that may name this pool.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
}

/// The choice of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::QUALITY_FLOOR])))]
pub struct LoadBalancing {
    /// Within a tier: `RoundRobin` (one after the other), `Weighted` (at random by weight), `LeastRequest` (the one
    /// with fewer calls in flight of two drawn by weight), `LeastLatency` (the one that has been quicker of two drawn by weight) or
    /// `CostOptimized` (the one whose model costs least for the call's size; one without a price comes last). Default: `Weighted`.
    pub strategy: Strategy,
    /// The least `quality` of a model that the strategy `CostOptimized` takes while one of it can serve: a decimal string from `"0"` to
    /// `"1"`. A model below it, or of which no quality is said, gets a call when no other of its tier can serve. Left out: the cost alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), extend("pattern" = patterns::SHARE_OF_ONE))]
    pub quality_floor: Option<Decimal>,
    /// Calls of one conversation go to one endpoint. Left out: each call is chosen for by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self { strategy: Strategy::Weighted, quality_floor: None, affinity: None }
    }
}

/// The choice of a provider within a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// One after the other.
    RoundRobin,
    /// At random by weight.
    Weighted,
    /// The one with fewer calls in flight of two.
    LeastRequest,
    /// The one that has been quicker of two.
    LeastLatency,
    /// The one that costs least.
    CostOptimized,
}

/// The time limits of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::TIMEOUTS_POSITIVE, rules::FIRST_TOKEN_WITHIN_TOTAL, rules::CONNECT_WITHIN_TOTAL,
])))]
pub struct PoolTimeouts {
    /// To have a connection, TLS included. Default: 5s.
    pub connect: Duration,
    /// From sending the request to the first token of a stream. Then another provider is tried. A whole answer has `total`
    /// alone: its head comes when it is written. Default: 60s.
    pub first_token: Duration,
    /// Between two pieces of an answer. Default: 60s.
    pub idle: Duration,
    /// From the call's arrival to the end of its answer, all attempts together. Left out: 600s for a whole answer and until the first token
    /// of a stream, and 3600s for a stream that has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}

impl Default for PoolTimeouts {
    fn default() -> Self {
        Self { connect: "5s".into(), first_token: "60s".into(), idle: "60s".into(), total: None }
    }
}

/// The rules by which a failed call is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included; 1 never tries again. Default: 3.
    #[schemars(range(min = 1, max = 5))]
    pub attempts: u32,
    /// The wait before another attempt at a provider that has failed this call already. Another provider is tried at
    /// once.
    pub backoff: Backoff,
    /// The failures that are worth another attempt. Nothing is tried again once the caller has had a token.
    pub retry_on: RetryOn,
    /// Retries may be at most this share of a pool's recent calls, in percent, so that a failing vendor is not flooded.
    /// Default: 20.
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, backoff: Backoff::default(), retry_on: RetryOn::default(), budget_percent: 20 }
    }
}

/// Waits that grow with each attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::BACKOFF_ORDER])))]
pub struct Backoff {
    /// Upper bound of the first wait. Default: 100ms.
    pub initial: Duration,
    /// Upper bound of any wait. Default: 5s.
    pub max: Duration,
    /// Growth from one wait to the next, as a decimal string from `"1"` to `"10"`. Default: `"2"`.
    #[schemars(length(max = 6), extend("pattern" = crate::patterns::MULTIPLIER))]
    pub multiplier: Decimal,
    /// `Full` waits a random time up to the bound, `None` waits all of it. Default: `Full`.
    pub jitter: Jitter,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: "100ms".into(), max: "5s".into(), multiplier: "2".into(), jitter: Jitter::Full }
    }
}

/// The randomness of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Jitter {
    /// A random time up to the bound.
    Full,
    /// All of it.
    None,
}

/// The failures that are worth another attempt. (Not called `on`: YAML 1.1, and so kubectl, reads that key as `true`.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryOn {
    /// Failures without an answer: `Connect` (no connection), `Reset` (it broke before the answer began) and `Timeout`
    /// (no first token in time). Default: all three.
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub triggers: Vec<RetryTrigger>,
    /// HTTP statuses. Default: 408, 429, 500, 502, 503, 504, 529. 500 stands for every other one from 505 on, too, as Cloudflare's 520
    /// to 530.
    #[schemars(length(max = 32), inner(range(min = 400, max = 599)), extend("x-kubernetes-list-type" = "set"))]
    pub status_codes: Vec<u16>,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            triggers: vec![RetryTrigger::Connect, RetryTrigger::Reset, RetryTrigger::Timeout],
            status_codes: vec![408, 429, 500, 502, 503, 504, 529],
        }
    }
}

/// A failure without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetryTrigger {
    /// No connection.
    Connect,
    /// It broke before the answer began.
    Reset,
    /// No first token in time.
    Timeout,
}

/// The rule by which a failing provider is left alone, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::OPEN_ORDER, rules::BREAKER_POSITIVE])))]
pub struct CircuitBreaker {
    /// Left alone at this share of failed calls, in percent … Default: 50.
    #[schemars(range(min = 1, max = 100))]
    pub error_percent: u32,
    /// … among at least this many calls … Default: 10.
    #[schemars(range(min = 1, max = 100_000))]
    pub minimum_requests: u32,
    /// … within this time. Default: 30s.
    pub window: Duration,
    /// Also at this many failures in a row; 0 does not count them. Default: 5.
    #[schemars(range(min = 0, max = 1000))]
    pub consecutive_failures: u32,
    /// Left alone this long at first, doubling each time it fails again. Default: 10s.
    pub open_for: Duration,
    /// At most this long. Default: 300s.
    pub max_open_for: Duration,
    /// Calls let through to try it, when that time is over. Default: 3.
    #[schemars(range(min = 1, max = 100))]
    pub half_open_requests: u32,
    /// At most this share of a pool's endpoints is left alone at once, in percent. Default: 50.
    #[schemars(range(min = 0, max = 100))]
    pub max_open_percent: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            error_percent: 50,
            minimum_requests: 10,
            window: "30s".into(),
            consecutive_failures: 5,
            open_for: "10s".into(),
            max_open_for: "300s".into(),
            half_open_requests: 3,
            max_open_percent: 50,
        }
    }
}
