//! The compiled model: what a proxy needs to answer calls, and nothing of how it was said.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::affinity::Affinity;
use crate::compatibility::Compatibility;
use crate::concurrency::Concurrency;
use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::health_check::HealthCheck;
use crate::hedge::Hedge;
use crate::identity::Identity;
use crate::ids::{CredentialId, ObjectId};
use crate::labels::LabelMatch;
use crate::limits::{Budget, RateLimit};
use crate::matching::Match;
use crate::millis::Millis;
use crate::mirror::Mirror;
use crate::model::ModelFacts;
use crate::price::Price;
use crate::prompt_cache::PromptCache;
use crate::provider_key::ProviderKey;
use crate::request::RequestChanges;
use crate::service::{ModelServer, ServicePort};
use crate::stream_failover::StreamFailover;
use crate::target::Target;

/// The version of this model. A proxy refuses a snapshot of a version it does not know.
pub const FORMAT: u32 = 1;

/// Everything a proxy runs on, except credentials, which travel apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Compiled routes by id.
    pub routes: BTreeMap<ObjectId, Route>,
    /// Compiled pools by id.
    pub pools: BTreeMap<ObjectId, Pool>,
    /// Compiled consumers by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumers: BTreeMap<ObjectId, Consumer>,
}

/// One compiled `LLMRoute`: self-contained, so that it travels as one small object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// `FORMAT` of the compiler that wrote it.
    pub format: u32,
    /// Hash of everything below; equal content, equal revision.
    pub revision: String,
    /// The [`FEATURES`](crate::FEATURES) that a proxy must know to run it as it is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Creation time in seconds since 1970 (0 from files): the older route wins a tie.
    pub created: i64,
    /// The callers that it is for; `None`: as the proxy is set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The first rule that matches takes the call.
    pub rules: Vec<Rule>,
}

/// One rule of a route, with everything that applies to its calls already merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Unique in its route.
    pub name: String,
    /// Any of them; empty matches every call.
    pub matches: Vec<Match>,
    /// True if its models are served, and not listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlisted: bool,
    /// Weighted split. Empty only where every pool it names is missing: then the fallbacks serve, and without those the
    /// call is refused; it never falls to a later rule.
    pub targets: Vec<Target>,
    /// Tried in order when no target can serve.
    pub fallbacks: Vec<Target>,
    /// `None`: answers are not cached.
    pub cache: Option<Cache>,
    /// `None`: identical calls are calls of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<Coalesce>,
    /// The breakpoints for providers' prompt caches; `None`: callers place their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_cache: Option<PromptCache>,
    /// The limits of its calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RateLimit>,
    /// True if these are the rule's own, and its calls are counted apart from those of the route's other rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_limits: bool,
    /// The budgets of its calls, those of the route and its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Changes of its calls; `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestChanges>,
    /// A second attempt elsewhere; `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// A share of its calls is copied; `None`: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Streams that break half-way go on elsewhere; `None`: they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_failover: Option<StreamFailover>,
    /// The most of its calls that providers work on at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// True if that is the rule's own, and its calls are counted apart from those of the route's other rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_concurrency: bool,
    /// The route's timeouts, which go over the pool's.
    pub timeouts: Timeouts,
}

impl Rule {
    /// Everything that names a pool in it.
    pub fn named(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(&self.fallbacks).chain(self.mirror.iter().map(|mirror| &mirror.target))
    }
}

/// Timeouts a route sets over its pools'; `None` keeps the pool's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// From sending the request to the first token (or the whole answer's head).
    pub first_token: Option<Millis>,
    /// Between two pieces of an answer.
    pub idle: Option<Millis>,
    /// From the call's arrival to the end of its answer, all attempts together.
    pub total: Option<Millis>,
}

