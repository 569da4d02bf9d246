//! Thoughts in a conversation that Anthropic has not signed: it refuses them.

use std::ops::Range;

use bytes::Bytes;

use crate::thoughts::{Fate, ThoughtPlaces, is_marked, text};

/// The places of thoughts in a body.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.carried,
    turns: b"messages",
    parts: Some(b"content"),
    whole_turn: true,
    fate,
};

fn fate(body: &Bytes, part: Range<usize>, _model: &str) -> Fate {
    let sealed = match text(body, part.clone(), b"type") {
        Some("thinking") => text(body, part, b"signature"),
        Some("redacted_thinking") => text(body, part, b"data"),
        _ => None,
    };
    if sealed.is_some_and(is_marked) { Fate::Goes } else { Fate::Stays }
}
