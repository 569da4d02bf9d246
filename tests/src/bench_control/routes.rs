//! The resources under measure: routes with a model each, whose answers say which route and which form of it they are from.

use anyhow::Result;
use serde_json::{Value, json};
use sluicegate_crds::{LLMRoute, ProviderPool};

/// Pools that all routes share.
const POOLS: usize = 10;

/// A route by its number, in one of its forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Form {
    /// Which route.
    pub route: usize,
    /// How often it has been changed.
    pub revision: u32,
}

impl Form {
    /// The route as it is created.
    pub(crate) const fn first(route: usize) -> Self {
        Self { route, revision: 0 }
    }

    /// Its next form.
    pub(crate) const fn next(self) -> Self {
        Self { route: self.route, revision: self.revision + 1 }
    }

    /// Name of the route, and the model that calls ask for.
    pub(crate) fn name(self) -> String {
        name(self.route)
    }

    /// The model that the provider is asked for, which a simulated provider repeats in its answer.
    pub(crate) fn answer(self) -> String {
        format!("{}.{}", self.name(), self.revision)
    }

    /// What an answer is from.
    pub(crate) fn read(answer: &str) -> Option<Self> {
        let (name, revision) = answer.split_once('.')?;
        Some(Self { route: name.strip_prefix("route-")?.parse().ok()?, revision: revision.parse().ok()? })
    }

    /// The object.
    ///
    /// # Errors
    /// It is not of its kind.
    pub(crate) fn object(self) -> Result<LLMRoute> {
        let mut object = json!({
            "apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": self.name()},
        });
        let whole = object.as_object_mut().into_iter();
        whole.for_each(|whole| whole.extend(self.patch().as_object().cloned().unwrap_or_default()));
        Ok(serde_json::from_value(object)?)
    }

    /// The change from any of its forms to this one.
    pub(crate) fn patch(self) -> Value {
        json!({"spec": {"rules": [{
            "name": "only", "matches": [{"model": {"exact": self.name()}}],
            "targets": [{"poolRef": {"name": pool_name(self.route % POOLS)}, "model": self.answer()}],
        }]}})
    }
}

fn name(route: usize) -> String {
    format!("route-{route}")
}

fn pool_name(pool: usize) -> String {
    format!("pool-{pool}")
}

/// The pools: one simulated provider each, which answers any model at once.
///
/// # Errors
/// One is not of its kind.
pub(crate) fn pools() -> Result<Vec<ProviderPool>> {
    let pools = (0..POOLS).map(|pool| {
        Ok(serde_json::from_value(json!({
            "apiVersion": "sluicegate.dev/v1alpha1", "kind": "ProviderPool", "metadata": {"name": pool_name(pool)},
            "spec": {"providers": [{"name": "simulated", "type": "Simulated", "simulated": {"text": "ok"}}]},
        }))?)
    });
    pools.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_the_form_it_is_from() {
        let form = Form::first(4711).next();
        assert_eq!(form.name(), "route-4711");
        assert_eq!(Form::read(&form.answer()), Some(form));
        for other in ["route-4711", "route-x.1", "pool-1.1", ""] {
            assert_eq!(Form::read(other), None, "{other}");
        }
    }

    #[test]
    fn objects_are_of_their_kinds() {
        let route = Form::first(23).object().unwrap();
        assert_eq!(route.metadata.name.as_deref(), Some("route-23"));
        let target = &route.spec.rules[0].targets[0];
        assert_eq!((target.pool_ref.name.as_str(), target.model.as_deref()), ("pool-3", Some("route-23.0")));
        assert_eq!(pools().unwrap().len(), POOLS);
    }
}
