//! Custom tools of a call whose provider only looks like OpenAI: it knows functions alone, and is told those.

use bytes::Bytes;
use sluicegate_dialects::vendors::FieldAction;
use sluicegate_dialects::{CustomCalls, custom_tools_as_functions};

use crate::state::Provider;

use super::inbound::InboundCall;

/// The field by whose policy they pass as they are.
const TOOLS: &str = "tools";

/// True if the call may give some, and they are functions there.
fn are_functions(call: &InboundCall, provider: &Provider) -> bool {
    let defaults = &provider.defaults;
    call.peek.marks.may_give_custom_tools()
        && defaults.compatible()
        && defaults.fields.get(TOOLS) != Some(&FieldAction::Pass)
}

/// The body with functions in their place.
pub(super) fn as_functions(body: Bytes, call: &InboundCall, provider: &Provider) -> Bytes {
    if are_functions(call, provider) { custom_tools_as_functions(&body) } else { body }
}

/// The engine that tells their calls as theirs again; `None`: there are none, or they passed.
pub(super) fn calls(call: &InboundCall, provider: &Provider) -> Option<CustomCalls> {
    are_functions(call, provider).then(|| CustomCalls::of(&call.body)).flatten()
}
