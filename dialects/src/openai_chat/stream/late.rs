//! Pieces of an answer that come between those of a tool call's arguments. The hub tells parts one at a time, so they are told behind the
//! call: OpenAI's clients put calls together by their index, whatever stands between.

use serde_json::value::RawValue;

use crate::openai_chat::wire::ThoughtBlock;
use crate::text::Text;

/// The most pieces that wait, and the most bytes of text in them: a call that never ends keeps no answer back for longer.
const MOST_PIECES: usize = 256;
const MOST_BYTES: usize = 16 << 10;

/// The kind of a part that grows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GrowingKind {
    Text,
    Refusal,
    Thinking,
    Tool {
        index: u32,
        id: String,
        /// True if the id is ours: one that comes later is too late.
        made: bool,
    },
}

/// A piece that waits.
#[derive(Debug)]
pub(super) enum Late {
    Text(GrowingKind, Text),
    Thought(ThoughtBlock),
    /// The address of one, which may hold its bytes.
    Picture(String),
    Logprobs(Box<RawValue>),
}

/// The pieces that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct LatePieces {
    pieces: Vec<Late>,
    bytes: usize,
}

impl LatePieces {
    /// Keeps a piece; gives it back where too much waits.
    pub(super) fn hold(&mut self, piece: Late) -> Option<Late> {
        if let Late::Text(_, text) = &piece {
            self.bytes += text.len();
        }
        if self.bytes > MOST_BYTES || self.pieces.len() >= MOST_PIECES {
            return Some(piece);
        }
        self.pieces.push(piece);
        None
    }

    /// All of them, to be told. White space alone between calls is none of the answer's text: agents would send it back, and Anthropic
    /// refuses it.
    pub(super) fn take(&mut self) -> Vec<Late> {
        let mut pieces = std::mem::take(self).pieces;
        let is_text = |piece: &Late| matches!(piece, Late::Text(GrowingKind::Text, _));
        let says = |piece: &Late| matches!(piece, Late::Text(GrowingKind::Text, text) if !text.is_blank());
        if !pieces.iter().any(says) {
            pieces.retain(|piece| !is_text(piece));
        }
        pieces
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
