//! A whole answer: read into the hub's words, and written out of them.

use crate::hub::Reply;
use crate::seam::Malformed;

/// Reads a whole answer.
pub fn decode(_body: &[u8]) -> Result<Reply, Malformed> {
    Err(Malformed::new("not yet"))
}

/// Writes a whole answer.
#[must_use]
pub fn encode(_reply: &Reply) -> Vec<u8> {
    Vec::new()
}
