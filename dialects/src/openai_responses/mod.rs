//! OpenAI Responses, `POST /v1/responses`, whole and streamed, in both directions.
//!
//! A call is a list of items and an answer is another. What the two have in common with Chat Completions (errors over HTTP,
//! lists of models, pictures) is read and written by that spoke. What can not be said is refused or dropped by the rules in
//! `docs/dialects-responses.md`.

mod agents;
mod client_tools;
mod compaction;
mod echo;
pub(crate) mod error;
pub(crate) mod fold;
mod item;
mod kept;
mod observe;
mod packed;
mod peek;
mod place;
mod references;
pub(crate) mod reply;
pub(crate) mod request;
mod retrieved;
mod sealed;
pub mod stored;
pub(crate) mod stream;
mod tool_name;
mod wire;

use crate::hub::ErrorKind;
use crate::openai_chat;
use crate::spoke::{COMMENT, Habits, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

pub(crate) use compaction::is_made_shorter;
pub(crate) use sealed::without_encrypted_thoughts;
#[cfg(test)]
pub(crate) use wire::ResponseUsage;

/// The dialect's functions.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "openai-",
        names_model: true,
        query_words: &[],
        request_id_header: None,
        tier_header: None,
        usage_is_asked_for: false,
        max_tokens: Some(Field::MaxOutputTokens),
        old_max_tokens: Field::MaxOutputTokens,
        events_word: None,
        keep_alive: COMMENT,
        stream_type: crate::spoke::EVENTS,
        is_binary: false,
        envelope: None,
        thoughts_stand_apart: false,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-", begins_with_letter: false },
        keeps_answers: true,
        error_header: None,
        counted: (&["instructions", "input", "tools"], "input_tokens"),
        count_object: Some("response.input_tokens"),
        overflow_in_stream: true,
        needs_events: true,
        counts_prompt_first: false,
        system: Some(crate::spoke::SystemPlace::Instructions),
        settings_within: None,
    },
    decode_call: request::decode,
    decode_counted: request::decode,
    encode_call: request::encode,
    encode_count: Some(request::encode_counted),
    embeddings: None,
    rename: None,
    for_others: |_| None,
    part_path: place::part_path,
    words: place::WORDS,
    thoughts: Some(&sealed::PLACES),
    decode_reply: reply::decode,
    encode_reply: reply::encode,
    answer_place: crate::continuation::AnswerPlace::Input,
    repeats_the_call: true,
    stream_decoder: || Box::new(stream::ResponsesDecoder::new()),
    stream_encoder: |options| Box::new(stream::ResponsesEncoder::new(options)),
    // The whole answer is the end, and nobody else has it.
    stream_end: b"",
    decode_error: openai_chat::error::decode,
    encode_error: openai_chat::error::encode,
    say_when: |body, _| body,
    tells_overflow: openai_chat::error::tells_overflow,
    status: ErrorKind::status,
    peek: peek::peek,
    text_key: "\"delta\"",
    observe: observe::observe,
    answer: observe::ANSWER,
    fold: || Box::new(fold::ResponsesFold::default()),
    replay: |whole, _, out| fold::replay(whole, out),
    has_stop_reason: fold::has_stop_reason,
    models: openai_chat::models::SHAPE,
};
