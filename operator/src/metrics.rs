//! The operator's metrics: every name in one place.

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of a pass's time in seconds: a changed object takes milliseconds, a start with thousands a second or two.
const RECONCILE_BOUNDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Handles to all metrics.
#[derive(Debug)]
pub struct Metrics {
    /// Writes sent to the API server. Counted where requests leave the client, so that no call site can forget one.
    pub api_writes: Family<ApiWrite, Counter>,
    /// Those of them that came to nothing: refused, or without an answer.
    pub api_write_failures: Family<ApiWrite, Counter>,
    /// Time that passes take; its count is the number of them.
    pub reconcile_seconds: Histogram,
    /// Objects by how they stand.
    pub objects: Family<State, Gauge>,
    /// Watches that broke and were begun again.
    pub watch_restarts: Family<Watch, Counter>,
    /// 1 while this replica leads.
    pub is_leader: Gauge,
    /// Objects that wait to be looked at.
    pub queued: Gauge,
    /// 1 while what is published has its owner, or needs none.
    pub is_owned: Gauge,
    /// The day of the price list, in seconds since 1970; 0 without one.
    pub price_list: Gauge,
    /// The owner was replaced by one with another uid.
    pub owner_changes: Counter,
}

/// Labels of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiWrite {
    /// Plural, with the subresource where there is one: `configmaps`, `llmroutes/status`.
    pub resource: String,
    /// `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
}

/// Labels of objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct State {
    /// `ProviderPool` or `LLMRoute`.
    pub kind: &'static str,
    /// `serving`, `partial` (what it names is not all there), `kept` (in its previous form) or `refused` (in none).
    pub state: &'static str,
}

/// Labels of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Watch {
    /// Plural.
    pub resource: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            api_writes: Family::default(),
            api_write_failures: Family::default(),
            reconcile_seconds: Histogram::new(RECONCILE_BOUNDS),
            objects: Family::default(),
            watch_restarts: Family::default(),
            is_leader: Gauge::default(),
            queued: Gauge::default(),
            is_owned: Gauge::default(),
            price_list: Gauge::default(),
            owner_changes: Counter::default(),
        }
    }
}

impl Metrics {
    /// Registers everything under `sluicegate_operator_…`, and the time when the process started.
    pub fn register(&self, registry: &mut Registry) {
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        registry.register("process_start_time_seconds", "When this process started, in seconds since 1970", started);
        let own = registry.sub_registry_with_prefix("sluicegate_operator");
        own.register("api_writes", "Writes sent to the API server", self.api_writes.clone());
        own.register("api_write_failures", "Writes that came to nothing", self.api_write_failures.clone());
        own.register(
            "reconcile_duration_seconds",
            "Time of a pass, its writes included",
            self.reconcile_seconds.clone(),
        );
        own.register("objects", "Resources by how they stand", self.objects.clone());
        own.register("watch_restarts", "Watches that broke and were begun again", self.watch_restarts.clone());
        own.register("is_leader", "1 while this replica writes", self.is_leader.clone());
        own.register("queued_objects", "Resources that wait to be looked at", self.queued.clone());
        own.register("is_owned", "1 while what is published has its owner, or needs none", self.is_owned.clone());
        own.register(
            "price_list_timestamp_seconds",
            "The day when the price list was last gone through, in seconds since 1970; 0 without one",
            self.price_list.clone(),
        );
        own.register("owner_changes", "The owner of what is published was replaced", self.owner_changes.clone());
    }
}
