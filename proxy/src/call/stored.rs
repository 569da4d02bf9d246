//! Answers that a provider keeps, as calls of the Responses API name them: by ids that are sealed for their owner, and that lead to
//! the one endpoint that knows them.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::verbatim::{Edit, Field};
use sluicegate_dialects::{Dialect, Refusal, flat_content, stored};

use crate::account::{ErrorSource, Operation};
use crate::errors::Problem;
use crate::kept_responses::KeptName;
use crate::redis::Unanswered;
use crate::sealing::{IdOwner, SealedId};
use crate::state::{Provider, Rule, TargetRef};

use super::custom_tools;
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::sealed_stream::{Keep, SealedStream};
use super::stored_call::StoredCall;
use super::{cache_lookup, named_files, sealed_stream};

/// The code by which clients know that they have to send the whole conversation.
const NOT_FOUND: &str = "previous_response_not_found";

/// The most items of an answer that calls may name later.
const MOST_ITEMS: usize = 128;

/// The pauses between looks for a conversation that is not kept yet, in milliseconds: a second in all.
const BEHIND: [u64; 6] = [20, 50, 100, 200, 300, 330];

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

/// The ids of the items that a call names, where the gateway has keys: whose those are nobody can tell by them.
pub(super) fn named_items(call: &InboundCall) -> Vec<String> {
    if call.stored().is_some() { stored::item_references(&call.body) } else { Vec::new() }
}

