//! The caller's identity and its rights: the key or token is looked up before the body is read, the route's word asked once it is found.
//! A refusal says the same of what is there and of what is not.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::WWW_AUTHENTICATE;
use http::request;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::{Operation, RouteIx};
use crate::consumer::{Identified, KnownConsumer};
use crate::errors::Problem;
use crate::jwt::JwksSource;
use crate::models;
use crate::state::{Permission, Rule};

use super::caller::{self, Addressed};
use super::context::CallContext;
use super::inbound::InboundCall;
use super::keys::keys;

/// So long at most a call waits for the answer of its token's issuer, who is asked for a key that is not among those that have been had.
const ISSUER_WAIT: Duration = Duration::from_secs(3);

/// Finds out who calls, if anything depends on it. Without a consumer and a route that asks for one it costs nothing.
///
/// # Errors
/// A key that is good no longer; or, where no route is for anyone, none that is known.
pub(super) async fn identify(
    context: &CallContext,
    addressed: Addressed,
    head: &request::Parts,
) -> Result<Addressed, Problem> {
    if matches!(addressed.operation, Operation::Options | Operation::Root) {
        return Ok(addressed);
    }
    let looked = match look(context, head) {
        Looked::Waits(issuers) => {
            // Boxed: hardly any call waits.
            let asked = issuers.iter().map(|issuer| issuer.asked_once_more(ISSUER_WAIT));
            Box::pin(futures_util::future::join_all(asked)).await;
            look(context, head)
        }
        looked => looked,
    };
    looked.told().map(|()| addressed)
}

/// The outcome of a look at who calls.
enum Looked {
    /// It is known, or need not be.
    Known,
    /// It may not call.
    Refused(Problem),
    /// Its issuer is being asked for the key of its token, where several consumers have it each as that one says.
    Waits(Vec<Arc<JwksSource>>),
}

impl Looked {
    fn told(self) -> Result<(), Problem> {
        match self {
            Self::Known => Ok(()),
            Self::Refused(problem) => Err(problem),
            Self::Waits(_) => Err(unverifiable()),
        }
    }
}

fn look(context: &CallContext, head: &request::Parts) -> Looked {
    let ready = &context.ready;
    if !ready.asks_who_calls() {
        return Looked::Known;
    }
    let mut sent = false;
    for key in keys(&head.headers, head.uri.query()) {
        sent = true;
        match ready.consumers().known_by(&key, now) {
            Identified::Known(consumer, key) => {
                context.note(|entry| entry.consumer(Arc::clone(&consumer.name)));
                context.know(consumer, key);
                return Looked::Known;
            }
            Identified::Refused => return Looked::Refused(wrong_key()),
            Identified::Unverifiable(issuers) => return Looked::Waits(issuers),
            Identified::Unknown => {}
        }
    }
    if ready.serves_anyone() { Looked::Known } else { Looked::Refused(unknown_caller(sent)) }
}

/// The problem of a path that is not known, as one is told it where there are paths that are known for some callers only: whoever may not
/// have those can not tell them from others.
pub(super) fn hidden(context: &CallContext, head: &request::Parts, problem: Problem) -> Problem {
    let ready = &context.ready;
    if !caller::is_unknown_path(&problem) || !ready.names_paths() {
        return problem;
    }
    match look(context, head).told() {
        Err(refused) => refused,
        Ok(()) if context.consumer().is_none() && ready.hides_from(None) => {
            unknown_caller(keys(&head.headers, head.uri.query()).next().is_some())
        }
        Ok(()) => problem,
    }
}

/// The rule that takes a call, if its caller may have it.
///
/// # Errors
/// There is none, or it is not for this caller; where anything is not for everyone, both are told in the same words.
pub(super) fn permitted(call: &InboundCall) -> Result<(RouteIx, usize, &Rule), Problem> {
    let granted = permitted_model(call, call.model())?;
    if call.others().vendors_choice && call.context.consumer().is_some_and(KnownConsumer::is_limited) {
        return Err(unnamed());
    }
    for other in call.others().names() {
        permitted_beside(call, other)?;
    }
    Ok(granted)
}

