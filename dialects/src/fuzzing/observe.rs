//! The observer knows what the decoder reads, and lets everything pass but the usage chunk it was told to take out.

use crate::Dialect;
use crate::hub::Event;
use crate::observe::{ObserverMode, StreamObserver};
use bytes::Bytes;

use super::ground::DIALECTS;
use super::pieces::pieces;
use super::sse;
use super::stream::{ends, events, fails};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let pieces = pieces(data);
    for dialect in DIALECTS.iter().copied() {
        let watched = pass(dialect, ObserverMode::Watch, &pieces);
        // What stands behind the end, or behind an error, does not pass.
        let whole = watched.1 == data || (watched.0.is_over() && data.starts_with(&watched.1));
        assert!(whole, "{dialect:?}: a watcher changes nothing");
        let (dropping, kept) = pass(dialect, ObserverMode::DropUsage, &pieces);
        let (at_once, kept_at_once) = pass(dialect, ObserverMode::DropUsage, &[data]);
        assert_eq!(told(&dropping), told(&watched.0));
        assert_eq!(told(&dropping), told(&at_once));
        // An event's CRLF may be cut, its LF then stays: framing is what must be the same.
        let frames = |bytes: &[u8]| sse::events(&[bytes], usize::MAX).expect("no limit");
        assert_eq!(frames(&kept), frames(&kept_at_once), "cut into {pieces:?}");
        let missing = frames(&watched.1).len() - frames(&kept).len();
        let asked_for = dialect.habits().usage_is_asked_for;
        assert!(missing == 0 || (asked_for && dropping.usage().is_some()));
        if !asked_for {
            assert_eq!(kept, watched.1, "nothing is asked for there, so nothing is taken out");
        }
        if is_plain(dialect, data) {
            agrees(dialect, &watched.0, data);
        }
    }
}

fn pass(dialect: Dialect, mode: ObserverMode, pieces: &[&[u8]]) -> (StreamObserver, Vec<u8>) {
    let mut observer = dialect.observer(mode);
    let mut out = Vec::new();
    for piece in pieces {
        observer.pass(Bytes::copy_from_slice(piece), &mut out);
    }
    observer.finish(&mut out);
    let mut bytes = Vec::new();
    for chunk in out {
        assert!(!chunk.is_empty(), "an empty chunk would end a chunked body");
        bytes.extend_from_slice(&chunk);
    }
    (observer, bytes)
}

fn told(observer: &StreamObserver) -> String {
    format!(
        "{:?}",
        (observer.usage(), observer.ended(), observer.errored(), observer.first_token_seen(), observer.error())
    )
}

/// True if the stream says each thing in one way only. The observer reads no more than it must: it finds words unescaped,
/// goes on behind the end, and takes an event's name for granted.
fn is_plain(dialect: Dialect, data: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct TypedData {
        r#type: String,
    }
    // Only Gemini's decoder reads a stream that is an array.
    if dialect != Dialect::Gemini && data.trim_ascii_start().starts_with(b"[") {
        return false;
    }
    // Observers of binary streams take nothing else; decoders go by the first byte.
    if dialect.habits().is_binary != data.starts_with(&[0]) {
        return false;
    }
    let frames = sse::events(&[data], usize::MAX).expect("no limit");
    let end = |(name, data): &sse::NamedData| data.trim_ascii() == b"[DONE]" || name == b"message_stop";
    let ended_early = frames.iter().rev().skip(1).any(end);
    let named = |(name, data): &sse::NamedData| {
        !matches!(dialect, Dialect::AnthropicMessages | Dialect::OpenAiResponses | Dialect::CohereChat)
            || serde_json::from_slice::<TypedData>(data).is_ok_and(|typed| typed.r#type.as_bytes() == name)
    };
    !data.contains(&b'\\') && !ended_early && frames.iter().all(named)
}

fn agrees(dialect: Dialect, observer: &StreamObserver, data: &[u8]) {
    let mut decoder = dialect.stream_decoder();
    let mut events = Vec::new();
    if decoder.push(data, &mut events).is_err() {
        return;
    }
    let (all, malformed) = self::events(dialect, &[data]);
    if malformed.is_some() {
        return;
    }
    // Without `[DONE]` the decoder finds an end of its own when the body has ended, which the observer is not told.
    assert!(observer.ended() || !ends(&events), "the observer missed the end");
    assert!(!observer.ended() || ends(&all), "the observer told of an end that is none");
    if dialect == Dialect::Gemini && fails(&all) && !observer.errored() {
        // A call that it could not write passes to its own callers as it is; for others it is an error.
        return;
    }
    assert_eq!(observer.errored(), fails(&all), "an error, {dialect:?}");
    let usage = all.iter().rev().find_map(|event| if let Event::Usage(usage) = event { Some(*usage) } else { None });
    assert_eq!(observer.usage(), usage, "the usage");
}
