//! Thoughts in a conversation that no model at Bedrock has signed: it refuses them.

use std::ops::Range;

use bytes::Bytes;

use super::unsigned_turn;
use crate::json_places::{member, text};
use crate::thoughts::{Fate, ThoughtPlaces, is_marked};
use crate::vendors::{SignatureUse, bedrock};

/// The places of thoughts in a body.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.carried || seen.thinking,
    turns: b"messages",
    parts: Some(b"content"),
    whole_turn: true,
    fate,
    without_own: Some(unsigned_turn::rested),
};

fn fate(body: &Bytes, part: Range<usize>, model: &str) -> Fate {
    let Some(thought) = member(body, part, b"reasoningContent") else { return Fate::Stays };
    let signature = member(body, thought.clone(), b"reasoningText").and_then(|said| text(body, said, b"signature"));
    let sealed = signature.or_else(|| text(body, thought, b"redactedContent")).filter(|sealed| !sealed.is_empty());
    let goes = match (sealed, bedrock(model).signature) {
        (Some(sealed), SignatureUse::Never) => !sealed.is_empty(),
        (None, SignatureUse::Demanded) => true,
        (sealed, _) => sealed.is_some_and(is_marked),
    };
    if goes { Fate::Goes } else { Fate::Stays }
}
