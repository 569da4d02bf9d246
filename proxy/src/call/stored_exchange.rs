//! A call about one thing that a provider keeps, by the id that its caller was given: opened for its owner, asked of the one endpoint that
//! keeps it, and answered under the id that the caller knows. What the gateway keeps itself it answers itself.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::stored;

use crate::account::{End, RouteIx};
use crate::api::stored_paths::StoredAction;
use crate::errors::Problem;
use crate::owned::ListName;
use crate::sealing::IdKind;
use crate::state::{Provider, Rule};

use super::batched::BatchedRequests;
use super::caller::{self, StoredAddress};
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::stored_call::GATEWAY;
use super::stored_object::{NamedThing, SentBody, StoredObject, not_there, opened};
use super::stored_retrieval::base;
use super::{access, cache_lookup, failover, limits, stored_list};

/// Answers a call about a thing that is kept.
///
/// # Errors
/// It is not there for this caller, a limit has no room, or its keeper gave no answer.
pub(super) async fn exchange(call: &Rc<InboundCall>, address: &StoredAddress) -> Result<Exchange, Problem> {
    let context = &call.context;
    let is_answer = address.row.kind() == IdKind::Response;
    let Some(file) = &context.worker.shared.response_keys else {
        return Err(if is_answer { caller::nothing_is_kept(call.path()) } else { caller::without_keys(call.path()) });
    };
    let of = (cache_lookup::caller(call).unwrap_or_default(), file.current());
    let object = StoredObject::of(address, of, (call.query(), base(call)))?;
    if object.target() == Some(GATEWAY) && is_answer {
        return kept_here(call, address.action, &object).await;
    }
    if address.action == StoredAction::List {
        let keeps = |provider: &Provider| provider.speaks(call.operation, call.dialect(), "").is_some();
        if let Some((route, at, rule)) = context.ready.find_keeper(&keeps, context.consumer()) {
            context.note(|entry| entry.route(route, at));
            if limits::apply(call, rule) {
                limits::take(call, rule, context.ready.names.route_name(route)).await?;
            }
        }
        // Boxed, as what asks many.
        return Box::pin(stored_list::page(call, address.row, &object.owner)).await;
    }
    let outcome = asked(call, address, object).await?;
    if let Exchange::Whole(Whole { status, body, .. }) = &outcome {
        noted(call, address, (*status, body)).await;
    }
    Ok(outcome)
}

/// Notes in the lists of its owner what was made, or is gone.
async fn noted(call: &InboundCall, address: &StoredAddress, (status, body): (StatusCode, &Bytes)) {
    let (lists, row) = (&call.context.worker.owned, address.row);
    let list = ListName::new(&cache_lookup::caller(call).unwrap_or_default(), row.kind());
    match (address.action, &address.id) {
        (StoredAction::Create, _) if status.is_success() => {
            if let Some((id, _)) = stored::id_of_answer(body) {
                lists.add(list, id).await;
            }
        }
        (StoredAction::Delete, Some(id)) if row.kind() != IdKind::Response => lists.take_out(list, id).await,
        _ => {}
    }
}

/// Asks whoever keeps a thing, or is to.
async fn asked(call: &Rc<InboundCall>, address: &StoredAddress, object: StoredObject) -> Result<Exchange, Problem> {
    let context = &call.context;
    let (sent, beside, model) = match address.action {
        StoredAction::Create => sent(call, &object).await?,
        _ => (SentBody::Nothing, None, None),
    };
    let object = object.sends((sent, beside));
    let (route, at, rule) = rule(call, &object, model.as_deref())?;
    context.note(|entry| entry.route(route, at));
    // Ranges are asked of nobody: whatever the caller asks for, the whole comes.
    if let Some(results) = object.results() {
        object.counts(context.worker.owned.counting(ListName::of_one(results)).await);
    }
    call.is_about(object);
    let changed = call.changed_by(rule)?;
    let call = changed.as_ref().unwrap_or(call);
    if limits::apply(call, rule) {
        limits::take(call, rule, context.ready.names.route_name(route)).await?;
    }
    let outcome = failover::exchange(call, rule, None).await?;
    let name = call.object().and_then(StoredObject::name);
    if let (StoredAction::Delete, Exchange::Whole(Whole { status, .. }), Some(name), Some(kept)) =
        (address.action, &outcome, name, &context.worker.conversations)
        && (status.is_success() || *status == StatusCode::NOT_FOUND)
    {
        // Its keeper has forgotten it: what stays here for want of Redis goes after its time.
        let is_gone = kept.forget(&name).await;
        is_gone.unwrap_or_else(|_| tracing::debug!("a conversation is not forgotten here before its time"));
    }
    Ok(outcome)
}

/// The rule that a call goes by: of what is kept the one that asks its keeper, of requests that of the first, else that of the model which
/// is named. Where none is, the first that asks anybody who could keep it.
fn rule<'a>(
    call: &'a InboundCall,
    object: &StoredObject,
    model: Option<&str>,
) -> Result<(RouteIx, usize, &'a Rule), Problem> {
    let (ready, consumer) = (&call.context.ready, call.context.consumer());
    if let Some(target) = object.target() {
        let found = ready.find_keeper(&|provider| provider.stands_for == target, consumer);
        return found.ok_or_else(|| not_there(object.row, object.sealed()));
    }
    match model {
        Some(model) => access::permitted_model(call, model),
        None if !call.model().is_empty() => access::permitted(call),
        None => {
            let keeps = |provider: &Provider| provider.speaks(call.operation, call.dialect(), "").is_some();
            ready.find_keeper(&keeps, consumer).ok_or_else(nobody_keeps)
        }
    }
}

