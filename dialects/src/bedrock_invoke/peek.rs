//! The fields of a body of this dialect that routing needs: Anthropic's.

use crate::anthropic_messages;
use crate::codec::Refusal;
use crate::verbatim::{Look, Peeked};

/// Reads it. Errors: a field has the wrong type, or the body is no call of Anthropic's: InvokeModel takes the words of every vendor whose
/// models are at Bedrock, and answers in them, which nobody here understands.
pub(super) fn peek(look: &Look<'_>) -> Result<Peeked, Refusal> {
    if !look.has("anthropic_version") {
        let what = "is required: InvokeModel is spoken for Anthropic's models; ask others by Converse";
        return Err(Refusal::field("anthropic_version", what));
    }
    (anthropic_messages::SPOKE.peek)(look)
}
