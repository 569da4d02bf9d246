//! Tool calls that begin before the one that is being told has ended: they wait, as the hub tells parts one at a time.

use crate::seam::Malformed;

/// The most calls that wait, and the most bytes of arguments they hold together.
const MOST_CALLS: usize = 128;
const MOST_BYTES: usize = 4 << 20;

/// A call that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) index: u32,
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// The calls that wait, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Queue {
    calls: Vec<Waiting>,
    bytes: usize,
}

impl Queue {
    /// The call with this index waits from now on. Errors: too many do.
    pub(super) fn push(&mut self, call: Waiting) -> Result<(), Malformed> {
        if self.calls.len() >= MOST_CALLS {
            return Err(too_much());
        }
        self.bytes += call.arguments.len();
        self.calls.push(call);
        self.check()
    }

    /// More arguments for a waiting call; `false`: none of this index waits. Errors: too much waits.
    pub(super) fn grow(&mut self, index: Option<u32>, arguments: &str) -> Result<bool, Malformed> {
        let Some(call) = self.calls.iter_mut().find(|call| Some(call.index) == index) else { return Ok(false) };
        call.arguments.push_str(arguments);
        self.bytes += arguments.len();
        self.check().map(|()| true)
    }

    /// The one whose turn is next.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        if self.calls.is_empty() {
            return None;
        }
        let call = self.calls.remove(0);
        self.bytes -= call.arguments.len();
        Some(call)
    }

    fn check(&self) -> Result<(), Malformed> {
        if self.bytes > MOST_BYTES { Err(too_much()) } else { Ok(()) }
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

    /// Whether nothing more can come.
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

    #[test]
    fn what_waits_is_bounded() {
        let mut queue = Queue::default();
        let call = |index| Waiting { index, id: None, name: "f".into(), arguments: String::new() };
        for index in 0..128 {
            queue.push(call(index)).unwrap();
        }
        assert!(queue.push(call(128)).is_err());
        assert!(queue.grow(Some(5), &"x".repeat(MOST_BYTES + 1)).is_err());
        assert!(!queue.grow(Some(500), "x").unwrap());
    }
}
