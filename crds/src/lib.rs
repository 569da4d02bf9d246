//! The words users write: the kinds `ProviderPool`, `LLMRoute` and `LLMConsumer`, their schema and the rules it enforces.
//!
//! Everything an API server checks is data here: types, bounds and patterns in the schema, what crosses fields in
//! [`rules`]. Standalone mode reads the same data, so a manifest is judged alike with and without a cluster.

mod access;
mod affinity;
mod allowed;
mod cache;
mod coalesce;
mod compatibility;
mod concurrency;
mod consumer;
mod health_check;
mod hedge;
mod jwt;
mod limits;
mod model;
mod model_server;
pub mod patterns;
mod pool;
mod price;
mod price_list;
mod prompt_cache;
mod provider;
mod provider_limits;
pub mod reference;
mod request;
mod route;
pub mod rules;
mod scalar;
pub mod schema;
mod simulated;
mod status;
mod stream_failover;

pub use access::{Access, AccessFrom, ConsumerSelector};
pub use affinity::{Affinity, AffinitySource};
pub use allowed::{AllowedRoutes, LabelOperator, LabelRequirement, LabelSelector, NamespacesFrom, RouteNamespaces};
pub use cache::{Cache, CacheKey, CacheScope, Compression, MemoryCache, Promotion, RedisCache, Store};
pub use coalesce::{Coalesce, CoalesceScope};
pub use compatibility::{
    BetaAction, BetaRule, Compatibility, ContentForm, FieldAction, FieldRule, ReasoningContent, ServerTools,
    SystemMessages,
};
pub use concurrency::{AdaptiveConcurrency, CallQueue, Concurrency, PriorityHeader, PriorityValue};
pub use consumer::{Chargeback, ConsumerKey, ConsumerModels, GenerateKey, LLMConsumer, LLMConsumerSpec};
pub use health_check::HealthCheck;
pub use hedge::Hedge;
pub use jwt::{ConsumerJwt, JwtAlgorithm, JwtSubjects, RequiredClaim};
pub use limits::{
    Budget, BudgetExceeded, BudgetMode, BudgetPer, BudgetPeriod, BudgetUnit, LimitPer, LimitUnit, Limits, OnExceeded,
    OnUnavailable, RateLimit, UnknownPrice,
};
pub use model::{Discovery, Modality, ModelCapability};
pub use model_server::ModelServer;
pub use pool::{
    Backoff, CircuitBreaker, Jitter, LoadBalancing, PoolTimeouts, ProviderPool, ProviderPoolSpec, Retry, RetryOn,
    RetryTrigger, Strategy,
};
pub use price::{LongContextPrice, NamedPrices, Price, TierPrice, TierPrices};
pub use price_list::{ListedModel, PriceList, SamePrices, VendorModels};
pub use prompt_cache::{PromptCache, PromptCacheTtl};
pub use provider::{
    AssumeRole, Connection, CredentialType, Credentials, Defaults, Header, Headers, HttpVersion, Model, Provider,
    ProviderKey, ProviderType, RegionalAddress, Scheme, SecretKeyRef, ServiceRef, Tls, VertexAi,
};
pub use provider_limits::{ProviderKeyLimits, ProviderLimits, ProviderRateLimit};
pub use request::{Complexity, RequestChanges, RequestField, RequestHeaders};
pub use route::{
    Fallback, FallbackReason, HeaderMatch, LLMRoute, LLMRouteSpec, Match, Mirror, ModelMatch, PathMatch, PoolRef,
    RouteTimeouts, Rule, Target,
};
pub use scalar::{Amount, ByteSize, Decimal, Duration, LimitAmount, Time};
pub use simulated::{Failure, FailureKind, Simulated};
pub use status::{
    BudgetStatus, Condition, ConditionStatus, LimitStatus, LimitStatusUnit, Status, SubjectStatus, SubjectsStatus,
};
pub use stream_failover::{StreamFailover, StreamFailoverMethod};

/// The API group of every kind.
pub const GROUP: &str = "sluicegate.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
