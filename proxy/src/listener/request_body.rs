//! A request's body, and what becomes of the part of it that nobody reads.
//!
//! Over HTTP/1 such a part is read by the connection before it closes. Over HTTP/2 a stream whose answer is out and whose
//! request is not read is reset, and clients that are still sending lose the answer over it. So a body that is dropped
//! before its end is left to its stream, which reads on for a while when the answer is out.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use tokio::time::{Instant, Sleep, sleep_until};

use super::pending_answer::PendingAnswer;

/// After an answer that came before its request was read, this much more is read, and this long, before its connection (or
/// HTTP/2 stream) is closed.
pub(super) const LINGER_BYTES: u64 = 64 << 20;
pub(super) const LINGER_TIME: Duration = Duration::from_secs(2);

/// A request's body, as it comes.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` once it is left to its stream.
    incoming: Option<Incoming>,
    /// HTTP/2's: whose stream reads on.
    stream: Option<Rc<PendingAnswer>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, stream: Option<Rc<PendingAnswer>>) -> Self {
        Self { incoming: Some(incoming), stream }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(stream), Some(incoming)) = (&self.stream, self.incoming.take())
            && !incoming.is_end_stream()
        {
            stream.leave_unread(incoming);
        }
    }
}

/// A body that is read so that its client can send it, and for nothing else.
#[derive(Debug)]
pub(super) struct Unread {
    incoming: Incoming,
    left: u64,
    until: Pin<Box<Sleep>>,
}

impl Unread {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { incoming, left: LINGER_BYTES, until: Box::pin(sleep_until(Instant::now() + LINGER_TIME)) }
    }

    /// Ready when its client has sent all of it, or enough, or for long enough.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None | Some(Err(_)) => return Poll::Ready(()),
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                    self.left = self.left.saturating_sub(length.max(1));
                }
            }
            if self.left == 0 {
                return Poll::Ready(());
            }
        }
    }
}
