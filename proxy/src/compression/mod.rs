//! Answers made smaller: the codings there are, which of them a caller takes, and the compressors of one worker.
//!
//! Two are enough, and cheap: zstd, in which answers are kept as well, and gzip, which every client reads. Brotli is read
//! where a request comes in it (`call::coding`), but to write it costs more than it saves.

mod accept;
mod answer_coding;
mod codec;

pub use accept::forbids;
pub use answer_coding::AnswerCoding;
pub use codec::{Codec, Encoder, MAX_PLAIN};

/// An answer of up to this many bytes is sent as it is: it fits into a packet.
pub const WORTHWHILE: usize = 1024;
