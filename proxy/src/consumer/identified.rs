//! The word of a key, or of a token, on who calls.

use std::sync::Arc;

use crate::jwt::JwksSource;

use super::known::KnownConsumer;

/// The word of a key on who calls.
#[derive(Debug)]
pub(crate) enum Identified {
    /// This one, by the key of this name; `None`: by a token.
    Known(Arc<KnownConsumer>, Option<Arc<str>>),
    /// A consumer whose key or token is not good, or no longer.
    Refused,
    /// Whoever the token is of: the key that it names is none that has been had from its issuer yet, here, by one of these.
    Unverifiable(Vec<Arc<JwksSource>>),
    /// Nobody that is known.
    Unknown,
}
