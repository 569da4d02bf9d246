//! Between a whole reply and its stream: a kept reply played as events, a recorded stream folded into a reply.

use bytes::Bytes;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::Reply;

use super::stats::Refused;

/// The bytes of a stream that says what this whole reply says; `None`: it is not a reply that can be streamed.
#[must_use]
pub fn stream(dialect: Dialect, whole: &[u8], include_usage: bool) -> Option<Bytes> {
    let _ = (dialect, whole, include_usage);
    None
}

/// Folds a stream as it is recorded.
#[derive(Debug)]
pub struct Folding {
    dialect: Dialect,
}

impl Folding {
    /// Of a stream in this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect }
    }

    /// Takes the next bytes, cut anywhere; gives how much content they held, in bytes.
    ///
    /// # Errors
    /// The stream is not what its dialect allows, or it carries an error.
    pub fn push(&mut self, bytes: &[u8]) -> Result<u64, Refused> {
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// The reply, once the stream has come to its clean end.
    ///
    /// # Errors
    /// It has not.
    pub fn finish(self) -> Result<Reply, Refused> {
        let _ = self.dialect;
        Err(Refused::Malformed)
    }
}
