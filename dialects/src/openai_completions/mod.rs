//! OpenAI's legacy Completions, `POST /v1/completions`, whole and streamed: a prompt, and the text that goes on from it.
//!
//! Errors, usage and reasons to stop are Chat Completions'. Towards other dialects a prompt is one turn of the user's; what
//! they have no word for (several prompts, tokens, `suffix`, `echo`, `best_of`, `logprobs`) is refused by the rules in
//! `docs/dialects-openai.md`.

mod fold;
mod peek;
mod reply;
mod request;
mod stream;
mod wire;

use crate::hub::ErrorKind;
use crate::openai_chat::{error, models, observe};
use crate::spoke::{COMMENT, COUNTED, Habits, Spoke};
use crate::tool_names::ToolNameRule;
use crate::verbatim::Field;

/// The dialect's spoke: all that it offers.
pub(crate) static SPOKE: Spoke = Spoke {
    habits: Habits {
        header_beginning: "openai-",
        names_model: true,
        query_words: &[],
        request_id_header: None,
        tier_header: None,
        usage_is_asked_for: true,
        max_tokens: Some(Field::MaxTokens),
        old_max_tokens: Field::MaxTokens,
        events_word: None,
        keep_alive: COMMENT,
        stream_type: crate::spoke::EVENTS,
        is_binary: false,
        envelope: None,
        thoughts_stand_apart: false,
        accept: "application/json",
        tool_names: ToolNameRule { beside: b"-", begins_with_letter: false },
        keeps_answers: false,
        error_header: None,
        counted: COUNTED,
        count_object: None,
        overflow_in_stream: false,
        needs_events: false,
        counts_prompt_first: false,
        system: None,
        settings_within: None,
    },
    decode_call: request::decode,
    decode_counted: request::decode,
    encode_call: request::encode,
    encode_count: None,
    embeddings: None,
    rename: None,
    for_others: |_| None,
    part_path: |_, _, _| "prompt".to_owned(),
    words: &[("messages", "prompt")],
    thoughts: None,
    decode_reply: reply::decode,
    encode_reply: |reply, _| reply::encode(reply),
    answer_place: crate::continuation::AnswerPlace::Prompt,
    repeats_the_call: false,
    stream_decoder: || Box::new(stream::CompletionDecoder::default()),
    stream_encoder: |options| Box::new(stream::CompletionEncoder::new(options)),
    stream_end: b"data: [DONE]\n\n",
    decode_error: error::decode,
    encode_error: error::encode,
    say_when: |body, _| body,
    tells_overflow: error::tells_overflow,
    status: ErrorKind::status,
    peek: peek::peek,
    text_key: "\"text\"",
    observe: observe::observe,
    answer: observe::ANSWER,
    fold: || Box::new(fold::CompletionFold::default()),
    replay: fold::replay,
    has_stop_reason: crate::openai_chat::fold::has_stop_reason,
    models: models::SHAPE,
};