/// The body of a call that makes something, what else is named in it, and the model of the first request in it.
type SentThing = (SentBody, Option<NamedThing>, Option<String>);

async fn sent(call: &InboundCall, object: &StoredObject) -> Result<SentThing, Problem> {
    let requests = match object.row.kind() {
        IdKind::MessageBatch => Some(BatchedRequests::of_messages(call, "/v1/messages").await?),
        IdKind::File => BatchedRequests::of_form(call).await?,
        IdKind::Batch => {
            return batch_of_file(call, object).map(|(body, named)| (SentBody::Written(body), Some(named), None));
        }
        _ => None,
    };
    Ok(match requests {
        None => (SentBody::AsItCame, None, None),
        Some(requests) => {
            let model = requests.first().map(|first| first.model().to_owned());
            (SentBody::Requests(Box::new(requests)), None, model)
        }
    })
}

/// The body that makes a batch, with the file of its requests as the file's keeper names it.
fn batch_of_file(call: &InboundCall, object: &StoredObject) -> Result<(Bytes, NamedThing), Problem> {
    const FIELD: &str = "input_file_id";
    let wrong = |what: &str| {
        Problem::client(ErrorKind::InvalidRequest, format!("{FIELD}: {what}"))
            .param(FIELD.to_owned())
            .retry(false, None)
    };
    let read: WireBatchOfFile =
        serde_json::from_slice(&call.body).map_err(|error| wrong(&format!("the body can not be read: {error}")))?;
    let id = read.input_file_id.ok_or_else(|| wrong("is required: requests stand in a file that was sent before"))?;
    let named = opened(&object.owner, &object.sealer, (&[IdKind::BatchInput], &id)).ok_or_else(|| {
        let shown: String = id.chars().take(200).collect();
        wrong(&format!("there is no file '{shown}' with requests; send one to /v1/files with the purpose `batch`"))
    })?;
    let mut count = 0;
    let body = stored::renamed_members(&call.body, |name, said| {
        let is_it = name == FIELD.as_bytes() && said == id;
        count += u32::from(is_it);
        is_it.then(|| named.opened.id.clone())
    });
    match body.filter(|_| count == 1) {
        Some(body) => Ok((body, named)),
        None => Err(wrong("must be written without escapes")),
    }
}

#[derive(serde::Deserialize)]
struct WireBatchOfFile {
    input_file_id: Option<String>,
}

/// The problem of something that no provider of the caller's could keep.
fn nobody_keeps() -> Problem {
    let message = "No provider that you may use keeps files or batches in this API's words. Name a model of one that does in the header \
                   `x-sluicegate-model`, or ask this gateway's operators for a route to one.";
    Problem::client(ErrorKind::NotFound, message).code("nobody_keeps_files").retry(false, None)
}

/// Answers out of what the gateway keeps itself.
async fn kept_here(call: &Rc<InboundCall>, action: StoredAction, object: &StoredObject) -> Result<Exchange, Problem> {
    let missing = || not_there(object.row, object.sealed());
    let kept = call.context.worker.conversations.as_ref().ok_or_else(missing)?;
    let name = object.name().ok_or_else(missing)?;
    let answer = kept.answer(&name, &object.sealer).await.map_err(|_| away())?.ok_or_else(missing)?;
    let (model, answer) = stored::opened_answer(&answer).ok_or_else(missing)?;
    // Whoever may not ask for its model any more may not have it, and what it takes of limits is that model's.
    let (route, at, rule) = access::permitted_model(call, &model)?;
    call.context.note(|entry| entry.route(route, at));
    if limits::apply(call, rule) {
        limits::take(call, rule, call.context.ready.names.route_name(route)).await?;
    }
    let body = match action {
        StoredAction::Retrieve if asks_for_stream(&object.query) => return Err(no_stream()),
        StoredAction::Retrieve | StoredAction::Create | StoredAction::List | StoredAction::Content => answer.to_owned(),
        StoredAction::Cancel => return Err(no_background()),
        StoredAction::Delete => {
            kept.forget(&name).await.map_err(|_| away())?;
            format!("{{\"id\":\"{}\",\"object\":\"response\",\"deleted\":true}}", object.sealed())
        }
        StoredAction::InputItems => {
            let conversation = kept.get(&name, &object.sealer).await.map_err(|_| away())?.ok_or_else(missing)?;
            let list = stored::input_items(&conversation, answer).ok_or_else(missing)?;
            stored::page(&list, &object.query).map_err(Problem::from)?
        }
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Ok(Exchange::Whole(Whole { status: StatusCode::OK, headers, body: body.into(), end: End::Done }))
}

/// True if it asks for a stream, in one of the ways in which the vendor takes a yes.
fn asks_for_stream(query: &str) -> bool {
    let mut of_stream = query.split('&').filter_map(|member| member.strip_prefix("stream="));
    of_stream.next_back().is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
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
