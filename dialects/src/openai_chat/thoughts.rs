//! Thoughts in a conversation that another vendor has signed: servers that hand signed thoughts on know their own.

use std::ops::Range;

use bytes::Bytes;

use crate::json_places::text;
use crate::thoughts::{Fate, ThoughtPlaces, is_marked};

/// The places of thoughts in a body.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.thinking,
    turns: b"messages",
    parts: Some(b"thinking_blocks"),
    whole_turn: false,
    fate: |body: &Bytes, block: Range<usize>, _| {
        let signature = text(body, block.clone(), b"signature").or_else(|| text(body, block, b"data"));
        if signature.is_some_and(is_marked) { Fate::Goes } else { Fate::Stays }
    },
    without_own: None,
};
