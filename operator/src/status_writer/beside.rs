//! Objects whose status is another gateway's word, or holds one: it is let have it as long as it still sees them.

use std::time::Instant;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Resource as _};
use sluicegate_crds::Status;

use super::behind::UNHEEDED;
use super::{StatusWriter, Unwritten, Write, unwritten};
use crate::lease::LONGEST_WRITE;
use crate::status::GatewayId;
use crate::watch::api_resource;
use crate::world::Key;

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

    /// The gateways that have a condition in a status that is ours, and do not see the object any longer: their conditions are left out of it.
    pub(super) fn without_gone(&self, key: &Key, status: &mut Option<Status>, generation: i64) -> Vec<GatewayId> {
        let ours = status.as_mut().filter(|status| !self.gateway.is_anothers(status));
        let found = ours.as_ref().map(|status| self.gateway.behind(status, generation)).unwrap_or_default();
        let mut all = self.behind.borrow_mut();
        let (Some(status), false) = (ours, found.is_empty()) else {
            all.remove(key);
            return Vec::new();
        };
        let (now, behind) = (Instant::now(), all.entry(key.clone()).or_default());
        behind.note(found, now);
        let gone = behind.gone(now);
        status.conditions.retain(|found| gone.iter().all(|gateway| gateway.condition() != found.kind));
        gone
    }

    /// The time when it is found out whether another gateway still sees an object.
    pub(super) fn heeded_by(&self, key: &Key) -> Option<Instant> {
        let behind = self.behind.borrow().get(key).and_then(|behind| behind.due(Instant::now()));
        let unheeded = self.unheeded.borrow().get(key).map(|since| *since + UNHEEDED);
        behind.into_iter().chain(unheeded).min()
    }

    /// Takes the conditions of gateways out of a status that is ours which do not see the object any longer. True if that has changed the
    /// object, which is another than was compiled then: a condition that somebody else has written stays. A gateway that was away for a
    /// while says its word anew when it is back.
    pub(super) async fn clear_gone(&self, write: &Write) -> Result<bool, Unwritten> {
        let (mut has_changed, version) = (false, write.version.to_string());
        for gateway in &write.gone {
            let object = self.take_out(write, gateway).await?;
            if object.metadata.resource_version.as_deref() == Some(version.as_str()) {
                continue;
            }
            has_changed = true;
            self.note_written(&write.key, &object);
            let (gateway, object) = (gateway.as_str(), &write.key.id.0);
            tracing::info!(
                gateway,
                object,
                "another gateway sees this object no longer: what it said of it is taken out"
            );
        }
        Ok(has_changed)
    }

    /// Takes a gateway's condition out of a status, as it would itself.
    async fn take_out(&self, write: &Write, gateway: &GatewayId) -> Result<DynamicObject, Unwritten> {
        let (namespace, name) = write.key.parts();
        let resource = api_resource(write.key.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let patch = serde_json::json!({
            "apiVersion": DynamicObject::api_version(&resource),
            "kind": DynamicObject::kind(&resource),
            "metadata": { "name": name, "namespace": namespace, "uid": write.uid },
            "status": {},
        });
        let (how, patch) = (PatchParams::apply(gateway.manager()).force(), Patch::Apply(&patch));
        match tokio::time::timeout(LONGEST_WRITE, api.patch_status(name, &how, &patch)).await {
            Ok(written) => written.map_err(|error| unwritten(&error, &write.key)),
            Err(_) => {
                tracing::warn!(object = write.key.id.0, "a status was not written in time");
                Err(Unwritten::Failed("the API server does not answer".to_owned()))
            }
        }
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
        if let Ok(object) = self.take_out(write, &self.gateway).await {
            self.note_written(&write.key, &object);
        }
    }

    /// The API server has taken a status: what is seen of it is no news.
    pub(super) fn note_written(&self, key: &Key, object: &DynamicObject) {
        let mut world = self.world.borrow_mut();
        drop(world.seen(key.kind, object));
        world.restate.remove(key);
    }
}
