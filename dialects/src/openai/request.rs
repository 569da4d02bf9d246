//! What a caller sends: read into the hub's words, and written out of them.

use crate::hub::Call;
use crate::seam::{Encoded, Refusal, Target};

/// Reads what a caller sent.
pub fn decode(_body: &[u8]) -> Result<Call, Refusal> {
    Err(Refusal::body("not yet"))
}

/// Writes what a provider is sent.
pub fn encode(_call: &Call, _target: &Target) -> Result<Encoded, Refusal> {
    Err(Refusal::body("not yet"))
}
