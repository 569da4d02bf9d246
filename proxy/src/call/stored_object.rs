//! A call about one thing that a provider keeps, by the id that its caller was given: opened for its owner, asked of the one endpoint that
//! keeps it, and answered under the id that the caller knows. What the gateway keeps itself it answers itself.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::stored;

use crate::account::{End, ErrorSource};
use crate::api::stored_paths::{StoredAction, StoredPath};
use crate::errors::Problem;
use crate::kept_responses::{KeptConversations, KeptName};
use crate::sealing::{IdOwner, IdSealer, SealedId};
use crate::state::Provider;

use super::caller::{self, StoredAddress};
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::sealed_stream::SealedStream;
use super::stored_call::GATEWAY;
use super::{access, cache_lookup, failover, limits};

/// The bytes that an id has in a provider's path as they are: none that means something there.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
/// The members of an answer that are ids of answers.
const NAMES: [&str; 2] = ["id", "previous_response_id"];

/// The thing that a call is about.
pub(super) struct StoredObject {
    row: &'static StoredPath,
    method: Method,
    /// The id, as the caller knows it.
    sealed: String,
    opened: SealedId,
    owner: IdOwner,
    sealer: Arc<IdSealer>,
    /// The part of the query that goes on.
    query: String,
}

impl StoredObject {
    /// True if a provider's endpoint is the one that keeps it.
    pub(super) fn is_kept_by(&self, provider: &Provider) -> bool {
        self.opened.target == provider.stands_for
    }

    /// The method by which its provider is asked.
    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// Its URI behind that of the operation; `None`: there is none.
    pub(super) fn uri(&self, of: &Uri) -> Option<Uri> {
        let text = of.to_string();
        let (path, own) = text.split_once('?').unwrap_or((&text, ""));
        let id = utf8_percent_encode(&self.opened.id, IN_A_PATH);
        let query = [own, &self.query].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}/{id}{}{mark}{query}", self.row.behind).parse().ok()
    }

    /// The provider's whole answer as the caller is given it.
    ///
    /// # Errors
    /// It is no object in JSON.
    pub(super) fn told(&self, body: &Bytes) -> Result<Bytes, String> {
        stored::renamed_members(body, &NAMES, |id| self.seal(id)).ok_or_else(|| "it is no JSON object".to_owned())
    }

    /// A text of the provider's, an error's, in which its name for the thing gives way to the caller's.
    pub(super) fn renamed(&self, text: &Bytes) -> Bytes {
        let id = self.opened.id.as_bytes();
        if id.is_empty() || memchr::memmem::find(text, id).is_none() {
            return text.clone();
        }
        let (mut out, mut at) = (Vec::with_capacity(text.len() + self.sealed.len()), 0);
        for found in memchr::memmem::find_iter(text, id) {
            out.extend_from_slice(text.get(at..found).unwrap_or_default());
            out.extend_from_slice(self.sealed.as_bytes());
            at = found + id.len();
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        out.into()
    }

    /// The engine that seals the ids in its events, where it is told as a stream.
    pub(super) fn sealed_stream(&self) -> SealedStream {
        let (sealer, owner, target) = (Arc::clone(&self.sealer), self.owner, self.opened.target);
        SealedStream::new(Rc::new(move |id| sealer.seal(&owner, &SealedId { target, id })), None, None)
    }

    fn seal(&self, id: &str) -> Option<String> {
        if id == self.opened.id {
            return Some(self.sealed.clone());
        }
        self.sealer.seal(&self.owner, &SealedId { target: self.opened.target, id: id.to_owned() })
    }

    fn name(&self) -> KeptName<'_> {
        KeptName { owner: &self.owner, answer: &self.opened }
    }
}

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

fn asks_for_stream(query: &str) -> bool {
    query.split('&').any(|member| member == "stream=true")
}

/// The problem of an id that is not there for this caller, in the vendor's words: another's is told of as one that never was.
fn not_there(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    Problem::client(ErrorKind::NotFound, format!("Response with id '{shown}' not found.")).retry(false, None)
}

/// The problem of a call whose keeper can not take it now.
pub(super) fn keeper_away() -> Problem {
    let message = "The one provider that keeps what this id names can not take a call now. Try again in a moment.";
    Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)))
}

fn away() -> Problem {
    let message = "What this id names can not be looked up now. Try again in a moment.";
    let problem = Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)));
    Problem { fault: ErrorSource::Gateway, ..problem }
}

fn no_stream() -> Problem {
    let message =
        "stream: this response is kept by the gateway, which does not tell it as a stream again; leave `stream` out.";
    Problem::client(ErrorKind::InvalidRequest, message).param("stream".to_owned()).retry(false, None)
}

fn no_background() -> Problem {
    Problem::client(ErrorKind::InvalidRequest, "Cannot cancel a synchronous response.").retry(false, None)
}
