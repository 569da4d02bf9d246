//! Resources, who names whom, and what is to be looked at again.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;

use kube::api::DynamicObject;
use sluicegate_config::compile::{Conflicts, Labels, ModelClaims, PriceList, Service, steps};
use sluicegate_config::{Kind, ObjectId};
use tokio::sync::Notify;

use super::facts::Facts;
use super::index::{Index, Named};
use super::key::{Key, parts};
use super::owner::Owner;
use super::published::{Name, ObjectTemplate, Published};
use super::queue::Queue;
use super::scope::{Lists, Scope, Source, Watched};
use super::secret::ReadSecret;
use super::taken::{TakenFields, taken};
use super::token::PublishedToken;

/// The world as the operator's tasks share it: they run on one thread, and none holds it over an `await`.
pub type Shared = Rc<RefCell<World>>;

/// A resource as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// The time of its creation, in seconds since 1970.
    pub created: i64,
    /// `spec` as JSON; `None`: it has none.
    pub spec: Option<Box<str>>,
    /// The fields that were taken out of this generation without its having been changed.
    pub taken: Option<Box<TakenFields>>,
    /// `status` as JSON.
    pub status: Option<Box<str>>,
    /// `metadata.resourceVersion`; 0 where it is no number.
    pub version: u64,
}

impl Object {
    /// The fields that this one has lost by the time it was seen so, though nobody changed it.
    fn taken_until(&self, new: &Self) -> Option<Box<TakenFields>> {
        if self.uid != new.uid || self.generation != new.generation || (self.taken.is_none() && self.spec == new.spec) {
            return None;
        }
        let whole = self.taken.as_deref().map_or(self.spec.as_ref(), |taken| Some(&taken.whole))?;
        let paths = taken(whole, new.spec.as_deref().unwrap_or("{}"));
        (!paths.is_empty()).then(|| Box::new(TakenFields { whole: whole.clone(), paths }))
    }
}

/// Everything known of the cluster.
#[derive(Debug)]
pub struct World {
    /// The lists that have been read whole.
    pub lists: Lists,
    /// The objects to be looked at again.
    pub queue: Queue,
    /// The Secrets that objects name; `None` inside: there is no such Secret.
    pub secrets: Facts<ObjectId, Option<ReadSecret>>,
    /// The endpoints of Services that pools name; `None` inside: there is no such Service.
    pub services: Facts<ObjectId, Option<Service>>,
    /// Resources whose status may have to be written anew, although they need not be compiled.
    pub restate: BTreeSet<Key>,
    /// Says that there are such.
    pub restated: Rc<Notify>,
    /// Objects of which the number of those that name them has changed.
    pub attached_changed: BTreeSet<Key>,
    objects: HashMap<Key, Object>,
    namespaces: HashMap<String, Labels>,
    said: Index,
    pub(super) served: Index,
    pub(super) published: HashMap<Name, Published>,
    /// Published forms of resources that are there, deleted by others.
    pub(super) lost: HashMap<Name, Published>,
    /// The last `resourceVersion` of what we have deleted, until the watch has said so.
    pub(super) deleted: HashMap<Name, Box<str>>,
    pub(super) owner: Owner,
    /// The objects that serve under equal conditions.
    pub(super) conflicts: Conflicts,
    model_claims: Option<ModelClaims>,
    prices: Option<PriceList>,
    /// By which proxies know the operator.
    pub(super) token: PublishedToken,
    pub(super) orphans: BTreeSet<Name>,
    pub(super) has_new_orphans: bool,
    pub(super) template: ObjectTemplate,
    pub(super) wake: Rc<Notify>,
}

impl World {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(template: ObjectTemplate, watched: Watched, wake: Rc<Notify>) -> Self {
        Self {
            lists: Lists::new(watched),
            queue: Queue::default(),
            secrets: Facts::default(),
            services: Facts::default(),
            restate: BTreeSet::new(),
            restated: Rc::default(),
            attached_changed: BTreeSet::new(),
            objects: HashMap::new(),
            namespaces: HashMap::new(),
            said: Index::default(),
            served: Index::default(),
            published: HashMap::new(),
            lost: HashMap::new(),
            deleted: HashMap::new(),
            owner: Owner::default(),
            conflicts: Conflicts::default(),
            model_claims: None,
            prices: None,
            token: PublishedToken::default(),
            orphans: BTreeSet::new(),
            has_new_orphans: false,
            template,
            wake,
        }
    }

