//! Concurrency: how many calls are answered at once, and the queue in front of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::{ByteSize, Duration};

/// The most calls that providers work on at once, over all proxies together where they share a Redis. An answer counts to its last
/// byte, a stream too; answers from the cache do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// The most calls at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// The queue of the calls beyond it. Left out: they are refused at once (status 429).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<CallQueue>,
}

/// A queue of calls, in each proxy: by priority, fair between consumers of one priority, and so that nobody starves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::QUEUE_TIMEOUT, rules::QUEUE_AGEING])))]
pub struct CallQueue {
    /// The most calls that wait in one proxy. Default: 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub size: Option<u32>,
    /// The most bytes that the requests of waiting calls take in one proxy, such as `64Mi`. Default: 64Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// The longest that a call waits before it is refused (status 503; of a rate limit 429): from 100ms to 10m. Default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The time within which a call's turn comes although others of higher priority keep coming: when half of it is over, it takes
    /// turns with them. Not above `timeout`. Default: half of `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ageing: Option<Duration>,
    /// A header by which callers choose the priority of a call, from a list. Left out: it is its consumer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_header: Option<PriorityHeader>,
}

/// A header by which callers choose a priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriorityHeader {
    /// Its name, in any case.
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME))]
    pub name: String,
    /// The values that count, each with its priority. With any other value, and without it, a call has its consumer's priority.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["value"])
    )]
    pub values: Vec<PriorityValue>,
}

/// A value of a header, and the priority that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriorityValue {
    /// The value.
    #[schemars(length(min = 1, max = 64))]
    pub value: String,
    /// The priority, as that of consumers.
    #[schemars(range(min = -100, max = 100))]
    pub priority: i32,
}

/// A limit on the calls at each endpoint that finds itself: it grows as long as answers begin about as soon as without load, falls when
/// they begin later, and by a third when the provider says that it has too much (429, 503, 529).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::ADAPTIVE_BOUNDS])))]
pub struct AdaptiveConcurrency {
    /// The fewest calls that each proxy may have at an endpoint at once; it begins with them.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min: u32,
    /// The most calls at an endpoint at once, over all proxies together where they share a Redis.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// The queue of the calls beyond it. Left out: they are refused at once (status 429).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<CallQueue>,
}
