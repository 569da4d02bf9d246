//! Google's Gemini API: `generateContent`, `streamGenerateContent`, `countTokens`, in both directions.
//!
//! The model, and whether the answer streams, stand in the path and not in the body. A stream is server-sent events where
//! the caller asks for them (`alt=sse`), else one JSON array that grows. Nothing in it says that it is whole but that each
//! answer has said why it ended. What can not be said is refused or dropped by the rules in `docs/dialects-gemini.md`.

mod embeddings;
pub(crate) mod error;
mod fold;
mod logprobs;
mod modalities;
mod models;
mod observe;
mod peek;
mod place;
mod reply;
pub(crate) mod request;
mod schema;
mod signature;
mod stream;
mod unsigned_calls;
mod wire;

use crate::spoke::{Habits, SettingsWithin, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

pub(crate) use models::PUBLISHER;

/// The dialect's spoke: all that it offers.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "x-gemini-",
        // Whether a stream is server-sent events; a key may stand there too, and stays here.
        names_model: false,
        query_words: &["alt=sse"],
        request_id_header: None,
        tier_header: Some("x-gemini-service-tier"),
        usage_is_asked_for: false,
        max_tokens: None,
        old_max_tokens: Field::MaxTokens,
        events_word: Some("alt=sse"),
        keep_alive: wire::KEEP_ALIVE,
        stream_type: crate::spoke::EVENTS,
        is_binary: false,
        envelope: None,
        thoughts_stand_apart: false,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-.:", begins_with_letter: true },
        keeps_answers: false,
        error_header: None,
        counted: (
            &["systemInstruction", "system_instruction", "contents", "tools", "generateContentRequest"],
            "totalTokens",
        ),
        count_object: None,
        overflow_in_stream: false,
        needs_events: false,
        counts_prompt_first: false,
        system: Some(crate::spoke::SystemPlace::Parts),
        settings_within: Some(SettingsWithin {
            field: Field::GenerationConfig,
            max_tokens: &["maxOutputTokens", "max_output_tokens"],
            temperature: &["temperature"],
        }),
    },
    decode_call: request::decode,
    decode_counted: request::decode_counted,
    encode_call: request::encode,
    encode_count: Some(request::count_tokens),
    embeddings: Some(&embeddings::EMBEDDINGS),
    rename: Some(embeddings::renamed),
    for_others: |_| None,
    part_path: place::part_path,
    words: place::WORDS,
    thoughts: Some(&signature::PLACES),
    decode_reply: reply::decode,
    encode_reply: |reply, _| reply::encode(reply),
    answer_place: crate::continuation::AnswerPlace::Contents,
    repeats_the_call: false,
    stream_decoder: || Box::new(stream::GeminiDecoder::default()),
    stream_encoder: |options| Box::new(stream::GeminiEncoder::new(&options)),
    stream_end: b"",
    decode_error: error::decode,
    encode_error: error::encode,
    say_when: error::say_when,
    tells_overflow: error::tells_overflow,
    status: error::status,
    peek: peek::peek,
    text_key: "\"parts\"",
    observe: observe::observe,
    answer: observe::ANSWER,
    fold: || Box::new(fold::GeminiFold::default()),
    replay: |whole, _, out| fold::replay(whole, out),
    has_stop_reason: fold::has_stop_reason,
    models: models::SHAPE,
};
