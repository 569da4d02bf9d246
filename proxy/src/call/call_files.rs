//! The files that one call names, as their keeper and as their owner know them.

use bytes::Bytes;
use sluicegate_dialects::{Refusal, renamed_files};

use crate::state::Provider;

/// The files that a call names, all of one endpoint's.
pub(super) struct CallFiles {
    pub(super) target: u64,
    /// Each by the caller's name and by the provider's.
    pub(super) names: Vec<(String, String)>,
}

impl CallFiles {
    /// True if a provider's endpoint keeps them.
    pub(super) const fn are_kept_by(&self, provider: &Provider) -> bool {
        self.target == provider.stands_for
    }

    /// A body with its files as their keeper names them.
    ///
    /// # Errors
    /// One of them is written in a way that nobody writes ids in.
    pub(super) fn named_as_kept(&self, body: &Bytes) -> Result<Bytes, Refusal> {
        renamed_files(body, &self.names).ok_or_else(|| Refusal::field("file_id", "must be written without escapes"))
    }
}
