//! Whoever reads an answer of Redis about budgets: it is right or refused.

use ::redis::Value;

use super::script;

/// Has all of them read it.
pub(crate) fn read_by_all(value: &Value) {
    let _ = script::read(value).is_some();
}
