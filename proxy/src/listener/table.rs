//! A worker's open connections: who is idle, slow or stuck, and who is told to leave.
//!
//! No connection has a timer. One tick a second reads them all from one coarse clock: a timer per connection would be
//! set and cleared by every call.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use hyper::body::Incoming;

use crate::memory::{Allowance, Charge, Purpose, UNCOUNTED};
use crate::settings::Limits;

use super::pending_answer::PendingAnswer;
use super::request_body::RequestBody;
use super::unwritten::{AwaitsWrite, Unwritten};
use super::wake_filter::WakeFilter;

/// The interval at which connections are looked at: times are kept to this precision.
pub const TICK: Duration = Duration::from_secs(1);
/// A connection that was told to leave and has no call is dropped when nothing has moved on it for so long: its client may
/// be frozen, or gone without a word, and would hold the drain up.
const CLOSING_GRACE: Duration = Duration::from_secs(3);
/// A client whose answer began before anybody wanted to leave believes that its connection stays, and may use it in the
/// moment that the answer ends: closed then, the connection would lose that call. So it waits for so long, and the call's
/// answer says that it is the last.
const COURTESY: Duration = Duration::from_secs(2);

/// The connections of one worker.
#[derive(Debug)]
pub struct ConnectionTable {
    memory: Arc<Allowance>,
    now: Cell<Instant>,
    next: Cell<u64>,
    leaving: Cell<bool>,
    open: RefCell<HashMap<u64, Rc<Connection>>>,
    emptied: RefCell<Option<Waker>>,
}

/// The verdict on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionVerdict {
    /// It ends once its calls have.
    Leave,
    /// Its request head took too long.
    SlowHead,
    /// Its client takes nothing of its answer, or does not go when told to; or its answer lasts too long.
    Stuck,
}

/// One connection, as its task and the tick both see it.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    table: std::rc::Weak<ConnectionTable>,
    waker: RefCell<Option<Waker>>,
    /// Made when HTTP/1 begins.
    wake_filter: OnceCell<WakeFilter>,
    verdict: Cell<Option<ConnectionVerdict>>,
    /// True if it is to leave, and stays for one more call or for a moment.
    courteous: Cell<bool>,
    /// Since when it is told to leave and nothing has moved.
    closing_since: Cell<Option<Instant>>,
    calls: Cell<usize>,
    /// HTTP/1's answer; there is one at a time.
    answer: PendingAnswer,
    /// HTTP/1's answers that the socket has not taken whole.
    unwritten: Unwritten,
    /// HTTP/2's answers, by numbers of their own.
    streams: RefCell<HashMap<u64, Rc<PendingAnswer>>>,
    /// HTTP/2's newest call, whose stream does not know its answer yet.
    newest: RefCell<Option<Rc<PendingAnswer>>>,
    next_stream: Cell<u64>,
    idle_since: Cell<Instant>,
    head_since: Cell<Option<Instant>>,
    /// The bytes of a head that have come, and its part of the memory budget.
    head_bytes: Cell<usize>,
    head: RefCell<Charge>,
    stuck_since: Cell<Option<Instant>>,
    /// True if bytes outside of a call are the beginning of a request's head (not so in HTTP/2).
    heads: Cell<bool>,
    /// True if the client may still be sending what nobody will read.
    linger: Cell<bool>,
    /// True if an answer without a length ends with the connection (HTTP/1.0).
    unframed: Cell<bool>,
}

impl ConnectionTable {
    /// Empty. Heads that are being read are counted in `memory`.
    #[must_use]
    pub fn new(memory: Arc<Allowance>) -> Rc<Self> {
        Rc::new(Self {
            memory,
            now: Cell::new(Instant::now()),
            next: Cell::new(0),
            leaving: Cell::new(false),
            open: RefCell::default(),
            emptied: RefCell::default(),
        })
    }

    /// Enters a connection; it is struck out when its task drops the entry.
    #[must_use]
    pub fn enter(self: &Rc<Self>) -> Entered {
        let id = self.next.replace(self.next.get() + 1);
        let connection = Rc::new(Connection {
            id,
            table: Rc::downgrade(self),
            waker: RefCell::default(),
            wake_filter: OnceCell::new(),
            verdict: Cell::new(self.leaving.get().then_some(ConnectionVerdict::Leave)),
            courteous: Cell::default(),
            closing_since: Cell::new(self.leaving.get().then(|| self.now.get())),
            calls: Cell::new(0),
            answer: PendingAnswer::default(),
            unwritten: Unwritten::default(),
            streams: RefCell::default(),
            newest: RefCell::default(),
            next_stream: Cell::default(),
            idle_since: Cell::new(self.now.get()),
            head_since: Cell::default(),
            head_bytes: Cell::default(),
            head: RefCell::new(self.memory.nothing()),
            stuck_since: Cell::default(),
            heads: Cell::new(true),
            linger: Cell::default(),
            unframed: Cell::default(),
        });
        self.open.borrow_mut().insert(id, Rc::clone(&connection));
        Entered(connection)
    }

