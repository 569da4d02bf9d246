//! One HTTP/2 connection: many calls of one worker at once, driven by one local task.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;

use super::error::{Failed, Fate, SendError, SendErrorKind, SendPhase, http2_of};
use super::h2_signs::{BegunBody, HeardIo};
use super::io::Io;

/// The length that one stream may be ahead of its reader, in bytes: the bound of its memory.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The length that all streams of a connection may be ahead, in bytes.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// A ping after so much silence, while calls are open.
const PING: Duration = Duration::from_secs(20);
/// The connection is dead when the ping is not answered within this.
const PONG: Duration = Duration::from_secs(10);

/// A connection of which nothing is heard for so long, while a call is given up on it, takes no further one.
const SUSPECT: Duration = Duration::from_secs(1);

/// A connection that calls share.
pub(super) struct SharedConn {
    sender: SendRequest<BegunBody>,
    state: Rc<ConnectionState>,
    streams: Cell<usize>,
    used: Cell<Instant>,
    /// The address at its other end.
    peer: Option<IpAddr>,
    /// True if a call has told of the connection's end, or of the provider's goodbye: no further one begins on it.
    closing: Cell<bool>,
    /// True if a call has failed by its end.
    failed: Cell<bool>,
}

/// The state that the task which drives a connection tells.
#[derive(Default)]
struct ConnectionState {
    /// Streams the provider takes at once; 0 until it has said so. It may change its mind.
    limit: Cell<usize>,
    /// The connection is over, and why if that was an error.
    ended: RefCell<Option<Option<SendError>>>,
    changed: Notify,
    driver: AtomicWaker,
    /// Counts the reads that brought something.
    heard: Rc<Cell<u64>>,
}

/// Spawns what hyper needs for a connection, on this thread.
#[derive(Clone)]
struct ConnectionExecutor(Rc<ConnectionState>);

impl<F> hyper::rt::Executor<F> for ConnectionExecutor
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        let state = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            let mut task = pin!(task);
            poll_fn(|cx| {
                let polled = task.as_mut().poll(cx);
                // The settings are read here, and hyper tells nobody.
                if state.limit.get() == 0 {
                    state.driver.wake();
                }
                polled.map(drop)
            })
            .await;
        });
    }
}

impl ConnectionState {
    /// True if the limit was not known before.
    fn learn(&self, limit: usize) -> bool {
        limit > 0 && self.limit.replace(limit) == 0
    }
}

