//! The names a configuration has, by number, so that a call carries numbers and labels stay bounded.

use std::sync::Arc;

use crate::persistent::{List, PersistentMap};

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
    pub(super) pool: Arc<str>,
    /// The provider's name in it.
    pub(super) name: Arc<str>,
    /// OpenTelemetry's `gen_ai.provider.name`.
    pub(super) vendor: &'static str,
}

/// A route's names.
#[derive(Debug)]
pub(super) struct RouteNames {
    pub(super) id: Arc<str>,
    pub(super) rules: Box<[Box<str>]>,
    /// The models it mentions.
    pub(super) models: Box<[u32]>,
}

/// The names of one configuration. Copies are cheap: what two configurations share, their tables do.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    /// Within a generation no number comes to mean something else.
    pub(super) generation: u64,
    pub(super) routes: List<Option<Arc<RouteNames>>>,
    pub(super) providers: List<Option<Arc<ProviderNames>>>,
    pub(super) models: List<Option<Arc<str>>>,
    pub(super) model_ids: PersistentMap<Arc<str>, ModelIx>,
}

impl NameTable {
    /// The number of a model name, `OTHER` when the configuration does not mention it. One hash lookup.
    #[must_use]
    pub fn model(&self, name: &str) -> ModelIx {
        self.model_ids.get(name).copied().unwrap_or(ModelIx::OTHER)
    }

    /// Rises when numbers come to mean something else.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn route_name(&self, route: RouteIx) -> &str {
        self.route_names(route).map_or(NONE, |route| &route.id)
    }

    /// As [`Self::route_name`], for whoever keeps it.
    pub(super) fn shared_route_name(&self, route: RouteIx) -> Arc<str> {
        self.route_names(route).map_or_else(|| NONE.into(), |route| Arc::clone(&route.id))
    }

    pub(super) fn rule_name(&self, route: RouteIx, rule: u32) -> Option<&str> {
        self.route_names(route)?.rules.get(rule as usize).map(|name| &**name)
    }

    fn route_names(&self, route: RouteIx) -> Option<&RouteNames> {
        self.routes.get(route.0 as usize)?.as_deref()
    }

    pub(super) fn provider_names(&self, provider: ProviderIx) -> Option<&ProviderNames> {
        self.providers.get(provider.0 as usize)?.as_deref()
    }

    pub(super) fn model_name(&self, model: ModelIx) -> &str {
        match model {
            ModelIx(0) => NONE,
            ModelIx::OTHER => OTHER,
            ModelIx(number) => self.named(number).map_or(OTHER, |name| &**name),
        }
    }

    /// As [`Self::model_name`], for whoever keeps it.
    pub(super) fn shared_model_name(&self, model: ModelIx) -> Arc<str> {
        self.named(model.0).map_or_else(|| self.model_name(model).into(), Arc::clone)
    }

    fn named(&self, model: u32) -> Option<&Arc<str>> {
        self.models.get(model as usize)?.as_ref()
    }
}

#[cfg(test)]
impl NameTable {
    pub(super) fn route(&self, id: &sluicegate_config::ObjectId) -> RouteIx {
        let all = (0..self.routes.len()).map(|number| RouteIx(u32::try_from(number).unwrap()));
        all.into_iter().find(|number| self.route_name(*number) == id.0).unwrap_or_default()
    }

    pub(super) fn provider(&self, pool: &sluicegate_config::ObjectId, name: &str) -> ProviderIx {
        let mut all = (0..self.providers.len()).map(|number| ProviderIx(u32::try_from(number).unwrap()));
        let is = |names: &ProviderNames| *names.pool == *pool.0 && *names.name == *name;
        all.find(|number| self.provider_names(*number).is_some_and(is)).unwrap_or_default()
    }
}
