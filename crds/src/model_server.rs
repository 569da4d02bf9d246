//! Model servers that say how busy they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::Duration;

/// Each proxy reads how many calls wait at each endpoint, and how full its KV cache is, from the server's own metrics (vLLM's, SGLang's,
/// TGI's or llama.cpp's). One that is busy is passed over while another of its tier is not, and `LeastRequest` counts all calls that a
/// server says it has, also those of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::METRICS_INTERVAL])))]
pub struct ModelServer {
    /// The path of its metrics, asked for by GET without a credential. It stands behind the host, whatever path the provider's
    /// address has. Default: `/metrics`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = patterns::PATH))]
    pub metrics_path: String,
    /// The time from one question to the next, give or take a tenth. Default: 1s.
    pub interval: Duration,
    /// It is busy when more calls than this wait in it. Default: 4.
    #[schemars(range(min = 0, max = 100_000))]
    pub max_waiting: u32,
    /// It is busy when more of its KV cache than this is in use, in percent. Default: 90.
    #[schemars(range(min = 1, max = 100))]
    pub max_cache_percent: u32,
}

impl Default for ModelServer {
    fn default() -> Self {
        Self { metrics_path: "/metrics".to_owned(), interval: "1s".into(), max_waiting: 4, max_cache_percent: 90 }
    }
}
