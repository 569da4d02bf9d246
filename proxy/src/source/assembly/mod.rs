//! Published objects in, changes of the configuration out. Pure: scripted events and a given time are all it needs.
//!
//! Make before break: a pool runs in a new form once the credentials it names are there, a route once the pools it
//! names run; until then the previous form runs on. What can not be read changes nothing, and is told. An object is
//! gone only when a watch says so, or when a list that was read to its end does not hold it; and at once only where the
//! operator has said before that it is to go. What anybody else deletes runs on for some seconds, in which the operator
//! puts it back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_config::compile::{Credentials, SecretValue};
use sluicegate_config::published::{Content, KEPT_SECONDS};
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{FEATURES, ObjectId, Pool, Route};

use super::missing::Missing;
use super::objects::{PoolObject, RouteObject, Step};
use super::published::{Published, PublishedForm};
use super::report::ObjectReport;

/// The most objects that are kept track of.
const MOST_OBJECTS: usize = 50_000;
/// The most bytes of their forms in all.
const MOST_TOTAL: u64 = 256 * 1024 * 1024;
/// What was deleted and not withdrawn runs on for so long.
pub(super) const KEPT: Duration = Duration::from_secs(KEPT_SECONDS);
/// The most objects that are told of by their own names, because nobody knows which resource they are of.
const MOST_STRANGERS: usize = 100;

/// One of the two watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchKind {
    /// ConfigMaps: routes and pools.
    Configs,
    /// Secrets: credentials.
    Secrets,
}

/// What a watch says.
#[derive(Debug)]
pub(super) enum Event {
    /// All of it will follow.
    Begin(WatchKind),
    /// An object is there.
    Put(Published),
    /// The object of that name is gone, and nobody has said that it is to go.
    Gone(WatchKind, String),
    /// The object of that name is to go, or gone.
    Withdrawn(WatchKind, String),
    /// All of it has followed.
    End(WatchKind),
}

/// A change of what is to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A pool, new or in another form, with the credentials it names.
    Pool(Arc<ObjectId>, Box<(Pool, Credentials)>),
    /// A pool that is gone.
    PoolGone(Arc<ObjectId>),
    /// A route, new or in another form.
    Route(Arc<ObjectId>, Box<Route>),
    /// A route that is gone.
    RouteGone(Arc<ObjectId>),
}

/// How objects stand after a turn, each once; `None`: it is gone.
pub(super) type ObjectStates = Vec<(Arc<ObjectId>, Option<Arc<ObjectReport>>)>;

/// What came of the events since the last turn.
#[derive(Debug, Default)]
pub(super) struct AssemblyTurn {
    /// To be applied in one step, in any order.
    pub(super) changes: Vec<Change>,
    /// Routes that stand otherwise than before.
    pub(super) routes: ObjectStates,
    /// Pools that stand otherwise than before.
    pub(super) pools: ObjectStates,
}

#[derive(Debug, Default)]
struct Listing {
    /// It was read to its end at least once.
    complete: bool,
    /// What the reading under way has met.
    met: Option<HashSet<String>>,
}

/// An object by its own name.
#[derive(Debug)]
struct KnownName {
    content: Content,
    /// The one allocation of it: whatever else knows the resource shares it.
    id: Arc<ObjectId>,
    bytes: u32,
}

/// All published objects of a gateway, and what runs of them.
#[derive(Debug)]
pub(super) struct Assembly {
    gateway: String,
    /// What objects may require.
    features: &'static [&'static str],
    configs: Listing,
    secrets: Listing,
    names: HashMap<Box<str>, KnownName>,
    bytes: u64,
    routes: BTreeMap<Arc<ObjectId>, RouteObject>,
    pools: BTreeMap<Arc<ObjectId>, PoolObject>,
    /// To be looked at in the next turn: what has changed, or waits.
    open_routes: BTreeSet<Arc<ObjectId>>,
    open_pools: BTreeSet<Arc<ObjectId>>,
    strangers: BTreeMap<String, String>,
    /// The word by which the operator is known.
    word: Option<SecretValue>,
    /// What was deleted and may come back.
    missing: Missing,
    /// A turn has been taken: what runs is to be kept.
    begun: bool,
    /// When something will have waited for too long.
    wake: Option<Instant>,
}

impl Assembly {
    /// Of a gateway of that name; nothing is known yet.
    pub(super) fn new(gateway: &str) -> Self {
        Self::knowing(gateway, &FEATURES)
    }

