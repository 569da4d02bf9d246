//! The fields of a body of this dialect that routing needs, beside what all have.

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked};

/// Reads it. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    let old = look.integer(Field::MaxTokens)?;
    let new = look.integer(Field::MaxCompletionTokens)?;
    // Of both, the vendor obeys the one and look-alikes the other.
    Ok(Peeked { max_tokens: new.max(old), include_usage: look.include_usage()?, user: look.text(Field::User)? })
}
