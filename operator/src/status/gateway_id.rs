//! A gateway among several that run an object. The status is the word of one of them, which it names, as it names the others that are
//! known to it; each other one says in one condition of its own how the object stands with it, and writes nothing else.

use sluicegate_crds::Status;

/// The end of a condition's type that is a gateway's own.
const SUFFIX: &str = ".gateways.sluicegate.dev/Programmed";
/// The most conditions that a status may have.
const MOST_CONDITIONS: usize = 16;

/// A gateway, as statuses name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayId {
    name: String,
    condition: String,
    manager: String,
}

impl GatewayId {
    /// That of a gateway's name, in its namespace.
    #[must_use]
    pub fn new(namespace: &str, gateway: &str) -> Self {
        Self {
            name: format!("{namespace}/{gateway}"),
            condition: format!("{gateway}.{namespace}{SUFFIX}"),
            manager: format!("sluicegate/{namespace}/{gateway}"),
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The type of the condition by which it tells of objects whose status is another's word.
    #[must_use]
    pub fn condition(&self) -> &str {
        &self.condition
    }

    /// The field manager that writes that condition, which is nobody else's.
    #[must_use]
    pub fn manager(&self) -> &str {
        &self.manager
    }

    /// True if a status is another gateway's word.
    #[must_use]
    pub fn is_anothers(&self, status: &Status) -> bool {
        status.gateway.as_ref().is_some_and(|gateway| *gateway != self.name)
    }

    /// True if the gateway whose word a status is still sees the object: it speaks of this generation, and has named us.
    #[must_use]
    pub fn is_heeded(&self, status: &Status, generation: i64) -> bool {
        let is_named = status.other_gateways.contains(&self.name) || !self.has_room(status);
        status.observed_generation == Some(generation) && is_named
    }

    /// True if a status has our condition.
    #[must_use]
    pub fn tells_in(&self, status: &Status) -> bool {
        status.conditions.iter().any(|found| found.kind == self.condition)
    }

    /// True if a status has our condition, or room for it.
    pub(super) fn has_room(&self, status: &Status) -> bool {
        status.conditions.len() < MOST_CONDITIONS || self.tells_in(status)
    }

    /// The other gateways that say in a status how the object stands with them, sorted.
    pub(super) fn others(&self, status: &Status) -> Vec<String> {
        let mut others: Vec<String> = self.told_by_others(status).map(|(other, _)| other.name).collect();
        others.sort_unstable();
        others
    }

    /// The other gateways whose word in a status is of an earlier generation than this, each with that.
    #[must_use]
    pub fn behind(&self, status: &Status, generation: i64) -> Vec<(Self, i64)> {
        let told = self.told_by_others(status);
        told.filter_map(|(other, told)| Some((other, told.filter(|told| *told < generation)?))).collect()
    }

    /// The other gateways that have a condition in a status, and the generation that it is of.
    fn told_by_others(&self, status: &Status) -> impl Iterator<Item = (Self, Option<i64>)> {
        let conditions = status.conditions.iter().filter(|found| found.kind != self.condition);
        conditions.filter_map(|found| {
            // Neither name holds a dot.
            let (gateway, namespace) = found.kind.strip_suffix(SUFFIX)?.split_once('.')?;
            Some((Self::new(namespace, gateway), found.observed_generation))
        })
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_crds::Condition;

    use super::*;

    #[test]
    fn gateways_are_told_apart_by_namespace_and_name() {
        let (ours, theirs) = (GatewayId::new("a", "gw"), GatewayId::new("b", "gw"));
        let nobodys = Status::default();
        let by = |gateway: &GatewayId| Status { gateway: Some(gateway.as_str().to_owned()), ..Status::default() };
        assert!(!ours.is_anothers(&nobodys) && !ours.is_anothers(&by(&ours)) && ours.is_anothers(&by(&theirs)));
        let longest = GatewayId::new(&"n".repeat(63), &"g".repeat(53));
        assert!(longest.manager().len() <= 128 && longest.condition().len() <= 316, "as the API server takes them");
    }

    #[test]
    fn who_has_named_us_and_knows_the_generation_is_there() {
        let (ours, theirs) = (GatewayId::new("a", "gw"), GatewayId::new("b", "gw"));
        let mut status =
            Status { gateway: Some(theirs.as_str().to_owned()), observed_generation: Some(3), ..Status::default() };
        assert!(!ours.is_heeded(&status, 3));
        status.other_gateways = vec!["a/gw".to_owned()];
        assert!(ours.is_heeded(&status, 3) && !ours.is_heeded(&status, 4));
        // Where there is no room for our condition nobody can know of us.
        let condition = |number: usize| -> Condition {
            serde_json::from_value(serde_json::json!({
                "type": format!("g{number}.x{SUFFIX}"), "status": "True", "reason": "Programmed", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }))
            .unwrap()
        };
        status.other_gateways.clear();
        status.conditions = (0..MOST_CONDITIONS).map(condition).collect();
        assert!(ours.is_heeded(&status, 3));
        assert_eq!(theirs.others(&status).len(), MOST_CONDITIONS);
        assert_eq!(theirs.others(&status)[0], "x/g0");
        // One that does not say of which generation it speaks is not behind.
        status.conditions.truncate(3);
        for (found, told) in status.conditions.iter_mut().zip([None, Some(3), Some(4)]) {
            found.observed_generation = told;
        }
        assert_eq!(theirs.behind(&status, 4), [(GatewayId::new("x", "g1"), 3)]);
    }
}
