//! The word of a key, or of a token, on who calls.

use std::sync::Arc;

use super::known::KnownConsumer;

/// The word of a key on who calls.
#[derive(Debug)]
pub(crate) enum Identified {
    /// This one, by the key of this name; `None`: by a token.
    Known(Arc<KnownConsumer>, Option<Arc<str>>),
    /// A consumer whose key or token is not good, or no longer.
    Refused,
    /// Whoever the token is of: its issuer's keys have not been had yet.
    Unverifiable,
    /// Nobody that is known.
    Unknown,
}
