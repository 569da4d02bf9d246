//! All limits of concurrency by their names: a limit outlives the configuration that says it, and what is at work goes on counting.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use sluicegate_config::rollout::BudgetUse;
use sluicegate_config::{Concurrency, concurrency_identity};

use super::active::ActiveList;
use super::gate::{Gate, GateTerms};
use super::keeper::LeaseKeeper;
use super::totals::{ConcurrencyStat, ScopeTotals};
use super::wait_queue::QueueBounds;
use crate::redis::RedisClient;

/// Names are looked through for limits that are gone when there are more than this, and twice as many as last time.
const SWEEP: usize = 64;

/// The calls that a limit is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GateScope<'a> {
    /// Those of the consumer with this id.
    Consumer(&'a str),
    /// Those of the route with this id, or of one of its rules.
    Route(&'a str, Option<&'a str>),
    /// Those to a provider of the pool with this id.
    Provider(&'a str, &'a str),
    /// Those to one of its endpoints.
    Endpoint(&'a str, &'a str, &'a str),
    /// Those with one of its keys.
    Key(&'a str, &'a str, &'a str),
    /// Those that a rate limit counts together, by their key: the one place is that of the call which waits for the next room.
    Window(&'a str),
}

impl GateScope<'_> {
    fn name(&self) -> String {
        match self {
            Self::Consumer(id) => format!("LLMConsumer {id}"),
            Self::Route(id, None) => format!("LLMRoute {id}"),
            Self::Route(id, Some(rule)) => format!("LLMRoute {id}/{rule}"),
            Self::Provider(pool, provider) => format!("ProviderPool {pool}/{provider}"),
            Self::Endpoint(pool, provider, address) => format!("ProviderPool {pool}/{provider}/{address}"),
            Self::Key(pool, provider, key) => format!("ProviderPool {pool}/{provider}/keys/{key}"),
            Self::Window(key) => (*key).to_owned(),
        }
    }

    const fn place(&self) -> usize {
        match self {
            Self::Consumer(_) => 0,
            Self::Route(..) => 1,
            Self::Provider(..) => 2,
            Self::Endpoint(..) => 3,
            Self::Key(..) => 4,
            Self::Window(_) => 5,
        }
    }

    /// The words for it in an error.
    const fn in_words(&self) -> &'static str {
        match self {
            Self::Consumer(_) => "for this consumer",
            Self::Route(..) => "for this route",
            Self::Provider(..) | Self::Endpoint(..) | Self::Key(..) => "for this provider",
            Self::Window(_) => "",
        }
    }
}

/// The labels of the scopes, in their places.
const SCOPES: [&str; 6] = ["consumer", "route", "provider", "endpoint", "key", WINDOW];
/// The scope of calls that wait for room in the window of a rate limit. They have no place, not even the first of them.
const WINDOW: &str = "rate";

/// All limits of concurrency.
#[derive(Debug)]
pub struct Gates {
    known: Mutex<KnownGates>,
    totals: [Arc<ScopeTotals>; 6],
    active: Arc<ActiveList<Gate>>,
    /// True if other processes have their parts of them.
    shared: AtomicBool,
    /// The time since when this process has counted, in seconds since 1970.
    begun: i64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            totals: Default::default(),
            active: Arc::default(),
            shared: AtomicBool::new(false),
            begun: jiff::Timestamp::now().as_second(),
        }
    }
}

#[derive(Debug, Default)]
struct KnownGates {
    by_name: HashMap<Box<str>, Weak<Gate>>,
    swept: usize,
}

impl Gates {
    fn lock(&self) -> MutexGuard<'_, KnownGates> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on limits are shared with other processes. To be said before there are any.
    pub fn share(&self) {
        self.shared.store(true, Relaxed);
    }

    /// A worker's keeper of this process's leases. `names`: the gateway's, and this process's own.
    pub(crate) fn keeper(&self, redis: Option<RedisClient>, names: (&str, &str)) -> Rc<LeaseKeeper> {
        LeaseKeeper::new(&self.active, redis, names)
    }

    /// Questions on leases that Redis has not answered.
    pub fn unanswered(&self) -> u64 {
        self.active.unanswered.get()
    }

