//! One HTTP/1.1 connection: hyper's two halves in one value, polled by the call that has it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::error::{BodyError, Kind, Phase, SendError};
use super::io::{Io, Marks};
use super::turn::Turn;

/// A read takes at most this much and an answer's head may be this large. hyper starts at 8 KiB per connection
/// and grows only for a provider that fills it.
const BUFFER: usize = 64 * 1024;

/// A piece of an answer's body, or why there is none.
pub(super) type Framed = Result<Frame<Bytes>, BodyError>;

/// A connection that is either idle in a pool or owned by one call.
pub(super) struct Conn {
    sender: SendRequest<Full<Bytes>>,
    driver: Connection<TokioIo<Io>, Full<Bytes>>,
    marks: Rc<Marks>,
    turn: Turn,
    /// hyper has finished with it: it must not be polled again.
    over: bool,
}

/// An exchange that gave no head.
pub(super) struct Failed {
    pub(super) error: SendError,
    /// No byte of an answer had come: on a reused connection the provider had just closed it.
    pub(super) unanswered: bool,
}

impl Conn {
    /// # Errors
    /// When hyper will not begin.
    pub(super) async fn new(io: Io, marks: Rc<Marks>) -> Result<Box<Self>, SendError> {
        let made = Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(io)).await;
        let (sender, driver) = made.map_err(|error| SendError::exchange(&error, false))?;
        Ok(Box::new(Self { sender, driver, marks, turn: Turn::new(), over: false }))
    }

    /// Whether another request can be sent, as far as is known on this side.
    fn ready(&self) -> bool {
        !self.over && self.sender.is_ready()
    }

    /// Whether the provider has left the connection open while it was idle. When nothing has woken it, nothing has
    /// come, an end neither.
    pub(super) fn alive(&mut self) -> bool {
        if !self.over && self.turn.is_stirred() {
            let Self { driver, turn, over, .. } = self;
            let polled = turn.run(&Context::from_waker(Waker::noop()), |wakers| {
                turn.calm();
                Pin::new(&mut *driver).poll(&mut wakers.driver)
            });
            *over = polled.is_ready();
        }
        self.ready()
    }

    /// Sends one request and waits for the head of its answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        self.marks.clear();
        // Giving hyper the request wakes its connection, which is polled next anyway: outside of a turn that would
        // wake the task once more for nothing, and it may even be the task of this connection's last call.
        self.turn.rearm();
        let mut reply = pin!(self.sender.send_request(request));
        let (driver, turn, over) = (&mut self.driver, &self.turn, &mut self.over);
        let answered = std::future::poll_fn(|cx| {
            turn.run(cx, |wakers| {
                if !*over {
                    turn.calm();
                    *over = Pin::new(&mut *driver).poll(&mut wakers.driver).is_ready();
                    // What the driver woke is `reply`, which is polled next.
                }
                let polled = reply.as_mut().poll(&mut wakers.reader);
                if polled.is_pending() && *over {
                    return Poll::Ready(None);
                }
                polled.map(Some)
            })
        })
        .await;
        match answered {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(self.failed(SendError::exchange(&error, self.marks.sent.get()))),
            None => Err(self.failed(SendError::new(Phase::Head, Kind::Reset, "the connection ended"))),
        }
    }

    fn failed(&self, error: SendError) -> Failed {
        Failed { error: SendError { sent: self.marks.sent.get(), ..error }, unanswered: !self.marks.received.get() }
    }

    /// The next frame of the answer's body, letting hyper read when none is waiting.
    pub(super) fn poll_frame(&mut self, body: &mut Incoming, cx: &Context<'_>) -> Poll<Option<Framed>> {
        let Self { driver, turn, over, .. } = self;
        // hyper's server asks once more after each piece it was given: most of the time nothing has happened since.
        if turn.asleep(cx) {
            return Poll::Pending;
        }
        turn.run(cx, |wakers| {
            let waiting = take(body, turn, &mut wakers.reader);
            if waiting.is_ready() {
                return waiting;
            }
            if *over {
                return Poll::Ready(Some(Err(BodyError::Cut("the connection ended".to_owned()))));
            }
            // Asking the body has woken the driver, which is polled now anyway.
            turn.rearm();
            turn.calm();
            *over = Pin::new(&mut *driver).poll(&mut wakers.driver).is_ready();
            take(body, turn, &mut wakers.reader)
        })
    }

    /// After the last frame: lets hyper see that the exchange is over. Whether the connection can be kept.
    pub(super) fn settle(&mut self, body: &mut Incoming) -> bool {
        let cx = Context::from_waker(Waker::noop());
        match self.poll_frame(body, &cx) {
            Poll::Ready(None) => self.ready() || self.alive(),
            Poll::Ready(Some(_)) | Poll::Pending => false,
        }
    }
}

/// The next frame that is here. Taking one wakes the driver, so that it reads the next; behind the last there is none.
fn take(body: &mut Incoming, turn: &Turn, cx: &mut Context<'_>) -> Poll<Option<Framed>> {
    let was_stirred = turn.is_stirred();
    let frame = Pin::new(&mut *body).poll_frame(cx);
    if !was_stirred && body.is_end_stream() {
        turn.calm();
    }
    frame.map(|frame| frame.map(|read| read.map_err(|error| BodyError::of(&error))))
}
