//! The write buffer of a stream: one piece passes as it is, several that are ready together become one.

use bytes::Bytes;

/// A buffer of what is ready to go out.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer {
    first: Bytes,
    rest: Vec<u8>,
}

/// From so many bytes on room is made at once, where it is known how many come.
const LONG: u64 = 64 << 10;

impl WriteBuffer {
    /// With room for a body, if its length is known, and much, and no more than the most: a buffer that grows has its old room beside the new
    /// one.
    pub(super) fn of(body: &impl http_body::Body, most: usize) -> Self {
        let known =
            body.size_hint().exact().filter(|length| *length > LONG).and_then(|length| usize::try_from(length).ok());
        let rest = known.filter(|length| *length <= most).map_or_else(Vec::new, Vec::with_capacity);
        Self { first: Bytes::new(), rest }
    }

    /// Adds a piece; the first one is not copied.
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.first.is_empty() && self.rest.capacity() == 0 {
            self.first = piece;
        } else {
            self.rest().extend_from_slice(&piece);
        }
    }

    /// To write to, behind everything that is there.
    pub(super) fn rest(&mut self) -> &mut Vec<u8> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.rest.reserve(first.len() * 2);
            self.rest.extend_from_slice(&first);
        }
        &mut self.rest
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// The memory that it takes.
    pub(super) fn held(&self) -> usize {
        self.first.len() + self.rest.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, as one piece.
    pub(super) fn take(&mut self) -> Bytes {
        if self.first.is_empty() {
            Bytes::from(std::mem::take(&mut self.rest))
        } else {
            std::mem::take(&mut self.first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_several_become_one() {
        let mut buffer = WriteBuffer::default();
        let piece = Bytes::from_static(b"one");
        buffer.push(piece.clone());
        assert_eq!(buffer.take().as_ptr(), piece.as_ptr());
        assert!(buffer.is_empty());
        buffer.push(piece);
        buffer.push(Bytes::from_static(b", two"));
        buffer.rest().extend_from_slice(b", three");
        assert_eq!(buffer.len(), 15);
        assert_eq!(buffer.take(), "one, two, three");
        assert!(buffer.is_empty());
    }
}
