//! Servers of models that run beside the gateway: their Services, and what they are asked for.

use serde::{Deserialize, Serialize};

use crate::ids::ObjectId;
use crate::millis::Millis;

/// Model servers that are asked how busy they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelServer {
    /// The path of their metrics, behind the host.
    pub metrics_path: String,
    /// The time from one question to the next, about.
    pub interval: Millis,
    /// One is busy when more calls than this wait in it.
    pub max_waiting: u32,
    /// One is busy when more of its KV cache than this is in use, in percent.
    pub max_cache_percent: u32,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// `namespace/name` of the Service.
    pub id: ObjectId,
    /// The port's number in the Service.
    pub port: u16,
}
