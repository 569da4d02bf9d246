//! A JSON array that grows, framing only: each of its elements is what an event's data is in server-sent events.

use crate::codec::Malformed;
use crate::sse::{Frame, MAX_EVENT};

/// Elements that one large one has grown are given back beyond this.
const KEEP: usize = 64 * 1024;

/// Reads elements out of bytes cut anywhere. Each byte is looked at once.
#[derive(Debug, Default)]
pub(crate) struct ArrayDecoder {
    /// The element so far.
    held: Vec<u8>,
    /// The number of the element's own brackets that are open.
    depth: u32,
    in_text: bool,
    escaped: bool,
    /// True if the array has begun.
    begun: bool,
    ended: bool,
    /// A comma has announced another element.
    announced: bool,
    /// The element is beyond the limit: its bytes are let go.
    skipping: bool,
}

impl ArrayDecoder {
    /// Takes the next bytes and gives each element they complete to `each`. An element beyond the limit is told by its end
    /// alone. Errors: what `each` says.
    pub(crate) fn push<F>(&mut self, bytes: &[u8], mut each: F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.depth == 0 {
                match byte {
                    b'[' if !self.begun => self.begun = true,
                    b']' => (self.ended, self.announced) = (true, false),
                    b',' => self.announced = true,
                    b'{' if !self.ended => (self.begun, self.depth, from, self.announced) = (true, 1, at, false),
                    _ => {}
                }
                continue;
            }
            self.step(*byte);
            if self.depth == 0 {
                let element = bytes.get(from..=at).unwrap_or_default();
                self.complete(element, at + 1, &mut each)?;
            }
        }
        if self.depth > 0 {
            self.hold(bytes.get(from..).unwrap_or_default());
        }
        Ok(())
    }

    /// True if the bytes so far end between two elements; the comma is of the one that it announces.
    pub(crate) const fn at_boundary(&self) -> bool {
        self.depth == 0 && !self.announced
    }

    /// True if the closing bracket has come.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// True if an element beyond the limit is going by.
    pub(crate) fn skips(&self) -> bool {
        self.skipping
    }

    /// The memory that the unfinished element takes.
    pub(crate) fn held(&self) -> usize {
        self.held.capacity()
    }

    fn step(&mut self, byte: u8) {
        match byte {
            _ if std::mem::take(&mut self.escaped) => {}
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth = self.depth.saturating_add(1),
            b'}' | b']' if !self.in_text => self.depth -= 1,
            _ => {}
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.skipping |= self.held.len() + bytes.len() > MAX_EVENT;
        if self.skipping {
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    fn complete<F>(&mut self, element: &[u8], end: usize, each: &mut F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        if self.held.is_empty() && !self.skipping {
            return each(Frame { name: b"", data: element, end, skipped: false });
        }
        self.hold(element);
        let skipped = std::mem::take(&mut self.skipping);
        let given = each(Frame { name: b"", data: &self.held, end, skipped });
        self.held.clear();
        self.held.shrink_to(KEEP);
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_the_same_wherever_the_bytes_are_cut() {
        let body = "[{\"a\":\"}]\\\"{\",\"b\":[{}]}\n,\r\n{\"c\":{\"d\":1}} , {\"e\":\"ü\"}\n]\n".as_bytes();
        let expected = ["{\"a\":\"}]\\\"{\",\"b\":[{}]}", "{\"c\":{\"d\":1}}", "{\"e\":\"ü\"}"];
        for size in 1..=body.len() {
            let (mut decoder, mut seen, mut before) = (ArrayDecoder::default(), Vec::new(), 0);
            for piece in body.chunks(size) {
                decoder
                    .push(piece, |frame| {
                        seen.push(String::from_utf8(frame.data.to_vec()).unwrap());
                        assert!(body[..before + frame.end].ends_with(b"}"));
                        Ok(())
                    })
                    .unwrap();
                before += piece.len();
            }
            assert_eq!(seen, expected, "in pieces of {size}");
            assert!(decoder.at_boundary() && decoder.ended);
        }
    }

    #[test]
    fn a_cut_array_has_not_ended() {
        let mut decoder = ArrayDecoder::default();
        decoder.push(b"[{\"a\":1},{\"b\":", |_| Ok(())).unwrap();
        assert!(!decoder.at_boundary() && !decoder.ended);
    }
}
