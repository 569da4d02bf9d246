//! Calls of one conversation that go to one endpoint, compiled.

use serde::{Deserialize, Serialize};

/// Calls of one conversation go to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// The places where a call says which conversation it is of, in the order in which they are asked.
    pub sources: Vec<AffinitySource>,
    /// The header of [`AffinitySource::Header`], lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The most that an endpoint has at once, in thousandths of its fair share.
    pub max_load_milli: u32,
}

/// A place where a call says which conversation it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AffinitySource {
    /// The headers and fields of clients and SDKs.
    Session,
    /// A header that is named.
    Header,
    /// The conversation's beginning.
    Prefix,
}
