//! The most tokens that a rule's providers are asked for, where a caller asks for more: told on every answer, of whichever origin.

use crate::state::Rule;

use super::inbound::InboundCall;
use super::outgoing;

/// The tokens that the caller gets at most, whoever answers; `None`: somebody may answer with as many as it asked for.
pub(super) fn of(call: &InboundCall, rule: &Rule) -> Option<u64> {
    let wanted = call.peek.max_tokens?;
    let lands = call.context.lands_softly();
    let targets = if lands { &rule.fallbacks } else { &rule.targets };
    let targets = targets.iter().filter(|target| target.weight > 0 && (!lands || rule.is_landing(target)));
    let mut most = None;
    for target in targets.filter_map(|target| call.context.ready.target(target)) {
        let routed = outgoing::routed_model(call, target);
        for provider in target.pool.providers.iter().filter(|provider| provider.weight > 0 && provider.serves(routed)) {
            let Some(dialect) = provider.speaks(call.operation, call.dialect(), routed) else { continue };
            let model = outgoing::model(call, target, provider);
            // Within a dialect the caller knows its vendor, unless the pool says a number.
            let by_table = || dialect.output_limit(model).filter(|_| dialect != call.dialect());
            most = most.max(Some(provider.defaults.max_output.get(model).copied().or_else(by_table)?));
        }
    }
    most.filter(|most| *most < wanted)
}
