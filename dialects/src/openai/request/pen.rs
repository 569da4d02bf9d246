//! What a request's writers share: the JSON so far, for whom it is, and what was left out.

use crate::hub::{CacheMark, Fields};
use crate::json::{Path, Writer};

/// The most names in the list of what was left out: it is for people.
const MOST_DROPPED: usize = 32;

/// What is being written, and for whom.
pub(super) struct Pen {
    pub(super) json: Writer,
    pub(super) dropped: Vec<String>,
    /// Whether the caller speaks this dialect too, so that its own words can be given back.
    pub(super) same: bool,
    pub(super) compatible: bool,
}

impl Pen {
    /// Notes a field left out by rule.
    pub(super) fn drop(&mut self, path: impl std::fmt::Display) {
        if self.dropped.len() < MOST_DROPPED {
            self.dropped.push(path.to_string());
        }
    }

    /// Gives fields of the caller's own dialect back, or notes that they are left out.
    pub(super) fn extra(&mut self, fields: &Fields, at: &dyn std::fmt::Display) {
        if self.same {
            self.json.fields(fields);
        } else {
            fields.keys().for_each(|name| self.drop(format_args!("{at}.{name}")));
        }
    }

    /// Notes a prompt-caching marker left out, or gives it back to a caller of this dialect (some look-alikes take it).
    pub(super) fn cache(&mut self, mark: Option<&CacheMark>, at: &Path<'_>) {
        match mark {
            Some(CacheMark(raw)) if self.same => self.json.raw_field("cache_control", raw),
            Some(_) => self.drop(at.field("cache_control")),
            None => {}
        }
    }
}
