//! Limits of concurrency and their queues, as proxies run on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The most calls that providers work on at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// The most calls at once; above 0.
    pub max: u32,
    /// The fewest calls that each proxy may have at once, where the limit finds itself between this and `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The queue of the calls beyond it; `None`: they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<CallQueue>,
}

/// A queue of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallQueue {
    /// The most calls that wait in one proxy; above 0.
    pub size: u32,
    /// The most bytes that their requests take.
    pub max_bytes: u64,
    /// The longest that a call waits, in milliseconds.
    pub timeout: u64,
    /// The time within which a call's turn comes, whatever its priority, in milliseconds.
    pub ageing: u64,
    /// A header by which callers choose a priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<PriorityHeader>,
}

/// A header by which callers choose a priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorityHeader {
    /// Its name, lower case.
    pub name: String,
    /// The priorities, by the values that count.
    pub values: BTreeMap<String, i32>,
}