    /// The number that are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// True if none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Looks at every connection once.
    pub fn tick(&self, now: Instant, limits: &Limits) {
        self.now.set(now);
        for connection in self.open.borrow().values() {
            if let Some(verdict) = connection.overdue(now, limits) {
                connection.tell(verdict);
            }
        }
    }

    /// Tells every connection, and those still to come, to leave once their calls have ended: at once, or, where the
    /// client could not know, a moment later.
    pub fn leave(&self) {
        self.leaving.set(true);
        self.open.borrow().values().for_each(|connection| connection.leave());
    }

    /// Tells every connection to leave, and so looks once more at what its answers have to say.
    pub fn tell_all_to_leave(&self) {
        for connection in self.open.borrow().values() {
            connection.tell(ConnectionVerdict::Leave);
            // HTTP/2's streams are tasks of their own.
            connection.streams.borrow().values().for_each(|answer| answer.look_again());
        }
    }

    /// Gives every connection up, with the calls on it.
    pub fn let_go(&self) {
        self.open.borrow().values().for_each(|connection| connection.tell(ConnectionVerdict::Stuck));
    }

    /// Waits until none is open.
    pub async fn emptied(&self) {
        std::future::poll_fn(|cx| {
            if self.is_empty() {
                return std::task::Poll::Ready(());
            }
            *self.emptied.borrow_mut() = Some(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }
}

/// Strikes the connection out of its table on drop.
#[derive(Debug)]
pub struct Entered(Rc<Connection>);

impl std::ops::Deref for Entered {
    type Target = Rc<Connection>;
    fn deref(&self) -> &Rc<Connection> {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(table) = self.0.table.upgrade() else { return };
        table.open.borrow_mut().remove(&self.0.id);
        self.0.unwritten.forget();
        if table.is_empty()
            && let Some(waker) = table.emptied.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

impl Connection {
    fn overdue(&self, now: Instant, limits: &Limits) -> Option<ConnectionVerdict> {
        let older = |since: Option<Instant>, limit| since.is_some_and(|since| now.duration_since(since) > limit);
        if older(self.stuck_since.get(), limits.write_timeout) || self.answer.look(now, None) {
            return Some(ConnectionVerdict::Stuck);
        }
        for stream in self.streams.borrow().values() {
            stream.look(now, Some(limits.write_timeout));
        }
        if self.calls.get() > 0 {
            return None;
        }
        if older(self.head_since.get(), limits.header_timeout) {
            return Some(ConnectionVerdict::SlowHead);
        }
        let idle = |limit| self.head_since.get().is_none() && older(Some(self.idle_since.get()), limit);
        if older(self.closing_since.get(), CLOSING_GRACE) && idle(CLOSING_GRACE) && self.stuck_since.get().is_none() {
            return Some(ConnectionVerdict::Stuck);
        }
        let timeout = if self.courteous.get() { COURTESY } else { limits.keep_alive_timeout };
        idle(timeout).then_some(ConnectionVerdict::Leave)
    }

    fn leave(&self) {
        // HTTP/2 tells its clients by a frame of its own.
        if self.calls.get() > 0 && self.heads.get() {
            self.courteous.set(true);
        } else {
            self.tell(ConnectionVerdict::Leave);
        }
    }

    fn tell(&self, verdict: ConnectionVerdict) {
        if verdict == ConnectionVerdict::Leave && self.closing_since.get().is_none() {
            self.closing_since.set(Some(self.now()));
        }
        self.verdict.set(Some(verdict));
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The verdict for the task, if there is a new one. The waker is the task's own, so the first one stays good.
    pub(super) fn verdict(&self, waker: &Waker) -> Option<ConnectionVerdict> {
        let mut known = self.waker.borrow_mut();
        if known.is_none() {
            *known = Some(waker.clone());
        }
        self.verdict.take()
    }

    /// The waker that HTTP/1 is polled with by the task of this waker.
    pub(super) fn filtered(&self, task: &Waker) -> &Waker {
        self.wake_filter.get_or_init(|| WakeFilter::new(task.clone())).waker()
    }

    /// Takes a piece of a request's body; `take` also says whether it was the last one, behind which the connection
    /// need not be woken to read.
    pub fn take_piece<T>(&self, take: impl FnOnce() -> (T, bool)) -> T {
        match self.wake_filter.get() {
            Some(filter) => filter.during(take),
            None => take().0,
        }
    }

    /// Its client speaks HTTP/1.0.
    pub(super) fn unframed(&self) {
        self.unframed.set(true);
    }

    /// True if its client takes the connection's end for the answer's.
    pub(super) fn is_unframed(&self) -> bool {
        self.unframed.get()
    }

    /// Before there is any HTTP to be told: whether the connection is given up. Other verdicts stay for HTTP.
    pub(super) fn is_given_up(&self, waker: &Waker) -> bool {
        *self.waker.borrow_mut() = Some(waker.clone());
        self.verdict.get() == Some(ConnectionVerdict::Stuck)
    }

    /// Bytes outside of calls are not heads here.
    pub(super) fn multiplexed(&self) {
        self.heads.set(false);
    }

    /// Bytes came in. A head for which there is no memory costs the connection: there is no call yet to be answered.
    pub(super) fn read(&self, bytes: usize) {
        self.is_alive();
        if self.calls.get() > 0 || !self.heads.get() {
            return;
        }
        if self.head_since.get().is_none() {
            self.head_since.set(Some(self.now()));
        }
        let read = self.head_bytes.get().saturating_add(bytes);
        self.head_bytes.set(read);
        if read > UNCOUNTED && self.head.borrow_mut().set(read, Purpose::Call).is_err() {
            self.tell(ConnectionVerdict::Stuck);
        }
    }

    /// The client took bytes, or has not the room for any.
    pub(super) fn wrote(&self, took: bool) {
        if took {
            self.is_alive();
        }
        match (took, self.stuck_since.get()) {
            (true, Some(_)) => self.stuck_since.set(None),
            (false, None) => self.stuck_since.set(Some(self.now())),
            _ => {}
        }
    }

    /// All that HTTP/1 had has been written to the socket.
    pub(super) fn flushed(&self) {
        self.unwritten.written();
    }

    /// The end of an answer may be on its way still when its call is over: who takes it slowly is not frozen.
    fn is_alive(&self) {
        if self.closing_since.get().is_some() {
            self.closing_since.set(Some(self.now()));
        }
    }

    /// The answer goes out before the request was read: what the client still sends has to be taken, or the reset
    /// that closing with unread bytes causes would overtake the answer.
    pub fn linger(&self) {
        self.linger.set(true);
    }

    pub(super) fn lingers(&self) -> bool {
        self.linger.get()
    }

    /// A call begins; it ends when the guard is dropped.
    pub fn call(self: &Rc<Self>) -> Busy {
        self.calls.set(self.calls.get() + 1);
        self.head_since.set(None);
        if self.head_bytes.take() > UNCOUNTED {
            let _ = self.head.borrow_mut().set(0, Purpose::Call);
        }
        let stream = if self.heads.get() {
            self.answer.reset();
            None
        } else {
            let stream = Rc::new(PendingAnswer::default());
            *self.newest.borrow_mut() = Some(Rc::clone(&stream));
            Some(stream)
        };
        Busy { connection: Rc::clone(self), stream }
    }

    /// Follows the answer of the call that began last, for its stream.
    pub(super) fn track_newest(self: &Rc<Self>) -> Option<Tracked> {
        let answer = self.newest.borrow_mut().take()?;
        let number = self.next_stream.replace(self.next_stream.get() + 1);
        self.streams.borrow_mut().insert(number, Rc::clone(&answer));
        Some(Tracked { connection: Rc::clone(self), number, answer })
    }

    fn now(&self) -> Instant {
        self.table.upgrade().map_or_else(Instant::now, |table| table.now.get())
    }
}

/// The answer of one HTTP/2 stream, followed while the stream's task lives.
#[derive(Debug)]
pub(super) struct Tracked {
    connection: Rc<Connection>,
    number: u64,
    answer: Rc<PendingAnswer>,
}

impl Tracked {
    /// True if the stream is to end; if not, the task of this waker is told when it is.
    pub(super) fn is_given_up(&self, task: &Waker) -> bool {
        self.answer.is_given_up(task)
    }

    /// The part of the stream's request that nobody has read.
    pub(super) fn take_unread(&self) -> Option<Incoming> {
        self.answer.take_unread()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.connection.streams.borrow_mut().remove(&self.number);
    }
}

/// A call in flight on a connection.
#[derive(Debug)]
pub struct Busy {
    connection: Rc<Connection>,
    /// HTTP/2's; HTTP/1's is the connection's.
    stream: Option<Rc<PendingAnswer>>,
}

impl Busy {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn answer(&self) -> &PendingAnswer {
        self.stream.as_deref().unwrap_or(&self.connection.answer)
    }

    /// HTTP/1 has been given the whole answer, which ends the call. `answer` is told when it has been written.
    pub fn await_write(self, answer: Rc<dyn AwaitsWrite>) {
        self.connection.unwritten.wait(answer);
    }

    /// The body of the call's request.
    #[must_use]
    pub fn body(&self, incoming: Incoming) -> RequestBody {
        RequestBody::new(incoming, self.stream.clone())
    }

    /// There is something for the client to take.
    pub fn offer(&self) {
        self.answer().offer(self.connection.now());
    }

    /// The client has taken what there was: it waits for us.
    pub fn taken(&self) {
        self.answer().taken();
    }

    /// Notes when the call's whole time is over: its answer is given up then, whether anybody polls it or not.
    pub fn last_until(&self, until: Instant) {
        self.answer().last_until(until);
    }

    /// True if that has happened.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.answer().is_too_long()
    }

    /// The client gets nothing but the head: nobody will ask for the answer's body.
    pub fn without_body(&self) {
        self.answer().without_body();
    }

    /// True if that is so.
    #[must_use]
    pub fn is_bodiless(&self) -> bool {
        self.answer().is_bodiless()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.calls.set(connection.calls.get().saturating_sub(1));
        connection.idle_since.set(connection.now());
        if self.stream.is_none() {
            connection.answer.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::memory::MemoryBudget;

    fn limits() -> Limits {
        crate::settings::Settings::parse_from(["sluicegate-proxy", "--manifests", "x"]).limits
    }

    fn table() -> Rc<ConnectionTable> {
        ConnectionTable::new(MemoryBudget::new(1 << 20, 1).allowance())
    }

    #[test]
    fn a_head_without_memory_costs_the_connection_and_a_call_gives_it_back() {
        let budget = MemoryBudget::new(64 << 10, 1);
        let table = ConnectionTable::new(budget.allowance());
        let (first, second) = (table.enter(), table.enter());
        first.read(50 << 10);
        assert_eq!((first.verdict(Waker::noop()), budget.used()), (None, 50 << 10));
        second.read(4 << 10);
        assert_eq!(second.verdict(Waker::noop()), None);
        second.read(30 << 10);
        assert_eq!(second.verdict(Waker::noop()), Some(ConnectionVerdict::Stuck));
        let _call = first.call();
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_idle_connection_leaves_and_a_busy_one_stays() {
        let (table, limits) = (table(), limits());
        let connection = table.enter();
        let busy = connection.call();
        let later = Instant::now() + limits.keep_alive_timeout * 2;
        table.tick(later, &limits);
        assert_eq!(connection.verdict(Waker::noop()), None);
        drop(busy);
        table.tick(later + limits.keep_alive_timeout + TICK, &limits);
        assert_eq!(connection.verdict(Waker::noop()), Some(ConnectionVerdict::Leave));
    }

    #[test]
    fn a_head_that_never_ends_is_told_from_idleness() {
        let (table, limits) = (table(), limits());
        let connection = table.enter();
        connection.read(10);
        table.tick(Instant::now() + limits.header_timeout + TICK, &limits);
        assert_eq!(connection.verdict(Waker::noop()), Some(ConnectionVerdict::SlowHead));
    }

    #[test]
    fn a_client_that_takes_nothing_is_stuck_even_in_a_call() {
        let (table, limits) = (table(), limits());
        let connection = table.enter();
        let _busy = connection.call();
        connection.wrote(false);
        connection.wrote(true);
        table.tick(Instant::now() + limits.write_timeout * 2, &limits);
        assert_eq!(connection.verdict(Waker::noop()), None);
        connection.wrote(false);
        table.tick(Instant::now() + limits.write_timeout * 4, &limits);
        assert_eq!(connection.verdict(Waker::noop()), Some(ConnectionVerdict::Stuck));
    }

    #[test]
    fn a_client_that_does_not_go_when_told_to_is_dropped() {
        let (table, limits) = (table(), limits());
        let (idle, busy) = (table.enter(), table.enter());
        let call = busy.call();
        table.leave();
        let later = Instant::now() + CLOSING_GRACE + TICK;
        table.tick(later, &limits);
        assert_eq!(idle.verdict(Waker::noop()), Some(ConnectionVerdict::Stuck));
        assert_eq!(busy.verdict(Waker::noop()), None);
        drop(call);
        table.tick(later + COURTESY, &limits);
        assert_eq!(busy.verdict(Waker::noop()), None, "its client may call once more");
        let later = later + COURTESY + TICK;
        table.tick(later, &limits);
        assert_eq!(busy.verdict(Waker::noop()), Some(ConnectionVerdict::Leave));
        table.tick(later + CLOSING_GRACE, &limits);
        assert_eq!(busy.verdict(Waker::noop()), Some(ConnectionVerdict::Leave), "its answer may still be on its way");
        table.tick(later + CLOSING_GRACE + TICK, &limits);
        assert_eq!(busy.verdict(Waker::noop()), Some(ConnectionVerdict::Stuck));
    }

    #[test]
    fn the_table_forgets_what_is_dropped() {
        let table = table();
        let connection = table.enter();
        assert_eq!(table.len(), 1);
        drop(connection);
        assert!(table.is_empty());
    }
}
