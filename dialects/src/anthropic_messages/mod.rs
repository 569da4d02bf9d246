//! Anthropic Messages: `POST /v1/messages`, whole and streamed, in both directions.
//!
//! The shapes are those of `anthropic-version` 2023-06-01 and 2026-10-21 (platform.claude.com/docs/en/api/messages). What cannot
//! be said in them is refused or dropped by the rules in `docs/dialects-anthropic.md`; each rule lives in one table here.

mod blocks_in;
mod blocks_out;
pub(crate) mod error;
pub(crate) mod fold;
mod for_others;
mod models;
mod observe;
mod peek;
mod place;
mod refused;
pub(crate) mod reply;
pub(crate) mod request;
mod stop;
pub(crate) mod stream;
mod thoughts;
mod unsigned_turn;
mod usage;

use crate::spoke::{COMMENT, COUNTED, Habits, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

pub(crate) use refused::refused;
pub(crate) use request::is_counted;
#[cfg(test)]
pub(crate) use usage::MessagesUsage;

/// The dialect's spoke: all that it offers.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "anthropic-",
        // Its SDKs say on the path, too, that a call is of their beta's.
        names_model: true,
        query_words: &["beta=true"],
        request_id_header: Some("request-id"),
        tier_header: None,
        usage_is_asked_for: false,
        max_tokens: Some(Field::MaxTokens),
        old_max_tokens: Field::MaxTokens,
        events_word: None,
        keep_alive: COMMENT,
        stream_type: crate::spoke::EVENTS,
        is_binary: false,
        envelope: Some(crate::verbatim::Envelope::Plain),
        thoughts_stand_apart: false,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-", begins_with_letter: false },
        keeps_answers: false,
        error_header: None,
        counted: COUNTED,
        count_object: None,
        overflow_in_stream: false,
        needs_events: false,
        counts_prompt_first: true,
        system: Some(crate::spoke::SystemPlace::Blocks),
        settings_within: None,
    },
    decode_call: request::decode,
    decode_counted: request::decode_counted,
    encode_call: request::encode,
    encode_count: Some(request::encode_counted),
    embeddings: None,
    rename: None,
    for_others: for_others::for_others,
    part_path: place::part_path,
    words: place::WORDS,
    thoughts: Some(&thoughts::PLACES),
    decode_reply: reply::decode,
    encode_reply: |reply, _| reply::encode(reply),
    answer_place: crate::continuation::AnswerPlace::Messages,
    repeats_the_call: false,
    stream_decoder: || Box::new(stream::MessagesDecoder::new()),
    stream_encoder: |options| Box::new(stream::MessagesEncoder::new(&options)),
    stream_end: stream::END,
    decode_error: error::decode,
    encode_error: error::encode,
    say_when: |body, _| body,
    tells_overflow: error::tells_overflow,
    status: error::status,
    peek: peek::peek,
    text_key: "\"delta\"",
    observe: observe::observe,
    answer: observe::ANSWER,
    fold: || Box::new(fold::MessagesFold::default()),
    replay: |whole, _, out| fold::replay(whole, out),
    has_stop_reason: fold::has_stop_reason,
    models: models::SHAPE,
};
