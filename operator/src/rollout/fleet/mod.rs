//! The proxies as they are known, as a state machine without clock or network: pods as the API server shows them and lines
//! of their streams go in, an object's standing comes out. The rules are in the module above.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluicegate_config::ObjectId;
use sluicegate_config::compile::Kind;
use sluicegate_config::rollout::{Line, Rejection, Running};

use super::state::{Changed, Number, RolloutState, Wanted};
use super::uses::BudgetUses;

/// A lost stream's last word stands for so long.
const GRACE: Duration = Duration::from_secs(1);
/// After a start, pods have so long to be heard.
const FIRST_WORDS: Duration = Duration::from_secs(2);
/// A failure to see pods is told for so long: it is met again within this if it lasts.
const FAILURE_STANDS: Duration = Duration::from_secs(65);
/// The most pods that are followed; more are counted when they are ready, and waited for in vain.
const MOST_PODS: usize = 1_000;
/// Changed objects that are told one by one; more are told as all.
const MOST_CHANGED: usize = 4_096;
/// Pods named in a standing.
const MOST_LAGGING: usize = 3;
const MOST_REJECTED: usize = 8;
/// The most refused keys of a pool that are kept of a pod, and the longest name of one.
const MOST_KEYS: usize = 64;
const LONGEST_KEY: usize = 128;
/// The most bytes of a rejection's message that are kept.
const MOST_MESSAGE: usize = 512;

/// The address of a pod's stream.
pub(super) type Address = SocketAddr;

/// A pod as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) name: String,
    pub(super) uid: String,
    /// `None` while it has no address, or when it has ended.
    pub(super) address: Option<Address>,
    /// Its `Ready` condition.
    pub(super) ready: bool,
    /// It is being deleted.
    pub(super) deleting: bool,
}

/// A change of pods, as it was seen.
#[derive(Debug)]
pub(super) enum PodEvent {
    /// A pod came or changed.
    Pod(PodFacts),
    /// A pod is gone.
    Gone(String),
    /// These are all there are.
    All(Vec<PodFacts>),
    /// They can not be seen, and why.
    Failing(String),
}

/// The state of a pod's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    /// Nothing yet.
    Unheard,
    /// It is being heard.
    Live { ready: bool },
    /// Its stream has ended; its last word stands until then.
    Lost { ready: bool, until: Instant },
    /// Nothing is known of it.
    Silent,
}

#[derive(Debug)]
struct Pod {
    number: Number,
    facts: PodFacts,
    stream: StreamState,
}

impl Pod {
    fn counts(&self) -> bool {
        let says = matches!(self.stream, StreamState::Live { ready: true } | StreamState::Lost { ready: true, .. });
        says || (self.facts.ready && !self.facts.deleting)
    }

    const fn is_heard(&self) -> bool {
        matches!(self.stream, StreamState::Live { .. } | StreamState::Lost { .. })
    }

    /// The part of it that an object's rollout hangs on.
    fn view(&self) -> (Number, bool, bool) {
        (self.number, self.counts(), self.is_heard())
    }
}

/// The form of one object that one pod runs; texts as hashes, since there are many.
#[derive(Debug)]
struct Cell {
    pod: Number,
    revision: Option<u64>,
    version: Option<u64>,
    credentials: Option<u64>,
    rejected: Option<Box<Rejection>>,
    refused_keys: Box<[Box<str>]>,
}

type Cells = HashMap<ObjectId, Vec<Cell>>;

#[derive(Debug)]
enum News {
    None,
    Some(HashSet<(Kind, ObjectId)>),
    All,
}

/// Everything known of all proxies.
#[derive(Debug)]
pub(super) struct Fleet {
    /// By name.
    pods: BTreeMap<String, Pod>,
    /// By kind and object.
    cells: BTreeMap<Kind, Cells>,
    news: News,
    /// The use of budgets.
    pub(super) uses: BudgetUses,
    hasher: RandomState,
    next: Number,
    /// The time when the pods were known for the first time.
    listed: Option<Instant>,
    /// The last failure to see them.
    failing: Option<(String, Instant)>,
    /// Enough has been heard to judge by.
    known: bool,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            pods: BTreeMap::new(),
            cells: BTreeMap::new(),
            news: News::None,
            uses: BudgetUses::default(),
            hasher: RandomState::new(),
            next: 0,
            listed: None,
            failing: None,
            known: false,
        }
    }
}

