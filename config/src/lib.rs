//! The words proxies run on (`Snapshot`), and, behind the feature `compile`, the pure function from resources to them.
//!
//! The core knows no Kubernetes and no clock: plain values that serialise to the same bytes for the same input.

mod access;
mod affinity;
pub mod api_server;
mod compatibility;
#[cfg(feature = "compile")]
pub mod compile;
mod concurrency;
mod connection;
mod consumer;
mod counted_limit;
mod features;
pub mod forwarding;
#[cfg(all(feature = "compile", any(test, feature = "fuzzing")))]
#[expect(clippy::expect_used, reason = "a check says what it expects")]
pub mod fuzzing;
mod health_check;
mod hedge;
pub mod identity;
mod ids;
mod jwt;
mod kind;
mod labels;
mod limits;
mod matching;
mod millis;
mod mirror;
mod model;
mod owned_paths;
mod price;
mod prompt_cache;
mod provider_key;
pub mod published;
mod request;
pub mod rollout;
mod service;
mod snapshot;
mod socket_address;
mod stream_failover;
mod target;

pub use access::{Access, ConsumerMatch};
pub use affinity::{Affinity, AffinitySource};
pub use compatibility::{BetaAction, Compatibility, FieldAction, ReasoningContent};
pub use concurrency::{CallQueue, Concurrency, PriorityHeader};
pub use connection::{Connection, HttpVersion};
pub use consumer::{Consumer, ConsumerKey, GENERATED_KEY_PREFIX, KeyDigest};
pub use counted_limit::{CountedLimit, CountedTerms, concurrency_identity, limit_amount, rate_identity};
pub use features::{FEATURES, PROFILE_FEATURE};
pub use health_check::HealthCheck;
pub use hedge::Hedge;
pub use ids::{CredentialId, ObjectId};
pub use jwt::{ConsumerJwt, JwtSubjects, RequiredClaim};
pub use kind::{CompiledForm, CompiledObject, Kind};
pub use labels::{LabelMatch, LabelOperator};
pub use limits::{Budget, BudgetExceeded, BudgetPeriod, BudgetUnit, LimitPer, LimitUnit, OnUnavailable, RateLimit};
pub use matching::{HeaderMatch, HeaderValueMatch, Match, ModelMatch, PathMatch};
pub use millis::Millis;
pub use mirror::Mirror;
pub use model::{Modality, ModelCapability, ModelFacts};
pub use owned_paths::{owner_below_path, owner_of_path};
pub use price::{PicoUsd, Price, PriceVariant, PricedTier, Rates};
pub use prompt_cache::PromptCache;
pub use provider_key::ProviderKey;
pub use request::{Complexity, RequestChanges};
pub use service::{ModelServer, ServicePort};
pub use snapshot::*;
pub use socket_address::socket_address;
pub use stream_failover::StreamFailover;
pub use target::{FallbackReason, Target};
