//! Streamed answers: any split reads like the whole, what is written reads back, and a cut stream never gets an end.

use crate::hub::{ErrorKind, Event, PartKind, ProviderError};
use crate::{Dialect, Malformed, StreamOptions};

use super::ground::{DIALECTS, shown};
use super::pieces::pieces;

/// The events of a body that came in these pieces, and what ended their reading early.
pub(super) fn events(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<Event>, Option<Malformed>) {
    let mut decoder = dialect.stream_decoder();
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(malformed) = decoder.push(piece, &mut events) {
            return (events, Some(malformed));
        }
    }
    let malformed = decoder.finish(&mut events).err();
    (events, malformed)
}

/// The bytes of a stream.
pub(super) fn bytes(dialect: Dialect, events: &[Event], include_usage: bool) -> Vec<u8> {
    let mut encoder = dialect.stream_encoder(StreamOptions {
        include_usage,
        created: Some(7),
        array: false,
        goes_on: None,
        call: None,
        prompt: None,
        answer: None,
    });
    let mut out = Vec::new();
    for event in events {
        encoder.push(event, &mut out);
    }
    out
}

/// True if the stream says that it is whole.
pub(super) fn ends(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::End))
}

/// True if the stream says that it failed.
pub(super) fn fails(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Error(_)))
}

/// True if a tool without a name is called, which OpenAI's stream can not tell from more of the call before.
pub(super) fn calls_nameless(events: &[Event]) -> bool {
    let nameless = |kind: &PartKind| matches!(kind, PartKind::ToolCall { name, .. } if name.is_empty());
    events.iter().any(|event| matches!(event, Event::PartStart { kind, .. } if nameless(kind)))
}

/// True if what passes raw is JSON: one dialect knows an event that it does not read by its name, another has to read it.
fn others_are_json(events: &[Event]) -> bool {
    events.iter().all(|event| match event {
        Event::Other { data, .. } => super::ground::is_json(data.as_bytes()),
        _ => true,
    })
}

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let pieces = pieces(data);
    for from in DIALECTS.iter().copied() {
        let (events, malformed) = self::events(from, &[data]);
        let (cut, why) = self::events(from, &pieces);
        assert_eq!((format!("{cut:?}"), &why), (format!("{events:?}"), &malformed), "{from:?} cut into {pieces:?}");
        for to in DIALECTS.iter().copied() {
            for include_usage in [false, true] {
                written(from, to, &events, include_usage);
            }
        }
    }
}

fn written(from: Dialect, to: Dialect, events: &[Event], include_usage: bool) {
    if calls_nameless(events) || !others_are_json(events) {
        return;
    }
    let body = bytes(to, events, include_usage);
    let (again, malformed) = self::events(to, &[&body]);
    assert_eq!(malformed, None, "{from:?} to {to:?}: {}", shown(&body));
    // What a stream lacks at its end no translation may add. A finish is not an end: OpenAI's reader takes it for one
    // at the body's clean end, which a cut stream does not have.
    let said = body.windows(6).any(|word| word == b"[DONE]") || shown(&body).contains("event: message_stop");
    if !ends(events) && !quotes_an_end(events) {
        assert!(!said, "{from:?} to {to:?} adds an end: {}", shown(&body));
    }
    if ends(events) && !fails(events) && !fails(&again) {
        assert!(ends(&again), "{from:?} to {to:?} loses the end: {}", shown(&body));
    }

    // What the gateway does when the provider's stream breaks.
    let mut encoder = to.stream_encoder(StreamOptions {
        include_usage,
        created: Some(7),
        array: false,
        goes_on: None,
        call: None,
        prompt: None,
        answer: None,
    });
    let mut out = Vec::new();
    for event in events.iter().filter(|event| !matches!(event, Event::End)) {
        encoder.push(event, &mut out);
    }
    encoder.error(&broken(), &mut out);
    let (again, malformed) = self::events(to, &[&out]);
    assert!(malformed.is_none() && fails(&again), "{from:?} to {to:?}: {malformed:?}: {}", shown(&out));
}

/// True if an event's text holds what an end looks like.
fn quotes_an_end(events: &[Event]) -> bool {
    let text = format!("{events:?}");
    text.contains("[DONE]") || text.contains("message_stop")
}

fn broken() -> ProviderError {
    let message = "the provider's stream broke".to_owned();
    ProviderError { kind: ErrorKind::BadGateway, message, r#type: None, code: None, param: None }
}