impl Fleet {
    /// The API server shows pods.
    pub(super) fn seen(&mut self, seen: PodEvent, now: Instant) {
        self.failing = None;
        match seen {
            PodEvent::Failing(why) => self.failing = Some((why, now)),
            PodEvent::Pod(facts) => self.put(facts),
            PodEvent::Gone(name) => self.remove(&name),
            PodEvent::All(all) => {
                let names: BTreeSet<&str> = all.iter().map(|facts| facts.name.as_str()).collect();
                let gone: Vec<String> =
                    self.pods.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
                gone.iter().for_each(|name| self.remove(name));
                all.into_iter().for_each(|facts| self.put(facts));
                self.listed.get_or_insert(now);
            }
        }
        self.pass(now);
    }

    /// True if the pods have been listed once.
    pub(super) const fn is_listed(&self) -> bool {
        self.listed.is_some()
    }

    /// The reason why pods can not be seen now.
    pub(super) fn failing(&self, now: Instant) -> Option<&str> {
        let (why, at) = self.failing.as_ref()?;
        (now.saturating_duration_since(*at) < FAILURE_STANDS).then_some(why.as_str())
    }

    fn put(&mut self, facts: PodFacts) {
        let same = |pod: &Pod| pod.facts.uid == facts.uid && pod.facts.address == facts.address;
        if self.pods.get(&facts.name).is_some_and(|pod| !same(pod)) {
            self.remove(&facts.name);
        }
        if let Some(pod) = self.pods.get_mut(&facts.name) {
            let before = pod.view();
            pod.facts = facts;
            if pod.view() != before {
                self.news = News::All;
            }
        } else if self.pods.len() < MOST_PODS {
            let pod = Pod { number: self.next, facts, stream: StreamState::Unheard };
            self.next = self.next.wrapping_add(1);
            if pod.counts() {
                self.news = News::All;
            }
            self.pods.insert(pod.facts.name.clone(), pod);
        } else {
            tracing::error!(pod = facts.name, most = MOST_PODS, "there are more proxies than are followed");
        }
    }

    fn remove(&mut self, name: &str) {
        let Some(pod) = self.pods.remove(name) else { return };
        self.forget(pod.number);
        self.uses.forget(pod.number);
        if pod.counts() {
            self.news = News::All;
        }
    }

    /// Nothing is known any more of what a pod runs.
    fn forget(&mut self, pod: Number) {
        for cells in self.cells.values_mut() {
            cells.retain(|_, cells| {
                cells.retain(|cell| cell.pod != pod);
                !cells.is_empty()
            });
        }
    }

    /// A pod has told a line.
    pub(super) fn heard(&mut self, number: Number, line: Line) {
        let Line { whole, ready, objects, gone, used, subjects } = line;
        let Some(pod) = self.pods.values_mut().find(|pod| pod.number == number) else { return };
        if !whole && !matches!(pod.stream, StreamState::Live { .. }) {
            return;
        }
        let before = pod.view();
        pod.stream = StreamState::Live { ready };
        if pod.view() != before || whole {
            self.news = News::All;
        }
        if whole {
            self.forget(number);
            self.uses.forget(number);
        }
        self.uses.hear(number, used);
        self.uses.hear_subjects(number, subjects);
        for (kind, id, running) in each(objects) {
            self.mark(kind, &id);
            self.set(number, (kind, id), running);
        }
        for (kind, id) in gone.into_iter().flat_map(|(kind, ids)| ids.into_iter().map(move |id| (kind, id))) {
            self.mark(kind, &id);
            self.drop_out(number, kind, &id);
        }
        self.become_known();
    }

