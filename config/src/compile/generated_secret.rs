//! The words between who makes keys and who compiles them: a key that is asked for, and how its Secret stands.

use std::collections::BTreeMap;

use super::verdict::Reason;
use crate::{Millis, ObjectId};

/// A key that the operator is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedKey {
    /// Its name in the consumer.
    pub name: String,
    /// The Secret that it is written into.
    pub secret: ObjectId,
    /// A new one is made this often; `None`: never.
    pub rotate_every: Option<Millis>,
    /// The one before stays good for this long.
    pub overlap: Millis,
    /// From this time on none of them is good, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// The standing of a Secret that a key is to be made in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GeneratedSecret {
    /// It was made for this consumer, so its keys count.
    pub is_own: bool,
    /// The key before is good until then, in seconds since 1970; `None`: there is none.
    pub previous_until: Option<i64>,
    /// The reason why it is not as it is asked for.
    pub fault: Option<(Reason, String)>,
}

/// The standing of Secrets, by the consumer that asks for one and the Secret.
pub type GeneratedSecrets = BTreeMap<(ObjectId, ObjectId), GeneratedSecret>;
