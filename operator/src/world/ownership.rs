//! The world's part about the owner of what is published, and what follows from a change of it.

use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::owner::OwnerChange;
use super::resources::World;

impl World {
    /// Makes the ConfigMap of this name the owner of what is published. Nothing is looked at before it is known.
    pub fn need_owner(&mut self, name: &str) {
        self.owner.name = Some(name.to_owned());
        self.lists.need_owner();
    }

    /// The name of the owner that is wanted and is not there.
    #[must_use]
    pub fn absent_owner(&self) -> Option<&str> {
        self.owner.absent_since.and(self.owner.name.as_deref())
    }

    /// The owner of what is written now, if there is to be one.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerReference> {
        self.template.owner.as_ref().filter(|_| self.owner.absent_since.is_none())
    }

    /// The reason why nothing may be published: without its owner an uninstallation would leave copies of keys behind.
    #[must_use]
    pub fn unpublishable(&self) -> Option<String> {
        let name = self.absent_owner()?;
        Some(format!(
            "the ConfigMap {name}, which owns what is published, is not there, and without it copies of providers' keys \
             would outlive the gateway: install the chart again"
        ))
    }

    /// The owner is there. Says what turned.
    pub fn owner_seen(&mut self, meta: &ObjectMeta, now: Instant) -> Option<OwnerChange> {
        let name = self.owner.name.clone()?;
        // One that is being deleted takes along whatever names it.
        if meta.deletion_timestamp.is_some() {
            return self.owner_gone(now);
        }
        let uid = meta.uid.clone().unwrap_or_default();
        let before = self.template.owner.as_ref().map(|owner| owner.uid.clone());
        let was_absent = self.owner.absent_since.take().is_some();
        if before.as_ref() == Some(&uid) {
            // It was not really gone.
            if was_absent {
                self.own_anew();
            }
            return was_absent.then_some(OwnerChange::Found);
        }
        let (api_version, kind) = ("v1".to_owned(), "ConfigMap".to_owned());
        self.template.owner = Some(OwnerReference { api_version, kind, name, uid, ..OwnerReference::default() });
        self.own_anew();
        Some(if before.is_some() {
            OwnerChange::Replaced { objects: self.published.len() }
        } else {
            OwnerChange::Found
        })
    }

    /// The owner is not there. Says so when that is new.
    pub fn owner_gone(&mut self, now: Instant) -> Option<OwnerChange> {
        self.owner.name.as_ref()?;
        let is_new = self.owner.absent_since.is_none();
        self.owner.absent_since.get_or_insert(now);
        is_new.then_some(OwnerChange::Absent)
    }

    /// Looks at everything: what has another owner than it is to have is written anew, in its place.
    fn own_anew(&mut self) {
        self.look_at_all(|_| true);
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use sluicegate_config::published::Content;
    use sluicegate_config::{Kind, ObjectId};
    use tokio::sync::Notify;

    use super::super::owner::PATIENCE;
    use super::super::published::ObjectTemplate;
    use super::super::scope::{Source, Watched};
    use super::*;

    fn meta(uid: &str) -> ObjectMeta {
        ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() }
    }

    #[test]
    fn nothing_is_published_without_its_owner_and_all_of_it_follows_another_one() {
        let template = ObjectTemplate { gateway: "gw".to_owned(), owner: None };
        let mut world = World::new(template, Watched::All, Rc::new(Notify::new()));
        world.need_owner("settings");
        for source in Source::scoped().chain([Source::PublishedMaps, Source::PublishedSecrets]) {
            world.list_read(source, &None);
        }
        assert_eq!(world.lists.missing(), ["configmaps"], "the owner is not known yet");
        let now = Instant::now();
        assert_eq!(world.owner_gone(now), Some(OwnerChange::Absent));
        assert_eq!(world.owner_gone(now), None);
        world.list_read(Source::Owner, &None);
        assert!(world.unpublishable().unwrap().contains("ConfigMap settings"));
        assert!(world.owner().is_none());
        assert_eq!(world.owner_seen(&meta("one"), now), Some(OwnerChange::Found));
        assert!(world.unpublishable().is_none());

        // What stands is owned by the one that is there, and looked at when another comes.
        let id = ObjectId("a/p".to_owned());
        let written = ObjectMeta {
            resource_version: Some("1".to_owned()),
            ..world.template().meta(Content::Compiled(Kind::ProviderPool), &id, "")
        };
        let name = world.template().name(Content::Compiled(Kind::ProviderPool), &id);
        world.published_seen(name, &written, Some("{}".to_owned()));
        assert_eq!(world.queue.take(9, now).len(), 1);
        assert!(world.template().is_owner_of(world.published(Content::Compiled(Kind::ProviderPool), &id).unwrap()));
        assert_eq!(world.owner_seen(&meta("one"), now), None);
        assert_eq!(world.owner_gone(now), Some(OwnerChange::Absent));
        world.look_at_all(|_| true);
        assert_eq!(world.due(now), Some(now + PATIENCE), "it is waited for");
        assert_eq!(world.owner_seen(&meta("two"), now), Some(OwnerChange::Replaced { objects: 1 }));
        assert_eq!((world.due(now), world.queue.take(9, now).len()), (Some(now), 1));
        assert!(!world.template().is_owner_of(world.published(Content::Compiled(Kind::ProviderPool), &id).unwrap()));
        // One that is being deleted owns nothing any more.
        let time = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        let going = ObjectMeta { deletion_timestamp: Some(time), ..meta("two") };
        assert_eq!(world.owner_seen(&going, now), Some(OwnerChange::Absent));
    }
}
