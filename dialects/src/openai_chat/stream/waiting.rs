//! Tool calls that can not be told yet, as the hub tells parts one at a time and each whole in its beginning: another
//! call is being told that has not ended, or their id or name is still to come.

use crate::codec::Malformed;
use crate::openai_chat::wire::ThoughtBlock;
use crate::text::{Seam, Text};

/// The most calls that wait, and the most bytes of arguments they hold together.
const MOST_CALLS: usize = 128;
const MOST_BYTES: usize = 4 << 20;

/// The piece of a call in a chunk.
#[derive(Debug)]
pub(super) struct CallPiece {
    pub(super) index: Option<u32>,
    /// Never empty.
    pub(super) id: Option<String>,
    /// Never empty.
    pub(super) name: Option<String>,
    /// More of the arguments.
    pub(super) text: Text,
    /// The signature that stands on it.
    pub(super) signature: Option<ThoughtBlock>,
}

/// A call that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) index: u32,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: String,
    /// The end of the arguments so far.
    pub(super) seam: Seam,
    /// The signature that stands on it.
    pub(super) signature: Option<ThoughtBlock>,
}

impl Waiting {
    /// True if it can be told. Look-alikes give the id with the name, behind it, or never: it is not waited for longer
    /// than to the first of the arguments.
    fn is_ready(&self) -> bool {
        self.name.is_some() && (self.id.is_some() || !self.arguments.trim_ascii().is_empty())
    }
}

/// The calls that wait, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Queue {
    calls: Vec<Waiting>,
    bytes: usize,
}

impl Queue {
    /// A call that waits is told more of, or one begins to wait; `false`: it is nothing that begins a call. Errors: too
    /// much waits.
    pub(super) fn take(&mut self, piece: CallPiece, next: u32) -> Result<bool, Malformed> {
        let CallPiece { index, id, name, text, signature } = piece;
        let says_something = !text.is_blank();
        let same = |call: &Waiting| match (&id, &call.id) {
            // Where all have the same index they differ by their ids.
            (Some(id), Some(known)) if id != known => false,
            _ => index.is_none_or(|index| index == call.index),
        };
        let full = self.calls.len() >= MOST_CALLS;
        match self.calls.iter_mut().rev().find(|call| same(call)) {
            Some(call) => {
                call.id = call.id.take().or(id);
                call.name = call.name.take().or(name);
                call.signature = call.signature.take().or(signature);
                if call.name.is_none() && says_something {
                    return Ok(false);
                }
                self.bytes += text.len();
                call.arguments.push_str(&call.seam.join(text));
            }
            None if name.is_none() && (id.is_none() || says_something) => return Ok(false),
            None if full => return Err(too_much()),
            None => {
                self.bytes += text.len();
                let mut seam = Seam::default();
                let arguments = seam.join(text);
                self.calls.push(Waiting { index: index.unwrap_or(next), id, name, arguments, seam, signature });
            }
        }
        if self.bytes > MOST_BYTES { Err(too_much()) } else { Ok(true) }
    }

    /// The index of the one whose turn is next, if it can be told.
    pub(super) fn ready(&self) -> Option<u32> {
        self.calls.first().filter(|call| call.is_ready()).map(|call| call.index)
    }

    /// The one whose turn is next.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        if self.calls.is_empty() {
            return None;
        }
        let call = self.calls.remove(0);
        self.bytes = self.bytes.saturating_sub(call.arguments.len());
        Some(call)
    }
}

fn too_much() -> Malformed {
    Malformed::new("more tool calls at once than can be put in order")
}

/// Follows a call's arguments to the end of their object, piece by piece, in whatever way they are cut.
#[derive(Debug, Default)]
pub(super) struct Balance {
    depth: u32,
    text: bool,
    escaped: bool,
    begun: bool,
}

impl Balance {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match (byte, self.text) {
                _ if self.escaped => self.escaped = false,
                (b'\\', true) => self.escaped = true,
                (b'"', _) => self.text = !self.text,
                (b'{' | b'[', false) => {
                    self.depth = self.depth.saturating_add(1);
                    self.begun = true;
                }
                (b'}' | b']', false) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// True if nothing more can come.
    pub(super) const fn is_whole(&self) -> bool {
        self.begun && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_at_its_last_brace() {
        for (text, whole) in
            [("", false), ("{", false), (r#"{"a":"}"#, false), (r#"{"a":"\"}"}"#, true), (" {} ", true)]
        {
            let mut balance = Balance::default();
            text.char_indices().for_each(|(at, char)| balance.push(&text[at..at + char.len_utf8()]));
            assert_eq!(balance.is_whole(), whole, "{text}");
        }
    }

    fn piece(index: u32, id: Option<&str>, name: Option<&str>, text: &str) -> CallPiece {
        CallPiece {
            index: Some(index),
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            text: text.into(),
            signature: None,
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut queue = Queue::default();
        for index in 0..128 {
            assert!(queue.take(piece(index, None, Some("f"), ""), 0).unwrap());
        }
        assert!(queue.take(piece(128, None, Some("f"), ""), 0).is_err());
        assert!(queue.take(piece(5, None, None, &"x".repeat(MOST_BYTES + 1)), 0).is_err());
    }

    #[test]
    fn a_call_is_ready_when_all_is_known_that_will_be() {
        let ready = |pieces: &[(Option<&str>, Option<&str>, &str)]| {
            let mut queue = Queue::default();
            for (id, name, text) in pieces {
                assert!(queue.take(piece(0, *id, *name, text), 0).unwrap());
            }
            queue.ready().is_some()
        };
        assert!(ready(&[(Some("c"), Some("f"), "")]));
        assert!(!ready(&[(None, Some("f"), "")]));
        assert!(ready(&[(None, Some("f"), ""), (Some("c"), None, "")]));
        assert!(ready(&[(None, Some("f"), ""), (None, None, "{")]));
        assert!(!ready(&[(Some("c"), None, "")]));
        assert!(ready(&[(Some("c"), None, ""), (None, Some("f"), "")]));
        // Arguments of a call that nobody named are none of a call's.
        assert!(!Queue::default().take(piece(0, Some("c"), None, "{}"), 0).unwrap());
        assert!(!Queue::default().take(piece(0, None, None, "{}"), 0).unwrap());
    }
}
