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

use sluicegate_config::compile::SecretValue;
use sluicegate_config::published::{Content, KEPT_SECONDS};
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{Kind, ObjectId};

use super::change::Change;
use super::missing::Missing;
use super::objects::{PublishedObject, StepOutcome, Surroundings, blank};
use super::published::Published;
use super::report::ObjectReport;

/// The most objects that are kept track of.
const MOST_OBJECTS: usize = 50_000;
/// The most bytes of their forms in all.
const MOST_TOTAL: u64 = 256 * 1024 * 1024;
/// The time that objects which were deleted and not withdrawn run on.
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

/// An event of a watch.
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

/// The states of objects after a turn, each once; `None`: it is gone.
pub(super) type ObjectStates = Vec<(Arc<ObjectId>, Option<Arc<ObjectReport>>)>;

/// The outcome of the events since the last turn.
#[derive(Debug, Default)]
pub(super) struct AssemblyTurn {
    /// To be applied in one step, in any order.
    pub(super) changes: Vec<Change>,
    /// Objects that stand otherwise than before, by kind.
    pub(super) states: BTreeMap<Kind, ObjectStates>,
    /// True if all that was published is gone, and nobody has said that it is to go: there is no configuration any longer.
    pub(super) deserted: bool,
}

#[derive(Debug, Default)]
struct Listing {
    /// It was read to its end at least once.
    complete: bool,
    /// The names that the reading under way has met.
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
    /// The features that objects may require.
    features: &'static [&'static str],
    configs: Listing,
    secrets: Listing,
    names: HashMap<Box<str>, KnownName>,
    bytes: u64,
    objects: BTreeMap<Kind, BTreeMap<Arc<ObjectId>, Box<dyn PublishedObject>>>,
    /// To be looked at in the next turn, by rank: what has changed, or waits.
    open: BTreeSet<(Kind, Arc<ObjectId>)>,
    strangers: BTreeMap<String, String>,
    /// The token by which the operator is known.
    operator_token: Option<SecretValue>,
    /// The objects that were deleted and may come back.
    missing: Missing,
    /// A turn has been taken: what runs is to be kept.
    begun: bool,
    /// The time when something will have waited for too long.
    wake: Option<Instant>,
}

impl Assembly {
    /// Of a gateway of that name, as a proxy follows it that knows these features of objects; nothing else is known yet.
    pub(super) fn new(gateway: &str, features: &'static [&'static str]) -> Self {
        Self {
            gateway: gateway.to_owned(),
            features,
            configs: Listing::default(),
            secrets: Listing::default(),
            names: HashMap::new(),
            bytes: 0,
            objects: BTreeMap::new(),
            open: BTreeSet::new(),
            strangers: BTreeMap::new(),
            operator_token: None,
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

    /// True if both lists have been read to their ends.
    pub(super) fn complete(&self) -> bool {
        self.configs.complete && self.secrets.complete
    }

    /// The token by which the operator is known, once it is. One that is deleted stays known until there is another.
    pub(super) fn operator_token(&self) -> Option<&SecretValue> {
        self.operator_token.as_ref()
    }

    /// True if something runs on that was deleted and not withdrawn.
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
        let of_it = |content: Content| content.is_secret() == (watched == WatchKind::Secrets);
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
        if let Some(token) = object.operator_token(&self.gateway) {
            self.operator_token = Some(token);
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
        let features = self.features;
        let state = self.object(content.kind(), &id);
        let taken = match content {
            Content::Compiled(_) => state.offer(object, features, now),
            Content::Credentials(_) => state.entrust(object, now),
        };
        if let Err(message) = taken {
            self.refuse(content, &id, object, message);
        }
    }

    /// A resource, which is to be looked at in the next turn.
    fn object(&mut self, kind: Kind, id: &Arc<ObjectId>) -> &mut dyn PublishedObject {
        self.open.insert((kind, Arc::clone(id)));
        let objects = self.objects.entry(kind).or_default();
        objects.entry(Arc::clone(id)).or_insert_with(|| blank(kind)).as_mut()
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
        let state = self.object(content.kind(), id);
        match content {
            Content::Compiled(_) => state.refuse(rejection),
            Content::Credentials(_) => state.refuse_credentials(rejection),
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
        let state = self.object(content.kind(), &id);
        match content {
            Content::Compiled(_) => state.leave(),
            Content::Credentials(_) => state.forget_credentials(),
        }
    }

    /// The time when a turn is due although no watch says anything.
    pub(super) fn due(&self) -> Option<Instant> {
        self.wake
    }

    /// The changes to be made after all that was taken in. `None` until both lists have been read to their ends: half
    /// a configuration is none.
    pub(super) fn turn(&mut self, now: Instant) -> Option<AssemblyTurn> {
        if !self.complete() {
            return None;
        }
        // Where all are missing they go together: half a configuration is none.
        let (first, last) = (self.missing.first(), self.missing.last());
        let all_are_missing = !self.missing.is_empty() && self.missing.len() == self.names.len();
        let due = if all_are_missing { last } else { first };
        if due.is_none_or(|since| since + KEPT <= now) {
            while let Some(name) = self.missing.lapsed(now, KEPT) {
                self.gone(&name);
            }
        }
        let due = if all_are_missing { self.missing.last() } else { self.missing.first() };
        self.wake = due.map(|since| since + KEPT);
        let deserted = all_are_missing && self.names.is_empty();
        let mut turn = AssemblyTurn { deserted, ..AssemblyTurn::default() };
        for (kind, id) in std::mem::take(&mut self.open) {
            self.look_at(kind, id, now, &mut turn);
        }
        self.begun = true;
        Some(turn)
    }

    /// One object, while the others stand still. It is taken out meanwhile: it may ask whether others run.
    fn look_at(&mut self, kind: Kind, id: Arc<ObjectId>, now: Instant, turn: &mut AssemblyTurn) {
        let Some(mut object) = self.objects.get_mut(&kind).and_then(|objects| objects.remove(&id)) else { return };
        let runs = |kind: Kind, id: &ObjectId| self.runs(kind, id);
        let around = Surroundings { runs: &runs, waits: self.begun, now };
        let StepOutcome { change, running, credentials } = object.step(&id, &around);
        let stands = object.report(&id, running, credentials, &around);
        turn.changes.extend(change);
        if !stands.is_told(object.told()) || !object.is_published() {
            object.tell(object.is_published().then(|| Arc::new(stands)));
            turn.states.entry(kind).or_default().push((Arc::clone(&id), object.told().cloned()));
        }
        let (waits, overdue_at) = (object.waits(), object.overdue_at(now));
        if waits {
            self.wake = self.wake.into_iter().chain(overdue_at).min();
            self.open.insert((kind, Arc::clone(&id)));
        }
        if waits || !object.is_empty() {
            self.objects.entry(kind).or_default().insert(id, object);
        }
    }

    fn runs(&self, kind: Kind, id: &ObjectId) -> bool {
        let object = self.objects.get(&kind).and_then(|objects| objects.get(id));
        object.and_then(|object| object.told()).is_some_and(|told| told.revision.is_some())
    }
}

#[cfg(test)]
mod tests;