/// The caching of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// The time that an answer is good for.
    pub ttl: Millis,
    /// The callers that share an answer.
    pub scope: CacheScope,
    /// The layer in this process; `None`: off.
    pub memory: Option<MemoryCache>,
    /// True if the layer in Redis is used, where the gateway has a Redis.
    pub redis: bool,
    /// A Redis answer is copied into memory after this many hits within this time; `None`: at its first hit.
    pub promotion: Option<Promotion>,
    /// The parts that make two requests the same.
    pub key: CacheKey,
    /// Answers with less text than this (in characters) are not stored.
    pub min_content_length: u32,
    /// Answers that ran into their token limit are stored too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store_length: bool,
    /// Answers larger than this (in bytes, as JSON) are not stored.
    pub max_bytes: u64,
    /// Stored answers over this many bytes are compressed; `None`: never.
    pub compress_over: Option<u64>,
    /// Part of every key: raise it and everything is forgotten at once.
    pub generation: u64,
}

/// The callers that share a cached answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CacheScope {
    /// Only calls with the same key (credential of the caller).
    Consumer,
    /// Every call of the route.
    Route,
}

/// The sharing of one answer by identical calls that come while it is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coalesce {
    /// The reach of one answer.
    pub scope: CoalesceScope,
    /// The callers that share an answer.
    pub callers: CacheScope,
    /// The parts that make two requests the same.
    pub key: CacheKey,
}

/// The reach of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CoalesceScope {
    /// The calls of all proxies, where they share a Redis.
    Cluster,
    /// The calls of one proxy.
    Pod,
}

/// The layer in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryCache {
    /// At most this many answers, per proxy.
    pub max_entries: u64,
    /// At most this many bytes, per proxy.
    pub max_bytes: u64,
}

/// The rule by which a Redis answer is copied into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// After this many hits …
    pub hits: u32,
    /// … within this time.
    pub within: Millis,
}

/// The parts that make two requests the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheKey {
    /// White space at both ends of texts does not count, and runs of it count as one space.
    pub trim: bool,
    /// Case of texts does not count.
    pub lowercase: bool,
    /// Temperature is rounded to this many decimals; `None`: as written.
    pub temperature_decimals: Option<u32>,
    /// Top-level fields that do not count, sorted.
    pub ignore: Vec<String>,
}

/// One compiled `ProviderPool`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// `FORMAT` of the compiler that wrote it.
    pub format: u32,
    /// Hash of everything below.
    pub revision: String,
    /// The [`FEATURES`](crate::FEATURES) that a proxy must know to run it as it is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// The choice of a provider within a tier.
    pub strategy: Strategy,
    /// The least quality, in thousandths, of models that the cheapest is looked for among; `None`: among all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_floor_milli: Option<u32>,
    /// `None`: each call is chosen for by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Sorted by (priority, name); never empty.
    pub providers: Vec<Provider>,
    /// The four timeouts.
    pub timeouts: PoolTimeouts,
    /// The rules by which a failed call is tried again.
    pub retry: Retry,
    /// The rule by which an endpoint is left alone.
    pub circuit_breaker: CircuitBreaker,
    /// Endpoints are asked whether they are well; `None`: they are judged by their calls alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// The routes that may name it. The compiler has made sure of it; here it is for the next compilation.
    #[serde(default, skip_serializing_if = "AllowedRoutes::is_same")]
    pub allowed_routes: AllowedRoutes,
}

impl Pool {
    /// True if any of its providers serves the model.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        self.providers.iter().any(|provider| provider.models.is_empty() || provider.models.contains_key(model))
    }

    /// True if any of its providers has an address that can be called.
    #[must_use]
    pub fn has_endpoints(&self) -> bool {
        self.providers.iter().any(|provider| provider.endpoints.as_ref().is_none_or(|found| !found.is_empty()))
    }
}

/// The routes that may name a pool, beside those of its own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub enum AllowedRoutes {
    /// No others.
    #[default]
    Same,
    /// All.
    All,
    /// Those of namespaces whose labels are so, all of it.
    Selector(Vec<LabelMatch>),
}

