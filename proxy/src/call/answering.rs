//! The steps of a call whose body is here: its rule, its limits, the cache, a flight that others share, providers.

use std::rc::Rc;

use crate::account::Operation;
use crate::errors::Problem;

use super::cache_lookup::{self, CacheOutcome};
use super::exchange::Exchange;
use super::inbound::InboundCall;
use super::{
    access, coalesce, count, failover, limits, mirror, named_files, output_limit, referenced_items, resume, stored,
};

/// An answer to a call, wherever it came from.
///
/// # Errors
/// There is none: no rule takes it, a limit has no room, or nobody answered.
pub(super) async fn answered(mut call: &Rc<InboundCall>) -> Result<Exchange, Problem> {
    let context = &call.context;
    let (route, at, rule) = access::permitted(call)?;
    context.note(|entry| entry.route(route, at));
    stored::look(call).and_then(|()| named_files::look(call))?;
    let (said, written_out, changed);
    let named = stored::named_items(call);
    if !named.is_empty() {
        // Boxed, as what is asked of Redis below.
        said = Box::pin(referenced_items::said(call, &named)).await?;
        call = &said;
    }
    let call = if stored::has_no_keeper(call, rule) {
        // Boxed, as what is asked of Redis below.
        written_out = Box::pin(stored::written_out(call, rule)).await?;
        &written_out
    } else {
        call
    };
    let call = match &rule.request {
        None => call,
        Some(changes) => {
            changed = call.changed(changes)?;
            &changed
        }
    };
    if limits::apply(call, rule) {
        // Boxed: a call without limits has no use for the room.
        Box::pin(limits::take(call, rule, context.ready.names.route_name(route))).await?;
    }
    if call.operation.generates() {
        call.plan_cache(rule.prompt_cache);
        context.clamp(output_limit::of(call, rule));
    }
    let (lead, expected) = match &rule.cache {
        None => (None, None),
        Some(plan) => {
            match cache_lookup::look(call, rule, plan).await {
                CacheOutcome::Hit(answer) => return Ok(answer),
                // What a cheaper model answers is not for those who pay for another.
                CacheOutcome::Fetch(lead, expected) => (lead.filter(|_| !context.lands_softly()), expected),
            }
        }
    };
    if rule.mirror.is_some() {
        mirror::send(call, rule);
    }
    let outcome = match cache_lookup::shared_key(call, rule, lead.as_ref()) {
        None if rule.stream_failover.is_none() => failover::exchange(call, rule, lead).await,
        // Boxed, as the cache's part.
        None => Box::pin(resume::exchange(call, rule, lead)).await,
        // Boxed, as the cache's part.
        Some(key) => Box::pin(coalesce::exchange(call, rule, key, (lead, expected))).await,
    };
    if call.operation == Operation::CountTokens {
        return count::or_estimated(call, outcome);
    }
    if !stored::is_failed_by_keeper(call, &outcome) {
        return outcome;
    }
    match Box::pin(stored::written_out(call, rule)).await {
        Ok(call) => Box::pin(failover::ask(&call, rule, None)).await,
        Err(problem) => stored::without_keeper(outcome, problem),
    }
}
