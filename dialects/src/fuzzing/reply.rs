//! Whole answers: whatever is read can be written in every dialect, and is read again there.

use crate::Dialect;

use super::ground::{DIALECTS, is_json, shown};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    for from in DIALECTS.iter().copied() {
        let Ok(reply) = from.decode_reply(data) else { continue };
        assert_eq!(from.usage_of_whole(data), Ok(reply.usage), "two readers disagree");
        for to in DIALECTS.iter().copied() {
            let body = to.encode_reply(&reply, b"{}").body;
            assert!(is_json(&body), "{}", shown(&body));
            let again = to.decode_reply(&body);
            let again = again.unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}: {}", shown(&body)));
            // What one dialect leaves unsaid (why it stopped) another's reader infers. Thoughts that are
            // sealed into another's signature are wrapped once by each gateway that they go through.
            if from == to && !matches!(to, Dialect::OpenAiResponses | Dialect::Gemini) {
                assert_eq!(shown(&to.encode_reply(&again, b"{}").body), shown(&body), "{from:?}, written twice");
            }
        }
    }
}