impl InboundCall {
    /// True if a provider may be asked, in this dialect, as far as it is about what it keeps.
    pub(super) fn may_go_to(&self, provider: &Provider, spoken: Dialect) -> bool {
        if self.files().is_some_and(|files| !files.are_kept_by(provider) || !spoken.is_kin(self.dialect())) {
            return false;
        }
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
    pub(super) fn sealed_answer(&self, body: &Bytes, (provider, spoken): (&Provider, Dialect)) -> Bytes {
        let stored = self.stored().filter(|_| self.owner_of_answer().is_some());
        let thinks_in_content = provider.defaults.look_alike.is_some_and(|row| row.thinks_in_content());
        let flat = if thinks_in_content { flat_content(body) } else { body.clone() };
        let flat = custom_tools::calls(self, provider).map_or_else(|| flat.clone(), |calls| calls.whole(&flat));
        let body = named_files::sealed(self, &self.dialect().kin_answer(&flat, spoken), provider);
        stored.map_or_else(|| body.clone(), |stored| stored.sealed_answer(&body, provider.stands_for))
    }

    /// The gateway's own name for an answer that is kept here, and by nobody else.
    pub(super) fn own_name(&self) -> Option<&str> {
        self.keeps_here().then(|| self.stored()?.own_name()).flatten().map(|(sealed, _)| sealed)
    }

    /// True if its answer is kept here.
    fn keeps_here(&self) -> bool {
        self.context.worker.conversations.is_some() && self.owner_of_answer().is_some()
    }
}

/// The engine that seals the ids in a provider's stream; `None`: they pass.
pub(super) fn sealed_stream(call: &Rc<InboundCall>, provider: &Provider) -> Option<Box<SealedStream>> {
    let (target, files) = (provider.stands_for, named_files::seal_of_stream(call, provider));
    match call.stored().filter(|_| call.owner_of_answer().is_some()) {
        Some(stored) => Some(Box::new(stored.sealed_stream(target, keeper(call, target)).with_files(files))),
        // Its own id stays.
        None => files
            .map(|files| Box::new(SealedStream::new(Rc::new(|_: String| None), None, None).with_files(Some(files)))),
    }
}

/// Keeps an answer of a stream, behind its caller's back; `None`: it is not kept. Where it has a name of the gateway's own, that counts.
pub(super) fn keeper(call: &Rc<InboundCall>, target: u64) -> Option<Keep> {
    if !call.keeps_here() {
        return None;
    }
    let call = Rc::clone(call);
    Some(Rc::new(move |id: &str, answer: &str| {
        let (of, answer) = (SealedId { target, id: id.to_owned() }, answer.to_owned());
        let kept = Rc::clone(&call);
        call.context.worker.background.fly(async move { keep(&kept, &of, answer.as_bytes()).await });
    }))
}

/// Keeps the conversation that ends with a whole answer, which the provider names so, or the gateway.
pub(super) async fn keep_whole(call: &InboundCall, provider: &Provider, (theirs, ours): (&[u8], &[u8])) {
    if !call.keeps_here() {
        return;
    }
    // A stream that was made of a whole answer.
    let answer = if call.streams() { sealed_stream::last_answer(ours).unwrap_or_default().as_bytes() } else { ours };
    let own = call.stored().and_then(|stored| stored.own_name().filter(|(sealed, _)| is_named(answer, sealed)));
    let of = match (own, stored::id_of_answer(theirs)) {
        (Some((_, opened)), _) => opened.clone(),
        (None, Some((id, _))) => SealedId { target: provider.stands_for, id: id.to_owned() },
        (None, None) => return,
    };
    // Boxed: most calls have no use for the room.
    Box::pin(keep(call, &of, answer)).await;
}

fn is_named(answer: &[u8], id: &str) -> bool {
    stored::id_of_answer(answer).is_some_and(|(said, _)| said == id)
}

/// Keeps the conversation that ends with an answer. One of whose beginning nothing is known is not kept, and what Redis does not take is
/// not, either: who goes on from it is told.
async fn keep(call: &InboundCall, of: &SealedId, answer: &[u8]) {
    let (Some(stored), Some(kept)) = (call.stored(), &call.context.worker.conversations) else { return };
    let owner = &stored.owner;
    // The gateway's own name, where the answer of a stream has it.
    let own = stored.own_name().filter(|(sealed, _)| is_named(answer, sealed));
    let answered = own.map_or(of, |(_, opened)| opened);
    let before = match &stored.previous {
        None => None,
        Some(previous) => {
            let name = KeptName { owner, answer: &previous.opened };
            match patiently(async || kept.get(&name, &stored.sealer).await).await {
                Ok(Some(before)) => Some(before),
                Ok(None) | Err(_) => return,
            }
        }
    };
    if let Some(whole) = stored::conversation(before.as_deref(), &call.body, answer) {
        let name = KeptName { owner, answer: answered };
        // What no provider keeps is fetched from here, too.
        if own.is_some()
            && let Some(answer) = stored::written_answer(call.model(), answer)
        {
            kept.put_answer(&name, &stored.sealer, answer).await;
        }
        kept.put(&name, &stored.sealer, whole).await;
        for id in stored::ids_of_items(answer).iter().take(MOST_ITEMS) {
            kept.put_item((owner, id), &stored.sealer, answered);
        }
    }
}

/// True if nobody whom the rule asks keeps what a call goes on from, so that the call has to say it by itself.
pub(super) fn has_no_keeper(call: &InboundCall, rule: &Rule) -> bool {
    let Some(stored) = call.stored().filter(|stored| stored.previous.is_some()) else { return false };
    stored.is_kept_here() || (call.context.worker.conversations.is_some() && kept_elsewhere(call, rule).is_some())
}

/// True if its keeper has failed a call that could be answered by somebody else, if it said by itself what it goes on from.
pub(super) fn is_failed_by_keeper(call: &InboundCall, outcome: &Result<Exchange, Problem>) -> bool {
    if !call.is_bound() {
        return false;
    }
    let may_know = call.context.worker.conversations.is_some();
    match outcome {
        Err(problem) => may_know && problem.fault != ErrorSource::Client,
        Ok(Exchange::Whole(Whole { status, .. })) => (may_know && status.is_server_error()) || is_forgotten(outcome),
        Ok(Exchange::Stream(..) | Exchange::Lines(..)) => false,
    }
}

/// True if its keeper says that it knows nothing of what a call goes on from.
fn is_forgotten(outcome: &Result<Exchange, Problem>) -> bool {
    let Ok(Exchange::Whole(Whole { status, body, .. })) = outcome else { return false };
    status.is_client_error() && memchr::memmem::find(body, NOT_FOUND.as_bytes()).is_some()
}

/// The outcome of a call whose keeper has failed it, where it could not be written out, for this reason. What the keeper says of a failure
/// of its own says more than that nothing is kept here; the name by which it knows an answer says nothing to anyone.
pub(super) fn without_keeper(outcome: Result<Exchange, Problem>, why: Problem) -> Result<Exchange, Problem> {
    if why.fault == ErrorSource::Client && !is_forgotten(&outcome) { outcome } else { Err(why) }
}

/// The call with all that it goes on from in its own words, out of what the gateway has kept.
///
/// # Errors
/// It is not kept, or no longer; or Redis can not say.
pub(super) async fn written_out(call: &InboundCall, rule: &Rule) -> Result<Rc<InboundCall>, Problem> {
    let (kept, stored) = (call.context.worker.conversations.as_ref(), call.stored());
    let previous = stored.and_then(|stored| Some((stored, stored.previous.as_ref()?)));
    let (Some(kept), Some((stored, previous))) = (kept, previous) else { return Err(forgotten()) };
    let name = KeptName { owner: &stored.owner, answer: &previous.opened };
    let found = patiently(async || kept.get(&name, &stored.sealer).await).await.map_err(|_| memory_away())?;
    let missing = || kept_elsewhere(call, rule).filter(|_| !stored.is_kept_here()).unwrap_or_else(forgotten);
    if found.is_none() {
        kept.counts().missed.add();
    }
    let before = found.ok_or_else(missing)?;
    let body = stored::expanded(&call.body, &call.peek, &before).ok_or_else(missing)?;
    let call = call.written_out(body, stored.on_its_own())?;
    kept.counts().expanded.add();
    Ok(call)
}

/// The part of an answer that is kept. A stream's is kept behind its caller's back: who goes on as soon as the last event is
/// there may be before it, so what is not there is looked for a while.
pub(super) async fn patiently<T>(
    look: impl AsyncFn() -> Result<Option<T>, Unanswered>,
) -> Result<Option<T>, Unanswered> {
    for pause in BEHIND {
        let found = look().await?;
        if found.is_some() {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    look().await
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
    Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)))
}

/// The problem of an answer that is not kept any longer, or was too large to be.
fn forgotten() -> Problem {
    refused(format!("The response that `previous_response_id` names is not kept here, or no longer. {INSTEAD}"))
}

/// The problem of a call that nobody can say by what it goes on, for the moment.
pub(super) fn memory_away() -> Problem {
    let message = "What `previous_response_id` or an `item_reference` names can not be looked up now. Try again in a moment, or send \
                   the whole conversation in `input`, without either.";
    Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)))
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
    Problem::from(refusal).saying(message.to_owned()).status(StatusCode::BAD_REQUEST).retry(false, None)
}
