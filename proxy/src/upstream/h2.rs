//! One HTTP/2 connection: many calls of one worker at once, driven by one local task.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::error::SendError;
use super::io::Io;

/// What one stream may be ahead of its reader, in bytes: the bound of its memory.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What all streams of a connection may be ahead, in bytes.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// A ping after so much silence, while calls are open.
const PING: Duration = Duration::from_secs(20);
/// The connection is dead when the ping is not answered within this.
const PONG: Duration = Duration::from_secs(10);

/// A connection that calls share.
pub(super) struct Shared {
    sender: SendRequest<Full<Bytes>>,
    /// Streams the provider takes at once; it may change its mind.
    limit: Rc<Cell<usize>>,
    streams: Cell<usize>,
    used: Cell<Instant>,
    over: Rc<Cell<bool>>,
}

/// An exchange that gave no head.
pub(super) struct Failed {
    pub(super) error: SendError,
    /// The request can be sent again: it never left, or the connection is gone.
    pub(super) again: bool,
}

#[derive(Clone)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            let _ = task.await;
        });
    }
}

impl Shared {
    /// Agrees on HTTP/2; `ended` runs when the connection has.
    ///
    /// # Errors
    /// When the provider does not speak it.
    pub(super) async fn new(io: Io, ended: impl FnOnce() + 'static) -> Result<Self, SendError> {
        let made = Builder::new(Local)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .handshake(TokioIo::new(io))
            .await;
        let (sender, driver) = made.map_err(|error| SendError::exchange(&error, false))?;
        let limit = Rc::new(Cell::new(driver.current_max_send_streams()));
        let over = Rc::new(Cell::new(false));
        let (seen, end) = (Rc::clone(&limit), Rc::clone(&over));
        tokio::task::spawn_local(async move {
            let mut driver = driver;
            std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut driver).poll(cx);
                if polled.is_pending() {
                    seen.set(driver.current_max_send_streams());
                }
                // Every stream of it is told of an error by hyper.
                polled.map(drop)
            })
            .await;
            drop(driver);
            end.set(true);
            ended();
        });
        Ok(Self { sender, limit, streams: Cell::new(0), used: Cell::new(Instant::now()), over })
    }

    /// Whether calls can still begin on it: not closed, no GOAWAY.
    pub(super) fn open(&self) -> bool {
        !self.over.get() && !self.sender.is_closed()
    }

    /// Whether it takes one more call now.
    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.limit.get()
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// When it last carried a call.
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

    /// Sends one request and waits for the head of its answer.
    pub(super) async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        let mut sender = self.sender.clone();
        match sender.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut failed) => {
                let sent = failed.take_message().is_none();
                let error = SendError::exchange(failed.error(), sent);
                Err(Failed { error, again: !sent || !self.open() })
            }
        }
    }
}
