//! The conflicts between objects that serve: who takes a call that two routes match, who is known by a key that two consumers
//! have. Kept by kind, for who does not know kinds by name.

use super::key_conflicts::KeyConflicts;
use super::match_conflicts::MatchConflicts;
use crate::{Consumer, Kind, ObjectId, Route};

/// All that serves and competes, by kind.
#[derive(Debug, Default)]
pub struct Conflicts {
    /// Routes with equal conditions.
    pub matches: MatchConflicts,
    /// Consumers with equal keys.
    pub keys: KeyConflicts,
}

impl Conflicts {
    /// Sets the compiled form, as JSON, in which an object serves; `None`: in none. Gives back the others for which that
    /// turns something.
    pub fn set(&mut self, kind: Kind, id: &ObjectId, text: Option<&str>) -> Vec<(Kind, ObjectId)> {
        let turned = match kind {
            Kind::ProviderPool => return Vec::new(),
            Kind::LlmConsumer => {
                let consumer: Option<Consumer> = text.and_then(|text| serde_json::from_str(text).ok());
                self.keys.set(id, consumer.as_ref())
            }
            Kind::LlmRoute => {
                let route: Option<Route> = text.and_then(|text| serde_json::from_str(text).ok());
                self.matches.set(id, route.as_ref())
            }
        };
        turned.into_iter().map(|id| (kind, id)).collect()
    }
}