    /// The limit of this name, with these terms from now on.
    fn gate(&self, scope: GateScope<'_>, terms: GateTerms) -> Arc<Gate> {
        let name = scope.name();
        let mut known = self.lock();
        if let Some(gate) = known.by_name.get(name.as_str()).and_then(Weak::upgrade) {
            drop(known);
            gate.configure(terms);
            return gate;
        }
        if known.by_name.len() > known.swept.max(SWEEP) {
            known.by_name.retain(|_, gate| gate.strong_count() > 0);
            known.swept = known.by_name.len() * 2;
        }
        let totals = self.totals.get(scope.place()).map(Arc::clone).unwrap_or_default();
        let of = (totals, Arc::clone(&self.active));
        // Who waits for room is each process's own affair.
        let is_shared = self.shared.load(Relaxed) && !matches!(scope, GateScope::Window(_));
        let gate = Arc::new(Gate::new(&name, terms, is_shared, of));
        known.by_name.insert(name.into(), Arc::downgrade(&gate));
        gate
    }

    /// The calls that have places and wait, by scope.
    pub fn stats(&self) -> impl Iterator<Item = ConcurrencyStat> {
        self.totals.iter().zip(SCOPES).map(|(totals, scope)| match scope {
            WINDOW => totals.stat(scope).all_wait(),
            scope => totals.stat(scope),
        })
    }

    /// All calls that wait: for a place, or for room in a window.
    pub fn waiting(&self) -> u64 {
        self.stats().map(|stat| stat.waiting.0).sum()
    }

    /// True if no more calls may wait for room in windows, whatever these count together. Then the refusal is counted.
    pub(crate) fn refuses_windows(&self, most: u64) -> bool {
        let Some(totals) = self.totals.get(GateScope::Window("").place()) else { return false };
        let is_full = totals.stat(WINDOW).all_wait().waiting.0 >= most;
        if is_full {
            totals.refused_full.add();
        }
        is_full
    }

    /// The calls that have places here, by the identities of the limits that statuses tell of: those of objects, rules and providers.
    pub(crate) fn uses(&self) -> Vec<(Arc<str>, BudgetUse)> {
        let known = self.lock();
        // Subjects, endpoints and keys are too many, and no status tells of them.
        let depth = |name: &str| if name.starts_with("LLMConsumer ") { 1 } else { 2 };
        let is_told = |name: &str| name.contains(' ') && name.matches('/').count() <= depth(name);
        let told = known.by_name.iter().filter(|(name, _)| is_told(name));
        let gates = told.filter_map(|(name, gate)| Some((name, gate.upgrade()?)));
        // Who shares the places of a limit has not all of them.
        let begun = if self.shared.load(Relaxed) { 0 } else { self.begun };
        let uses = gates.map(|(name, gate)| {
            let used = BudgetUse { spent: gate.at_work(), begun, ..BudgetUse::default() };
            (Arc::from(concurrency_identity(name)), used)
        });
        uses.collect()
    }

    /// The calls that wait for room by this key, the first of them too; `None`: nobody does.
    pub(crate) fn window(&self, key: &str) -> Option<u64> {
        // Without the lock as long as nobody waits for any.
        let totals = self.totals.get(GateScope::Window(key).place())?;
        if totals.stat(WINDOW).all_wait().waiting.0 == 0 {
            return None;
        }
        let gate = self.lock().by_name.get(key).and_then(Weak::upgrade)?;
        Some(gate.calls()).filter(|calls| *calls > 0)
    }
}

/// A limit made ready: its count, and the header by which callers choose a priority.
#[derive(Debug)]
pub(crate) struct PreparedGate {
    pub(crate) gate: Arc<Gate>,
    /// It, in the words of its resource.
    pub(crate) name: Arc<str>,
    /// The words for its calls in an error.
    pub(crate) of: &'static str,
    header: Option<(HeaderName, BTreeMap<String, i32>)>,
}

impl PreparedGate {
    /// Makes it ready.
    pub(crate) fn of(gates: &Gates, scope: GateScope<'_>, from: &Concurrency) -> Self {
        let queue = from.queue.as_ref();
        let terms = GateTerms {
            max: from.max.into(),
            min: from.min.map(u64::from),
            queue: queue.map(|queue| {
                let size = usize::try_from(queue.size).unwrap_or(usize::MAX);
                // The first of those that wait for a window has the one place of its gate.
                let size = if matches!(scope, GateScope::Window(_)) { size.saturating_sub(1) } else { size };
                let bounds =
                    QueueBounds { size, max_bytes: queue.max_bytes, ageing: Duration::from_millis(queue.ageing) };
                (bounds, Duration::from_millis(queue.timeout))
            }),
        };
        let gate = gates.gate(scope, terms);
        // The compiler has checked its name.
        let header = queue.and_then(|queue| queue.header.as_ref());
        let header = header.and_then(|header| Some((HeaderName::try_from(&header.name).ok()?, header.values.clone())));
        Self { name: Arc::clone(&gate.name), gate, of: scope.in_words(), header }
    }