    /// The same of a proxy that knows these features and no others.
    fn knowing(gateway: &str, features: &'static [&'static str]) -> Self {
        Self {
            gateway: gateway.to_owned(),
            features,
            configs: Listing::default(),
            secrets: Listing::default(),
            names: HashMap::new(),
            bytes: 0,
            routes: BTreeMap::new(),
            pools: BTreeMap::new(),
            open_routes: BTreeSet::new(),
            open_pools: BTreeSet::new(),
            strangers: BTreeMap::new(),
            word: None,
            missing: Missing::default(),
            begun: false,
            wake: None,
        }
    }

    /// Takes in what a watch says.
    pub(super) fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Begin(watched) => self.listing(watched).met = Some(HashSet::new()),
            Event::Put(object) => self.put(&object, now),
            Event::Gone(watched, name) => {
                if let Some(met) = &mut self.listing(watched).met {
                    met.remove(&name);
                }
                self.miss(&name, now);
            }
            Event::Withdrawn(watched, name) => {
                if let Some(met) = &mut self.listing(watched).met {
                    met.remove(&name);
                }
                self.gone(&name);
            }
            Event::End(watched) => self.listed(watched, now),
        }
    }

    /// Whether both lists have been read to their ends.
    pub(super) fn complete(&self) -> bool {
        self.configs.complete && self.secrets.complete
    }

    /// The word by which the operator is known, once it is. One that is deleted stays known until there is another.
    pub(super) fn word(&self) -> Option<&SecretValue> {
        self.word.as_ref()
    }

    /// Whether something runs on that was deleted and not withdrawn.
    pub(super) fn misses(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Objects that are of no resource, by name, and why.
    pub(super) fn strangers(&self) -> &BTreeMap<String, String> {
        &self.strangers
    }

    fn listing(&mut self, watched: WatchKind) -> &mut Listing {
        match watched {
            WatchKind::Configs => &mut self.configs,
            WatchKind::Secrets => &mut self.secrets,
        }
    }

    fn listed(&mut self, watched: WatchKind, now: Instant) {
        let listing = self.listing(watched);
        listing.complete = true;
        let Some(met) = listing.met.take() else { return };
        let of_it = |content: Content| (content == Content::Credentials) == (watched == WatchKind::Secrets);
        let lost: Vec<Box<str>> = self
            .names
            .iter()
            .filter(|(name, known)| of_it(known.content) && !met.contains(&***name))
            .map(|(name, _)| name.clone())
            .collect();
        lost.iter().for_each(|name| self.miss(name, now));
        if watched == WatchKind::Configs {
            self.strangers.retain(|name, _| met.contains(name));
        }
    }

    fn put(&mut self, object: &Published, now: Instant) {
        let watched = if object.secret { WatchKind::Secrets } else { WatchKind::Configs };
        if let Some(met) = &mut self.listing(watched).met {
            met.insert(object.name.clone());
        }
        self.missing.found(&object.name);
        if let Some(word) = object.operators_word(&self.gateway) {
            self.word = Some(word);
            return;
        }
        let Some((content, id)) = object.identity(&self.gateway) else { return self.unknown(object) };
        let known = self.names.get(&*object.name);
        let id = known.map(|known| &known.id).filter(|known| ***known == id).map_or_else(|| Arc::new(id), Arc::clone);
        let bytes = u32::try_from(object.body.as_ref().map_or(0, Vec::len)).unwrap_or(u32::MAX);
        let before = known.map_or(0, |known| known.bytes);
        let total = self.bytes - u64::from(before) + u64::from(bytes);
        if total > MOST_TOTAL || (before == 0 && self.names.len() >= MOST_OBJECTS) {
            let message = format!("there are more than {MOST_OBJECTS} objects or {MOST_TOTAL} bytes of them");
            return self.refuse(content, &id, object, message);
        }
        self.strangers.remove(&object.name);
        self.bytes = total;
        self.names.insert(object.name.as_str().into(), KnownName { content, id: Arc::clone(&id), bytes });
        match object.read(content, self.features) {
            Ok(form) => self.keep(id, form, object, now),
            Err(message) => self.refuse(content, &id, object, message),
        }
    }

    fn keep(&mut self, id: Arc<ObjectId>, form: PublishedForm, object: &Published, now: Instant) {
        let version = object.version.as_str();
        match form {
            PublishedForm::Route(route) => {
                self.routes.entry(Arc::clone(&id)).or_default().offer(route, version, now);
                self.open_routes.insert(id);
            }
            PublishedForm::Pool(pool) => {
                self.pools.entry(Arc::clone(&id)).or_default().offer(pool, version, now);
                self.open_pools.insert(id);
            }
            PublishedForm::Credentials(values) => {
                self.pools.entry(Arc::clone(&id)).or_default().entrust(version, values, now);
                self.open_pools.insert(id);
            }
        }
    }

    /// An object that nobody can say the resource of, unless it was one before.
    fn unknown(&mut self, object: &Published) {
        let message = "its labels, its annotations and its name do not belong together".to_owned();
        if let Some(known) = self.names.get(&*object.name) {
            let (content, id) = (known.content, Arc::clone(&known.id));
            self.refuse(content, &id, object, message);
        } else if self.strangers.len() < MOST_STRANGERS {
            self.strangers.insert(object.name.clone(), message);
        }
    }

    fn refuse(&mut self, content: Content, id: &Arc<ObjectId>, object: &Published, message: String) {
        let rejection = Box::new(Rejection { revision: object.revision.clone(), message });
        match content {
            Content::Route => {
                self.routes.entry(Arc::clone(id)).or_default().refuse(rejection);
                self.open_routes.insert(Arc::clone(id));
            }
            Content::Pool => {
                self.pools.entry(Arc::clone(id)).or_default().refuse(rejection);
                self.open_pools.insert(Arc::clone(id));
            }
            Content::Credentials => {
                self.pools.entry(Arc::clone(id)).or_default().refuse_credentials(rejection);
                self.open_pools.insert(Arc::clone(id));
            }
        }
    }

    /// It was deleted, and may come back: what runs of it runs on for a while.
    fn miss(&mut self, name: &str, now: Instant) {
        if self.begun && self.names.contains_key(name) {
            self.missing.note(name, now);
        } else {
            self.gone(name);
        }
    }

    fn gone(&mut self, name: &str) {
        self.missing.found(name);
        self.strangers.remove(name);
        let Some(KnownName { content, id, bytes }) = self.names.remove(name) else { return };
        self.bytes -= u64::from(bytes);
        match content {
            Content::Route => {
                self.routes.entry(Arc::clone(&id)).or_default().leave();
                self.open_routes.insert(id);
            }
            Content::Pool => {
                self.pools.entry(Arc::clone(&id)).or_default().leave();
                self.open_pools.insert(id);
            }
            Content::Credentials => {
                self.pools.entry(Arc::clone(&id)).or_default().forget_credentials();
                self.open_pools.insert(id);
            }
        }
    }

    /// When a turn is due although no watch says anything.
    pub(super) fn due(&self) -> Option<Instant> {
        self.wake
    }

    /// What is to be changed after all that was taken in. `None` until both lists have been read to their ends: half
    /// a configuration is none.
    pub(super) fn turn(&mut self, now: Instant) -> Option<AssemblyTurn> {
        if !self.complete() {
            return None;
        }
        while let Some(name) = self.missing.lapsed(now, KEPT) {
            self.gone(&name);
        }
        self.wake = self.missing.first().map(|since| since + KEPT);
        let mut turn = AssemblyTurn::default();
        for id in std::mem::take(&mut self.open_pools) {
            self.turn_pool(id, now, &mut turn);
        }
        for id in std::mem::take(&mut self.open_routes) {
            self.turn_route(id, now, &mut turn);
        }
        self.begun = true;
        Some(turn)
    }

    fn turn_pool(&mut self, id: Arc<ObjectId>, now: Instant, turn: &mut AssemblyTurn) {
        let Some(state) = self.pools.get_mut(&id) else { return };
        let (step, credentials) = state.step();
        let running = match step {
            Step::Stay => state.running().map(Into::into),
            Step::Run((form, values)) => {
                let revision = form.revision.as_str().into();
                turn.changes.push(Change::Pool(Arc::clone(&id), Box::new((*form, values))));
                Some(revision)
            }
            Step::Gone => {
                turn.changes.push(Change::PoolGone(Arc::clone(&id)));
                None
            }
        };
        let stands = state.standing(&id, running, credentials, now);
        if !stands.is_told(state.stands.as_ref()) || !state.present {
            state.stands = state.present.then(|| Arc::new(stands));
            turn.pools.push((Arc::clone(&id), state.stands.clone()));
        }
        if state.waits() {
            self.wake = self.wake.into_iter().chain(state.overdue_at(now)).min();
            self.open_pools.insert(id);
        } else if state.is_empty() {
            self.pools.remove(&id);
        }
    }

    fn turn_route(&mut self, id: Arc<ObjectId>, now: Instant, turn: &mut AssemblyTurn) {
        let Some(state) = self.routes.get_mut(&id) else { return };
        let runs = |pool: &ObjectId| self.pools.get(pool).is_some_and(|pool| pool.running().is_some());
        let running = match state.step(runs, self.begun, now) {
            Step::Stay => state.running().map(Into::into),
            Step::Run(route) => {
                let revision = route.revision.as_str().into();
                turn.changes.push(Change::Route(Arc::clone(&id), route));
                Some(revision)
            }
            Step::Gone => {
                turn.changes.push(Change::RouteGone(Arc::clone(&id)));
                None
            }
        };
        let stands = state.standing(&id, running, runs, now);
        if !stands.is_told(state.stands.as_ref()) || !state.present {
            state.stands = state.present.then(|| Arc::new(stands));
            turn.routes.push((Arc::clone(&id), state.stands.clone()));
        }
        if state.waits() {
            self.wake = self.wake.into_iter().chain(state.overdue_at(now)).min();
            self.open_routes.insert(id);
        } else if !state.present {
            self.routes.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
