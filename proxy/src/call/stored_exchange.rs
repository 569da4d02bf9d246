//! A call about one thing that a provider keeps, by the id that its caller was given: opened for its owner, asked of the one endpoint that
//! keeps it, and answered under the id that the caller knows. What the gateway keeps itself it answers itself.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::stored;

use crate::account::End;
use crate::api::stored_paths::StoredAction;
use crate::errors::Problem;
use crate::kept_responses::KeptConversations;

use super::caller::{self, StoredAddress};
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::stored_call::GATEWAY;
use super::stored_object::StoredObject;
use super::{access, cache_lookup, failover, limits};

/// Answers a call about a thing that is kept.
///
/// # Errors
/// It is not there for this caller, a limit has no room, or its keeper gave no answer.
pub(super) async fn exchange(call: &Rc<InboundCall>, address: &StoredAddress) -> Result<Exchange, Problem> {
    let context = &call.context;
    let Some(file) = &context.worker.shared.response_keys else {
        return Err(caller::nothing_is_kept(call.path()));
    };
    let (sealer, owner) = (file.current(), cache_lookup::caller(call).unwrap_or_default());
    let opened = sealer.open(&owner, &address.id).ok_or_else(|| not_there(&address.id))?;
    let object = StoredObject {
        row: address.row,
        method: address.method.clone(),
        sealed: address.id.clone(),
        opened,
        owner,
        sealer,
        query: address.row.query(call.query()),
    };
    if object.opened.target == GATEWAY {
        return kept_here(call, address.action, &object).await;
    }
    let found = context.ready.find_keeper(object.opened.target, context.consumer());
    let (route, at, rule) = found.ok_or_else(|| not_there(&address.id))?;
    context.note(|entry| entry.route(route, at));
    call.is_about(object);
    let changed = match &rule.request {
        None => None,
        Some(changes) => Some(call.changed(changes)?),
    };
    let call = changed.as_ref().unwrap_or(call);
    if limits::apply(call, rule) {
        limits::take(call, rule, context.ready.names.route_name(route)).await?;
    }
    let outcome = failover::exchange(call, rule, None).await?;
    if let (StoredAction::Delete, Exchange::Whole(Whole { status, .. }), Some(object), Some(kept)) =
        (address.action, &outcome, call.object(), &context.worker.conversations)
        && (status.is_success() || *status == StatusCode::NOT_FOUND)
    {
        // Its keeper has forgotten it: what stays here for want of Redis goes after its time.
        let is_gone = kept.forget(&object.name()).await;
        is_gone.unwrap_or_else(|_| tracing::debug!("a conversation is not forgotten here before its time"));
    }
    Ok(outcome)
}

/// Answers out of what the gateway keeps itself.
async fn kept_here(call: &Rc<InboundCall>, action: StoredAction, object: &StoredObject) -> Result<Exchange, Problem> {
    let missing = || not_there(&object.sealed);
    let kept = call.context.worker.conversations.as_ref().ok_or_else(missing)?;
    let answer = kept.answer(&object.name(), &object.sealer).await.map_err(|_| away())?.ok_or_else(missing)?;
    let (model, answer) = stored::opened_answer(&answer).ok_or_else(missing)?;
    // Whoever may not ask for its model any more may not have it, and what it takes of limits is that model's.
    let (route, at, rule) = access::permitted_model(call, &model)?;
    call.context.note(|entry| entry.route(route, at));
    if limits::apply(call, rule) {
        limits::take(call, rule, call.context.ready.names.route_name(route)).await?;
    }
    let body = match action {
        StoredAction::Retrieve if asks_for_stream(&object.query) => return Err(no_stream()),
        StoredAction::Retrieve => answer.to_owned(),
        StoredAction::Cancel => return Err(no_background()),
        StoredAction::Delete => {
            kept.forget(&object.name()).await.map_err(|_| away())?;
            format!("{{\"id\":\"{}\",\"object\":\"response\",\"deleted\":true}}", object.sealed)
        }
        StoredAction::InputItems => {
            let conversation = conversation(kept, object).await?;
            let list = stored::input_items(&conversation, answer).ok_or_else(missing)?;
            stored::page(&list, &object.query).map_err(Problem::from)?
        }
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Ok(Exchange::Whole(Whole { status: StatusCode::OK, headers, body: body.into(), end: End::Done }))
}

async fn conversation(kept: &KeptConversations, object: &StoredObject) -> Result<Bytes, Problem> {
    let found = kept.get(&object.name(), &object.sealer).await.map_err(|_| away())?;
    found.ok_or_else(|| not_there(&object.sealed))
}

/// True if it asks for a stream, in one of the ways in which the vendor takes a yes.
fn asks_for_stream(query: &str) -> bool {
    let mut of_stream = query.split('&').filter_map(|member| member.strip_prefix("stream="));
    of_stream.next_back().is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

/// The problem of an id that is not there for this caller, in the vendor's words: another's is told of as one that never was.
fn not_there(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    Problem::client(ErrorKind::NotFound, format!("Response with id '{shown}' not found.")).retry(false, None)
}

fn away() -> Problem {
    let message = "What this id names can not be looked up now. Try again in a moment.";
    Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)))
}

fn no_stream() -> Problem {
    let message =
        "stream: this response is kept by the gateway, which does not tell it as a stream again; leave `stream` out.";
    Problem::client(ErrorKind::InvalidRequest, message).param("stream".to_owned()).retry(false, None)
}

fn no_background() -> Problem {
    Problem::client(ErrorKind::InvalidRequest, "Cannot cancel a synchronous response.").retry(false, None)
}
