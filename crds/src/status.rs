//! The status: conditions, as the Kubernetes API conventions write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{BudgetMode, BudgetPeriod, BudgetUnit};

/// The gateway's verdict on an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation of the object that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`: the object is valid. `ResolvedRefs`: everything that it names exists. `Programmed`: every ready proxy
    /// runs this generation of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
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
    /// The state of its tightest budget, such as `83% of 10 USD per day`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub spend: Option<String>,
    /// The state of its budgets, once a minute at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub budgets: Vec<BudgetStatus>,
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
    /// The time of all this (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
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
