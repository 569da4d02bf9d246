//! A stream folded into a whole answer, and a whole answer told as a stream: Anthropic's, in chunks.

use super::error;
use super::stream::chunks;
use crate::anthropic_messages::fold as messages;
use crate::anthropic_messages::fold::MessagesFold;
use crate::codec::Unfolded;
use crate::content_policy;
use crate::fold::FoldEvents;
use crate::hub::Usage;
use crate::sse::Frame;

/// Folds one stream. A guardrail's word stands in the whole answer, whichever chunk it came with.
#[derive(Debug, Default)]
pub(super) struct InvokeFold {
    inner: MessagesFold,
    spoken: bool,
}

impl FoldEvents for InvokeFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        if error::of_event(frame.name, frame.data).is_some() {
            return Err(Unfolded::Failed);
        }
        self.spoken |= content_policy::is_guardrails_chunk(frame.data);
        self.inner.push(frame)
    }

    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let Self { mut inner, spoken } = *self;
        if spoken {
            inner.say(content_policy::GUARDRAIL_ACTION);
        }
        Box::new(inner).finish(usage)
    }
}

/// Tells a whole answer as a stream.
pub(super) fn replay(whole: &[u8], _include_usage: bool, out: &mut Vec<u8>) -> Option<()> {
    let mut events = Vec::with_capacity(whole.len() * 2);
    messages::replay(whole, &mut events)?;
    chunks(&events, out);
    Some(())
}
