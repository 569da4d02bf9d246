//! The keys that their providers refuse, as the operator is told of them: by the names that they have in the resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluicegate_config::rollout::Line;
use sluicegate_config::{CompiledForm, ObjectId, Pool};

use crate::endpoint::Registry;
use crate::source::ObjectReport;

/// The most keys of a pool that are told.
const MOST: usize = 64;

/// The keys that are refused, by the pool that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RefusedKeys(BTreeMap<ObjectId, Vec<String>>);

/// Those that are refused now.
pub(super) fn refused_keys(registry: &Registry) -> RefusedKeys {
    let mut refused: BTreeMap<ObjectId, Vec<String>> = BTreeMap::new();
    for (id, _) in registry.keys().into_iter().filter(|(_, key)| key.is_refused()) {
        refused.entry(id.pool).or_default().push(format!("{}/{}", id.provider, id.key));
    }
    // One that is the provider's only one has no name.
    for (pool, provider) in registry.refusing() {
        refused.entry(pool).or_default().push(format!("{provider}/"));
    }
    for keys in refused.values_mut() {
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(MOST);
    }
    RefusedKeys(refused)
}

impl RefusedKeys {
    /// Shows the reports of the pools of which something else is to be told than before.
    pub(super) fn differences(
        &self,
        before: &Self,
        reports: &[Arc<ObjectReport>],
        mut show: impl FnMut(&ObjectReport),
    ) {
        if self == before {
            return;
        }
        let differs = |id: &ObjectId| self.0.get(id) != before.0.get(id);
        let pools = reports.iter().filter(|report| report.kind == Pool::KIND.as_str());
        pools.filter(|report| differs(&report.name)).for_each(|report| show(report));
    }

    /// Says of each pool in a line which of its keys are refused.
    pub(super) fn fill(&self, line: &mut Line) {
        let pools = line.objects.get_mut(&Pool::KIND).into_iter().flatten();
        pools.for_each(|(id, running)| running.refused_keys = self.0.get(id).cloned().unwrap_or_default());
    }
}
