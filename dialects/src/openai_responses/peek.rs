//! The fields that routing needs of a body of this dialect, beside what all have.

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked};

/// Reads it. Its streams always say what they used. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    let max_tokens = look.integer(Field::MaxOutputTokens)?;
    Ok(Peeked { max_tokens, include_usage: true, user: look.text(Field::User)? })
}
