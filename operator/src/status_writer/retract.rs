//! Before something is published anew of an object whose status says that every proxy runs it, the status says so no
//! longer. A change of the object itself needs none of this: its new generation makes the old status one of the past.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use kube::Api;
use kube::api::DynamicObject;
use sluicegate_crds::{ConditionStatus, Status};

use super::{AT_ONCE, Assessment, ObjectState, StatusWriter, Unwritten, Write};
use crate::client::error_text;
use crate::lease::LONGEST_WRITE;
use crate::status::{PROGRAMMED, condition};
use crate::watch::api_resource;
use crate::world::{Key, Object};

/// A status that others write at the same moment is taken up again so often.
const TRIES: usize = 5;

impl StatusWriter {
    /// Takes back what is said of these objects and will not be so when they are published. Until each is considered
    /// again nothing else is said of it. Gives back those that could not be told so, and why: they must not be published.
    pub async fn announce(&self, about: Vec<(Key, Assessment)>) -> BTreeMap<Key, String> {
        let may_be_said = |(key, assessment): &(Key, Assessment)| self.may_be_said(key, assessment.generation);
        let about: Vec<(Key, Assessment)> = about.into_iter().filter(may_be_said).collect();
        self.held.borrow_mut().extend(about.iter().map(|(key, _)| key.clone()));
        // What is on its way to be said comes first, or it would come after.
        while about.iter().any(|(key, _)| self.under_way.borrow().contains(key)) {
            self.arrived.notified().await;
        }
        stream::iter(about)
            .map(|(key, assessment)| async move { self.retract(&key, &assessment).await.err().map(|why| (key, why)) })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    /// True if a status of this generation stands that may say that it runs, or is about to be written.
    fn may_be_said(&self, key: &Key, generation: i64) -> bool {
        let is_assessed = self.assessments.borrow().get(key).is_some_and(|before| before.generation == generation);
        let world = self.world.borrow();
        is_assessed || world.object(key).is_some_and(|object| self.says_programmed(object, generation))
    }

    async fn retract(&self, key: &Key, assessment: &Assessment) -> Result<(), String> {
        for _ in 0..TRIES {
            let Some(write) = self.retraction(key, assessment) else { return Ok(()) };
            match self.put(&write).await {
                Ok(()) => {
                    let before = write.from.unwrap_or_default();
                    self.announced.borrow_mut().entry(key.clone()).or_insert(before);
                    return Ok(());
                }
                // What is refused now is refused always: it stands in nobody's way.
                Err(Unwritten::Gone | Unwritten::Refused) => return Ok(()),
                Err(Unwritten::Conflict) => self.look_again(key).await?,
                Err(Unwritten::Failed(why)) => return Err(format!("its status could not be written first: {why}")),
            }
        }
        Err("its status could not be written first: others write it all the time".to_owned())
    }

    /// The status that says that it is being published, if the one that stands says that it runs.
    fn retraction(&self, key: &Key, assessment: &Assessment) -> Option<Write> {
        let world = self.world.borrow();
        if !self.says_programmed(world.object(key)?, assessment.generation) {
            return None;
        }
        let stand = ObjectState { publishing: true, ..self.stand(&world, key) };
        self.to_write(&world, key, assessment, &stand)
    }

    /// Somebody has written the object since it was seen.
    async fn look_again(&self, key: &Key) -> Result<(), String> {
        let (namespace, name) = key.parts();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &api_resource(key.kind));
        match tokio::time::timeout(LONGEST_WRITE, api.get_opt(name)).await {
            Ok(Ok(Some(object))) => drop(self.world.borrow_mut().seen(key.kind, &object)),
            // That it is gone the watch will say.
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error_text(&error)),
            Err(_) => return Err("the API server does not answer".to_owned()),
        }
        Ok(())
    }

    /// True if the status of an object is of this generation, the object's own, and says by our own word that every proxy runs it.
    fn says_programmed(&self, object: &Object, generation: i64) -> bool {
        let status = object.status.as_deref().and_then(|status| serde_json::from_str::<Status>(status).ok());
        let Some(status) = status else { return false };
        let kind = if self.gateway.is_anothers(&status) { self.gateway.condition() } else { PROGRAMMED };
        let says = condition(&status, kind).is_some_and(|found| {
            found.status == ConditionStatus::True && found.observed_generation == Some(generation)
        });
        says && object.generation == generation
    }
}