    /// A resource, if it is there.
    #[must_use]
    pub fn object(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Labels of every namespace that is known.
    pub fn namespaces(&self) -> impl Iterator<Item = (&String, &Labels)> {
        self.namespaces.iter()
    }

    /// The labels, annotations and owner of published objects.
    #[must_use]
    pub fn template(&self) -> &ObjectTemplate {
        &self.template
    }

    /// The namespaces that may claim models.
    pub fn keep_models(&mut self, claims: ModelClaims) {
        self.model_claims = Some(claims);
    }

    /// The namespaces that may claim models; `None`: each may claim all.
    #[must_use]
    pub fn model_claims(&self) -> Option<&ModelClaims> {
        self.model_claims.as_ref()
    }

    /// The prices of models whose pools say none.
    pub fn keep_prices(&mut self, list: PriceList) {
        self.prices = Some(list);
    }

    /// The prices of models whose pools say none.
    #[must_use]
    pub fn prices(&self) -> Option<&PriceList> {
        self.prices.as_ref()
    }

    /// The objects that serve under equal conditions.
    #[must_use]
    pub fn conflicts(&self) -> &Conflicts {
        &self.conflicts
    }

    /// True if the lists that an object depends on have been read whole.
    #[must_use]
    pub fn knows(&self, key: &Key) -> bool {
        self.lists.published() && self.lists.known(key.parts().0)
    }

    /// A resource came or changed.
    pub fn seen(&mut self, kind: Kind, object: &DynamicObject) -> Option<Key> {
        let meta = &object.metadata;
        let key = Key::new(kind, meta.namespace.as_deref()?, meta.name.as_deref()?);
        let version = meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0);
        let part = |name: &str| object.data.get(name).map(|part| part.to_string().into_boxed_str());
        let mut new = Object {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            generation: meta.generation.unwrap_or(0),
            created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            spec: part("spec"),
            taken: None,
            status: part("status"),
            version,
        };
        let old = self.objects.get(&key);
        if old.is_some_and(|old| old.uid == new.uid && old.version > new.version) {
            return Some(key);
        }
        new.taken = old.and_then(|old| old.taken_until(&new));
        let same =
            old.is_some_and(|old| old.uid == new.uid && old.generation == new.generation && old.spec == new.spec);
        if same {
            if old.is_some_and(|old| old.status != new.status) {
                self.restate.insert(key.clone());
                self.restated.notify_one();
            }
        } else {
            let named = new.spec.as_deref().map(|spec| steps(kind).references(spec, key.parts().0)).unwrap_or_default();
            let dropped = self.said.set(&key, named);
            self.forget(&dropped);
            self.look_at(&key);
        }
        self.objects.insert(key.clone(), new);
        Some(key)
    }

    /// A resource is gone.
    pub fn gone(&mut self, key: &Key) {
        if self.objects.remove(key).is_some() {
            let dropped = self.said.set(key, BTreeSet::new());
            self.forget(&dropped);
            self.forget_lost(key);
            self.look_at(key);
            self.look_at_those_that_name(key);
        }
    }

    /// A list was read whole: what is not in it is gone.
    pub fn only(&mut self, kind: Kind, scope: &Scope, seen: &HashSet<ObjectId>) {
        let in_scope = |key: &&Key| scope.as_ref().is_none_or(|scope| key.parts().0 == scope);
        let gone: Vec<Key> = self
            .objects
            .keys()
            .filter(|key| key.kind == kind && !seen.contains(&key.id))
            .filter(in_scope)
            .cloned()
            .collect();
        for key in gone {
            self.gone(&key);
        }
    }

    /// A Secret or Service changed. Of those that nobody names nothing is kept.
    pub fn touched(&mut self, named: &Named) {
        let pools: Vec<Key> = self.said.by(named).chain(self.served.by(named)).cloned().collect();
        if pools.is_empty() {
            return;
        }
        match named {
            Named::Secret(id) => self.secrets.touch(id),
            Named::Service(id) => self.services.touch(id),
            Named::Object(..) => return,
        }
        for pool in pools {
            self.look_at(&pool);
        }
    }

    /// After a watch was interrupted any Secret or Service of a scope may have changed.
    pub fn touched_any(&mut self, source: Source, scope: &Scope) {
        let concerned = |named: &&Named| match (source, named) {
            (Source::Secrets, Named::Secret(id)) | (Source::Services | Source::Slices, Named::Service(id)) => {
                scope.as_ref().is_none_or(|scope| parts(id).0 == scope)
            }
            _ => false,
        };
        let any: BTreeSet<Named> = self.said.all().chain(self.served.all()).filter(concerned).cloned().collect();
        any.iter().for_each(|named| self.touched(named));
    }

