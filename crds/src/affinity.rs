//! Calls of one conversation that go to one endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::Decimal;

/// Calls of one conversation go to one endpoint of the tier, whichever proxy has them, so that the provider's prompt cache is warm:
/// beside any strategy, which chooses for calls without a conversation. It is soft: an endpoint with too much to do, in a cooldown or
/// with an open circuit hands its conversations to the next one until it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::AFFINITY_HEADER])))]
pub struct Affinity {
    /// The places where a call says which conversation it is of; the first that says something counts. `Session`: the headers and
    /// fields of clients and SDKs (docs/balancing.md has their order). `Header`: the header that is named beside. `Prefix`: the
    /// system text and the first turn of the user. Default: `Session`, `Prefix`.
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub sources: Vec<AffinitySource>,
    /// The header that the source `Header` looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME))]
    pub header: Option<String>,
    /// The most calls that an endpoint has at once, as a multiple of its fair share, before conversations move on to the next one: a
    /// decimal string from `"1"` to `"10"`. Default: `"1.25"`.
    #[schemars(length(max = 6), extend("pattern" = patterns::MULTIPLIER))]
    pub max_load: Decimal,
}

impl Default for Affinity {
    fn default() -> Self {
        let sources = vec![AffinitySource::Session, AffinitySource::Prefix];
        Self { sources, header: None, max_load: "1.25".into() }
    }
}

/// A place where a call says which conversation it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AffinitySource {
    /// The headers and fields of clients and SDKs.
    Session,
    /// A header that is named.
    Header,
    /// The conversation's beginning.
    Prefix,
}
