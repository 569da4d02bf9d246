//! The body of a response, whatever it is made of: polled by the connection, backed by nothing but polling.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::account::End;
use crate::listener::Busy;

use super::answer_stream::AnswerStream;
use super::context::CallContext;
use super::exchange::LineSource;
use super::pending::{PendingOutcome, PendingStream};
use super::stream_terms::StreamPiece;

/// Before a connection is aborted: what was written has to leave first.
const LAST_WORDS: Duration = Duration::from_millis(25);

/// A whole answer is handed out in pieces of this size: what waits in a connection for its client to take it is little.
const PIECE: usize = 32 << 10;

/// The body of an answer.
pub struct ResponseBody {
    content: Content,
    context: Rc<CallContext>,
    /// True if the connection says when it could send the last piece, by asking for another one: HTTP/2's does.
    /// HTTP/1's ends with the last piece, and its socket says when that has been written.
    confirms: bool,
    /// True if something of it has been handed out.
    begun: bool,
}

/// The content of an answer's body.
pub(super) enum Content {
    /// Here already, since `at`, which is when its call ended.
    Whole { body: Bytes, end: End, at: Instant },
    /// A stream whose model is silent, answered with comments so far.
    Pending(Box<PendingStream>),
    /// A stream.
    Stream(Box<AnswerStream>),
    /// The answers of a batch.
    Lines(Box<dyn LineSource>),
    /// It broke in the middle of an event; the abort follows.
    Aborting(Pin<Box<Sleep>>),
    /// Nothing more.
    Done,
}

/// The answer is cut on purpose: its connection (or HTTP/2 stream) is aborted, so that nobody takes it for whole.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the provider's answer was cut")
    }
}

impl std::error::Error for Cut {}

impl Content {
    /// An answer that is here whole.
    pub(super) const fn whole(body: Bytes, (end, at): (End, Instant)) -> Self {
        Self::Whole { body, end, at }
    }
}

impl ResponseBody {
    pub(super) fn new(context: &Rc<CallContext>, version: Version, content: Content) -> Self {
        context.tell_client(Busy::offer);
        Self { content, context: Rc::clone(context), confirms: version >= Version::HTTP_2, begun: false }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            match &mut self.content {
                Content::Done => return Poll::Ready(None),
                Content::Whole { .. } => return Poll::Ready(self.next_of_whole().map(Ok)),
                Content::Aborting(pause) => {
                    std::task::ready!(pause.as_mut().poll(cx));
                    self.content = Content::Done;
                    return Poll::Ready(Some(Err(Cut)));
                }
                Content::Pending(waiting) => match std::task::ready!(waiting.poll(cx)) {
                    PendingOutcome::Comment(comment) => {
                        self.context.note(|entry| entry.bytes_out(comment.len() as u64));
                        return Poll::Ready(Some(Ok(comment)));
                    }
                    PendingOutcome::Stream(stream) => self.content = Content::Stream(stream),
                    PendingOutcome::Whole(body, end) => self.content = Content::whole(body, (end, Instant::now())),
                },
                Content::Lines(lines) => match std::task::ready!(lines.poll_line(cx)) {
                    Some(line) => {
                        self.context.note(|entry| entry.bytes_out(line.len() as u64));
                        return Poll::Ready(Some(Ok(line)));
                    }
                    None => {
                        self.content = Content::Done;
                        self.close(End::Done, Instant::now());
                    }
                },
                Content::Stream(stream) => match std::task::ready!(stream.poll_next(cx)) {
                    StreamPiece::Bytes(bytes) => {
                        if stream.is_over() && !self.confirms {
                            self.context.close_when_written(End::Done, Instant::now());
                        }
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    StreamPiece::Cut => self.abort(),
                    StreamPiece::End => {
                        self.content = Content::Done;
                        self.close(End::Done, Instant::now());
                    }
                },
            }
        }
    }

    /// The connection has all of the answer: HTTP/2's has sent it, HTTP/1's still has to write it.
    fn close(&self, end: End, at: Instant) {
        if self.confirms {
            self.context.note(|entry| entry.close_at(end, at));
        } else {
            self.context.close_when_written(end, at);
        }
    }

    fn abort(&mut self) {
        self.content = Content::Aborting(Box::pin(tokio::time::sleep(LAST_WORDS)));
    }

    /// The next piece of a whole answer. It is done when the last piece has gone out, and not before.
    fn next_of_whole(&mut self) -> Option<Bytes> {
        let Content::Whole { body, end, at } = &mut self.content else { return None };
        let piece = body.split_to(body.len().min(PIECE));
        let last = body.is_empty() && (piece.is_empty() || !self.confirms);
        let (end, at) = (*end, *at);
        self.context.note(|entry| entry.bytes_out(piece.len() as u64));
        if last {
            self.content = Content::Done;
            self.close(end, at);
        }
        (!piece.is_empty()).then_some(piece)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = self.poll_piece(cx);
        // Whoever polls has sent what there was before.
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.begun = true;
            self.context.tell_client(Busy::offer);
        } else {
            self.context.tell_client(Busy::taken);
        }
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Done => true,
            Content::Whole { body, .. } => body.is_empty() && !self.begun,
            Content::Stream(stream) => stream.is_over() && !self.confirms,
            Content::Pending(_) | Content::Lines(_) | Content::Aborting(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Done => SizeHint::with_exact(0),
            Content::Whole { body, .. } => SizeHint::with_exact(body.len() as u64),
            Content::Stream(_) | Content::Pending(_) | Content::Lines(_) | Content::Aborting(_) => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let too_long = self.context.client_is(Busy::is_too_long);
        match std::mem::replace(&mut self.content, Content::Done) {
            // An empty body, or one that a HEAD has no use for, is never asked for.
            Content::Whole { body, end, at }
                if !self.begun && (body.is_empty() || self.context.client_is(Busy::is_bodiless)) =>
            {
                self.context.note(|entry| entry.bytes_out(body.len() as u64));
                self.close(end, at);
            }
            // Nor is one that is over before it begins.
            Content::Stream(stream) if !self.begun && !self.confirms && stream.is_over() => {
                drop(stream);
                self.close(End::Done, Instant::now());
            }
            // The cache still wants the answer that this caller does not.
            Content::Stream(stream) if !too_long && stream.is_wanted() && self.context.worker.background.has_room() => {
                self.context.leave();
                self.context.worker.background.go_on(stream.go_on(None));
            }
            // Its flight goes on as long as others read it.
            Content::Stream(stream) if stream.is_shared() && !stream.is_over() => {
                drop(stream);
                self.context.leave();
            }
            // A stream tells the ledger what it used.
            unfinished => drop(unfinished),
        }
        if too_long {
            self.context.close(End::TimedOut);
        }
    }
}
