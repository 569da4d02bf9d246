//! The token by which proxies know the operator, as it stands published. Whoever has it has read a Secret of the gateway's
//! namespace.

use std::fmt;

/// The token, and how it stands.
#[derive(Default, Clone, PartialEq, Eq)]
pub(super) struct PublishedToken {
    pub(super) text: Option<Box<str>>,
    pub(super) owners: Box<[Box<str>]>,
    /// Its labels are as we write them.
    pub(super) is_sound: bool,
}

impl fmt::Debug for PublishedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedToken").field("is_sound", &self.is_sound).finish_non_exhaustive()
    }
}
