//! Whoever reads an answer of Redis about places: it is right or refused.

use ::redis::Value;

use super::keeper;

/// Has all of them read it.
pub(crate) fn read_by_all(value: &Value) {
    let _ = keeper::read(value).is_some();
}
