//! Checks of what must hold for any bytes that stand in Redis in a flight's place.

use bytes::BytesMut;
use xxhash_rust::xxh3::xxh3_64;

use super::frame::{Frame, FrameReader, VERSION};

/// Frames: any split reads like the whole, and what is read is written and read again. As no fuzzer guesses a sum, the input is read as it
/// is, and as the content of a frame of each kind.
///
/// # Panics
/// When what must hold does not.
pub fn frames(data: &[u8], pieces: &[&[u8]]) {
    assert_eq!(read(pieces), read(&[data]), "cut into {pieces:?}");
    for kind in 0..9 {
        let mut framed = vec![VERSION, kind];
        framed.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
        framed.extend_from_slice(&xxh3_64(data).to_le_bytes());
        framed.extend_from_slice(data);
        let halves = framed.split_at_checked(framed.len() / 2).unwrap_or_default();
        assert_eq!(read(&[halves.0, halves.1]), read(&[&framed]), "kind {kind}");
    }
}

/// The frames in words, and whether all of it was sound.
fn read(pieces: &[&[u8]]) -> (Vec<String>, bool) {
    let (mut reader, mut found) = (FrameReader::default(), Vec::new());
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) => found.push(again(&frame)),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// A frame that is written and read again.
fn again(frame: &Frame) -> String {
    let mut out = BytesMut::from(&[VERSION][..]);
    frame.write(&mut out);
    let mut reader = FrameReader::default();
    reader.push(&out);
    let twice = reader.next().ok().flatten();
    assert!(twice.is_some() && reader.held() == 0, "what is written is read");
    format!("{frame:?}")
}