    fn set(&mut self, pod: Number, (kind, id): (Kind, ObjectId), running: Running) {
        let Running { revision, version, credentials, rejected, refused_keys } = running;
        let hash = |text: Option<String>| text.map(|text| self.hasher.hash_one(text));
        let (revision, version, credentials) = (hash(revision), hash(version), hash(credentials));
        let rejected = rejected.map(|rejected| Box::new(short(rejected)));
        let named = refused_keys.into_iter().filter(|key| key.len() <= LONGEST_KEY).take(MOST_KEYS);
        let refused_keys = named.map(String::into_boxed_str).collect();
        let new = Cell { pod, revision, version, credentials, rejected, refused_keys };
        let cells = self.cells.entry(kind).or_default().entry(id).or_default();
        match cells.iter_mut().find(|cell| cell.pod == pod) {
            Some(cell) => *cell = new,
            None => cells.push(new),
        }
    }

    fn drop_out(&mut self, pod: Number, kind: Kind, id: &ObjectId) {
        let Some(all) = self.cells.get_mut(&kind) else { return };
        if let Some(cells) = all.get_mut(id) {
            cells.retain(|cell| cell.pod != pod);
            if cells.is_empty() {
                all.remove(id);
            }
        }
    }

    fn mark(&mut self, kind: Kind, id: &ObjectId) {
        match &mut self.news {
            News::All => {}
            News::Some(objects) if objects.len() >= MOST_CHANGED => self.news = News::All,
            News::Some(objects) => drop(objects.insert((kind, id.clone()))),
            News::None => self.news = News::Some(HashSet::from([(kind, id.clone())])),
        }
    }

    /// A pod's stream has ended, or could not be begun.
    pub(super) fn lost(&mut self, number: Number, error: &str, now: Instant) {
        let Some(pod) = self.pods.values_mut().find(|pod| pod.number == number) else { return };
        match pod.stream {
            StreamState::Live { ready } => {
                if !pod.facts.deleting {
                    tracing::info!(pod = pod.facts.name, error, "a proxy's stream has ended: it is asked again");
                }
                pod.stream = StreamState::Lost { ready, until: now + GRACE };
            }
            StreamState::Unheard => {
                tracing::debug!(pod = pod.facts.name, error, "a proxy can not be asked yet");
                pod.stream = StreamState::Silent;
            }
            StreamState::Lost { .. } | StreamState::Silent => {}
        }
        self.pass(now);
    }

    /// A pod's stream has been silent for too long: that is no short loss.
    pub(super) fn silent(&mut self, number: Number, now: Instant) {
        self.lost(number, "silent", now);
        if let Some(Pod { facts, stream: StreamState::Lost { until, .. }, .. }) =
            self.pods.values_mut().find(|pod| pod.number == number)
        {
            tracing::warn!(pod = facts.name, "a proxy is silent: what it runs is not known any more");
            *until = now;
        }
        self.pass(now);
    }

    /// Time passes.
    pub(super) fn pass(&mut self, now: Instant) {
        let mut silent = Vec::new();
        for pod in self.pods.values_mut() {
            if matches!(pod.stream, StreamState::Lost { until, .. } if until <= now) {
                pod.stream = StreamState::Silent;
                silent.push(pod.number);
            }
        }
        for pod in silent {
            self.news = News::All;
            self.forget(pod);
        }
        if !self.known && self.listed.is_some_and(|at| at + FIRST_WORDS <= now) {
            self.known = true;
            self.news = News::All;
        }
        self.become_known();
    }

    fn become_known(&mut self) {
        let waits =
            |pod: &Pod| pod.stream == StreamState::Unheard && pod.facts.address.is_some() && !pod.facts.deleting;
        if !self.known && self.listed.is_some() && !self.pods.values().any(waits) {
            self.known = true;
            self.news = News::All;
        }
    }

    /// The time when something turns by time alone.
    pub(super) fn due(&self) -> Option<Instant> {
        let lost = self.pods.values().filter_map(|pod| match pod.stream {
            StreamState::Lost { until, .. } => Some(until),
            _ => None,
        });
        let first = self.listed.filter(|_| !self.known).map(|at| at + FIRST_WORDS);
        lost.chain(first).min()
    }

