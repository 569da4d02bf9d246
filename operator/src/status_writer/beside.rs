//! Objects whose status is another gateway's word: it is let have it as long as it still sees them.

use std::time::{Duration, Instant};

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Resource as _};
use sluicegate_crds::Status;

use super::{StatusWriter, Write};
use crate::client::error_text;
use crate::lease::LONGEST_WRITE;
use crate::watch::api_resource;
use crate::world::Key;

/// A gateway that has not taken notice of a change, or of us, for so long sees the object no longer: the status becomes ours.
const UNHEEDED: Duration = Duration::from_secs(30);
/// The most gateways of which the log tells.
const MOST_TOLD: usize = 64;

impl StatusWriter {
    /// True if another gateway tells how an object stands, and still does.
    pub(super) fn is_anothers(&self, key: &Key, status: Option<&Status>, generation: i64) -> bool {
        let mut unheeded = self.unheeded.borrow_mut();
        let Some(status) = status.filter(|status| self.gateway.is_anothers(status)) else {
            unheeded.remove(key);
            return false;
        };
        if self.gateway.is_heeded(status, generation) {
            unheeded.remove(key);
            return true;
        }
        self.tell_of_gateway(status.gateway.as_deref().unwrap_or_default());
        let now = Instant::now();
        now < *unheeded.entry(key.clone()).or_insert(now) + UNHEEDED
    }

    /// The time when it is found out whether another gateway still sees an object.
    pub(super) fn heeded_by(&self, key: &Key) -> Option<Instant> {
        self.unheeded.borrow().get(key).map(|since| *since + UNHEEDED)
    }

    fn tell_of_gateway(&self, other: &str) {
        let mut told = self.told_gateways.borrow_mut();
        if told.len() < MOST_TOLD && told.insert(other.to_owned()) {
            tracing::warn!(
                gateway = other,
                "another gateway runs objects that this one runs too, and tells in their statuses how they stand with it: \
                 how they stand here is told in a condition of its own"
            );
        }
    }

    /// The status has become ours: what we said beside it is said no longer.
    pub(super) async fn fall_silent_beside(&self, write: &Write) {
        let Some(from) = write.from.as_ref().filter(|from| self.gateway.is_anothers(from)) else { return };
        let (gateway, object) = (&from.gateway, &write.key.id.0);
        tracing::info!(gateway, object, "another gateway sees this object no longer: its status is ours from now on");
        if !self.gateway.tells_in(from) || !self.leadership.holds() {
            return;
        }
        let (namespace, name) = write.key.parts();
        let resource = api_resource(write.key.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let patch = serde_json::json!({
            "apiVersion": DynamicObject::api_version(&resource),
            "kind": DynamicObject::kind(&resource),
            "metadata": { "name": name, "namespace": namespace, "uid": write.uid },
            "status": {},
        });
        let (how, patch) = (PatchParams::apply(self.gateway.manager()).force(), Patch::Apply(&patch));
        match tokio::time::timeout(LONGEST_WRITE, api.patch_status(name, &how, &patch)).await {
            Ok(Ok(object)) => self.note_written(&write.key, &object),
            Ok(Err(error)) => {
                let (error, object) = (error_text(&error), &write.key.id.0);
                tracing::warn!(error, object, "a condition that is said no longer could not be taken away");
            }
            Err(_) => tracing::warn!(object = write.key.id.0, "a status was not written in time"),
        }
    }

    /// The API server has taken a status: what is seen of it is no news.
    pub(super) fn note_written(&self, key: &Key, object: &DynamicObject) {
        let mut world = self.world.borrow_mut();
        drop(world.seen(key.kind, object));
        world.restate.remove(key);
    }
}
