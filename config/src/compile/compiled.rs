//! The result of a compilation.

use std::collections::BTreeSet;

use super::inputs::Credentials;
use super::verdict::Verdicts;
use crate::{Kind, ObjectId, Snapshot};

/// The result of a compilation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compiled {
    /// The snapshot that proxies run on.
    pub snapshot: Snapshot,
    /// The values of the credentials it names, and of no others.
    pub credentials: Credentials,
    /// The verdicts on the objects.
    pub verdicts: Verdicts,
    /// The objects that serve in their previous form, since what they say now is no good.
    pub kept: BTreeSet<(Kind, ObjectId)>,
    /// Objects that may serve in no form any more, their previous one included: what stands of them is to go.
    pub withdrawn: BTreeSet<(Kind, ObjectId)>,
}
