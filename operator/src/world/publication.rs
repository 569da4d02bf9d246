//! The world's part about what stands published, and what follows from a change of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sluicegate_config::compile::{Credentials, SecretValue};
use sluicegate_config::published::{Content, LEAST_TOKEN};
use sluicegate_config::{CredentialId, ObjectId};

use super::index::Named;
use super::key::Key;
use super::published::{MANAGED_BY, MANAGER, Name, Published, contents, is_older, owners};
use super::resources::World;
use super::token::PublishedToken;

impl World {
    /// The published form of a resource.
    #[must_use]
    pub fn published(&self, content: Content, id: &ObjectId) -> Option<&Published> {
        self.published.get(&self.template.name(content, id))
    }

    /// The last published form of a resource that is there: what others have deleted is the last good form all the same.
    fn last(&self, content: Content, id: &ObjectId) -> Option<&Published> {
        self.published(content, id).or_else(|| self.lost.get(&self.template.name(content, id)))
    }

    /// The last published form of a resource, as JSON.
    #[must_use]
    pub fn previous(&self, key: &Key) -> Option<&str> {
        self.last(Content::Compiled(key.kind), &key.id)?.text.as_deref()
    }

    /// A resource's published credentials.
    #[must_use]
    pub fn previous_credentials(&self, key: &Key) -> Credentials {
        let encoded: Option<BTreeMap<CredentialId, String>> =
            self.last(Content::Credentials(key.kind), &key.id).and_then(Published::parse);
        let decoded = encoded.into_iter().flatten().filter_map(|(id, text)| Some((id, STANDARD.decode(text).ok()?)));
        decoded.map(|(id, bytes)| (id, SecretValue::new(bytes))).collect()
    }

    /// An object with our gateway's label came or changed: whether it is as it should be is looked at.
    pub fn published_seen(&mut self, name: Name, meta: &ObjectMeta, text: Option<String>) {
        if name == self.template.token_name() {
            return self.token_seen(meta, text);
        }
        if let Some(key) = self.take_in(name, meta, text) {
            self.look_at(&key);
        }
    }

    /// We have written it ourselves: what comes back by the watch is no news then.
    pub fn published_written(&mut self, name: Name, meta: &ObjectMeta, text: String) {
        self.take_in(name, meta, Some(text));
    }

