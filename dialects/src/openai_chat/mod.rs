//! OpenAI Chat Completions, `POST /v1/chat/completions`, whole and streamed, in both directions, and what look-alikes make
//! of it. What can not be said in it is refused or dropped by the rules in `docs/dialects-openai.md`.

mod custom;
mod custom_passing;
mod embeddings;
pub(crate) mod error;
mod flat_content;
pub(crate) mod fold;
mod lines;
pub(crate) mod models;
pub(crate) mod observe;
mod peek;
mod place;
pub(crate) mod reply;
pub(crate) mod request;
mod signatures;
pub(crate) mod stream;
mod thoughts;
pub(crate) mod wire;

use crate::hub::ErrorKind;
use crate::spoke::{COMMENT, COUNTED, Habits, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

pub use custom_passing::{CustomCalls, custom_tools_as_functions};
pub use flat_content::{FlatContent, flat_content};
pub(crate) use request::{all_tools_are_taken, effort_of_budget, form_schema, is_strict, whole_schema};

#[cfg(test)]
pub(crate) use wire::ChatUsage;

/// The dialect's spoke: all that it offers.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "openai-",
        names_model: true,
        query_words: &[],
        request_id_header: None,
        tier_header: None,
        usage_is_asked_for: true,
        max_tokens: Some(Field::MaxCompletionTokens),
        old_max_tokens: Field::MaxTokens,
        events_word: None,
        keep_alive: COMMENT,
        stream_type: crate::spoke::EVENTS,
        is_binary: false,
        envelope: None,
        thoughts_stand_apart: true,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-", begins_with_letter: false },
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
    words: &[],
    thoughts: Some(&thoughts::PLACES),
    decode_reply: reply::decode,
    encode_reply: reply::encode,
    answer_place: crate::continuation::AnswerPlace::Messages,
    repeats_the_call: true,
    stream_decoder: || Box::new(stream::ChatDecoder::new()),
    stream_encoder: |options| Box::new(stream::ChatEncoder::new(options)),
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
    fold: || Box::new(fold::ChatFold::default()),
    replay: fold::replay,
    has_stop_reason: fold::has_stop_reason,
    models: models::SHAPE,
};
