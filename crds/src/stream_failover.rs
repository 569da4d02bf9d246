//! Streams that break half-way, and go on elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stream that breaks off after some of its answer has come goes on at another provider, with what was said so far: the caller sees
/// one answer. Both attempts are paid for. It is for text alone: an answer that calls a tool, or has to be of a form, ends as a broken
/// stream does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamFailover {
    /// The way to go on: `Prefill` (only models that take what was said as the beginning of their own answer are asked), `Any` (others are
    /// asked, too, by a turn that tells them to go on), or `Never` (a stream that breaks ends so, as where nothing is said). Default: `Any`.
    #[serde(default)]
    pub method: StreamFailoverMethod,
    /// A stream goes on elsewhere at most so often. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub attempts: u32,
}

/// The way to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum StreamFailoverMethod {
    /// Whichever the model can.
    #[default]
    Any,
    /// By its own beginning alone.
    Prefill,
    /// Not at all.
    Never,
}

const fn one() -> u32 {
    1
}
