//! The context that goes with a call from its head to the last byte of its answer: who calls, under which configuration, and the
//! one entry in the ledger.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::account::{AttemptEntry, End, LedgerEntry, Operation, ProviderIx};
use crate::concurrency::CallPlace;
use crate::consumer::KnownConsumer;
use crate::limit::{BudgetTold, PreparedBudget, Told};
use crate::listener::{AwaitsWrite, Busy};
use crate::state::Ready;
use crate::worker::own::Worker;

use super::caller::Caller;

/// Goes with a call. When the last one who holds it lets go, the entry closes if nobody closed it: the client left.
pub(super) struct CallContext {
    /// The worker that serves the call.
    pub(super) worker: Rc<Worker>,
    /// The configuration the call began under, and ends under.
    pub(super) ready: Arc<Ready>,
    /// The caller.
    pub(super) caller: Caller,
    /// The time when the call's head had been read.
    pub(super) arrived: Instant,
    /// The consumer that calls, where it is known.
    consumer: OnceCell<Arc<KnownConsumer>>,
    /// The name of the key that it is known by; `None`: a token.
    key: OnceCell<Option<Arc<str>>>,
    /// The connection it came on, counted as busy; `None`: the caller has left, or there never was one.
    client: RefCell<Option<Busy>>,
    entry: RefCell<LedgerEntry>,
    /// The end of a call whose answer's last bytes wait to be written, and its time.
    unwritten: Cell<Option<(End, Instant)>>,
    /// Set while a stream may be answered with comments.
    comments: Cell<Option<Duration>>,
    /// `x-cache`, where the rule caches.
    cache: Cell<Option<&'static str>>,
    /// `x-sluicegate-max-tokens`, where the caller asked for more.
    clamped: Cell<Option<u64>>,
    /// The state of its limits and of its budgets, where it has any.
    limits: OnceCell<Vec<Told>>,
    budgets: OnceCell<Vec<BudgetTold>>,
    /// Its places among the calls that are worked on at once, until nobody works on it any longer.
    places: RefCell<Vec<CallPlace>>,
    /// True if it goes to its rule's fallbacks alone: a budget has no room for the others.
    lands_softly: Cell<bool>,
    /// True if thoughts that a vendor has encrypted are left out.
    forgets_thoughts: Cell<bool>,
    /// True if its caller has been kept waiting for a stream's first token, with comments.
    kept_waiting: Cell<bool>,
}

impl CallContext {
    pub(super) fn open(worker: Rc<Worker>, caller: Caller, operation: Operation, client: Option<Busy>) -> Rc<Self> {
        let arrived = Instant::now();
        let ready = worker.ready();
        let mut entry = worker.ledger.open(&ready.names, operation, arrived);
        entry.request_id(caller.request_id.clone());
        entry.client(caller.address);
        let entry = RefCell::new(entry);
        Rc::new(Self {
            worker,
            ready,
            caller,
            arrived,
            consumer: OnceCell::new(),
            key: OnceCell::new(),
            client: RefCell::new(client),
            entry,
            unwritten: Cell::default(),
            comments: Cell::default(),
            cache: Cell::default(),
            clamped: Cell::default(),
            limits: OnceCell::new(),
            places: RefCell::default(),
            budgets: OnceCell::new(),
            lands_softly: Cell::default(),
            forgets_thoughts: Cell::default(),
            kept_waiting: Cell::default(),
        })
    }

    /// Notes the consumer that calls; only the first word counts.
    pub(super) fn know(&self, consumer: Arc<KnownConsumer>, key: Option<Arc<str>>) {
        if self.consumer.set(consumer).is_ok() {
            drop(self.key.set(key));
        }
    }

    /// It is called by whoever calls there.
    pub(super) fn know_as(&self, other: &Self) {
        if let Some(consumer) = other.consumer.get() {
            self.note(|entry| entry.consumer(Arc::clone(&consumer.name)));
            self.know(Arc::clone(consumer), other.key.get().cloned().flatten());
        }
    }

    /// The consumer that calls, where it is known.
    pub(super) fn consumer(&self) -> Option<&KnownConsumer> {
        self.consumer.get().map(|consumer| &**consumer)
    }

    /// The budgets of the consumer that calls, and of the groups that it is a member of.
    pub(super) fn budgets_of_caller(&self) -> impl Iterator<Item = &PreparedBudget> {
        let consumer = self.consumer();
        let key = self.key.get().and_then(Option::as_deref);
        let groups = consumer.into_iter().flat_map(|own| self.ready.consumers().groups_of(own));
        let all = consumer.into_iter().chain(groups.map(|group| &**group)).flat_map(|one| &one.budgets);
        all.filter(move |budget| budget.counts_calls_by(key))
    }

    /// The bytes that the caller of a silent stream hears.
    pub(super) fn keep_alive(&self) -> Bytes {
        Bytes::from_static(self.caller.dialect.habits().keep_alive)
    }

