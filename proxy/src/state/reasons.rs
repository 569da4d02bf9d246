//! The reasons to ask a rule's fallbacks.

use sluicegate_config::FallbackReason;

/// Some reasons to ask a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reasons(u8);

impl Reasons {
    /// None.
    pub(crate) const NONE: Self = Self(0);

    /// Those that are written; if none is, that no target could serve.
    pub(super) fn of(from: &[FallbackReason]) -> Self {
        let default = if from.is_empty() { &[FallbackReason::Unavailable][..] } else { from };
        default.iter().fold(Self::NONE, |all, reason| all.and(Self::only(*reason)))
    }

    /// This one.
    pub(crate) const fn only(reason: FallbackReason) -> Self {
        Self(match reason {
            FallbackReason::Unavailable => 1,
            FallbackReason::ContextWindow => 2,
            FallbackReason::ContentPolicy => 4,
            FallbackReason::Budget => 8,
        })
    }

    /// These and those.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if it is one of them.
    pub(crate) const fn has(self, reason: FallbackReason) -> bool {
        self.0 & Self::only(reason).0 != 0
    }
}
