//! A proxy's report to the operator on what it runs: lines of JSON that a proxy streams at `GET /rollout` of its admin
//! address. The first line is everything, each further one what changed; an empty line is a sign of life.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Kind, ObjectId};

/// Path of the stream on a proxy's admin address.
pub const PATH: &str = "/rollout";
/// Media type of the stream.
pub const MEDIA_TYPE: &str = "application/x-ndjson";
/// A proxy that has nothing to tell sends an empty line this often, in seconds.
pub const HEARTBEAT_SECONDS: u64 = 2;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Line {
    /// Everything is in here, and what is not does not run. Only the first line of a stream.
    pub whole: bool,
    /// True while the proxy takes calls (what `/readyz` says).
    pub ready: bool,
    /// Objects that changed.
    pub objects: BTreeMap<Kind, BTreeMap<ObjectId, Running>>,
    /// Objects that run no longer.
    pub gone: BTreeMap<Kind, Vec<ObjectId>>,
    /// Budgets and limits whose use changed, each by its identity ([budgets'](crate::Budget::identity), [limits'](crate::CountedLimit)): some
    /// at a time, and not often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, BudgetUse>,
    /// Budgets of templates whose subjects' use changed, by the identity of the template's budget.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub subjects: BTreeMap<String, SubjectsUse>,
}

impl Line {
    /// The state of an object, if the line says it.
    #[must_use]
    pub fn of(&self, kind: Kind, id: &ObjectId) -> Option<&Running> {
        self.objects.get(&kind)?.get(id)
    }
}

/// The state of one object in one proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    /// Revision of the compiled form that calls are served by; `None`: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// `resourceVersion` of the ConfigMap that holds it, as it was last seen, also when only something beside the content
    /// changed. A change that is taken back has the revision that ran before: only this tells whether it runs again, or
    /// still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `resourceVersion` of the Secret that its credentials are from; only of pools that need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// A newer form that the proxy could not take, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
    /// The keys that their provider refuses, as `provider/key`, sorted; of a provider with one key that has no name `provider/`; only of
    /// pools. Names, and never a value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_keys: Vec<String>,
}

/// The use of a budget within a period, or of a limit, as one proxy knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetUse {
    /// The begin of the period, in seconds since 1970; of a limit 0.
    pub start: i64,
    /// All that is spent or reserved, in what it counts in.
    pub spent: u64,
    /// The time of that by Redis's clock, in microseconds since 1970; 0 where the count is this proxy's alone.
    pub at: u64,
    /// The highest of the percentages to be told of that was reached; 0: none was.
    #[serde(skip_serializing_if = "is_zero")]
    pub reached: u8,
    /// The first call that there was no room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exceeded: Option<Exceeded>,
    /// The time since when the proxy has counted, in seconds since 1970, where the count is its alone; 0: not said.
    #[serde(skip_serializing_if = "is_none_at_all")]
    pub begun: i64,
}

/// The most consumers of a template of whose use a proxy tells.
pub const MOST_SUBJECTS: usize = 10;

/// The use of a budget by the consumers that were made of a template, each of which has it by itself, as one proxy knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectsUse {
    /// The begin of the period, in seconds since 1970.
    pub start: i64,
    /// The consumers that have called in it.
    pub known: u64,
    /// Those of them that found no room.
    pub exceeded: u64,
    /// At most [`MOST_SUBJECTS`] of them, by subject: those that found no room, then those that used the most.
    pub most: BTreeMap<String, BudgetUse>,
}

/// The first call in a period that a budget had no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Exceeded {
    /// The time, in seconds since 1970.
    pub at: i64,
    /// The amount of the budget then.
    pub amount: u64,
}

impl BudgetUse {
    /// True if the count is the proxy's alone.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.at == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none_at_all(number: &i64) -> bool {
    *number == 0
}

/// A published form that a proxy could not take: what ran before runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Rejection {
    /// Its revision, as annotated; empty where it had none.
    pub revision: String,
    /// The reason. Never holds a credential.
    pub message: String,
}
