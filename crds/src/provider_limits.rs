//! The limits of a provider and of its keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::concurrency::{AdaptiveConcurrency, Concurrency};
use crate::limits::{LimitUnit, OnUnavailable, UnknownPrice, minute};
use crate::rules::{self, validations};
use crate::scalar::{Duration, LimitAmount};

/// The limits of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::PROVIDER_LIMITS_ANY, rules::ADAPTIVE_ALONE])))]
pub struct ProviderLimits {
    /// Its rate limits, of all of its endpoints and keys together. A call that one of them has no room for goes to another provider, and
    /// is refused where nobody else can serve it (status 429).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::PROVIDER_LIMITS_ONCE]))
    )]
    pub rate: Vec<ProviderRateLimit>,
    /// The most calls at the provider at once, all of its endpoints together. A call that finds none free goes to another provider
    /// of the pool that has one, and waits where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The most calls at each of its endpoints at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_concurrency: Option<Concurrency>,
    /// The most calls at each of its endpoints at once, found out by how soon they answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveConcurrency>,
}

/// The limits of one of several keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::KEY_LIMITS_ANY])))]
pub struct ProviderKeyLimits {
    /// Its rate limits. A call that one of them has no room for takes another key, then another provider, and is refused where nobody
    /// else can serve it (status 429).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::PROVIDER_LIMITS_ONCE]))
    )]
    pub rate: Vec<ProviderRateLimit>,
    /// The most calls with it at once. A call that finds none free takes another key that has one, then another provider, and waits
    /// where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}

/// The most that a provider is asked for, or that one of its keys is used for, within any window of time, over all proxies together where
/// they share a Redis. Every attempt counts. Where there is no room for one, another key or another provider is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::LIMIT_WINDOW, rules::LIMIT_WHOLE, rules::LIMIT_COST, rules::LIMIT_PRICE,
])))]
pub struct ProviderRateLimit {
    /// `Requests`, `Tokens` (of prompt and answer), `InputTokens`, `OutputTokens`, or `Cost` (by the prices of its models).
    pub unit: LimitUnit,
    /// The most that is taken within any window: a whole number such as `100000`; of `Cost` dollars in quotes such as `"2.50"`.
    pub amount: LimitAmount,
    /// The length of the window, which slides: from 1s to 24h. Default: 1m.
    #[serde(default = "minute")]
    pub window: Duration,
    /// For `Cost`: the treatment of a call to a model whose price nobody knows: `Refuse` (it goes elsewhere), or `Free` (it counts as
    /// nothing). Default: `Refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_price: Option<UnknownPrice>,
    /// The treatment of calls while Redis is away: `Share` (each proxy takes its part of the amount), `FailOpen` (all are taken) or
    /// `FailClosed` (none is). Default: `Share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unavailable: Option<OnUnavailable>,
}
