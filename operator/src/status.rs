//! The status an object ought to have. Pure: what is known goes in, a status comes out, or nothing when it has it already.

use std::time::SystemTime;

use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Kind, Verdict};
use sluicegate_crds::Status;

use crate::rollout::Standing;

/// Everything that decides an object's status.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// What kind of object.
    pub kind: Kind,
    /// Which one.
    pub object: &'a ObjectId,
    /// `metadata.generation` that was judged.
    pub generation: i64,
    /// The status that it has.
    pub status: Option<&'a Status>,
    /// What the compiler said about it.
    pub verdicts: &'a [Verdict],
    /// It serves in its previous form.
    pub kept: bool,
    /// Revision of what is published of it; `None`: nothing is.
    pub revision: Option<&'a str>,
    /// Why what was compiled could not be published.
    pub unpublished: Option<&'a str>,
    /// Routes that name it; only of pools.
    pub attached_routes: Option<u32>,
    /// How proxies stand to it.
    pub standing: &'a Standing,
}

/// The status to write, or `None` when nothing differs from the one it has.
#[must_use]
pub fn desired(_case: &Case<'_>, _now: SystemTime) -> Option<Status> {
    None
}
