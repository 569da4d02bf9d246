//! A whole answer: Anthropic's. Where a guardrail stands in for it, Bedrock says so beside it, and nothing in it does.

use crate::anthropic_messages;
use crate::codec::Malformed;
use crate::content_policy;
use crate::hub::{Reply, Stop};

/// Reads a whole answer. Errors: as Anthropic's.
pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let mut reply = (anthropic_messages::SPOKE.decode_reply)(body)?;
    if content_policy::is_of_guardrail(body) {
        reply.choices.iter_mut().for_each(|choice| choice.stop = Stop::Refusal);
    }
    Ok(reply)
}
