//! What the operator counts: every name in one place.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Handles to all metrics; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Writes sent to the API server. Counted where requests leave the client, so no call site can forget one.
    pub api_writes: Family<ApiWrite, Counter>,
}

/// Labels of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiWrite {
    /// Plural, with the subresource where there is one: `configmaps`, `llmroutes/status`.
    pub resource: String,
    /// `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
}

impl Metrics {
    /// Registers everything under `sluicegate_operator_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("sluicegate_operator");
        registry.register("api_writes", "Writes sent to the API server", self.api_writes.clone());
    }
}
