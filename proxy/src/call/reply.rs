//! The answer put together: what every answer carries, whichever way it came about.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use tokio::time::Sleep;

use crate::errors::{self, Problem};

use super::cors;
use super::exchange::{Exchange, Whole, end_of, note_problem};
use super::pump::{Content, Pump};
use super::ticket::Ticket;
use super::wait::{Answering, Waiting};

/// `x-cache`: `hit`, `miss` or `bypass`, where the rule caches at all.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The most tokens that the provider was asked for, where the caller asked for more than the model answers with.
const X_MAX_TOKENS: HeaderName = HeaderName::from_static("x-sluicegate-max-tokens");

/// Waits for the answer; for a stream no longer than the client is left without a word.
pub(super) async fn answer(ticket: Rc<Ticket>, version: Version, mut answering: Answering) -> Response<Pump> {
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    let outcome = std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = answering.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let Some(every) = ticket.comments() else { return Poll::Pending };
        let patience = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(every)));
        patience.as_mut().poll(cx).map(|()| None)
    })
    .await;
    match (outcome, ticket.comments()) {
        (None, Some(every)) => {
            let waiting = Waiting::new(Rc::clone(&ticket), answering, every);
            put_together_early(&ticket, version, waiting)
        }
        (Some(outcome), _) => put_together(&ticket, version, outcome),
        (None, None) => {
            let outcome = answering.await;
            put_together(&ticket, version, outcome)
        }
    }
}

/// The answer to a call.
pub(super) fn put_together(
    ticket: &Rc<Ticket>,
    version: Version,
    outcome: Result<Exchange, Problem>,
) -> Response<Pump> {
    let now = Instant::now();
    let (status, mut headers, content) = match outcome {
        Ok(Exchange::Stream(headers, flow)) => (StatusCode::OK, headers, Content::Flow(flow)),
        Ok(Exchange::Whole(Whole { status, headers, body, end })) => {
            (status, headers, Content::whole(body, (end, now)))
        }
        Err(problem) => {
            note_problem(ticket, &problem);
            let (head, body) = errors::answer(&problem, ticket.caller.dialect, &ticket.caller.request_id).into_parts();
            (head.status, head.headers, Content::whole(body, (end_of(&problem), now)))
        }
    };
    errors::name_call(&mut headers, ticket.caller.dialect, &ticket.caller.request_id);
    finish_head(ticket, version, &mut headers);
    ticket.note(|entry| entry.answered(status.as_u16(), now));
    let mut response = Response::new(Pump::new(ticket, version, content));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The head of a stream whose model is still silent.
pub(super) fn put_together_early(ticket: &Rc<Ticket>, version: Version, waiting: Waiting) -> Response<Pump> {
    let mut response = Response::new(Pump::new(ticket, version, Content::Waiting(Box::new(waiting))));
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
    cors::answer(headers, ticket.caller.origin.as_ref());
    if let Some(word) = ticket.cache_word() {
        headers.insert(X_CACHE, HeaderValue::from_static(word));
    }
    if let Some(most) = ticket.clamped() {
        headers.insert(X_MAX_TOKENS, HeaderValue::from(most));
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
