//! The beginning of an event whose end has not come: held back, so that an error can be said after any whole event.
//!
//! However small the pieces are in which an event comes, each of its bytes is searched a fixed number of times.

use bytes::Bytes;
use memchr::memmem;

/// An unfinished event longer than this is passed on as it is.
const LONGEST_HELD_EVENT: usize = 1 << 20;
/// The ends that an event may have, as SSE's lines may.
const BLANK_LINES: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
/// One byte less than the longest of them: so much of it may have come before.
const OVERLAP: usize = 3;

/// The part that has come of an event that is not whole.
#[derive(Debug, Default)]
pub(super) struct EventTail {
    bytes: Vec<u8>,
    #[cfg(test)]
    searched: usize,
}

impl EventTail {
    /// Takes the next piece, and gives everything up to the end of the last whole event; the rest is held back.
    pub(super) fn pass(&mut self, mut piece: Bytes) -> Option<Bytes> {
        if self.bytes.is_empty() {
            if ends_event(&piece) {
                return Some(piece);
            }
            let whole = self.last_end(&piece).map(|end| piece.split_to(end));
            self.bytes.extend_from_slice(&piece);
            return whole;
        }
        let from = self.bytes.len().saturating_sub(OVERLAP);
        self.bytes.extend_from_slice(&piece);
        let bytes = std::mem::take(&mut self.bytes);
        let end = self.last_end(bytes.get(from..).unwrap_or_default());
        self.bytes = bytes;
        let whole = match end {
            None if self.bytes.len() < LONGEST_HELD_EVENT => return None,
            None => self.bytes.len(),
            Some(end) => from + end,
        };
        let rest = self.bytes.split_off(whole);
        Some(std::mem::replace(&mut self.bytes, rest).into())
    }

    /// True if nothing is held back.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the bytes that were held back.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }

    /// The memory that is held back.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// The end of the last whole event in these bytes, of which none was whole before.
    fn last_end(&mut self, text: &[u8]) -> Option<usize> {
        #[cfg(test)]
        {
            self.searched += text.len();
        }
        let ends = BLANK_LINES.iter().map(|blank| memmem::rfind(text, blank).map(|at| at + blank.len()));
        ends.max().flatten()
    }
}

/// The beginning of the last event in these bytes, whether it is whole or not.
pub(super) fn last_event(text: &[u8]) -> usize {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let before = text.get(..end).unwrap_or_default();
    let begins = BLANK_LINES.iter().filter_map(|blank| memmem::rfind(before, blank).map(|at| at + blank.len()));
    begins.max().unwrap_or_default()
}

/// The beginning of the last of these whole messages of a binary event stream, each of which begins with its length.
pub(super) fn last_message(messages: &[u8]) -> usize {
    let mut begins = 0;
    loop {
        let length =
            messages.get(begins..).and_then(|rest| rest.first_chunk()).map(|length| u32::from_be_bytes(*length));
        let next =
            length.and_then(|length| begins.checked_add(usize::try_from(length).ok().filter(|length| *length > 0)?));
        match next.filter(|next| *next < messages.len()) {
            Some(next) => begins = next,
            None => return begins,
        }
    }
}

/// These bytes event by event; the last may not be whole.
pub(super) fn events(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let ends = BLANK_LINES.iter().filter_map(|blank| memmem::find(&bytes, blank).map(|at| at + blank.len()));
        let end = ends.min().unwrap_or(bytes.len());
        (!bytes.is_empty()).then(|| bytes.split_to(end))
    })
}

/// True if nothing of an event is left open at the end of these bytes.
pub(super) fn ends_event(text: &[u8]) -> bool {
    BLANK_LINES.iter().any(|blank| text.ends_with(blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_events_pass_whole_however_they_are_cut() {
        let text = b"data: 1\n\n: hm\n\ndata: 2\ndata: 3\r\n\r\ndata: 4\r\rdata: 5".as_slice();
        let end = text.len() - b"data: 5".len();
        for size in 1..=text.len() {
            let (mut tail, mut passed) = (EventTail::default(), Vec::new());
            for piece in text.chunks(size) {
                let whole = tail.pass(Bytes::copy_from_slice(piece)).unwrap_or_default();
                assert!(whole.is_empty() || ends_event(&whole), "{size}");
                passed.extend_from_slice(&whole);
            }
            assert_eq!(passed, text.get(..end).unwrap(), "{size}");
            assert_eq!(tail.take(), "data: 5");
        }
    }

    #[test]
    fn an_event_in_single_bytes_is_searched_four_times_and_not_once_for_each_byte() {
        let text = format!("data: {}\n\n", "x".repeat(128 << 10));
        for (size, times) in [(1, 4), (2, 3), (100, 2), (text.len(), 1)] {
            let mut tail = EventTail::default();
            let passed = text.as_bytes().chunks(size).filter_map(|piece| tail.pass(Bytes::copy_from_slice(piece)));
            assert_eq!(passed.map(|whole| whole.len()).sum::<usize>(), text.len());
            assert!(tail.searched <= times * text.len(), "{size}: {} of {}", tail.searched, text.len());
        }
    }

    #[test]
    fn the_last_event_begins_behind_the_one_before() {
        for (text, last) in [
            ("", ""),
            ("data: 1", "data: 1"),
            ("data: 1\n\n", "data: 1\n\n"),
            ("data: 1\n\ndata: 2\ndata: 3\n\n", "data: 2\ndata: 3\n\n"),
            ("data: 1\r\n\r\ndata: 2\r\n\r", "data: 2\r\n\r"),
            ("data: 1\r\rdata: 2\r\r", "data: 2\r\r"),
        ] {
            assert_eq!(&text[last_event(text.as_bytes())..], last, "{text:?}");
        }
    }

    #[test]
    fn the_last_message_begins_where_the_one_before_ends() {
        let message = |length: u32| [&length.to_be_bytes()[..], &vec![7; length as usize - 4]].concat();
        for (messages, last) in [(vec![], 0), (vec![16], 0), (vec![16, 300, 20], 316)] {
            let bytes = messages.into_iter().flat_map(message).collect::<Vec<_>>();
            assert_eq!(last_message(&bytes), last);
        }
        for odd in [&[0; 9][..], &[255; 9], &[0, 0, 0, 4, 0, 0, 0, 4]] {
            assert!(last_message(odd) <= odd.len());
        }
    }

    #[test]
    fn what_never_ends_is_held_up_to_a_bound() {
        let (mut tail, mut passed) = (EventTail::default(), 0);
        for _ in 0..40 {
            passed += tail.pass(Bytes::from(vec![b'x'; 64 << 10])).map_or(0, |whole| whole.len());
            assert!(tail.held() <= 2 * LONGEST_HELD_EVENT);
        }
        assert_eq!(passed, 2 << 20);
    }

    #[test]
    fn nothing_is_left_open_behind_an_empty_line() {
        for whole in ["data: 1\n\n", "data: 1\r\n\r\n", "data: 1\r\r"] {
            assert!(ends_event(whole.as_bytes()), "{whole:?}");
        }
        for open in ["", "data: 1", "data: 1\n", "data: 1\r\n", "\n\ndata: 2"] {
            assert!(!ends_event(open.as_bytes()), "{open:?}");
        }
    }
}
