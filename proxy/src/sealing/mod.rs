//! Ids of what a provider keeps, as callers are given them: sealed with the gateway's key, so that nobody can make one or change one,
//! and each good for its owner alone. Pure, but for the file of keys.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod key_file;
mod sealer;

pub(crate) use key_file::KeyFile;
pub(crate) use sealer::{IdKind, IdOwner, IdSealer, SealedId};
