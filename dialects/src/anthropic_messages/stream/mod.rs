//! A streamed answer: read into the hub's events, and written out of them.

mod held;
mod read;
mod write;

/// The end of a whole stream.
pub(super) const END: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

pub(crate) use read::{MessagesDecoder, MessagesReader};
pub(crate) use write::MessagesEncoder;
