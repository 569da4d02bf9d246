//! Thoughts in a conversation that no model at Bedrock has signed: it refuses them.

use std::ops::Range;

use bytes::Bytes;

use crate::thoughts::{Fate, ThoughtPlaces, is_marked, member, text};

/// The places of thoughts in a body.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.carried,
    turns: b"messages",
    parts: Some(b"content"),
    whole_turn: true,
    fate,
};

fn fate(body: &Bytes, part: Range<usize>, _model: &str) -> Fate {
    let Some(thought) = member(body, part, b"reasoningContent") else { return Fate::Stays };
    let signature = member(body, thought.clone(), b"reasoningText").and_then(|said| text(body, said, b"signature"));
    let sealed = signature.or_else(|| text(body, thought, b"redactedContent"));
    if sealed.is_some_and(is_marked) { Fate::Goes } else { Fate::Stays }
}
