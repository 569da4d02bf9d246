//! A call to a path that the gateway has no words for, and a rule names: nothing of it is read, and it goes to the rule's providers as it
//! came, with what every call has: its caller's rights, limits, the gateway's credential, failover where it may be repeated.

use std::rc::Rc;

use http::request;

use crate::api::named_paths::{self, METHODS};
use crate::errors::Problem;
use crate::worker::own::Worker;

use super::caller::{self, Addressed};
use super::exchange::Exchange;
use super::inbound::InboundCall;
use super::{access, failover, limits};

/// The address of a call whose path is not known, where a rule names that.
///
/// # Errors
/// Those of the address, where it is another one's; or a method that such paths do not take.
pub(super) fn addressed(
    worker: &Worker,
    head: &request::Parts,
    addressed: Result<Addressed, Problem>,
) -> Result<Addressed, Problem> {
    let path = head.uri.path();
    let is_named = |path| worker.ready().names_path(path);
    match addressed {
        Err(problem) if caller::is_unknown_path(&problem) && named_paths::nameable(path).is_some_and(is_named) => {
            caller::named(&head.method, path, METHODS)
        }
        addressed => addressed,
    }
}

/// Answers it.
///
/// # Errors
/// No rule lets its caller in, a limit has no room, or nobody answered.
pub(super) async fn exchange(call: &Rc<InboundCall>) -> Result<Exchange, Problem> {
    let context = &call.context;
    let (route, at, rule) = access::permitted_path(call, named_paths::nameable(call.path()).unwrap_or_default())?;
    context.note(|entry| entry.route(route, at));
    let changed = call.changed_by(rule)?;
    let call = changed.as_ref().unwrap_or(call);
    if limits::apply(call, rule) {
        limits::take(call, rule, context.ready.names.route_name(route)).await?;
    }
    failover::exchange(call, rule, None).await
}
