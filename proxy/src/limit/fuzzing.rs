//! Whoever reads an answer of Redis about limits and budgets: each is right or refused.

use ::redis::Value;

use super::{budget, fleet, script};

/// Has all of them read it.
pub(crate) fn read_by_all(value: &Value) {
    let _ = (script::read(value).is_some(), fleet::read(Ok(value.clone())));
    budget::fuzzing::read_by_all(value);
}
