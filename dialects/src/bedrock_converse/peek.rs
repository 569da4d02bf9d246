//! The fields of a body of this dialect that routing needs, beside what the path says.

use serde::Deserialize;

use crate::codec::Refusal;
use crate::verbatim::{Field, Look, Peeked};

/// Reads it. Errors: a field has the wrong type.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct InferenceConfig {
        max_tokens: Option<u64>,
    }
    let config = look.value(Field::InferenceConfig).map(serde_json::from_str::<InferenceConfig>);
    // What is wrong there, the provider says.
    let max_tokens = config.and_then(Result::ok).and_then(|config| config.max_tokens);
    Ok(Peeked { max_tokens, include_usage: true, user: None })
}