impl AllowedRoutes {
    /// True if only routes of its own namespace may name the pool.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        matches!(self, Self::Same)
    }
}

/// The choice of a provider within a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// One after the other.
    RoundRobin,
    /// At random by weight.
    Weighted,
    /// The fewer calls in flight of two drawn by weight.
    LeastRequest,
    /// The quicker of two drawn by weight.
    LeastLatency,
    /// The cheapest for the call's size.
    CostOptimized,
}

/// A provider's dialect, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Unique in its pool.
    pub name: String,
    /// The provider's type.
    pub kind: ProviderKind,
    /// Origin and path prefix, no trailing slash (`https://api.openai.com/v1`); empty for `Simulated`.
    pub url: String,
    /// The version of Azure's API; `None`: its API v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The Service whose pods these are; `None`: the url's host is asked for by DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServicePort>,
    /// The addresses of its pods, `ip:port`, sorted, each an endpoint of its own; empty: nowhere, so it takes no calls.
    /// `None`: the url's host is resolved by DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// Model servers there are asked how busy they are; `None`: nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_server: Option<ModelServer>,
    /// The credential to send; its value travels apart. `None`: none is sent.
    pub credential: Option<CredentialId>,
    /// Several keys instead of one credential, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ProviderKey>,
    /// The kind of credential, where it is more than a key in a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Share within its tier; 0 takes no calls.
    pub weight: u32,
    /// Tier: a higher number serves when the lower ones cannot.
    pub priority: u32,
    /// The region of its url; `None`: as near as the nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Further urls of it, by region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<String, String>,
    /// The models it serves, by the name clients use; empty serves anything.
    pub models: BTreeMap<String, Model>,
    /// It is asked for the list of its models so often; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Millis>,
    /// Used where the caller says nothing.
    pub defaults: Defaults,
    /// The rules by which connections are made and kept.
    pub connection: Connection,
    /// Headers added to or replaced in the request, lower case.
    pub set_headers: BTreeMap<String, String>,
    /// Further headers of the caller's that go on, lower case, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_headers: Vec<String>,
    /// Headers taken out of the request, lower case, sorted.
    pub remove_headers: Vec<String>,
    /// Its differences from its dialect's vendor.
    #[serde(default, skip_serializing_if = "Compatibility::is_none")]
    pub compatibility: Compatibility,
    /// Its rate limits, of all of its endpoints and keys together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<RateLimit>,
    /// The most calls that it works on at once, all of its endpoints together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The most that each of its endpoints does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_concurrency: Option<Concurrency>,
    /// Its behaviour; only for `Simulated`.
    pub simulated: Option<Simulated>,
}

impl Provider {
    /// The credentials that it names: its one, or those of its keys.
    pub fn credentials(&self) -> impl Iterator<Item = &CredentialId> {
        self.credential.iter().chain(self.keys.iter().map(|key| &key.credential))
    }

    /// True if it is called with a credential of its own, not with the gateway's identity or none.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        self.credential.is_some() || !self.keys.is_empty()
    }
}

/// The provider's type: it decides dialect, paths and how a credential is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProviderKind {
    /// OpenAI itself.
    OpenAi,
    /// Anthropic itself.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Cohere itself.
    Cohere,
    /// OpenAI's models at Azure.
    AzureOpenAi,
    /// Models at Amazon Bedrock.
    Bedrock,
    /// Google's and Anthropic's models at Google Vertex AI; the url names project and location.
    VertexAi,
    /// Anything that speaks OpenAI Chat Completions.
    OpenAiCompatible,
    /// Ours: no network, no key.
    Simulated,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The provider's own name of it; `None`: the same.
    pub upstream_name: Option<String>,
    /// The most tokens that it answers with, where the user has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The worth of its answers, in thousandths, where the user has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_milli: Option<u32>,
    /// All else that is known of it.
    #[serde(default, skip_serializing_if = "ModelFacts::is_none")]
    pub facts: ModelFacts,
    /// Its cost; `None`: not counted.
    #[serde(default, with = "crate::price")]
    pub price: Option<Arc<Price>>,
    /// The date of the price list that its cost is from; `None`: the pool says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_listed: Option<String>,
}

