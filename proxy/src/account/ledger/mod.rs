//! The ledger of one worker: one entry per call, opened once, closed exactly once, by word or by drop.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::ErrorKind;

use super::access_log::{LogSettings, Sampler};
use super::cells::{AttemptCells, CallCells, CallKey};
use super::consumer::ConsumerName;
use super::held::{Costs, Held, Settlement};
use super::metrics::{Metrics, WorkerCells};
use super::outcome::{AttemptEnd, CacheStatus, End, ErrorSource, Operation};
use super::record::{AttemptFacts, ModelName, Record, clip};
use super::table::{NameTable, ProviderIx, RouteIx};

/// The most of an error's detail that is logged, in bytes.
const MOST_DETAIL: usize = 256;

/// Mixes small numbers of our own making; nobody outside chooses them.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.unsigned_abs() as u64);
    }
}

type MixMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// The cells this worker has already found, of the newest configuration it has seen.
#[derive(Debug, Default)]
struct FoundSeries {
    generation: u64,
    calls: MixMap<CallKey, Arc<CallCells>>,
    attempts: MixMap<ProviderIx, Arc<AttemptCells>>,
}

/// One worker's ledger. Lives and is used on that worker's thread only.
#[derive(Debug)]
pub struct Ledger {
    metrics: Arc<Metrics>,
    worker: Arc<WorkerCells>,
    found: RefCell<FoundSeries>,
    sampler: Sampler,
    unclosed: Cell<u64>,
    /// True once the calls that are left are cut.
    cutting: Cell<bool>,
}

impl Metrics {
    /// The ledger of the calling worker. Each call gives a new one, with counters of its own.
    #[must_use]
    pub fn ledger(self: &Arc<Self>, settings: LogSettings) -> Rc<Ledger> {
        let sampler = Sampler::new(self.log().clone(), settings);
        Rc::new(Ledger::new(Arc::clone(self), self.enlist(), sampler))
    }
}

impl Ledger {
    /// A ledger for the calling worker; its calls are offered to `sampler`'s log.
    pub(super) fn new(metrics: Arc<Metrics>, worker: Arc<WorkerCells>, sampler: Sampler) -> Self {
        Self { metrics, worker, found: RefCell::default(), sampler, unclosed: Cell::new(0), cutting: Cell::new(false) }
    }

    /// Opens an entry for a call whose head was read at `now`.
    #[must_use]
    pub fn open(self: &Rc<Self>, table: &Arc<NameTable>, operation: Operation, now: Instant) -> LedgerEntry {
        self.worker.inflight.change(1, self.metrics.micros(now));
        self.unclosed.set(self.unclosed.get() + 1);
        let record = Box::new(Record::new(Arc::clone(table), operation.counted(), now));
        LedgerEntry { ledger: Rc::clone(self), record: Some(record), held: None }
    }

    /// Calls of this worker that are open.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.unclosed.get()
    }

    /// From now on calls that are let go of are cut by the process's end: their callers have not left.
    pub fn cut(&self) {
        self.cutting.set(true);
    }

    /// True if calls are cut by the process's end.
    #[must_use]
    pub fn is_cutting(&self) -> bool {
        self.cutting.get()
    }

    /// A fact of a call could not be written down.
    pub fn note_lost(&self) {
        self.worker.lost_notes.add(1);
    }

    /// Usage that nobody can have had was said.
    pub(super) fn disbelieve(&self) {
        self.worker.disbelieved.add(1);
    }

    /// A caller is waited for no longer, by its answer or by its leaving.
    fn one_less(&self, now: Instant) {
        self.worker.inflight.change(-1, self.metrics.micros(now));
        self.unclosed.set(self.unclosed.get().saturating_sub(1));
    }

    /// Says by what the call is settled.
    fn close(&self, mut record: Box<Record>, end: End, now: Instant) -> (Settlement, Costs) {
        let (has_left, aside) = (record.left.is_some(), record.aside);
        record.end = if has_left { End::ClientGone } else { end };
        record.duration = record.left.unwrap_or(now).saturating_duration_since(record.opened);
        if record.open_attempts > 0 {
            record.last_attempt = Some(AttemptEnd::Cancelled);
        }
        if record.client_retry > 0 {
            self.worker.client_retries.add(1);
        }
        let key = key(&record);
        self.call_cells(&record.table, key).count(&record);
        if let Some(consumer) = &record.consumer {
            let usage = record.usage_of_asked();
            consumer.count(&self.metrics.consumers, usage.as_ref(), record.least_cost(), record.limited.is_some());
        }
        // Behind its counts: who sees no call in flight sees all that calls have counted.
        if !has_left && !aside {
            self.one_less(now);
        }
        let settlement = (record.settlement(), record.costs());
        self.sampler.offer(&record, now);
        settlement
    }

    pub(super) fn call_cells(&self, table: &NameTable, key: CallKey) -> Arc<CallCells> {
        let make = || self.metrics.call_cells(table, key, &self.worker);
        self.with_found(table, |found| {
            found.map_or_else(make, |found| Arc::clone(found.calls.entry(key).or_insert_with(make)))
        })
    }

    pub(super) fn attempt_cells(&self, table: &NameTable, provider: ProviderIx) -> Arc<AttemptCells> {
        let make = || self.metrics.attempt_cells(table, provider, &self.worker);
        self.with_found(table, |found| {
            found.map_or_else(make, |found| Arc::clone(found.attempts.entry(provider).or_insert_with(make)))
        })
    }

    /// Numbers mean something within one configuration only: a call of an older one finds its cells by name.
    fn with_found<T>(&self, table: &NameTable, get: impl FnOnce(Option<&mut FoundSeries>) -> T) -> T {
        let Ok(mut found) = self.found.try_borrow_mut() else { return get(None) };
        if table.generation() > found.generation {
            *found = FoundSeries { generation: table.generation(), ..FoundSeries::default() };
        }
        if table.generation() == found.generation { get(Some(&mut found)) } else { get(None) }
    }
}

