//! Thoughts in a conversation that Anthropic has not signed: it refuses them.

use std::ops::Range;

use bytes::Bytes;

use super::unsigned_turn;
use crate::json_places::text;
use crate::thoughts::{Fate, ThoughtPlaces, is_marked};

/// The places of thoughts in a body.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.carried,
    turns: b"messages",
    parts: Some(b"content"),
    whole_turn: true,
    fate,
    without_own: Some(unsigned_turn::rested),
};

fn fate(body: &Bytes, part: Range<usize>, _model: &str) -> Fate {
    let goes = match text(body, part.clone(), b"type") {
        // Thoughts without a signature are another vendor's.
        Some("thinking") => text(body, part, b"signature").is_none_or(|said| said.is_empty() || is_marked(said)),
        Some("redacted_thinking") => text(body, part, b"data").is_some_and(is_marked),
        _ => false,
    };
    if goes { Fate::Goes } else { Fate::Stays }
}
