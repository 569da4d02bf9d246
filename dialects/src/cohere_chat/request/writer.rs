//! The state that a request's writers share: the JSON so far, for whom it is, and what was left out.

use crate::codec::ProviderProfile;
use crate::json::Writer;
use crate::left_out::LeftOut;
use crate::spoke::PartPath;

/// A request being written, and what was left out of it.
pub(super) struct CohereWriter<'a> {
    pub(super) json: Writer,
    pub(super) dropped: LeftOut,
    pub(super) profile: &'a ProviderProfile,
    /// The caller's own name of a part's place.
    pub(super) path: PartPath,
    /// True while the turns are written that stand before the user's last word.
    pub(super) is_before: bool,
}

impl<'a> CohereWriter<'a> {
    /// For a provider; `path` names a part as its caller wrote it.
    pub(super) fn new(profile: &'a ProviderProfile, path: PartPath) -> Self {
        Self { json: Writer::with_capacity(4096), dropped: LeftOut::default(), profile, path, is_before: false }
    }

    /// Notes a field left out by rule.
    pub(super) fn drop(&mut self, path: impl std::fmt::Display) {
        self.dropped.add(path);
    }
}
