//! Bedrock's Converse, for every model there: `POST /model/{model}/converse`, and with a stream `…/converse-stream`.
//!
//! The model, and whether the answer streams, stand in the path. Answers name neither a model nor an id. A stream is messages of a
//! binary event stream, of which `metadata` is the last; the errors are Amazon's (docs.aws.amazon.com, "Converse" and
//! "ConverseStream" of the Bedrock runtime). What can not be said is refused or dropped by the rules in `docs/bedrock.md`.

mod blocks;
mod count;
mod fold;
mod models;
mod observe;
mod peek;
mod place;
mod reply;
mod request;
mod stream;
mod thoughts;
mod unsigned_turn;
mod wire;

use std::time::Duration;

use crate::bedrock_invoke::error;
use crate::spoke::{Habits, SettingsWithin, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

pub(crate) use count::{CountedCall, counted_call};
pub(crate) use request::is_answered_whole;

#[cfg(test)]
pub(crate) use wire::ConverseUsage;

/// The dialect's spoke: all that it offers.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "x-amzn-bedrock-",
        names_model: false,
        query_words: &[],
        request_id_header: Some("x-amzn-requestid"),
        tier_header: None,
        usage_is_asked_for: false,
        max_tokens: None,
        old_max_tokens: Field::MaxTokens,
        events_word: None,
        keep_alive: stream::KEEP_ALIVE,
        stream_type: "application/vnd.amazon.eventstream",
        is_binary: true,
        envelope: None,
        thoughts_stand_apart: false,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-", begins_with_letter: false },
        keeps_answers: false,
        error_header: Some(error::HEADER),
        counted: (&["system", "messages", "toolConfig"], "inputTokens"),
        count_object: None,
        overflow_in_stream: false,
        needs_events: false,
        counts_prompt_first: false,
        system: Some(crate::spoke::SystemPlace::Texts),
        settings_within: Some(SettingsWithin {
            field: Field::InferenceConfig,
            max_tokens: &["maxTokens"],
            temperature: &["temperature"],
        }),
    },
    decode_call: request::decode,
    decode_counted: request::decode,
    encode_call: request::encode,
    encode_count: None,
    embeddings: None,
    rename: None,
    for_others: |_| None,
    part_path: place::part_path,
    words: place::WORDS,
    thoughts: Some(&thoughts::PLACES),
    decode_reply: reply::decode,
    encode_reply: |reply, _| reply::encode(reply),
    answer_place: crate::continuation::AnswerPlace::TextBlocks,
    repeats_the_call: false,
    stream_decoder: || Box::new(stream::ConverseDecoder::default()),
    stream_encoder: |_| Box::new(stream::ConverseEncoder::default()),
    stream_end: b"",
    decode_error: error::decode,
    encode_error: error::encode,
    say_when: |body, _: Duration| body,
    tells_overflow: error::tells_overflow,
    status: error::status,
    peek: peek::peek,
    text_key: "\"delta\"",
    observe: observe::observe,
    answer: observe::ANSWER,
    fold: || Box::new(fold::ConverseFold::default()),
    replay: |whole, _, out| fold::replay(whole, out),
    has_stop_reason: fold::has_stop_reason,
    models: models::SHAPE,
};
