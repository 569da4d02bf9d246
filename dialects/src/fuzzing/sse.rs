//! Server-sent events: any split reads like the whole, and what is written reads back.

use crate::Malformed;
use crate::sse::{Frame, SseDecoder, write};

use super::pieces::pieces;

/// An event's name and data.
pub(super) type NamedData = (Vec<u8>, Vec<u8>);

/// The events of a body that came in these pieces.
///
/// # Errors
/// An event is larger than the limit.
pub(super) fn events(pieces: &[&[u8]], limit: usize) -> Result<Vec<NamedData>, Malformed> {
    let mut decoder = SseDecoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        let mut last = 0;
        decoder.push(piece, |frame| {
            assert!(last < frame.end && frame.end <= piece.len(), "an event ends outside its bytes");
            last = frame.end;
            events.push(owned(frame));
            Ok(())
        })?;
    }
    decoder.finish(|frame| {
        events.push(owned(frame));
        Ok(())
    })?;
    Ok(events)
}

fn owned(frame: Frame<'_>) -> NamedData {
    (frame.name.to_vec(), frame.data.to_vec())
}

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let pieces = pieces(data);
    assert_eq!(pieces.concat(), data);
    let whole = events(&[data], usize::MAX).expect("no limit");
    assert_eq!(events(&pieces, usize::MAX).expect("no limit"), whole, "cut into {pieces:?}");
    if let Ok(few) = events(&pieces, 64) {
        assert_eq!(few, whole);
    }

    let is_text = |(name, _): &&NamedData| std::str::from_utf8(name).is_ok();
    let kept: Vec<NamedData> = whole.iter().filter(is_text).cloned().collect();
    let mut out = Vec::new();
    for (name, data) in &kept {
        write(std::str::from_utf8(name).ok().filter(|name| !name.is_empty()), data, &mut out);
    }
    assert_eq!(events(&[&out], usize::MAX).expect("no limit"), kept, "what is written reads back");
}