    /// The labels of a namespace; `None`: it is gone.
    pub fn labelled(&mut self, namespace: &str, labels: Option<Labels>) {
        let changed = self.namespaces.get(namespace) != labels.as_ref();
        match labels {
            Some(labels) => drop(self.namespaces.insert(namespace.to_owned(), labels)),
            None => drop(self.namespaces.remove(namespace)),
        }
        if changed {
            let is_foreign = |named: &Named| matches!(named, Named::Object(_, id) if parts(id).0 != namespace);
            let abroad = |key: &&Key| key.parts().0 == namespace && self.said.names(key).iter().any(is_foreign);
            let keys: Vec<Key> = self.objects.keys().filter(abroad).cloned().collect();
            keys.iter().for_each(|key| self.look_at(key));
        }
    }

    /// A first list was read whole. What it completes is looked at for the first time.
    pub fn list_read(&mut self, source: Source, scope: &Scope) {
        if self.lists.read(source, scope) {
            let own = matches!(source, Source::PublishedMaps | Source::PublishedSecrets | Source::Owner);
            let within = |key: &Key| own || scope.as_ref().is_none_or(|scope| key.parts().0 == scope);
            self.look_at_all(within);
        }
    }

    /// Looks at every object that passes, and at everything published without one.
    pub fn look_at_all(&mut self, passes: impl Fn(&Key) -> bool) {
        let mut keys: BTreeSet<Key> = self.objects.keys().filter(|key| passes(key)).cloned().collect();
        keys.extend(self.published.values().filter_map(Published::key).filter(|key| passes(key)));
        keys.iter().for_each(|key| self.look_at(key));
    }

    /// Looks at an object as soon as can be.
    pub fn look_at(&mut self, key: &Key) {
        if self.knows(key) {
            self.queue.push(key.clone());
            self.wake.notify_one();
        }
    }

    /// The other resources that an object names, by what it says and by what is published of it.
    #[must_use]
    pub fn objects_named_by(&self, key: &Key) -> BTreeSet<Key> {
        let objects = self.names(key).filter_map(|named| match named {
            Named::Object(kind, id) => Some(Key { kind: *kind, id: id.clone() }),
            Named::Secret(_) | Named::Service(_) => None,
        });
        objects.collect()
    }

    /// All that an object names, by what it says and by what is published of it. Some may come twice.
    pub fn names(&self, key: &Key) -> impl Iterator<Item = &Named> {
        self.said.names(key).iter().chain(self.served.names(key))
    }

    /// The number of objects that name this one, by what is published of them.
    #[must_use]
    pub fn attached(&self, key: &Key) -> usize {
        self.served.count(&key.named())
    }

    /// The time when there is something to do: now, later or never.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let has_orphans = self.has_new_orphans && self.lists.missing().is_empty();
        let due = if has_orphans { Some(now) } else { self.queue.due(now) };
        // While the owner is being replaced whatever is written would be collected with the one before.
        due.map(|due| self.owner.awaited_until().map_or(due, |until| due.max(until)))
    }

    /// The number of objects of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.objects.keys().filter(|key| key.kind == kind).count()
    }

    /// Everything there is.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    /// Looks at those that name an object: what they see of it has changed.
    pub fn look_at_those_that_name(&mut self, key: &Key) {
        let named = key.named();
        let keys: Vec<Key> = self.said.by(&named).chain(self.served.by(&named)).cloned().collect();
        keys.iter().for_each(|key| self.look_at(key));
    }

    /// Forgets what nobody names any longer; a pool that is gone may now be taken away.
    pub(super) fn forget(&mut self, dropped: &[Named]) {
        for named in dropped {
            let is_served = self.served.count(named) > 0;
            let is_named = is_served || self.said.count(named) > 0;
            match named {
                Named::Secret(id) if !is_named => self.secrets.forget(id),
                Named::Service(id) if !is_named => self.services.forget(id),
                Named::Secret(_) | Named::Service(_) => {}
                Named::Object(..) if is_served => {}
                Named::Object(kind, id) => {
                    let key = Key { kind: *kind, id: id.clone() };
                    if !self.objects.contains_key(&key) {
                        self.look_at(&key);
                    }
                }
            }
        }
    }
}
