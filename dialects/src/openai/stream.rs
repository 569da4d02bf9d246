//! A streamed answer: read into the hub's events, and written out of them.

use crate::hub::{Event, ProviderError};
use crate::seam::{Malformed, StreamOptions};

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// At the beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    pub fn push(&mut self, _bytes: &[u8], _out: &mut Vec<Event>) -> Result<(), Malformed> {
        Err(Malformed::new("not yet"))
    }

    /// Says that the body came to its clean end.
    pub fn finish(&mut self, _out: &mut Vec<Event>) -> Result<(), Malformed> {
        Err(Malformed::new("not yet"))
    }
}

/// Writes one streamed answer.
#[derive(Debug)]
pub struct Encoder {}

impl Encoder {
    /// At the beginning.
    #[must_use]
    pub fn new(_options: StreamOptions) -> Self {
        Self {}
    }

    /// Appends what this event is on the wire.
    pub fn push(&mut self, _event: &Event, _out: &mut Vec<u8>) {}

    /// Appends the error event.
    pub fn error(&mut self, _error: &ProviderError, _out: &mut Vec<u8>) {}
}
