//! Which spoke speaks which dialect: the only place that names them all.

use crate::dialect::Dialect;
use crate::hub::{Call, ErrorKind, Event, ProviderError, Reply};
use crate::seam::{Encoded, Malformed, Refusal, StreamOptions, Target};
use crate::{anthropic, openai};

impl Dialect {
    /// Reads what a caller sent. Errors: the body is not what the dialect allows, or holds what the hub can not carry.
    pub fn decode_call(self, body: &[u8]) -> Result<Call, Refusal> {
        match self {
            Self::OpenAiChat => openai::request::decode(body),
            Self::AnthropicMessages => anthropic::request::decode(body),
        }
    }

    /// Writes what a provider is sent. Errors: the call holds what the dialect has no word for.
    pub fn encode_call(self, call: &Call, target: &Target) -> Result<Encoded, Refusal> {
        match self {
            Self::OpenAiChat => openai::request::encode(call, target),
            Self::AnthropicMessages => anthropic::request::encode(call, target),
        }
    }

    /// Reads a whole answer. Errors: it is not what the dialect allows.
    pub fn decode_reply(self, body: &[u8]) -> Result<Reply, Malformed> {
        match self {
            Self::OpenAiChat => openai::reply::decode(body),
            Self::AnthropicMessages => anthropic::reply::decode(body),
        }
    }

    /// Writes a whole answer.
    #[must_use]
    pub fn encode_reply(self, reply: &Reply) -> Vec<u8> {
        match self {
            Self::OpenAiChat => openai::reply::encode(reply),
            Self::AnthropicMessages => anthropic::reply::encode(reply),
        }
    }

    /// A reader of one streamed answer.
    #[must_use]
    pub fn stream_decoder(self) -> StreamDecoder {
        match self {
            Self::OpenAiChat => StreamDecoder::OpenAi(openai::stream::Decoder::new()),
            Self::AnthropicMessages => StreamDecoder::Anthropic(anthropic::stream::Decoder::new()),
        }
    }

    /// A writer of one streamed answer.
    #[must_use]
    pub fn stream_encoder(self, options: StreamOptions) -> StreamEncoder {
        match self {
            Self::OpenAiChat => StreamEncoder::OpenAi(openai::stream::Encoder::new(options)),
            Self::AnthropicMessages => StreamEncoder::Anthropic(anthropic::stream::Encoder::new(options)),
        }
    }

    /// What a whole stream ends in.
    #[must_use]
    pub const fn stream_end(self) -> &'static [u8] {
        match self {
            Self::OpenAiChat => b"data: [DONE]\n\n",
            Self::AnthropicMessages => b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        }
    }

    /// Reads a provider's error answer; anything at all gives an error, if need be only by its status.
    #[must_use]
    pub fn decode_error(self, status: u16, body: &[u8]) -> ProviderError {
        match self {
            Self::OpenAiChat => openai::error::decode(status, body),
            Self::AnthropicMessages => anthropic::error::decode(status, body),
        }
    }

    /// Writes an error body.
    #[must_use]
    pub fn encode_error(self, error: &ProviderError, request_id: &str) -> Vec<u8> {
        match self {
            Self::OpenAiChat => openai::error::encode(error, request_id),
            Self::AnthropicMessages => anthropic::error::encode(error, request_id),
        }
    }

    /// Whether an error body says of a prompt that does not fit what the dialect's clients know it by.
    #[must_use]
    pub fn tells_overflow(self, body: &[u8]) -> bool {
        match self {
            Self::OpenAiChat => openai::error::tells_overflow(body),
            Self::AnthropicMessages => anthropic::error::tells_overflow(body),
        }
    }

    /// The status code its own vendor would answer with.
    #[must_use]
    pub fn status(self, kind: ErrorKind) -> u16 {
        match self {
            Self::OpenAiChat => openai::error::status(kind),
            Self::AnthropicMessages => anthropic::error::status(kind),
        }
    }
}

/// A reader of one streamed answer, whichever dialect it speaks.
#[derive(Debug)]
pub enum StreamDecoder {
    /// OpenAI Chat Completions.
    OpenAi(openai::stream::Decoder),
    /// Anthropic Messages.
    Anthropic(anthropic::stream::Decoder),
}

impl StreamDecoder {
    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(decoder) => decoder.push(bytes, out),
            Self::Anthropic(decoder) => decoder.push(bytes, out),
        }
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::OpenAi(decoder) => decoder.held(),
            Self::Anthropic(decoder) => decoder.held(),
        }
    }

    /// Whether every answer in the stream has said why it ended, so that what is still to come is no more than its usage.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.is_finished(),
            Self::Anthropic(decoder) => decoder.is_finished(),
        }
    }

    /// Says that the body came to its clean end. No `Event::End` among all events means that the stream was cut.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(decoder) => decoder.finish(out),
            Self::Anthropic(decoder) => decoder.finish(out),
        }
    }
}

/// A writer of one streamed answer, whichever dialect it speaks.
#[derive(Debug)]
pub enum StreamEncoder {
    /// OpenAI Chat Completions.
    OpenAi(openai::stream::Encoder),
    /// Anthropic Messages.
    Anthropic(anthropic::stream::Encoder),
}

impl StreamEncoder {
    /// Appends what this event is on the wire; some events are nothing there.
    pub fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(encoder) => encoder.push(event, out),
            Self::Anthropic(encoder) => encoder.push(event, out),
        }
    }

    /// Appends the dialect's error event. Nothing follows it.
    pub fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        match self {
            Self::OpenAi(encoder) => encoder.error(error, out),
            Self::Anthropic(encoder) => encoder.error(error, out),
        }
    }
}
