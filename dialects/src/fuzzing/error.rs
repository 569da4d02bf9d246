//! Error bodies: anything at all gives an error, which every dialect can say and read again.

use crate::Dialect;
use crate::hub::{ErrorKind, ProviderError};

use super::ground::{DIALECTS, is_json, shown};

const STATUSES: [u16; 21] =
    [0, 200, 301, 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 500, 502, 503, 504, 529];

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    for from in DIALECTS.iter().copied() {
        for status in STATUSES {
            let error = from.decode_error(status, data);
            for to in DIALECTS.iter().copied() {
                let body = to.encode_error(&error, "req_1");
                assert!(is_json(&body), "{}", shown(&body));
                let read = |body: &[u8], error: &ProviderError| to.decode_error(to.status(error.kind), body);
                let again = read(&body, &error);
                // A dialect without a place for the field at fault says it in the message.
                // Of a prompt that does not fit, agents wait for certain words: the provider's own stand behind them.
                assert!(again.message.contains(&error.message), "{from:?} to {to:?}: {}", again.message);
                let twice = read(&to.encode_error(&again, "req_1"), &again);
                // An empty account has no status of its own at Google's: only its vendor's words tell it.
                let told = to != Dialect::Gemini || again.kind != ErrorKind::Billing;
                assert!(!told || twice.kind == again.kind, "{from:?} to {to:?}, twice");
                assert!(twice.message.contains(&again.message), "{from:?} to {to:?}, twice: {}", twice.message);
            }
        }
    }
}
