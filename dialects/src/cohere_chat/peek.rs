//! The fields of a body of this dialect that routing needs, beside what all have.

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked};

/// Reads it. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    Ok(Peeked { max_tokens: look.integer(Field::MaxTokens)?, include_usage: true, user: None })
}