    /// The pods that are to be asked, and where.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (Number, Address)> {
        self.pods.values().filter_map(|pod| Some((pod.number, pod.facts.address?)))
    }

    /// True if some standing may have changed since it was last asked.
    pub(super) const fn has_changed(&self) -> bool {
        !matches!(self.news, News::None)
    }

    /// The objects whose rollout may have changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Option<Changed> {
        match std::mem::replace(&mut self.news, News::None) {
            News::None => None,
            News::Some(objects) => Some(Changed::Objects(objects.into_iter().collect())),
            News::All => Some(Changed::All),
        }
    }

    /// The rollout of an object; `None` wanted: it is to run nowhere.
    pub(super) fn standing(&self, kind: Kind, id: &ObjectId, wanted: Option<&Wanted>) -> RolloutState {
        let cells = self.cells.get(&kind).and_then(|cells| cells.get(id)).map(Vec::as_slice).unwrap_or_default();
        let wanted = wanted.map(|wanted| Hashed::new(wanted, &self.hasher));
        let mut standing = RolloutState { known: self.known, ..RolloutState::default() };
        for (name, pod) in self.pods.iter().filter(|(_, pod)| pod.counts()) {
            standing.ready += 1;
            let cell = cells.iter().find(|cell| cell.pod == pod.number);
            for key in cell.iter().flat_map(|cell| &cell.refused_keys) {
                *standing.refused_keys.entry(key.to_string()).or_default() += 1;
            }
            let runs = match &wanted {
                Some(wanted) => cell.is_some_and(|cell| wanted.runs(cell)),
                None => cell.is_none_or(|cell| cell.revision.is_none()),
            };
            if pod.is_heard() && runs {
                standing.running += 1;
                continue;
            }
            let refused = wanted.as_ref().and_then(|wanted| wanted.refused(cell?));
            match refused {
                Some(why) if standing.rejected.len() < MOST_REJECTED => {
                    standing.rejected.push((name.clone(), why.to_owned()));
                }
                None if standing.lagging.len() < MOST_LAGGING => standing.lagging.push(name.clone()),
                _ => {}
            }
        }
        standing
    }
}

/// Every object of a line.
fn each(objects: BTreeMap<Kind, BTreeMap<ObjectId, Running>>) -> impl Iterator<Item = (Kind, ObjectId, Running)> {
    objects.into_iter().flat_map(|(kind, objects)| objects.into_iter().map(move |(id, running)| (kind, id, running)))
}

/// The wanted form, as it is compared.
struct Hashed<'a> {
    text: &'a str,
    revision: u64,
    version: Option<u64>,
    credentials: Option<u64>,
}

impl<'a> Hashed<'a> {
    fn new(wanted: &'a Wanted, hasher: &RandomState) -> Self {
        let Wanted { revision, version, credentials } = wanted;
        let hash = |text: &Option<String>| text.as_ref().map(|text| hasher.hash_one(text));
        let (version, credentials) = (hash(version), hash(credentials));
        Self { text: revision, revision: hasher.hash_one(revision), version, credentials }
    }

    fn runs(&self, cell: &Cell) -> bool {
        cell.revision == Some(self.revision)
            && (self.version.is_none() || cell.version == self.version)
            && (self.credentials.is_none() || cell.credentials == self.credentials)
    }

    /// The reason why it was refused, if it was just this that was. A form that names no revision can be no other.
    fn refused<'c>(&self, cell: &'c Cell) -> Option<&'c str> {
        let rejected = cell.rejected.as_ref()?;
        (rejected.revision.is_empty() || rejected.revision == self.text).then_some(rejected.message.as_str())
    }
}

fn short(mut rejected: Rejection) -> Rejection {
    if rejected.message.len() > MOST_MESSAGE {
        rejected.message.truncate(rejected.message.floor_char_boundary(MOST_MESSAGE));
        rejected.message.push('…');
    }
    rejected
}

#[cfg(test)]
mod tests;
