//! Binary event streams: any split reads like the whole, nothing that is cut or damaged passes, and what is written reads back.
//!
//! No fuzzer guesses two sums, so an input is read three ways: as it is, as the headers and payload of a message whose sums are
//! right, and as events that are packed into messages, of which one is then damaged.

use crate::Dialect;
use crate::observe::ObserverMode;
use bytes::Bytes;

use super::pieces::{pieces, place};
use super::stream::events;

/// The two dialects whose streams are such messages.
const BINARY: [Dialect; 2] = [Dialect::BedrockConverse, Dialect::BedrockInvoke];

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    holds(data);
    holds(&message(data));
    let packed = packed(data);
    holds(&packed);
    // What begins otherwise is no text.
    let is_text = !matches!(data.trim_ascii_start().first(), Some(b'[' | 0));
    if let Some(read) = unpacked(&packed).filter(|_| is_text) {
        assert_eq!(read, (events_of(data), true), "what is packed is not what comes out");
    }
    if !packed.is_empty() {
        let mut damaged = packed.clone();
        let at = place(data, damaged.len());
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 0x20;
        }
        let (passed, sound) = passed(Dialect::BedrockInvoke, &[&damaged]);
        assert!(packed.starts_with(&passed), "byte {at} is another one, and something behind it passes");
        assert!(!sound || passed.len() < packed.len(), "byte {at} may be anything");
        holds(&damaged);
    }
}

/// Checks of what must hold for any bytes of a stream, cut anywhere.
fn holds(stream: &[u8]) {
    let pieces = pieces(stream);
    for dialect in BINARY {
        let (whole, why) = events(dialect, &[stream]);
        let (cut, as_well) = events(dialect, &pieces);
        assert_eq!((format!("{cut:?}"), as_well), (format!("{whole:?}"), why), "{dialect:?} cut into {pieces:?}");
        let (at_once, sound) = passed(dialect, &[stream]);
        assert_eq!(passed(dialect, &pieces), (at_once.clone(), sound), "{dialect:?} cut into {pieces:?}");
        assert!(stream.starts_with(&at_once), "{dialect:?}: what passes is not what came");
        let (again, sound) = passed(dialect, &[&at_once]);
        assert!(sound && again == at_once, "{dialect:?}: half a message has passed");
    }
}

/// The bytes that pass to a caller of the dialect, and `true` if nothing was damaged.
fn passed(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut observer = dialect.observer(ObserverMode::HoldEvents);
    let mut out = Vec::new();
    for piece in pieces {
        observer.pass(Bytes::copy_from_slice(piece), &mut out);
        assert!(observer.held() < 40 << 20, "more is held than a message may be long");
    }
    let sound = observer.damage().is_none();
    observer.finish(&mut out);
    (out.concat(), sound)
}

/// Server-sent events as messages.
fn packed(events: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(mut reframer) = Dialect::AnthropicMessages.reframer(Dialect::BedrockInvoke) {
        // An event may be too large: those before it are there.
        let _ = reframer.push(events, &mut out);
    }
    out
}

/// The data of messages that hold events, and `true` if they were read to their end; `None`: one of them is an error, which is put
/// into other words.
fn unpacked(messages: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
    let mut out = Vec::new();
    let read = Dialect::BedrockInvoke.reframer(Dialect::AnthropicMessages)?.push(messages, &mut out);
    let said = super::sse::events(&[&out], usize::MAX).ok()?;
    let plain = said.iter().all(|(name, _)| name != b"error");
    plain.then(|| (said.into_iter().map(|(_, data)| data).collect(), read.is_ok()))
}

/// The data of server-sent events that are packed.
fn events_of(data: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = crate::sse::SseDecoder::default();
    let mut events = Vec::new();
    let _ = decoder.push(data, |frame| {
        if !frame.data.is_empty() {
            events.push(frame.data.to_vec());
        }
        Ok(())
    });
    events
}

/// A message with these headers and this payload: the first byte says how much of the rest is headers.
fn message(data: &[u8]) -> Vec<u8> {
    let (headers, rest) = data.split_first().map_or((0, data), |(first, rest)| (usize::from(*first), rest));
    let headers = headers.min(rest.len());
    let mut out = Vec::with_capacity(rest.len() + 16);
    for number in [rest.len() + 16, headers] {
        out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }
    out.extend_from_slice(&sum(&out).to_be_bytes());
    out.extend_from_slice(rest);
    let all = sum(&out);
    out.extend_from_slice(&all.to_be_bytes());
    out
}

/// CRC-32, as the format has it.
fn sum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}
