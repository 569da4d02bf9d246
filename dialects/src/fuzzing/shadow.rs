//! Checks of what reads along with a stream: its shadow, and the watch for a content filter, which say the same however it is cut.

use super::ground::DIALECTS;
use super::pieces::pieces;
use super::stream::events;
use crate::hub::ErrorKind;
use crate::hub::ProviderError;
use crate::{Dialect, RefusalWatch, StreamOptions, StreamShadow};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let pieces = pieces(data);
    for dialect in DIALECTS.iter().copied() {
        let whole = followed(dialect, &[data]);
        let cut = followed(dialect, &pieces);
        assert_eq!(cut.1, whole.1, "{dialect:?} cut into {pieces:?}");
        // What could not be followed to its end is gone on from by nobody.
        assert!(cut.1.is_none() || cut.0 == whole.0, "{dialect:?} cut into {pieces:?}");
        let (is_refusal, is_open) = watched(dialect, &[data]);
        assert_eq!(watched(dialect, &pieces), (is_refusal, is_open), "{dialect:?} cut into {pieces:?}");
    }
}

/// The bytes that a shadow has written, and what it knows to have been said.
fn followed(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, Option<String>) {
    let mut shadow = StreamShadow::new(dialect, options());
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(shadow.follow(piece));
    }
    let said = shadow.said().text().map(str::to_owned);
    let (mut writer, _) = shadow.into_writer();
    let error = ProviderError {
        kind: ErrorKind::BadGateway,
        message: "it broke".to_owned(),
        r#type: None,
        code: None,
        param: None,
    };
    writer.error(&error, &mut out);
    assert!(said.is_none() || events(dialect, &[&out]).1.is_none(), "{dialect:?}: what goes on can not be read");
    (out, said)
}

fn options() -> StreamOptions {
    StreamOptions { include_usage: true, created: Some(7), ..StreamOptions::default() }
}

/// True if it is nothing but a refusal, and whether that is open still.
fn watched(dialect: Dialect, pieces: &[&[u8]]) -> (bool, bool) {
    let mut watch = RefusalWatch::new(dialect);
    for piece in pieces {
        watch.push(piece);
    }
    watch.finish();
    (watch.is_refusal(), watch.is_open())
}