    /// The content type of a stream to the caller.
    pub(super) fn stream_type(&self) -> &'static str {
        if self.caller.array { "application/json" } else { self.caller.dialect.habits().stream_type }
    }

    /// Writes into the ledger's entry.
    pub(super) fn note(&self, write: impl FnOnce(&mut LedgerEntry)) {
        // Never held over a call of ours: there is nobody to be in the way.
        match self.entry.try_borrow_mut() {
            Ok(mut entry) => write(&mut entry),
            Err(_) => self.worker.ledger.note_lost(),
        }
    }

    /// An attempt's entry in the ledger; `beside`: while another one goes on.
    pub(super) fn attempt(&self, provider: ProviderIx, now: Instant, beside: bool) -> AttemptEntry {
        let (mut entry, names) = (self.entry.borrow_mut(), &self.ready.names);
        if beside { entry.hedge(names, provider, now) } else { entry.attempt(names, provider, now) }
    }

    /// True if a provider has been asked.
    pub(super) fn was_asked(&self) -> bool {
        self.entry.try_borrow().is_ok_and(|entry| entry.was_asked())
    }

    /// The number of attempts so far.
    pub(super) fn attempts(&self) -> u32 {
        self.entry.try_borrow().map_or(0, |entry| entry.attempts())
    }

    /// Tells its connection, if there is one.
    pub(super) fn tell_client(&self, tell: impl FnOnce(&Busy)) {
        if let Some(client) = &*self.client.borrow() {
            tell(client);
        }
    }

    /// True if there is a connection of which this is so.
    pub(super) fn client_is(&self, so: impl FnOnce(&Busy) -> bool) -> bool {
        self.client.borrow().as_ref().is_some_and(so)
    }

    /// The caller has left, and the call goes on without it.
    pub(super) fn leave(&self) {
        drop(self.client.take());
        self.note(|entry| entry.caller_left(Instant::now()));
    }

    /// Closes the ledger's entry; only the first word counts.
    pub(super) fn close(&self, end: End) {
        self.note(|entry| entry.close(end));
    }

    /// HTTP/1 has been given the last piece: the entry closes with this end when that has been written. One whose caller
    /// leaves before it is dropped with the connection.
    pub(super) fn close_when_written(self: &Rc<Self>, end: End, at: Instant) {
        if self.unwritten.get().is_some() {
            return;
        }
        match self.client.take() {
            Some(client) => {
                self.unwritten.set(Some((end, at)));
                client.await_write(Rc::clone(self) as Rc<dyn AwaitsWrite>);
            }
            None => self.note(|entry| entry.close_at(end, at)),
        }
    }

    /// From now on a stream's client may be answered with comments while its model is silent.
    pub(super) fn allow_comments(&self, every: Duration) {
        self.comments.set(Some(every));
    }

    /// Notes the word that the cache had to say.
    pub(super) fn cache_said(&self, word: &'static str) {
        self.cache.set(Some(word));
    }

    /// The most tokens that the provider was asked for, where the caller asked for more.
    pub(super) fn clamp(&self, most: Option<u64>) {
        self.clamped.set(most);
    }

    /// Notes how its limits stand.
    pub(super) fn limits_told(&self, limits: Vec<Told>) {
        drop(self.limits.set(limits));
    }

    /// Notes how its budgets stand.
    pub(super) fn budgets_told(&self, budgets: Vec<BudgetTold>) {
        drop(self.budgets.set(budgets));
    }

    /// The state of its limits.
    pub(super) fn limits(&self) -> &[Told] {
        self.limits.get().map_or(&[], Vec::as_slice)
    }

    /// The state of its budgets.
    pub(super) fn budgets(&self) -> &[BudgetTold] {
        self.budgets.get().map_or(&[], Vec::as_slice)
    }

    /// Thoughts that another account has encrypted were refused: nobody is told them any more.
    pub(super) fn forget_thoughts(&self) {
        self.forgets_thoughts.set(true);
    }

    /// True if nobody is told thoughts that a vendor has encrypted.
    pub(super) fn forgets_thoughts(&self) -> bool {
        self.forgets_thoughts.get()
    }

    /// Its caller is kept waiting for a stream's first token: the bytes that tell it so.
    pub(super) fn keep_waiting(&self) -> Bytes {
        self.kept_waiting.set(true);
        self.keep_alive()
    }

    /// True if its caller, kept waiting, may give up unless it hears of an answer that has begun.
    pub(super) fn wants_events(&self) -> bool {
        self.kept_waiting.get() && self.caller.dialect.habits().needs_events
    }

    /// It goes to its rule's fallbacks alone: a budget has no room for the others.
    pub(super) fn land_softly(&self) {
        self.lands_softly.set(true);
    }

    /// True if it goes to its rule's fallbacks alone.
    pub(super) fn lands_softly(&self) -> bool {
        self.lands_softly.get()
    }

    /// It has a place, and keeps it to its end.
    pub(super) fn has_place(&self, place: CallPlace) {
        self.places.borrow_mut().push(place);
    }

    /// True if it has its places.
    pub(super) fn has_places(&self) -> bool {
        !self.places.borrow().is_empty()
    }

    /// The value of `x-sluicegate-max-tokens`.
    pub(super) fn clamped(&self) -> Option<u64> {
        self.clamped.get()
    }

    /// The value of `x-cache`.
    pub(super) fn cache_word(&self) -> Option<&'static str> {
        self.cache.get()
    }

    /// The interval at which the client is to hear a comment while its model is silent; `None`: not (yet) a stream.
    pub(super) fn comments(&self) -> Option<Duration> {
        self.comments.get()
    }
}

impl AwaitsWrite for CallContext {
    fn written(&self) {
        if let Some((end, at)) = self.unwritten.take() {
            self.note(|entry| entry.close_at(end, at));
        }
    }
}
