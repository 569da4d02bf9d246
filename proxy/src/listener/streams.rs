//! The streams of an HTTP/2 connection: each is a task on its worker, which the connection's tick can end.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::request_body::Unread;
use super::table::{Connection, Tracked};

/// Runs a connection's streams on the worker they belong to.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor(pub(super) Rc<Connection>);

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        let connection = Rc::clone(&self.0);
        tokio::task::spawn_local(Streaming { future, connection, answer: None, unread: None });
    }
}

pin_project! {
    /// One stream, from its call to the last byte of its answer. Dropped before, it is reset.
    struct Streaming<F> {
        #[pin]
        future: F,
        connection: Rc<Connection>,
        // Known once the call has begun, which is in the first poll.
        answer: Option<Tracked>,
        // After the answer: what its client is still sending.
        unread: Option<Unread>,
    }
}

impl<F: Future> Future for Streaming<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stream = self.project();
        if stream.answer.as_ref().is_some_and(|answer| answer.is_given_up(cx.waker())) {
            return Poll::Ready(());
        }
        if let Some(unread) = stream.unread {
            return unread.poll(cx);
        }
        let polled = stream.future.poll(cx);
        if stream.answer.is_none() {
            *stream.answer = stream.connection.track_newest();
            if stream.answer.as_ref().is_some_and(|answer| answer.is_given_up(cx.waker())) {
                return Poll::Ready(());
            }
        }
        ready!(polled.map(drop));
        match stream.answer.as_ref().and_then(Tracked::take_unread) {
            None => Poll::Ready(()),
            Some(incoming) => stream.unread.insert(Unread::new(incoming)).poll(cx),
        }
    }
}
