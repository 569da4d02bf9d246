//! The status: conditions, as the Kubernetes API conventions write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{BudgetMode, BudgetPeriod, BudgetUnit, LimitPer};

/// The gateway's verdict on an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The gateway whose word this status is, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub gateway: Option<String>,
    /// Other gateways that run the object too, each of which says in one condition of its own how it stands with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub other_gateways: Vec<String>,
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`: the object is valid. `ResolvedRefs`: everything that it names exists. `Programmed`: every ready proxy
    /// runs this generation of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The ready proxies that run this generation, such as `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub proxies: Option<String>,
    /// The number of routes this pool serves. Written within a second of its last change, and every ten seconds while
    /// it does not stop changing. (Only of pools.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub attached_routes: Option<i32>,
    /// The prices of its models: how many are written here and how many are of a price list, of which date, and the models whose price
    /// nobody knows. (Only of pools.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub prices: Option<String>,
    /// The state of its tightest budget, such as `83% of 10 USD per day`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub spend: Option<String>,
    /// The state of its budgets, once a minute at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub budgets: Vec<BudgetStatus>,
    /// The use of its tightest limit, such as `58 of 60 requests per 1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub usage: Option<String>,
    /// The use of its limits, once a minute at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub limits: Vec<LimitStatus>,
}

/// The use of a limit of rate or concurrency, over all proxies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitStatus {
    /// The part of the object that it is of, such as a rule's name. Left out: the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
    /// Its unit.
    pub unit: LimitStatusUnit,
    /// Its amount.
    #[schemars(length(max = 64))]
    pub amount: String,
    /// The length of its window, of a limit of rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    pub window: Option<String>,
    /// The calls that it counts together, of a limit of rate: of several the most used are told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<LimitPer>,
    /// With `per: Header`: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub header: Option<String>,
    /// The part that is used within the window that ends now, or the calls that are at work.
    #[schemars(length(max = 64))]
    pub used: String,
    /// The part of the amount that is used.
    #[schemars(range(min = 0))]
    pub percent: i32,
    /// The time since when calls have found no room (RFC 3339); gone when none has for a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub exceeded_since: Option<String>,
    /// The number of proxies that count it each by itself, as they do without a Redis: `used` is their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub proxies: Option<i32>,
    /// The time of all this (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
}

/// The unit of a limit in a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitStatusUnit {
    /// Calls within a window.
    Requests,
    /// Tokens of prompt and answer.
    Tokens,
    /// Tokens of the prompt.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
    /// US dollars.
    Cost,
    /// Calls at once.
    Concurrency,
}

/// The state of a budget in its present period, over all proxies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// The part of the object that it is of, such as a rule's name. Left out: the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
    /// Its unit.
    pub unit: BudgetUnit,
    /// Its amount.
    #[schemars(length(max = 64))]
    pub amount: String,
    /// Its period.
    pub period: BudgetPeriod,
    /// Its time zone. Left out: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
    /// `Shadow`: no call is refused for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<BudgetMode>,
    /// All that is spent, or reserved by calls that go on.
    #[schemars(length(max = 64))]
    pub used: String,
    /// The rest of it.
    #[schemars(length(max = 64))]
    pub left: String,
    /// The part of the amount that is used.
    #[schemars(range(min = 0))]
    pub percent: i32,
    /// The begin of the period (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// The end of the period (RFC 3339), when it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
    /// The highest of the percentages of `alertAt` that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub reached: Option<i32>,
    /// The time of the first call in the period that there was no room for (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub exceeded_since: Option<String>,
    /// The number of proxies that count it each by itself, as they do without a Redis: `used` is their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub proxies: Option<i32>,
    /// The time since when all proxies have counted, where they do so by themselves and one of them has begun within the period (RFC 3339):
    /// more may have been spent before than `used` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub counted_since: Option<String>,
    /// The consumers that were made of a template, each of which has the amount by itself: `used` is that of the one which used the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<SubjectsStatus>,
    /// The time of all this (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
}

/// The use of a template's budget by the consumers that were made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectsStatus {
    /// Those that have called in the period, as the proxy that knows of the most of them knows it.
    #[schemars(range(min = 0))]
    pub known: i32,
    /// Those of them that found no room.
    #[schemars(range(min = 0))]
    pub exceeded: i32,
    /// Ten of them at most: those that found no room, then those that used the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub most: Vec<SubjectStatus>,
}

/// The use of a template's budget by one of its consumers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectStatus {
    /// The subject, as logs and metrics name it.
    #[schemars(length(max = 256))]
    pub name: String,
    /// All that is spent, or reserved by calls that go on.
    #[schemars(length(max = 64))]
    pub used: String,
    /// The part of the amount that is used.
    #[schemars(range(min = 0))]
    pub percent: i32,
    /// The time of the first call in the period that there was no room for (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub exceeded_since: Option<String>,
}

/// One aspect of an object's state. The same fields as `metav1.Condition`, whose generated schema lacks the bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The aspect.
    #[serde(rename = "type")]
    #[schemars(
        length(min = 1, max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    pub kind: String,
    /// Its state.
    pub status: ConditionStatus,
    /// The generation of the object that it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The time when `status` last changed (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The reason, as one CamelCase word.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,
    /// The reason, for people.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// The state of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}