    /// An object has another form, or is gone: of its limits `before` those that are not among those `after` hold no longer.
    pub(crate) fn lift<'a>(before: impl IntoIterator<Item = &'a Self>, after: impl IntoIterator<Item = &'a Self>) {
        let mut before = before.into_iter().peekable();
        if before.peek().is_none() {
            return;
        }
        let stay: HashSet<*const Gate> = after.into_iter().map(|limit| Arc::as_ptr(&limit.gate)).collect();
        before.filter(|limit| !stay.contains(&Arc::as_ptr(&limit.gate))).for_each(|limit| limit.gate.lift());
    }

    /// The priority that a call's headers choose, if they choose one that may be chosen.
    pub(crate) fn chosen(&self, headers: &HeaderMap) -> Option<i32> {
        let (name, values) = self.header.as_ref()?;
        values.get(headers.get(name)?.to_str().ok()?.trim()).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sluicegate_config::{CallQueue, PriorityHeader};

    use super::super::wait_queue::Applicant;
    use super::*;

    fn concurrency(max: u32) -> Concurrency {
        let values = BTreeMap::from([("batch".to_owned(), -10)]);
        let header = Some(PriorityHeader { name: "x-priority".to_owned(), values });
        let (timeout, ageing) = (10_000, 5_000);
        Concurrency { max, min: None, queue: Some(CallQueue { size: 10, max_bytes: 1_000, timeout, ageing, header }) }
    }

    #[tokio::test]
    async fn a_limit_that_changes_goes_on_from_what_is_at_work() {
        let gates = Gates::default();
        let prepared = |max| PreparedGate::of(&gates, GateScope::Route("a/r", None), &concurrency(max));
        let call = Applicant { flow: 0, priority: 0, bytes: 1 };
        let first = prepared(1);
        let far = Instant::now() + Duration::from_secs(60);
        let place = first.gate.take(call, far).await.unwrap();
        drop(first);
        let second = prepared(2);
        let _other = second.gate.take(call, far).await.unwrap();
        assert!(second.gate.try_take(0).is_none());
        drop(place);
        assert!(second.gate.try_take(0).is_some());
        assert_eq!(gates.stats().nth(1).map(|stat| stat.at_work.0), Some(1));
    }

    #[tokio::test]
    async fn calls_that_wait_for_room_are_bounded_over_all_that_is_counted() {
        let gates = Gates::default();
        let wait = |key: &'static str| PreparedGate::of(&gates, GateScope::Window(key), &concurrency(1));
        let (one, two) = (wait("sluicegate:{one}"), wait("sluicegate:{two}"));
        assert!(!gates.refuses_windows(1));
        let places = [&one, &two].map(|gate| gate.gate.try_take(0).unwrap());
        assert!(gates.refuses_windows(2) && !gates.refuses_windows(3));
        let route = PreparedGate::of(&gates, GateScope::Route("a/r", None), &concurrency(1));
        let _at_work = route.gate.try_take(0).unwrap();
        assert_eq!((gates.waiting(), gates.stats().nth(5).map(|stat| stat.refused[0])), (2, Some(("full", 1))));
        drop(places);
        assert!(!gates.refuses_windows(1));
    }

    #[test]
    fn it_is_told_where_each_process_has_all_of_the_places() {
        let gates = Gates::default();
        let _route = PreparedGate::of(&gates, GateScope::Route("a/r", None), &concurrency(1));
        let told = |gates: &Gates| gates.uses().iter().map(|(_, used)| used.begun > 0).collect::<Vec<_>>();
        assert_eq!(told(&gates), [true]);
        gates.share();
        assert_eq!(told(&gates), [false]);
    }

    #[test]
    fn only_listed_values_choose_a_priority() {
        let prepared = PreparedGate::of(&Gates::default(), GateScope::Consumer("a/c"), &concurrency(1));
        let chosen = |value: &'static str| {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-priority"), value.parse().unwrap())]);
            prepared.chosen(&headers)
        };
        assert_eq!([chosen("batch"), chosen("10"), chosen("")], [Some(-10), None, None]);
        assert_eq!(prepared.chosen(&HeaderMap::new()), None);
    }

    #[test]
    fn limits_that_are_gone_are_forgotten() {
        let gates = Gates::default();
        for number in 0..1_000 {
            let id = format!("a/{number}");
            drop(PreparedGate::of(&gates, GateScope::Consumer(&id), &concurrency(1)));
        }
        assert!(gates.lock().by_name.len() <= SWEEP + 2);
    }
}