/// Used where the caller says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// The most tokens to answer with.
    pub max_tokens: Option<u64>,
    /// A decimal number, as written.
    pub temperature: Option<String>,
}

/// The timeouts of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolTimeouts {
    /// To have a connection, TLS included.
    pub connect: Millis,
    /// From sending the request to the first token (streams) or the answer's head (whole answers).
    pub first_token: Millis,
    /// Between two pieces of an answer.
    pub idle: Millis,
    /// From the call's arrival to the end of its answer.
    pub total: Millis,
    /// The same of a stream, once its first token is there; `None`: as of any other answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_total: Option<Millis>,
}

/// The rules by which a failed call is tried again, at any provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts in all, the first included, over all providers of this pool.
    pub attempts: u32,
    /// Wait before an attempt at an endpoint that has failed this call already (another endpoint is tried at once).
    pub backoff: Backoff,
    /// The failures that are worth another attempt.
    pub on: RetryOn,
    /// Retries may be at most this share of the pool's recent calls (beside a small constant).
    pub budget_percent: u32,
}

/// Exponential backoff with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub initial: Millis,
    /// Upper bound of any wait.
    pub max: Millis,
    /// Growth per attempt, in thousandths: 2000 doubles.
    pub multiplier_milli: u32,
    /// `false`: the whole bound is waited.
    pub jitter: bool,
}

/// The failures that are worth another attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryOn {
    /// The connection could not be made.
    pub connect: bool,
    /// The connection broke before the answer began.
    pub reset: bool,
    /// The first token did not come in time.
    pub timeout: bool,
    /// Status codes, sorted.
    pub statuses: Vec<u16>,
}

/// The rule by which an endpoint is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Opens at this share of failures …
    pub error_percent: u32,
    /// … among at least this many calls …
    pub minimum_requests: u32,
    /// … within this time.
    pub window: Millis,
    /// Opens at this many failures in a row; 0: not so.
    pub consecutive_failures: u32,
    /// Stays open this long, doubling each time it opens again.
    pub open_for: Millis,
    /// At most this long.
    pub max_open_for: Millis,
    /// Calls let through to try, when that time is over.
    pub half_open_requests: u32,
    /// At most this share of a pool's endpoints is left alone at once.
    pub max_open_percent: u32,
}

/// The behaviour of a simulated provider. Absent settings: at once, and well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Simulated {
    /// Before the first token.
    pub first_token: Option<Millis>,
    /// Between two tokens.
    pub token_interval: Option<Millis>,
    /// Tokens of an answer, where the request sets no lower limit.
    pub tokens: Option<u32>,
    /// The answer, instead of a text about the request.
    pub text: Option<String>,
    /// The failure, and the number of calls of a hundred that it takes.
    pub failure: Option<SimulatedFailure>,
    /// Calls beyond this many in a minute are answered with a 429.
    pub requests_per_minute: Option<u32>,
}

/// A failure that a simulated provider is told to show.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedFailure {
    /// The object's id.
    pub kind: FailureKind,
    /// Of a hundred calls, so many, spread evenly.
    pub percent: u32,
    /// For `Status`: which.
    pub status: Option<u16>,
    /// For `CutAfterTokens` and `StallAfterTokens`: how many tokens come first.
    pub after_tokens: Option<u32>,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The connection is reset before an answer.
    Reset,
    /// Nothing is ever answered.
    Silent,
    /// An error of the vendor's own, with this status.
    Status,
    /// The connection breaks after some tokens (0: before the first).
    Cut,
    /// The answer stops coming after some tokens, the connection stays.
    Stall,
    /// The stream carries the vendor's error event after some tokens.
    StreamError,
}
