//! An answer that its host has put words of its own in the place of: in this dialect that is a refusal.

use bytes::Bytes;

use crate::json_places::member;
use crate::verbatim::{Edit, splice};

/// A whole answer, or the event that says why one ended, with `refusal` for its reason; every other byte stays.
pub(crate) fn refused(said: &Bytes) -> Bytes {
    const REASON: &[u8] = b"stop_reason";
    let delta = member(said, 0..said.len(), b"delta").and_then(|delta| member(said, delta, REASON));
    match delta.or_else(|| member(said, 0..said.len(), REASON)) {
        Some(reason) => splice(said, &[Edit::write(reason, "\"refusal\"")]),
        None => said.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_another_one_and_nothing_else_is() {
        for (said, told) in [
            (r#"{"id":"m", "stop_reason": "end_turn","n":1.50}"#, r#"{"id":"m", "stop_reason": "refusal","n":1.50}"#),
            (
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{}}"#,
            ),
            (r#"{"content":[]}"#, r#"{"content":[]}"#),
            ("no json", "no json"),
        ] {
            assert_eq!(refused(&Bytes::from_static(said.as_bytes())), told);
        }
    }
}
