//! Cohere's Chat, `POST /v2/chat`, whole and streamed, and its vectors (`/v2/embed`), in both directions.
//!
//! The rules by which fields are refused or dropped are in `docs/dialects-cohere.md`.

mod embeddings;
mod error;
mod fold;
mod models;
mod observe;
mod peek;
mod place;
mod reply;
mod request;
mod stream;
mod wire;

use crate::hub::ErrorKind;
use crate::spoke::{COMMENT, COUNTED, Habits, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

#[cfg(test)]
pub(crate) use wire::CohereUsage;

/// The dialect's spoke: all that it offers.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "x-client-",
        names_model: true,
        query_words: &[],
        request_id_header: None,
        tier_header: None,
        usage_is_asked_for: false,
        max_tokens: Some(Field::MaxTokens),
        old_max_tokens: Field::MaxTokens,
        events_word: None,
        keep_alive: COMMENT,
        stream_type: crate::spoke::EVENTS,
        is_binary: false,
        envelope: None,
        thoughts_stand_apart: false,
        // By `application/json` a stream is lines of JSON there.
        accept: "*/*",
        tool_names: ToolNameRule { beside: b"", begins_with_letter: true },
        keeps_answers: false,
        error_header: None,
        counted: COUNTED,
        count_object: None,
        overflow_in_stream: false,
        needs_events: false,
        counts_prompt_first: false,
        system: Some(crate::spoke::SystemPlace::Turns),
        settings_within: None,
    },
    decode_call: request::decode,
    decode_counted: request::decode,
    encode_call: request::encode,
    encode_count: None,
    embeddings: Some(&embeddings::EMBEDDINGS),
    rename: None,
    for_others: |_| None,
    part_path: place::part_path,
    words: place::WORDS,
    thoughts: None,
    decode_reply: reply::decode,
    encode_reply: |reply, _| reply::encode(reply),
    answer_place: crate::continuation::AnswerPlace::Messages,
    repeats_the_call: false,
    stream_decoder: || Box::new(stream::CohereDecoder::default()),
    stream_encoder: |_| Box::new(stream::CohereEncoder::default()),
    stream_end: stream::END,
    decode_error: error::decode,
    encode_error: error::encode,
    say_when: |body, _| body,
    tells_overflow: error::tells_overflow,
    status: ErrorKind::status,
    peek: peek::peek,
    text_key: "\"delta\"",
    observe: observe::observe,
    answer: observe::ANSWER,
    fold: || Box::new(fold::CohereFold::default()),
    replay: |whole, _, out| fold::replay(whole, out),
    has_stop_reason: fold::has_stop_reason,
    models: models::SHAPE,
};
