//! A Secret that something names, as it was read: its data, and what of its metadata tells whose it is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use sluicegate_config::compile::{Secret, SecretValue};

/// The beginning of our own annotations.
const OURS: &str = "sluicegate.dev/";

/// A Secret as it was read.
#[derive(Debug, Clone, Default)]
pub struct ReadSecret {
    /// Its data.
    pub data: Secret,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// The uids of its owners.
    pub owners: Vec<String>,
    /// Our own annotations on it.
    pub annotations: BTreeMap<String, String>,
    /// The time of its creation, in seconds since 1970.
    pub created: i64,
}

impl From<core::Secret> for ReadSecret {
    fn from(secret: core::Secret) -> Self {
        let data = secret.data.unwrap_or_default().into_iter();
        // A longer value than any key is not held in memory.
        let data = data.map(|(key, value)| (key, SecretValue::bounded(value.0)));
        let meta = secret.metadata;
        let annotations = meta.annotations.unwrap_or_default().into_iter();
        Self {
            data: data.collect(),
            version: meta.resource_version.unwrap_or_default(),
            owners: meta.owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect(),
            annotations: annotations.filter(|(key, _)| key.starts_with(OURS)).collect(),
            created: meta.creation_timestamp.map_or(0, |time| time.0.as_second()),
        }
    }
}
