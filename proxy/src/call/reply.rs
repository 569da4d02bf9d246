//! The answer put together: what every answer carries, whichever way it came about.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use crate::account::{End, Fault};
use crate::errors::{self, Problem};

use super::flow::Flow;
use super::pump::Pump;
use super::ticket::Ticket;

/// `x-cache`: `hit`, `miss` or `bypass`, where the rule caches at all.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

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

/// The answer to a call.
pub(super) fn put_together(
    ticket: &Rc<Ticket>,
    version: Version,
    outcome: Result<Exchange, Problem>,
) -> Response<Pump> {
    let (status, mut headers, pump) = match outcome {
        Ok(Exchange::Stream(headers, flow)) => (StatusCode::OK, headers, Pump::flow(flow)),
        Ok(Exchange::Whole(Whole { status, headers, body, end })) => {
            (status, headers, Pump::whole(body, Rc::clone(ticket), end))
        }
        Err(problem) => {
            note_problem(ticket, &problem);
            let (head, body) = errors::answer(&problem, ticket.caller.dialect, &ticket.caller.request_id).into_parts();
            (head.status, head.headers, Pump::whole(body, Rc::clone(ticket), end_of(&problem)))
        }
    };
    errors::name_call(&mut headers, ticket.caller.dialect, &ticket.caller.request_id);
    finish_head(ticket, version, &mut headers);
    ticket.note(|entry| entry.answered(status.as_u16(), Instant::now()));
    let mut response = Response::new(pump);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The head of a stream whose model is still silent.
pub(super) fn put_together_early(ticket: &Rc<Ticket>, version: Version, pump: Pump) -> Response<Pump> {
    let mut response = Response::new(pump);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    errors::name_call(headers, ticket.caller.dialect, &ticket.caller.request_id);
    finish_head(ticket, version, headers);
    ticket.note(|entry| entry.answered(StatusCode::OK.as_u16(), Instant::now()));
    response
}

/// What the gateway says of itself. A proxy that is about to stop sends its clients elsewhere, call by call.
fn finish_head(ticket: &Ticket, version: Version, headers: &mut HeaderMap) {
    if let Some(word) = ticket.cache_word() {
        headers.insert(X_CACHE, HeaderValue::from_static(word));
    }
    if version < Version::HTTP_2 && ticket.worker.leaving() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if headers.contains_key(CONNECTION) {
        ticket.busy.connection().linger();
        if version >= Version::HTTP_2 {
            headers.remove(CONNECTION);
        }
    }
}

pub(super) fn note_problem(ticket: &Ticket, problem: &Problem) {
    let fault = match problem.fault {
        errors::Fault::Client => Fault::Client,
        errors::Fault::Gateway => Fault::Gateway,
        errors::Fault::Upstream => Fault::Upstream,
    };
    ticket.note(|entry| entry.error(fault, problem.kind, Some(problem.message.clone())));
}

pub(super) const fn end_of(problem: &Problem) -> End {
    match problem.fault {
        errors::Fault::Client => End::Refused,
        errors::Fault::Gateway | errors::Fault::Upstream => End::Failed,
    }
}
