//! Endpoints that are asked whether they are well, beside the calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::Duration;

/// Each proxy asks each endpoint now and then whether it is well. One that is not is passed over like one that cools down: others go
/// first, and it is used where nobody else is left. Without it endpoints are judged by their calls alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::CHECK_INTERVAL, rules::CHECK_TIMEOUT])))]
pub struct HealthCheck {
    /// The path that is asked for by GET, without a credential: any status from 200 to 299 is well. It stands behind the host, whatever
    /// path the provider's address has. Default: `/health`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = patterns::PATH))]
    pub path: String,
    /// The time from one question to the next, give or take a tenth. Default: 10s.
    pub interval: Duration,
    /// The time for an answer. Default: 2s.
    pub timeout: Duration,
    /// So many good answers in a row, and it is well again. Default: 2.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: u32,
    /// So many bad ones in a row, and it is not. Default: 3.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        let (interval, timeout) = ("10s".into(), "2s".into());
        Self { path: "/health".to_owned(), interval, timeout, healthy_after: 2, unhealthy_after: 3 }
    }
}
