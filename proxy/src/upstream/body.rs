//! An answer's body on its way back; it owns the connection (or stream) it comes on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::BodyError;
use super::framing::Framing;
use super::pool::{Lease, Stream};

/// The body of an answer. At its clean end the connection goes back to its pool; dropped before, an HTTP/1
/// connection is closed and an HTTP/2 stream reset. A body that stops short of its end is an error, never an end.
pub struct UpstreamBody(BodyState);

enum BodyState {
    Done,
    Own { body: Framing, lease: Lease },
    Shared { body: Incoming, _stream: Stream },
}

impl UpstreamBody {
    pub(super) fn own(body: Framing, lease: Lease) -> Self {
        let mut whole = Self(BodyState::Own { body, lease });
        if whole.is_end_stream() {
            whole.settle();
        }
        whole
    }

    pub(super) fn shared(body: Incoming, stream: Stream) -> Self {
        Self(BodyState::Shared { body, _stream: stream })
    }

    /// Lets go of the connection: kept when this was the end and it can be, closed otherwise.
    fn settle(&mut self) {
        if let BodyState::Own { mut body, mut lease } = std::mem::replace(&mut self.0, BodyState::Done)
            && lease.conn().is_some_and(|conn| conn.settle(&mut body))
        {
            lease.keep();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = match &mut self.0 {
            BodyState::Done => return Poll::Ready(None),
            BodyState::Own { body, lease } => match lease.conn() {
                Some(conn) => ready!(conn.poll_frame(body, cx)),
                None => return Poll::Ready(None),
            },
            BodyState::Shared { body, .. } => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                frame.map(|read| read.map_err(|error| BodyError::of(&error)))
            }
        };
        match frame {
            Some(Ok(frame)) => {
                if self.is_end_stream() {
                    self.settle();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.0 = BodyState::Done;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.settle();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodyState::Done => true,
            BodyState::Own { body, .. } => body.is_over(),
            BodyState::Shared { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodyState::Done => SizeHint::with_exact(0),
            BodyState::Own { body: Framing::Length(left), .. } => SizeHint::with_exact(*left),
            BodyState::Own { .. } => SizeHint::default(),
            BodyState::Shared { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // A reader that stops at the stream's own last event leaves HTTP's end unread: it is often here already.
        self.settle();
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0 {
            BodyState::Done => "done",
            BodyState::Own { .. } => "http/1.1",
            BodyState::Shared { .. } => "http/2",
        };
        write!(f, "UpstreamBody({state})")
    }
}
