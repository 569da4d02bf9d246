//! The names a configuration has, numbered once, so that a call carries numbers and labels stay bounded.

use std::collections::HashMap;

use sluicegate_config::{ModelMatch, ObjectId, ProviderKind, Snapshot};

/// Stands for a name that is not there (no route matched, no provider was asked).
pub(super) const NONE: &str = "none";
/// Stands for a model name that no configuration mentions: a caller's own words never become a label.
pub(super) const OTHER: &str = "other";

/// A route's number; the default is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RouteIx(pub(super) u32);

/// The number of a provider of a pool; the default is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProviderIx(pub(super) u32);

/// A model name's number; the default is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModelIx(pub(super) u32);

impl ModelIx {
    /// A name that the configuration does not mention.
    pub const OTHER: Self = Self(1);
}

/// A provider's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProviderNames {
    /// The pool's id.
    pub(super) pool: Box<str>,
    /// The provider's name in it.
    pub(super) name: Box<str>,
    /// OpenTelemetry's `gen_ai.provider.name`.
    pub(super) vendor: &'static str,
}

#[derive(Debug)]
struct RouteNames {
    id: Box<str>,
    rules: Box<[Box<str>]>,
}

/// The names of one configuration. Made once per configuration by [`super::Metrics::configure`].
#[derive(Debug)]
pub struct Table {
    generation: u64,
    routes: Vec<RouteNames>,
    providers: Vec<ProviderNames>,
    models: Vec<Box<str>>,
    model_ids: HashMap<Box<str>, ModelIx>,
}

impl Table {
    /// Numbers the names of a snapshot. `generation` rises with each configuration.
    pub(super) fn compile(snapshot: &Snapshot, generation: u64) -> Self {
        let mut table = Self {
            generation,
            routes: vec![RouteNames { id: NONE.into(), rules: Box::default() }],
            providers: vec![ProviderNames { pool: NONE.into(), name: NONE.into(), vendor: NONE }],
            models: vec![NONE.into(), OTHER.into()],
            model_ids: HashMap::new(),
        };
        for (id, route) in &snapshot.routes {
            let rules = route.rules.iter().map(|rule| rule.name.as_str().into()).collect();
            table.routes.push(RouteNames { id: id.0.as_str().into(), rules });
            for rule in &route.rules {
                for found in &rule.matches {
                    if let Some(ModelMatch::Exact(name)) = &found.model {
                        table.add_model(name);
                    }
                }
                for target in rule.targets.iter().chain(&rule.fallbacks) {
                    target.model.iter().for_each(|name| table.add_model(name));
                }
            }
        }
        for (id, pool) in &snapshot.pools {
            for provider in &pool.providers {
                table.providers.push(ProviderNames {
                    pool: id.0.as_str().into(),
                    name: provider.name.as_str().into(),
                    vendor: vendor(provider.kind),
                });
                for (name, model) in &provider.models {
                    table.add_model(name);
                    model.upstream_name.iter().for_each(|name| table.add_model(name));
                }
            }
        }
        table
    }

    fn add_model(&mut self, name: &str) {
        if name == NONE || name == OTHER || self.model_ids.contains_key(name) {
            return;
        }
        let Ok(number) = u32::try_from(self.models.len()) else { return };
        self.models.push(name.into());
        self.model_ids.insert(name.into(), ModelIx(number));
    }

    /// The number of a route. Looked up when a configuration is made ready, not per call.
    #[must_use]
    pub fn route(&self, id: &ObjectId) -> RouteIx {
        // Sorted, as the snapshot's map was.
        let routes = self.routes.get(1..).unwrap_or_default();
        let found = routes.binary_search_by(|route| (*route.id).cmp(id.0.as_str()));
        RouteIx(found.ok().and_then(|at| u32::try_from(at + 1).ok()).unwrap_or_default())
    }

    /// The number of a provider of a pool. Looked up when a configuration is made ready, not per call.
    #[must_use]
    pub fn provider(&self, pool: &ObjectId, name: &str) -> ProviderIx {
        // Sorted by pool, as the snapshot's map was; within a pool by priority.
        let providers = self.providers.get(1..).unwrap_or_default();
        let first = providers.partition_point(|provider| *provider.pool < *pool.0.as_str());
        let mut of_pool = providers.iter().skip(first).take_while(|provider| *provider.pool == *pool.0);
        let found = of_pool.position(|provider| *provider.name == *name);
        ProviderIx(found.and_then(|at| u32::try_from(first + at + 1).ok()).unwrap_or_default())
    }

    /// The number of a model name, `OTHER` when the configuration does not mention it. One hash lookup.
    #[must_use]
    pub fn model(&self, name: &str) -> ModelIx {
        self.model_ids.get(name).copied().unwrap_or(ModelIx::OTHER)
    }

    /// Which configuration this is: rises by one with each.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn route_name(&self, route: RouteIx) -> &str {
        self.routes.get(route.0 as usize).map_or(NONE, |route| &route.id)
    }

    pub(super) fn rule_name(&self, route: RouteIx, rule: u32) -> Option<&str> {
        let route = self.routes.get(route.0 as usize)?;
        route.rules.get(rule as usize).map(|name| &**name)
    }

    pub(super) fn provider_names(&self, provider: ProviderIx) -> Option<&ProviderNames> {
        self.providers.get(provider.0 as usize)
    }

    pub(super) fn model_name(&self, model: ModelIx) -> &str {
        self.models.get(model.0 as usize).map_or(OTHER, |name| name)
    }
}

/// OpenTelemetry's `gen_ai.provider.name` of a kind of provider; where it has none, a word in its style.
const fn vendor(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::OpenAiCompatible => "openai_compatible",
        ProviderKind::Simulated => "simulated",
    }
}
