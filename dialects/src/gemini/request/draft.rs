//! The state that a request's writers share: the JSON so far, for whom it is, and what was left out.

use crate::codec::{ProviderProfile, Refusal};
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Call, Fields, Message};
use crate::json::Writer;
use crate::left_out::LeftOut;
use crate::spoke::PartPath;
use crate::vendors::{self, Gemini};

/// A request that is being written.
pub(super) struct Draft<'a> {
    pub(super) json: Writer,
    dropped: LeftOut,
    /// The dialect of the caller.
    pub(super) caller: Dialect,
    pub(super) target: &'a ProviderProfile,
    path: PartPath,
    /// The facts known of the model.
    pub(super) model: Gemini,
}

impl<'a> Draft<'a> {
    pub(super) fn new(call: &Call, target: &'a ProviderProfile, path: PartPath) -> Self {
        Self {
            json: Writer::with_capacity(4096),
            dropped: LeftOut::default(),
            caller: call.extra.dialect,
            target,
            path,
            model: vendors::gemini(&call.model),
        }
    }

    /// True if the caller speaks this dialect too, so that its own words can be given back.
    pub(super) fn same(&self) -> bool {
        self.caller == Dialect::Gemini
    }

    /// Notes a field left out by rule, once.
    pub(super) fn drop(&mut self, path: impl std::fmt::Display) {
        self.dropped.add(path);
    }

    /// Gives fields of the caller's own dialect back, or notes that they are left out.
    pub(super) fn extra(&mut self, owner: &str, fields: &Fields) {
        if self.same() {
            self.json.fields(fields);
        } else {
            self.dropped.add_fields(owner, fields);
        }
    }

    /// Notes a prompt-caching marker left out: Gemini caches by itself.
    pub(super) fn cache(&mut self, mark: Option<&CacheMark>) {
        if mark.is_some() {
            self.drop("cache_control");
        }
    }

    /// The refusal of a part by where it stood in the caller's own body.
    pub(super) fn refuse(
        &self,
        message: &Message,
        (index, inner): (usize, Option<usize>),
        why: impl std::fmt::Display,
    ) -> Refusal {
        Refusal::field((self.path)(message, index, inner), why)
    }

    /// The body, and what was left out of it.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<String>) {
        (self.json.into_bytes(), self.dropped.into_names())
    }
}
