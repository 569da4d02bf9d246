//! Calls for vectors, and their answers: whatever is read is written in each other dialect's words.

use super::ground::{DIALECTS, is_json, shown};
use crate::Dialect;

/// The target. It is taken for a call and for an answer.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    const ASKED: &[u8] = br#"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#;
    let embeds = || DIALECTS.iter().copied().filter(|dialect| dialect.embeds());
    let _ = Dialect::embedding_estimate(data);
    for (from, to) in embeds().flat_map(|from| embeds().map(move |to| (from, to))) {
        if let Ok(encoded) = from.embedding_call(data, (to, "m")) {
            assert!(is_json(&encoded.body), "{from:?} to {to:?}: {}", shown(&encoded.body));
            assert!(
                to.embedding_call(&encoded.body, (to, "m")).is_ok(),
                "{from:?} to {to:?}: {}",
                shown(&encoded.body)
            );
        }
        for asked in [ASKED, data] {
            if let Ok(answer) = from.embedding_answer(data, (to, asked, "id")) {
                assert!(is_json(&answer.body), "{from:?} to {to:?}: {}", shown(&answer.body));
            }
        }
    }
}
