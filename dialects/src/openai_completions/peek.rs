//! The fields of a body that routing needs, beside those that all dialects have.

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked};

/// Reads them. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    Ok(Peeked {
        max_tokens: look.integer(Field::MaxTokens)?,
        include_usage: look.include_usage()?,
        user: look.text(Field::User)?,
    })
}
