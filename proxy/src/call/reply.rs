//! The answer put together: what every answer carries, whichever way it came about.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use tokio::time::Sleep;

use crate::errors::{self, Problem};

use super::context::CallContext;
use super::exchange::{Exchange, Whole, end_of, note_problem};
use super::pending::{Answering, PendingStream};
use super::response_body::{Content, ResponseBody};
use super::{budgets, compress, cors, limits};

/// `x-cache`: `hit`, `miss` or `bypass`, where the rule caches at all.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The most tokens that the provider was asked for, where the caller asked for more than the model answers with.
const X_MAX_TOKENS: HeaderName = HeaderName::from_static("x-sluicegate-max-tokens");

/// Waits for the answer; for a stream no longer than the client is left without a word.
pub(super) async fn answer(
    context: Rc<CallContext>,
    version: Version,
    mut answering: Answering,
) -> Response<ResponseBody> {
    let mut timeout: Option<Pin<Box<Sleep>>> = None;
    let outcome = std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = answering.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let Some(every) = context.comments() else { return Poll::Pending };
        let timeout = timeout.get_or_insert_with(|| Box::pin(tokio::time::sleep(every)));
        timeout.as_mut().poll(cx).map(|()| None)
    })
    .await;
    match (outcome, context.comments()) {
        (None, Some(every)) => {
            let waiting = PendingStream::new(Rc::clone(&context), answering, every);
            put_together_early(&context, version, waiting)
        }
        (Some(outcome), _) => put_together(&context, version, compress::answer(&context, outcome).await),
        (None, None) => {
            let outcome = answering.await;
            put_together(&context, version, compress::answer(&context, outcome).await)
        }
    }
}

/// The answer to a call.
pub(super) fn put_together(
    context: &Rc<CallContext>,
    version: Version,
    outcome: Result<Exchange, Problem>,
) -> Response<ResponseBody> {
    let now = Instant::now();
    let (status, mut headers, content) = match outcome {
        Ok(Exchange::Stream(headers, stream)) => (StatusCode::OK, headers, Content::Stream(stream)),
        Ok(Exchange::Lines(headers, lines)) => (StatusCode::OK, headers, Content::Lines(lines)),
        Ok(Exchange::Whole(Whole { status, headers, body, end })) => {
            (status, headers, Content::whole(body, (end, now)))
        }
        Err(problem) => {
            note_problem(context, &problem);
            let (head, body) =
                errors::answer(&problem, context.caller.dialect, &context.caller.request_id).into_parts();
            let body = errors::as_asked(body, context.caller.array);
            (head.status, head.headers, Content::whole(body, (end_of(&problem), now)))
        }
    };
    errors::name_call(&mut headers, context.caller.dialect, &context.caller.request_id);
    finish_head(context, version, &mut headers);
    context.note(|entry| entry.answered(status.as_u16(), now));
    let mut response = Response::new(ResponseBody::new(context, version, content));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The head of a stream whose model is still silent.
pub(super) fn put_together_early(
    context: &Rc<CallContext>,
    version: Version,
    waiting: PendingStream,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::new(context, version, Content::Pending(Box::new(waiting))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(context.stream_type()));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    errors::name_call(headers, context.caller.dialect, &context.caller.request_id);
    finish_head(context, version, headers);
    context.note(|entry| entry.answered(StatusCode::OK.as_u16(), Instant::now()));
    response
}

/// Adds what the gateway says of itself. A proxy that is about to stop sends its clients elsewhere, call by call.
fn finish_head(context: &CallContext, version: Version, headers: &mut HeaderMap) {
    cors::answer(headers, context.caller.origin.as_ref());
    if let Some(word) = context.cache_word() {
        headers.insert(X_CACHE, HeaderValue::from_static(word));
    }
    if let Some(most) = context.clamped() {
        headers.insert(X_MAX_TOKENS, HeaderValue::from(most));
    }
    let (limits, budgets) = (context.limits(), context.budgets());
    headers.reserve(3 * (limits.len() + budgets.len()));
    if !limits.is_empty() {
        limits::tell(headers, context.caller.dialect, limits);
    }
    budgets::tell(headers, budgets);
    if version < Version::HTTP_2 && context.worker.leaving() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if headers.contains_key(CONNECTION) {
        context.tell_client(|client| client.connection().linger());
        if version >= Version::HTTP_2 {
            headers.remove(CONNECTION);
        }
    }
}
