//! Answers that a provider keeps, as calls of the Responses API name them: by ids that are sealed for their owner, and that lead to
//! the one endpoint that knows them.

use std::rc::Rc;

use bytes::Bytes;
use http::StatusCode;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::verbatim::{Edit, Field};
use sluicegate_dialects::{Dialect, Refusal};

use crate::account::Operation;
use crate::errors::Problem;
use crate::sealing::IdOwner;
use crate::state::{Provider, Rule, TargetRef};

use super::cache_lookup;
use super::inbound::InboundCall;
use super::sealed_stream::SealedStream;
use super::stored_call::StoredCall;

/// The code by which clients know that they have to send the whole conversation.
const NOT_FOUND: &str = "previous_response_not_found";

/// Looks at what a call says of answers that are kept, where the gateway has keys.
///
/// # Errors
/// It goes on from something that is not there for this caller.
pub(super) fn look(call: &Rc<InboundCall>) -> Result<(), Problem> {
    let Some(file) = &call.context.worker.shared.response_keys else { return Ok(()) };
    let concerned = call.operation.generates() || call.operation == Operation::CountTokens;
    if !call.dialect().habits().keeps_answers || !concerned {
        return Ok(());
    }
    if call.peek.json(&call.body, Field::Conversation).is_some() {
        return Err(no_conversation());
    }
    let previous = call.peek.text(&call.body, Field::PreviousResponseId)?.map(std::borrow::Cow::into_owned);
    let owner = cache_lookup::caller(call).unwrap_or_default();
    let stored = StoredCall::new(file.current(), owner, previous).map_err(|id| not_there(&id))?;
    call.goes_by(stored);
    Ok(())
}

impl InboundCall {
    /// True if a provider may be asked, in this dialect, as far as it is about what it keeps.
    pub(super) fn may_go_to(&self, provider: &Provider, spoken: Dialect) -> bool {
        let Some(stored) = self.stored() else { return true };
        stored.previous.is_none() || (!stored.is_bound_elsewhere(provider.stands_for) && spoken == self.dialect())
    }

    /// True if it goes on from an answer that one provider keeps.
    pub(super) fn is_bound(&self) -> bool {
        self.stored().is_some_and(|stored| stored.previous.is_some())
    }

    /// Names the answer that it goes on from as its provider does.
    pub(super) fn named_as_kept(&self) -> Option<Edit> {
        let previous = self.stored()?.previous.as_ref()?;
        let id = serde_json::to_vec(&previous.opened.id).unwrap_or_default();
        Some(self.peek.set(Field::PreviousResponseId, id))
    }

    /// The owner of its answer's id, where that is sealed: then its answer is for nobody else.
    pub(super) fn owner_of_answer(&self) -> Option<&IdOwner> {
        let keeps = self.operation.generates() && self.peek.json(&self.body, Field::Store) != Some("false");
        self.stored().filter(|_| keeps).map(|stored| &stored.owner)
    }

    /// A provider's whole answer as the caller is given it.
    pub(super) fn sealed_answer(&self, body: &Bytes, provider: &Provider) -> Bytes {
        let stored = self.stored().filter(|_| self.owner_of_answer().is_some());
        stored.map_or_else(|| body.clone(), |stored| stored.sealed_answer(body, provider.stands_for))
    }

    /// The engine that seals the ids in a provider's stream; `None`: they pass.
    pub(super) fn sealed_stream(&self, provider: &Provider) -> Option<Box<SealedStream>> {
        let stored = self.stored().filter(|_| self.owner_of_answer().is_some())?;
        Some(Box::new(stored.sealed_stream(provider.stands_for)))
    }
}

/// The problem of a call that goes on from an answer whose provider its rule does not ask; `None`: it does.
pub(super) fn kept_elsewhere(call: &InboundCall, rule: &Rule) -> Option<Problem> {
    let stored = call.stored().filter(|stored| stored.previous.is_some())?;
    let asks = |target: &TargetRef| {
        let pool = call.context.ready.target(target).map(|target| target.pool);
        pool.is_none_or(|pool| pool.providers.iter().any(|provider| !stored.is_bound_elsewhere(provider.stands_for)))
    };
    if rule.targets.iter().chain(&rule.fallbacks).any(asks) {
        return None;
    }
    let model: String = call.model().chars().take(200).collect();
    let message = format!(
        "The response that `previous_response_id` names is kept at a provider that is not asked for the model `{model}`. {INSTEAD}"
    );
    Some(refused(message))
}

/// The problem of a call that goes on from an answer whose provider can not take it now.
pub(super) fn keeper_away() -> Problem {
    let message = "The one provider that keeps the response which `previous_response_id` names can not take a call now. Try again, or send \
                   the whole conversation in `input`, without `previous_response_id`.";
    Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(std::time::Duration::from_secs(1)))
}

/// The way out for callers of everything that is not there.
const INSTEAD: &str = "Send the whole conversation in `input`, without `previous_response_id`.";

/// The problem of an id that is not there for this caller: another's is told of in the same words as one that never was.
fn not_there(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    refused(format!("Previous response with id '{shown}' not found. {INSTEAD}"))
}

fn refused(message: String) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, message)
        .code(NOT_FOUND)
        .param("previous_response_id".to_owned())
        .retry(false, None)
}

/// Conversations are made at paths that this gateway does not have: whichever is named is none of the caller's.
fn no_conversation() -> Problem {
    let message = "This gateway keeps no conversations, and passes on none: go on from an answer by `previous_response_id`, or send the \
                   whole conversation in `input`.";
    let refusal = Refusal::field("conversation", message);
    Problem { message: message.into(), ..Problem::from(refusal) }.status(StatusCode::BAD_REQUEST).retry(false, None)
}
