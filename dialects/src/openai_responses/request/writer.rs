//! The common state of a request's writers: the JSON so far, for whom it is, and what was left out.

use crate::codec::ProviderProfile;
use crate::hub::CacheMark;
use crate::json::Writer;
use crate::left_out::LeftOut;
use crate::spoke::PartPath;

/// A request that is being written, and for whom.
pub(super) struct ItemWriter<'a> {
    pub(super) json: Writer,
    pub(super) dropped: LeftOut,
    pub(super) profile: &'a ProviderProfile,
    /// Names a part as the caller's own body does.
    pub(super) path: PartPath,
}

impl ItemWriter<'_> {
    /// Notes a field left out by rule.
    pub(super) fn drop(&mut self, path: impl std::fmt::Display) {
        self.dropped.add(path);
    }

    /// Notes a prompt-caching marker left out.
    pub(super) fn cache(&mut self, mark: Option<&CacheMark>, at: impl std::fmt::Display) {
        if mark.is_some() {
            self.drop(format_args!("{at}.cache_control"));
        }
    }
}
