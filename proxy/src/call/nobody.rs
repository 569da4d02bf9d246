//! The answer to a call that nobody could be asked about: why, or what the gateway can say by itself.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_dialects::hub::ErrorKind;

use crate::account::Operation;
use crate::errors::Problem;
use crate::state::{Provider, Rule, TargetRef};

use super::exchange::Exchange;
use super::inbound::InboundCall;
use super::{count, named_files, outgoing, stored, stored_object};

/// The answer, or the reason why there is none.
///
/// # Errors
/// The gateway has nothing to say by itself.
pub(super) fn answer(call: &InboundCall, rule: &Rule) -> Result<Exchange, Problem> {
    if let Some(object) = call.object() {
        // A thing that is there has its keeper; one that is to be made may have nobody who could be it.
        let may_be = object.target().is_some() || is_offered(call, rule);
        return Err(if may_be { stored_object::keeper_away(object) } else { not_offered(call) });
    }
    if call.named().is_some() {
        return Err(of_path(rule));
    }
    let model: String = call.model().chars().take(200).collect();
    let ready = &call.context.ready;
    // A pool that has not come yet may serve it when it comes.
    let may_serve = |target: &TargetRef| {
        ready
            .target(target)
            .is_none_or(|target| target.pool.providers.iter().any(|p| p.serves(outgoing::routed_model(call, target))))
    };
    if !rule.targets.iter().chain(&rule.fallbacks).any(may_serve) {
        // What names a pool that can not serve was left out, and every rule names one: nobody knows what that pool would serve.
        if rule.targets.is_empty() {
            let message = format!(
                "A route takes the model `{model}`, but none of its pools can serve: its configuration has to be mended, and the route's status says where."
            );
            return Err(Problem::gateway(ErrorKind::Unavailable, message).retry(false, None));
        }
        let message = format!("A route takes the model `{model}`, but no provider of its pools serves it.");
        let problem = match rule.promises(call.model()) {
            true => Problem::gateway(ErrorKind::NotFound, message),
            // The rule takes any such name: this one is its caller's.
            false => Problem::client(ErrorKind::NotFound, message),
        };
        return Err(problem.code("model_not_found").param("model".to_owned()).retry(false, None));
    }
    if let Some(files) = call.files() {
        let is_asked = |target: &TargetRef| {
            let keeps = |provider: &Arc<Provider>| files.are_kept_by(provider);
            ready.target(target).is_some_and(|target| target.pool.providers.iter().any(keeps))
        };
        return Err(named_files::kept_elsewhere(call, rule.targets.iter().chain(&rule.fallbacks).any(is_asked)));
    }
    if call.is_bound() {
        return Err(stored::kept_elsewhere(call, rule).unwrap_or_else(stored::keeper_away));
    }
    if call.operation == Operation::CountTokens {
        return count::estimated(call);
    }
    if !is_offered(call, rule) {
        return Err(not_offered(call));
    }
    let message = format!("No provider can take a call for `{model}` now.");
    Err(Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1))))
}

/// True if a provider of the call's rule has its operation, or may have it.
fn is_offered(call: &InboundCall, rule: &Rule) -> bool {
    let offers = |target: &TargetRef| {
        call.context.ready.target(target).is_none_or(|target| {
            let routed = outgoing::routed_model(call, target);
            let speaks = |provider: &Arc<Provider>| provider.speaks(call.operation, call.dialect(), routed).is_some();
            target.pool.providers.iter().any(speaks)
        })
    };
    rule.targets.iter().chain(&rule.fallbacks).any(offers)
}

fn not_offered(call: &InboundCall) -> Problem {
    let model: String = call.model().chars().take(200).collect();
    let what = call.operation.label().replace('_', " ");
    let message = format!("The providers of the model `{model}` do not offer {what}; name a model of one that does.");
    Problem::client(ErrorKind::InvalidRequest, message).param("model".to_owned()).retry(false, None)
}

/// The problem of a call that passes because a rule names its path.
fn of_path(rule: &Rule) -> Problem {
    if rule.targets.is_empty() {
        let message = "A route takes this path, but none of its pools can serve: its configuration has to be mended, and the route's status says where.";
        return Problem::gateway(ErrorKind::Unavailable, message).retry(false, None);
    }
    let message = "No provider that this path goes to can take a call now.";
    Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)))
}
