//! The behaviour of a simulated provider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{self, validations};
use crate::scalar::Duration;

/// The behaviour of a simulated provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Simulated {
    /// Time before the first token. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Duration>,
    /// Time between two tokens. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_interval: Option<Duration>,
    /// Tokens of an answer, where the request sets no lower limit. Left out: as many as the text has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tokens: Option<u32>,
    /// The text it answers. Left out: a text about the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub text: Option<String>,
    /// A failure it shows. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Calls beyond this many in a minute are answered with status 429. Left out: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub requests_per_minute: Option<u32>,
}

/// A failure that a simulated provider shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::FAILURE_STATUS, rules::FAILURE_AFTER_TOKENS])))]
pub struct Failure {
    /// The kind of the failure: `Reset` (the connection is reset before an answer), `Silent` (nothing is ever
    /// answered), `Status` (an error of the vendor's own, with `status`), `Cut` (the connection breaks after
    /// `afterTokens`), `Stall` (the answer stops coming after `afterTokens`, the connection stays) or `StreamError`
    /// (the stream carries the vendor's error event after `afterTokens`).
    pub kind: FailureKind,
    /// Of a hundred calls so many fail, spread evenly. Default: 100.
    #[serde(default = "all")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: u32,
    /// For the kind `Status`: the HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 400, max = 599))]
    pub status: Option<u16>,
    /// For the kinds `Cut`, `Stall` and `StreamError`: tokens that come first. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub after_tokens: Option<u32>,
}

const fn all() -> u32 {
    100
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureKind {
    /// The connection is reset before an answer.
    Reset,
    /// Nothing is ever answered.
    Silent,
    /// An error of the vendor's own.
    Status,
    /// The connection breaks.
    Cut,
    /// The answer stops coming.
    Stall,
    /// The stream carries an error event.
    StreamError,
}
