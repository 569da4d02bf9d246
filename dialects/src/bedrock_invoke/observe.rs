//! The observer of what passes: Anthropic's, and an exception ends it.

use super::error;
use crate::anthropic_messages;
use crate::observe::Observed;
use crate::sse::Frame;

/// Takes one event to what is known.
pub(super) fn observe(observed: &mut Observed, frame: Frame<'_>) -> bool {
    match error::of_event(frame.name, frame.data) {
        Some(error) => {
            observed.fail(|| error);
            false
        }
        None => (anthropic_messages::SPOKE.observe)(observed, frame),
    }
}
