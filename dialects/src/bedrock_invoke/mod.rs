//! Bedrock's InvokeModel for Anthropic's models: `POST /model/{model}/invoke`, and with a stream `…/invoke-with-response-stream`.
//!
//! The bodies are Anthropic's in Bedrock's envelope, the events Anthropic's in chunks of a binary event stream, the errors
//! Amazon's (docs.aws.amazon.com, "Anthropic Claude Messages API" and "InvokeModelWithResponseStream" of the Bedrock runtime).

pub(crate) mod error;
mod fold;
mod observe;
mod peek;
mod reframe;
mod reply;
mod request;
mod stream;

use std::time::Duration;

use crate::anthropic_messages;
use crate::spoke::{COUNTED, Habits, Spoke};
use crate::tool_names::ToolNameRule;

use peek::peek;
pub use reframe::Reframer;

/// The dialect's functions: Anthropic's but for what goes around bodies and events.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        tier_header: Some("x-amzn-bedrock-service-tier"),
        header_beginning: "x-amzn-bedrock-",
        names_model: false,
        query_words: &[],
        request_id_header: Some("x-amzn-requestid"),
        keep_alive: stream::PING,
        stream_type: "application/vnd.amazon.eventstream",
        is_binary: true,
        envelope: Some(crate::verbatim::Envelope::Bedrock),
        thoughts_stand_apart: false,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-", begins_with_letter: false },
        keeps_answers: false,
        error_header: Some(error::HEADER),
        // The word of `CountTokens`.
        counted: (COUNTED.0, "inputTokens"),
        ..anthropic_messages::SPOKE.habits
    },
    decode_call: request::decode,
    decode_counted: request::decode_counted,
    encode_call: request::encode,
    decode_reply: reply::decode,
    stream_decoder: || Box::new(stream::InvokeDecoder::default()),
    stream_encoder: |options| Box::new(stream::InvokeEncoder::new(&options)),
    stream_end: stream::END,
    decode_error: error::decode,
    encode_error: error::encode,
    say_when: |body, _: Duration| body,
    tells_overflow: error::tells_overflow,
    status: error::status,
    peek,
    observe: observe::observe,
    fold: || Box::new(fold::InvokeFold::default()),
    replay: fold::replay,
    ..anthropic_messages::SPOKE
};
