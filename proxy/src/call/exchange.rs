//! What came of a call, before it is put together: a whole answer or a stream, and what the ledger is told of a failure.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::account::{End, Fault};
use crate::errors::{self, Problem};

use super::flow::Flow;
use super::ticket::Ticket;

/// What came of a call.
pub(super) enum Exchange {
    /// An answer, or a provider's error, that is here whole.
    Whole(Whole),
    /// A stream, from its first token on.
    Stream(HeaderMap, Box<Flow>),
}

/// An answer that is here whole.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What the ledger is told.
    pub(super) end: End,
}

/// Tells the ledger what went wrong.
pub(super) fn note_problem(ticket: &Ticket, problem: &Problem) {
    let fault = match problem.fault {
        errors::ErrorSource::Client => Fault::Client,
        errors::ErrorSource::Gateway => Fault::Gateway,
        errors::ErrorSource::Upstream => Fault::Upstream,
    };
    ticket.note(|entry| entry.error(fault, problem.kind, Some(problem.message.clone())));
}

/// How a call ends that had this problem.
pub(super) const fn end_of(problem: &Problem) -> End {
    match problem.fault {
        errors::ErrorSource::Client => End::Refused,
        errors::ErrorSource::Gateway | errors::ErrorSource::Upstream => End::Failed,
    }
}
