//! The fields of a body of this dialect that routing needs, beside what the path says.

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked};

/// Reads it. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    // What is wrong there, the provider says.
    let max_tokens = look.largest(Field::InferenceConfig, &["maxTokens"]);
    Ok(Peeked { max_tokens, include_usage: true, user: None })
}
