//! The outcome of a call, before it is put together: a whole answer or a stream, and what the ledger is told of a
//! failure.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::account::{End, ErrorSource};
use crate::errors::Problem;

use super::answer_stream::AnswerStream;
use super::context::CallContext;

/// The outcome of a call.
pub(super) enum Exchange {
    /// An answer, or a provider's error, that is here whole.
    Whole(Whole),
    /// A stream, from its first token on.
    Stream(HeaderMap, Box<AnswerStream>),
    /// The answers to the requests of a batch, each a line, as they come.
    Lines(HeaderMap, Box<dyn LineSource>),
}

/// A source of lines.
pub(super) trait LineSource {
    /// The next line; `None`: that was all.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

/// An answer that is here whole.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The end that the ledger is told.
    pub(super) end: End,
}

/// Tells the ledger what went wrong.
pub(super) fn note_problem(context: &CallContext, problem: &Problem) {
    context.note(|entry| entry.error(problem.fault, problem.kind, Some(problem.message.clone())));
}

/// The end of a call that had this problem.
pub(super) fn end_of(problem: &Problem) -> End {
    match problem.fault {
        ErrorSource::Client => End::Refused,
        ErrorSource::Gateway | ErrorSource::Upstream => End::Failed,
    }
}
