//! The fields of a body of this dialect that routing needs, beside what all have.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked, PeekedText};

/// Reads it. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    Ok(Peeked { max_tokens: look.integer(Field::MaxTokens)?, include_usage: false, user: user(look) })
}

/// A metadata that is not as documented is the provider's to judge.
fn user(look: &Look<'_>) -> Option<PeekedText> {
    let object = look.value(Field::Metadata).filter(|text| text.starts_with('{'))?;
    let metadata: PeekedMetadata<'_> = serde_json::from_str(object).ok()?;
    metadata.user_id.and_then(|raw| look.string(raw.get()))
}

#[derive(serde::Deserialize)]
struct PeekedMetadata<'a> {
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
}