fn key(record: &Record) -> CallKey {
    CallKey {
        route: record.route,
        provider: record.attempt.provider,
        asked: record.asked.known,
        answered: record.attempt.answered_model.known,
        operation: record.operation,
    }
}

/// One call's entry. Fill it along the way; it is counted when it is closed, or, as [`End::ClientGone`], dropped.
///
/// Setters after the close do nothing.
#[derive(Debug)]
pub struct LedgerEntry {
    ledger: Rc<Ledger>,
    /// Taken by whoever closes first: that is what makes it exactly once.
    record: Option<Box<Record>>,
    /// Held until then.
    held: Option<Box<dyn Held>>,
}

impl LedgerEntry {
    /// Closes the entry: it is counted and offered to the access log. Only the first close counts.
    pub fn close(&mut self, end: End) {
        if self.is_open() {
            self.close_at(end, Instant::now());
        }
    }

    /// Closes the entry of a call that ended at `now`.
    pub fn close_at(&mut self, end: End, now: Instant) {
        if let Some(record) = self.record.take() {
            let (settlement, costs) = self.ledger.close(record, end, now);
            if let Some(held) = self.held.take() {
                held.settle(settlement, costs);
            }
        }
    }

    /// True if it is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.record.is_some()
    }

    /// True if an attempt has begun.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.attempts > 0)
    }

    /// The number of attempts so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.attempts)
    }

    /// Its stream broke off, and goes on at another provider.
    pub fn went_on(&mut self) {
        self.note(|record| record.continued = record.continued.saturating_add(1));
    }

    fn note(&mut self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            write(record);
        }
    }

    /// The id the caller and the log know this call by.
    pub fn request_id(&mut self, id: HeaderValue) {
        self.note(|record| record.request_id = Some(id));
    }

    /// The caller's address.
    pub fn client(&mut self, address: IpAddr) {
        self.note(|record| record.client = Some(address));
    }

    /// Notes the consumer that calls.
    pub fn consumer(&mut self, consumer: Arc<ConsumerName>) {
        self.note(|record| record.consumer = Some(consumer));
    }

    /// Notes the dialect that the caller speaks, and if it wants a stream.
    pub fn caller(&mut self, dialect: Dialect, stream: bool) {
        self.note(|record| {
            record.dialect_in = Some(dialect);
            record.stream = stream;
        });
    }

    /// Notes the number of times that the caller's SDK has tried this call before (`x-stainless-retry-count`).
    pub fn client_retry(&mut self, count: u32) {
        self.note(|record| record.client_retry = count);
    }

    /// The request is read whole: `bytes` of body. The gateway's own time is counted from here.
    pub fn received(&mut self, bytes: u64, now: Instant) {
        self.note(|record| {
            record.bytes_in = bytes;
            record.received = Some(now);
        });
    }

    /// The model the caller asked for.
    pub fn asked(&mut self, model: &str) {
        self.note(|record| record.asked = ModelName::of(&record.table, model));
    }

    /// The rule (by its place in the route) that took the call.
    pub fn route(&mut self, route: RouteIx, rule: usize) {
        self.note(|record| {
            record.route = route;
            record.rule = u32::try_from(rule).ok();
        });
    }

    /// Notes the cache's part in the call.
    pub fn cache(&mut self, status: CacheStatus) {
        self.note(|record| record.cache = status);
    }

    /// Holds something until the call is over. Of a call that is over it is let go at once.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        if self.is_open() {
            self.held = Some(held);
        }
    }

    /// The call has waited for its turn. Between attempts that is no time of the gateway's in any case.
    pub fn queued(&mut self, time: Duration) {
        self.note(|record| {
            if record.sent.is_none() {
                record.queued = record.queued.saturating_add(time);
            }
        });
    }

    /// Notes the limit that has no room for the call.
    pub fn limited(&mut self, limit: &Arc<str>) {
        self.note(|record| record.limited = Some(Arc::clone(limit)));
    }

    pub(super) fn ledger(&self) -> &Rc<Ledger> {
        &self.ledger
    }

    /// Notes that an attempt begins; `beside`: while another one goes on. Says under which call its usage is counted.
    pub(super) fn begin_attempt(&mut self, provider: ProviderIx, now: Instant, beside: bool) -> CallKey {
        // The caller of a closed entry is gone, and so is its key.
        let Some(record) = &mut self.record else { return CallKey::of_nobody(provider) };
        record.hedged |= beside;
        if record.attempts > 0 && !beside {
            record.failover |= record.attempt.provider != provider;
            let after = record.last_attempt.unwrap_or(AttemptEnd::Cancelled);
            self.ledger.attempt_cells(&record.table, record.attempt.provider).retried(after);
        }
        record.attempts = record.attempts.saturating_add(1);
        record.open_attempts = record.open_attempts.saturating_add(1);
        record.sent.get_or_insert(now);
        if !record.has_answer {
            let failed = std::mem::replace(&mut record.attempt, AttemptFacts::at(provider));
            if failed.is_counted() {
                record.used_beside(&failed);
                let key = CallKey { provider: failed.provider, answered: failed.answered_model.known, ..key(record) };
                self.ledger.call_cells(&record.table, key).count_usage(&failed);
            }
        }
        key(record)
    }

    /// Takes in what an attempt was. Gives back what is to be counted beside this call: an attempt that is not its answer.
    pub(super) fn attempt_closed(&mut self, facts: AttemptFacts, end: AttemptEnd) -> Option<AttemptFacts> {
        let Some(record) = &mut self.record else { return Some(facts) };
        record.open_attempts = record.open_attempts.saturating_sub(1);
        record.last_attempt = Some(end);
        if record.has_answer {
            record.used_beside(&facts);
            return Some(facts);
        }
        record.has_answer = end == AttemptEnd::Success;
        let other = std::mem::replace(&mut record.attempt, facts);
        record.used_beside(&other);
        Some(other)
    }

    /// The request was sent once more within the attempt.
    pub fn resent(&mut self) {
        if let Some(record) = &mut self.record {
            record.resends = record.resends.saturating_add(1);
            self.ledger.attempt_cells(&record.table, record.attempt.provider).resends.add(1);
        }
    }

    /// The caller has left, as of `now`, and its provider is listened to all the same: the call is in flight no longer, and what
    /// it used is still to be learnt.
    pub fn caller_left(&mut self, now: Instant) {
        if self.ledger.is_cutting() {
            return;
        }
        if let Some(record) = self.record.as_mut().filter(|record| record.left.is_none() && !record.aside) {
            record.left = Some(now);
            self.ledger.one_less(now);
        }
    }

    /// It is a copy of a call: it is counted, and not in flight, for nobody waits for it.
    pub fn aside(&mut self) {
        if let Some(record) = self.record.as_mut().filter(|record| !record.aside && record.left.is_none()) {
            record.aside = true;
            self.ledger.one_less(Instant::now());
        }
    }

    /// The caller's answer begins with this status.
    pub fn answered(&mut self, status: u16, now: Instant) {
        self.note(|record| {
            record.status = Some(status);
            record.answered = Some(now);
        });
    }

    /// The first token went to the caller. Only the first word counts.
    pub fn first_token(&mut self, now: Instant) {
        self.note(|record| {
            let since = now.saturating_duration_since(record.opened);
            record.first_token.get_or_insert(since);
        });
    }

    /// Notes the error. `detail` is our own words, never a body or a credential; it is cut to 256 bytes.
    pub fn error(&mut self, fault: ErrorSource, kind: ErrorKind, detail: Option<Cow<'static, str>>) {
        self.note(|record| {
            record.error = Some((fault, kind));
            record.detail = detail.map(|detail| match detail {
                Cow::Owned(text) if text.len() > MOST_DETAIL => Cow::Owned(clip(&text, MOST_DETAIL).to_owned()),
                detail => detail,
            });
        });
    }

    /// More bytes of body went to the caller.
    pub fn bytes_out(&mut self, more: u64) {
        self.note(|record| record.bytes_out = record.bytes_out.saturating_add(more));
    }
}

impl Drop for LedgerEntry {
    fn drop(&mut self) {
        if self.is_open() && self.ledger.is_cutting() {
            self.error(ErrorSource::Gateway, ErrorKind::Overloaded, Some("the gateway stopped".into()));
            return self.close(End::TimedOut);
        }
        self.close(End::ClientGone);
    }
}

#[cfg(test)]
mod tests;