    /// Notes what stands. Gives back the resource it is of, unless that was known already.
    fn take_in(&mut self, name: Name, meta: &ObjectMeta, text: Option<String>) -> Option<Key> {
        let version = meta.resource_version.as_deref().unwrap_or_default();
        let known = self.published.get(&name);
        if known.is_some_and(|known| *known.version == *version || is_older(version, &known.version)) {
            return None;
        }
        // The echo of what was written just before it was taken away.
        if self.deleted.get(&name).is_some_and(|last| **last == *version || is_older(version, last)) {
            return None;
        }
        self.lost.remove(&name);
        // One whose labels were tampered with is still of what it was of: it is put right, not lost.
        let claimed = self.template.claim(meta, &name);
        let claim = claimed.clone().or_else(|| known.and_then(|known| known.claim.clone()));
        let mut published = Published {
            claim,
            text: text.map(String::into_boxed_str),
            revision: Box::default(),
            version: version.into(),
            is_sound: false,
            owners: owners(meta),
        };
        match &published.claim {
            Some((content, id)) => {
                let (revision, named) = contents(*content, &published);
                published.is_sound = claimed.is_some() && self.template.fits(meta, *content, id, &revision);
                published.revision = revision;
                self.orphans.remove(&name);
                if !content.is_secret() {
                    let key = Key { kind: content.kind(), id: id.clone() };
                    self.serve(&key, named);
                    self.compete(&key, published.text.as_deref());
                }
            }
            None if meta.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER) => {
                self.orphans.insert(name.clone());
                self.has_new_orphans = true;
                self.wake.notify_one();
            }
            None => {}
        }
        let key = published.key();
        self.published.insert(name, published);
        key
    }

    /// An object with our gateway's label is gone, or lost the label.
    pub fn published_gone(&mut self, name: &Name) {
        if *name == self.template.token_name() {
            return self.token_gone();
        }
        self.deleted.remove(name);
        let Some((key, published)) = self.take_out(name) else { return };
        // Of a resource that is there it is put back, and what it said may be all that is known of its last good form.
        if self.object(&key).is_some() && published.text.is_some() {
            self.lost.insert(name.clone(), published);
        }
        self.look_at(&key);
    }

    /// We have taken it away ourselves: what comes back by the watch is no news then.
    pub fn published_taken_away(&mut self, name: &Name) {
        let Some((key, published)) = self.take_out(name) else { return };
        self.deleted.insert(name.clone(), published.version);
        self.look_at(&key);
    }

    fn take_out(&mut self, name: &Name) -> Option<(Key, Published)> {
        self.orphans.remove(name);
        let published = self.published.remove(name)?;
        let key = published.key()?;
        if !published.claim.as_ref().is_some_and(|(content, _)| content.is_secret()) {
            self.serve(&key, BTreeSet::new());
            self.compete(&key, None);
        }
        Some((key, published))
    }

    /// Nothing of a resource that is gone is kept.
    pub(super) fn forget_lost(&mut self, key: &Key) {
        for content in Content::of(key.kind) {
            self.lost.remove(&self.template.name(content, &key.id));
        }
    }

    /// This serves of an object now: others may be told that they get their calls, or that they do not.
    fn compete(&mut self, key: &Key, text: Option<&str>) {
        for (kind, id) in self.conflicts.set(key.kind, &key.id, text) {
            self.look_at(&Key { kind, id });
        }
    }

    /// Notes what the published form of an object names now. Others may be named by more or fewer through it.
    fn serve(&mut self, key: &Key, named: BTreeSet<Named>) {
        let before: BTreeSet<Named> = self.served.names(key).iter().cloned().collect();
        for named in before.symmetric_difference(&named) {
            if let Named::Object(kind, id) = named {
                self.attached_changed.insert(Key { kind: *kind, id: id.clone() });
            }
        }
        let dropped = self.served.set(key, named);
        self.forget(&dropped);
    }

    /// A list of ours was read whole: what is not in it is gone.
    pub fn published_only(&mut self, is_secret: bool, seen: &HashSet<String>) {
        let gone = self.published.keys().filter(|name| name.is_secret == is_secret && !seen.contains(&name.name));
        let gone: Vec<Name> = gone.cloned().collect();
        if is_secret && !seen.contains(&self.template.token_name().name) {
            self.token_gone();
        }
        self.deleted.retain(|name, _| name.is_secret != is_secret || seen.contains(&name.name));
        for name in gone {
            self.published_gone(&name);
        }
    }

    /// Takes out objects that say they are ours and not what they are of, once it is sure that no resource wants their
    /// name.
    pub fn take_orphans(&mut self) -> Vec<Name> {
        if !self.has_new_orphans || !self.lists.missing().is_empty() {
            return Vec::new();
        }
        self.has_new_orphans = false;
        let names = |key: &Key| {
            let contents = Content::of(key.kind);
            contents.map(|content| self.template.name(content, &key.id)).collect::<Vec<_>>()
        };
        let wanted: HashSet<Name> = self.keys().flat_map(names).collect();
        self.orphans.iter().filter(|name| !wanted.contains(*name)).cloned().collect()
    }
}

impl World {
    /// The token, when there is one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.text.as_deref()
    }

    /// True if it is to be written: there is none, or it does not stand as it should.
    #[must_use]
    pub fn wants_token(&self) -> bool {
        let PublishedToken { text, owners, is_sound } = &self.token;
        let owner = self.owner();
        let is_owned = owner.is_none_or(|owner| owners.iter().any(|uid| **uid == *owner.uid));
        let may_be_written = self.lists.published() && self.absent_owner().is_none();
        may_be_written && (text.is_none() || !is_sound || !is_owned)
    }

    /// It stands so.
    pub fn token_seen(&mut self, meta: &ObjectMeta, text: Option<String>) {
        let wanted = self.template().token_meta().labels.unwrap_or_default();
        let labels = meta.labels.as_ref();
        let is_sound = wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
        let is_token = |text: &String| text.len() >= LEAST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic());
        let text = text.filter(is_token).map(String::into_boxed_str);
        self.token = PublishedToken { text, owners: owners(meta), is_sound };
    }

    /// It stands no longer.
    pub(super) fn token_gone(&mut self) {
        self.token = PublishedToken::default();
    }
}
