//! `LLMRoute`: which call goes where, and under what rules.
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type of its own, and some the same")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, ConsumerSelector};
use crate::cache::Cache;
use crate::coalesce::Coalesce;
use crate::hedge::Hedge;
use crate::limits::Limits;
use crate::patterns;
use crate::prompt_cache::PromptCache;
use crate::request::{Complexity, RequestChanges};
use crate::rules::{self, validations};
use crate::scalar::Duration;
use crate::status::Status;
use crate::stream_failover::StreamFailover;

/// The rules by which calls go to pools.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluicegate.dev",
    version = "v1alpha1",
    kind = "LLMRoute",
    plural = "llmroutes",
    namespaced,
    status = "Status",
    shortname = "lr",
    shortname = "llmr",
    category = "sluicegate",
    doc = "The rules by which calls go to pools.",
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
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LLMRouteSpec {
    /// The rules; the first that matches takes the call.
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::RULE_NAMES]))
    )]
    pub rules: Vec<Rule>,
    /// The callers that it is for. Left out: as the gateway's proxies are set up (`--access`), anyone unless said otherwise there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// `false`: its models are served, and not listed (`GET /v1/models`). A rule's own word goes over it. Left out: they are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// The caching of answers. Left out: not at all. A rule's own is laid over it, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// The sharing of one answer by identical calls that come while it is under way. Left out: each is a call of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<Coalesce>,
    /// The limits of its calls, beside those of their consumers. A rule's own take their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Breakpoints for providers' prompt caches. Left out: callers place their own. A rule's own take their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_cache: Option<PromptCache>,
    /// Streams that break half-way go on at another provider. Left out: they end in an error. A rule's own word goes over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_failover: Option<StreamFailover>,
    /// Timeouts over the pools'. A rule's own are laid over them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<RouteTimeouts>,
}

/// One rule: which calls, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Name of the rule, unique in its route: lower-case letters, digits and dashes. Metrics and logs call it so.
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub name: String,
    /// It takes a call if any of these match. Left out: every call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::MATCHES_EMPTY]))
    )]
    pub matches: Vec<Match>,
    /// The targets of its calls, shared out by weight.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::TARGET_WEIGHTS]))
    )]
    pub targets: Vec<Target>,
    /// Tried in this order when no target can serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub fallbacks: Vec<Fallback>,
    /// `false`: its models are served, and not listed. Left out: as the route says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// The caching of answers to its calls, laid over the route's, field by field. `ttl: 0s` caches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// The sharing of one answer by identical calls, in place of what the route says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<Coalesce>,
    /// The limits of its calls, in place of the route's, and counted apart from other rules' calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Changes of its calls before anybody is asked. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestChanges>,
    /// A second attempt elsewhere, where the first keeps its caller waiting. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// A share of its calls is copied to another pool, to see how that does. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Breakpoints for providers' prompt caches, in place of what the route says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_cache: Option<PromptCache>,
    /// Streams that break half-way go on at another provider, in place of what the route says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_failover: Option<StreamFailover>,
    /// Timeouts of its calls, over the route's and the pools'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<RouteTimeouts>,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::MATCH_EMPTY, rules::PATH_BESIDE_MODEL])))]
pub struct Match {
    /// The model that the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelMatch>,
    /// Headers of the call; all of them must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::HEADERS_EMPTY]))
    )]
    pub headers: Vec<HeaderMatch>,
    /// The consumer that calls. A call that nobody known makes does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<ConsumerSelector>,
    /// On how much the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Complexity>,
    /// The path of a call that the gateway has no words for: it is passed on unread, to the same path of the providers. Calls to such
    /// paths match nothing else, and a match without `path` takes none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
}

/// A condition on a call's path: exactly one of `exact` and `prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::PATH_ONE_OF])))]
pub struct PathMatch {
    /// This path, such as `/tokenize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = patterns::NAMED_PATH))]
    pub exact: Option<String>,
    /// Paths below this one, such as `/v1/fine_tuning/`. It ends in a slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = patterns::NAMED_PATHS))]
    pub prefix: Option<String>,
}

/// A condition on the model's name: exactly one of `exact`, `prefix` and `regex`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::MODEL_ONE_OF])))]
pub struct ModelMatch {
    /// This name, such as `gpt-4o`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub exact: Option<String>,
    /// Names that begin so, such as `claude-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub prefix: Option<String>,
    /// Names that match this regular expression (RE2 syntax) as a whole, such as `gpt-4o(-mini)?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub regex: Option<String>,
}

/// A condition on one header: exactly one of `exact`, `regex` and `present: true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::HEADER_ONE_OF])))]
pub struct HeaderMatch {
    /// Its name, in any case.
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME))]
    pub name: String,
    /// This value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub exact: Option<String>,
    /// Values that match this regular expression (RE2 syntax) as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub regex: Option<String>,
    /// `true`: any value, as long as the header is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [true]))]
    pub present: Option<bool>,
}

/// A pool that takes a share of a rule's calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// The pool.
    pub pool_ref: PoolRef,
    /// Share of the calls, relative to the others' weights. 0 takes none. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: u32,
    /// The model to ask the pool for. Left out: the one that the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
}

const fn one() -> u32 {
    1
}

/// A pool that is tried when no target can serve, or refuses the call for one of some reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fallback {
    /// The pool.
    pub pool_ref: PoolRef,
    /// The model to ask the pool for. Left out: the one that the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// The reasons to try it: `Unavailable` (no target could serve), `ContextWindow` (the prompt is too long for the targets, by an
    /// estimate where the window is known or by a target's own word), `ContentPolicy` (a target's content filter refused the
    /// call) and `Budget` (a budget with `onExceeded: Fallback` has no room; where no fallback says so, those for `Unavailable` are tried). Default: `[Unavailable]`. (Not called `on`: YAML 1.1, and so kubectl, reads that key as `true`.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub reasons: Vec<FallbackReason>,
}

/// A reason to try a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum FallbackReason {
    /// No target could serve.
    Unavailable,
    /// The prompt is too long for the targets.
    ContextWindow,
    /// A target's content filter refused the call.
    ContentPolicy,
    /// A budget with `onExceeded: Fallback` has no room for the call.
    Budget,
}

/// A share of a rule's calls is copied to another pool. Nobody waits for it, what it answers is thrown away, and it is counted by
/// itself: in no limit, no budget and no consumer's metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirror {
    /// The pool.
    pub pool_ref: PoolRef,
    /// The model to ask the pool for. Left out: the one that the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// The share, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u32,
}

/// Names a `ProviderPool`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolRef {
    /// Name of the pool.
    #[schemars(length(min = 1, max = 253), regex(pattern = patterns::OBJECT_NAME))]
    pub name: String,
    /// Its namespace. The pool there must let the route's namespace in, by its `allowedRoutes`. Default: the route's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = patterns::NAME))]
    pub namespace: Option<String>,
}

/// Timeouts over the pools'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::ROUTE_TIMEOUTS_POSITIVE, rules::ROUTE_FIRST_TOKEN_WITHIN_TOTAL,
])))]
pub struct RouteTimeouts {
    /// From sending the request to the first token of a stream; a whole answer has `total` alone. Left out: the pool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Duration>,
    /// Between two pieces of an answer. Left out: the pool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// From the call's arrival to the end of its answer, all attempts together. Left out: the pool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}