impl SharedConn {
    /// Agrees on HTTP/2 and waits for the provider's settings, which say how many streams it takes. `held` is dropped
    /// when the connection has ended.
    ///
    /// # Errors
    /// When the provider does not speak it.
    pub(super) async fn new(io: Io, held: impl Sized + 'static) -> Result<Self, SendError> {
        let state = Rc::new(ConnectionState::default());
        let made = Builder::new(ConnectionExecutor(Rc::clone(&state)))
            .timer(TokioTimer::new())
            .initial_max_send_streams(0)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .handshake(TokioIo::new(HeardIo::new(io, &state.heard)))
            .await;
        let (sender, driver) =
            made.map_err(|error| SendError { phase: SendPhase::Http2, ..SendError::exchange(&error, false) })?;
        let told = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            let mut driver = driver;
            let ended = poll_fn(|cx| {
                told.driver.register(cx.waker());
                let polled = Pin::new(&mut driver).poll(cx);
                if polled.is_pending() && told.learn(driver.current_max_send_streams()) {
                    told.changed.notify_one();
                }
                polled
            });
            // Streams that are open are told of an error by hyper; this is for who waits for the settings.
            let ended = ended.await.err().map(|error| SendError::exchange(&error, false));
            drop(driver);
            *told.ended.borrow_mut() = Some(ended);
            told.changed.notify_one();
            drop(held);
        });
        while state.limit.get() == 0 {
            if let Some(ended) = &*state.ended.borrow() {
                let why = ended
                    .clone()
                    .unwrap_or_else(|| SendError::new(SendPhase::Http2, SendErrorKind::Reset, "closed at once"));
                return Err(SendError { phase: SendPhase::Http2, ..why });
            }
            state.changed.notified().await;
        }
        let (streams, used) = (Cell::new(0), Cell::new(Instant::now()));
        Ok(Self { sender, state, streams, used, peer: None, closing: Cell::new(false), failed: Cell::new(false) })
    }

    /// Says what is at its other end.
    pub(super) fn to(self, peer: Option<IpAddr>) -> Self {
        Self { peer, ..self }
    }

    /// The address at its other end.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// True if calls can still begin on it: not closed, no goodbye.
    pub(super) fn open(&self) -> bool {
        self.state.ended.borrow().is_none() && !self.sender.is_closed() && !self.closing.get()
    }

    /// True if it takes one more call now.
    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.state.limit.get()
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// The time when it last carried a call.
    pub(super) fn used(&self) -> Instant {
        self.used.get()
    }

    pub(super) fn begin(&self) {
        self.streams.set(self.streams.get() + 1);
    }

    pub(super) fn end(&self) {
        self.streams.set(self.streams.get().saturating_sub(1));
        self.used.set(Instant::now());
    }

    /// Sends one request and waits for the head of its answer. `limit` is for its stream: a provider may take none, whatever it said.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Failed> {
        let mut sender = self.sender.clone();
        let (head, body) = request.into_parts();
        let (body, begun) = BegunBody::new(body);
        let mut silence = Silence::new(self);
        let answered = tokio::select! {
            biased;
            answered = sender.try_send_request(Request::from_parts(head, body)) => answered,
            () = never_begun(&begun, limit) => {
                self.closing.set(true);
                let why = format!("the provider took no stream within {limit:?}");
                let error = SendError::new(SendPhase::Connect, SendErrorKind::TimedOut, why);
                return Err(Failed { error, fate: Fate::Unprocessed });
            }
        };
        silence.end();
        match answered {
            Ok(response) => Ok(response),
            Err(mut failed) => {
                // One that waited for its stream has not left, whatever became of it.
                let sent = failed.take_message().is_none() && begun.get();
                let (fate, of_all) = fate(failed.error(), sent);
                self.closing.set(self.closing.get() || of_all);
                let echo = of_all && fate == Fate::Unknown && self.failed.replace(true);
                Err(Failed { error: SendError { echo, ..SendError::exchange(failed.error(), sent) }, fate })
            }
        }
    }
}

/// Comes to an end when a request has not left by then.
async fn never_begun(begun: &Cell<bool>, limit: Duration) {
    tokio::time::sleep(limit).await;
    if begun.get() {
        std::future::pending::<()>().await;
    }
}

/// The wait for an answer. Where it is given up after nothing at all was heard of the provider, its connection may be dead, which a ping
/// tells much later only: no further call begins on it.
struct Silence<'a> {
    conn: &'a SharedConn,
    heard: u64,
    since: Instant,
    is_broken: bool,
}

impl<'a> Silence<'a> {
    fn new(conn: &'a SharedConn) -> Self {
        Self { conn, heard: conn.state.heard.get(), since: Instant::now(), is_broken: false }
    }

    fn end(&mut self) {
        self.is_broken = true;
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let is_silent = !self.is_broken && self.conn.state.heard.get() == self.heard;
        if is_silent && self.since.elapsed() >= SUSPECT {
            self.conn.closing.set(true);
        }
    }
}

/// The fate of a request that failed so, and true if it is the connection that ended, for all its calls. That it ended
/// says nothing about them: only a goodbye tells which ones the provider has not begun.
fn fate(error: &hyper::Error, sent: bool) -> (Fate, bool) {
    if !sent {
        return (Fate::Unprocessed, true);
    }
    let Some(cause) = http2_of(error) else {
        return (Fate::Unknown, true);
    };
    if cause.is_remote() && cause.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED) {
        return (Fate::WantsHttp1, !cause.is_reset());
    }
    let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
    // Of a goodbye that we received, hyper tells only those streams that are beyond its last one.
    let unprocessed = cause.is_remote() && (refused || cause.is_go_away());
    (if unprocessed { Fate::Unprocessed } else { Fate::Unknown }, !cause.is_reset())
}