/// Checks that a caller may have a model that its call names beside its own. One that nothing here leads to is its provider's matter, unless
/// its consumer is told by name what it may have.
fn permitted_beside(call: &InboundCall, model: &str) -> Result<(), Problem> {
    let (context, consumer) = (&call.context, call.context.consumer());
    let is_denied = match context.ready.find(model, &call.headers, consumer, &|| call.asks()) {
        Permission::Granted(..) => false,
        Permission::Denied => true,
        Permission::NotFound => consumer.is_some_and(|consumer| !consumer.may_ask_for(model)),
    };
    if !is_denied {
        return Ok(());
    }
    Err(refusal(context, model, true, || keys(&call.headers, call.query()).next().is_some()))
}

/// The rule that takes a call to a path which passes unread, if its caller may have it. It asks for no model, so that what a consumer may
/// ask for says nothing about it.
///
/// # Errors
/// There is none, or it is not for this caller: both are told in the same words.
pub(super) fn permitted_path<'a>(call: &'a InboundCall, path: &str) -> Result<(RouteIx, usize, &'a Rule), Problem> {
    let (context, consumer) = (&call.context, call.context.consumer());
    context.ready.find_path(path, &call.headers, consumer).ok_or_else(|| {
        if consumer.is_none() && context.ready.hides_from(None) {
            return unknown_caller(keys(&call.headers, call.query()).next().is_some());
        }
        caller::unknown_path(call.path())
    })
}

/// The rule that takes a call for this model, if its caller may have it.
///
/// # Errors
/// As [`permitted`].
pub(super) fn permitted_model<'a>(call: &'a InboundCall, model: &str) -> Result<(RouteIx, usize, &'a Rule), Problem> {
    let context = &call.context;
    let consumer = context.consumer();
    match context.ready.find(model, &call.headers, consumer, &|| call.asks()) {
        Permission::Granted(route, at, rule) => Ok((route, at, rule)),
        denied => Err(refusal(context, model, matches!(denied, Permission::Denied), || {
            keys(&call.headers, call.query()).next().is_some()
        })),
    }
}

/// A model that a caller can not have: not there, or not for it.
pub(super) fn refusal(
    context: &CallContext,
    model: &str,
    is_denied: bool,
    sent_a_key: impl FnOnce() -> bool,
) -> Problem {
    match context.consumer() {
        None if is_denied || context.ready.hides_from(None) => unknown_caller(sent_a_key()),
        Some(consumer) if is_denied || context.ready.hides_from(Some(consumer)) => not_for_it(model),
        _ => models::unknown(model),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn unknown_caller(sent_a_key: bool) -> Problem {
    if sent_a_key {
        return wrong_key();
    }
    unauthenticated(
        "No API key was sent. Send a key of this gateway, as `Authorization: Bearer KEY` or where your SDK puts it.",
    )
}

fn wrong_key() -> Problem {
    unauthenticated(
        "Incorrect API key: it is none of this gateway's, or no longer good. Ask its operators for another one.",
    )
}

/// It may be good: who issued it can not be asked yet.
fn unverifiable() -> Problem {
    let message = "This token can not be checked yet: its issuer is being asked for its keys. Call again in a moment.";
    Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)))
}

fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Problem {
    Problem::client(ErrorKind::Authentication, message)
        .code("invalid_api_key")
        .retry(false, None)
        .taking(WWW_AUTHENTICATE, "Bearer")
}

/// Nobody here knows which models those are that a vendor chooses.
fn unnamed() -> Problem {
    let message = "Your key may use certain models, and this call lets its provider choose others. Name them in `fallbacks`, or as `model` and \
                   `analysis_models` of `fusion`. GET /v1/models lists those that it may.";
    Problem::client(ErrorKind::Permission, message).code("model_not_allowed").retry(false, None)
}

fn not_for_it(model: &str) -> Problem {
    let shown: String = model.chars().take(200).collect();
    let message = format!(
        "The model `{shown}` does not exist here, or your key may not use it. GET /v1/models lists those that it may."
    );
    Problem::client(ErrorKind::Permission, message)
        .code("model_not_allowed")
        .param("model".to_owned())
        .retry(false, None)
}
