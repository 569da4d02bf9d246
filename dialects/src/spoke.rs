//! A spoke: what each dialect's folder offers, the same in every one.

use std::time::Duration;

use bytes::Bytes;

use crate::codec::{Encoded, EncodedReply, Malformed, ProviderProfile, Refusal, StreamOptions};
use crate::continuation::AnswerPlace;
use crate::embeddings::Embeddings;
use crate::fold::FoldEvents;
use crate::hub::{Call, ErrorKind, Event, Message, ProviderError, Raw, Reply, ServiceTier};
use crate::observe::{AnswerShape, ObserveEvent};
use crate::thoughts::ThoughtPlaces;
use crate::tool_names::ToolNameRule;
use crate::verbatim::{Envelope, Field, Look, Peeked};

/// The customs of a dialect beside its words.
#[derive(Debug)]
pub struct Habits {
    /// The beginning of the headers that its vendor's SDKs send.
    pub header_beginning: &'static str,
    /// Bodies name the model; `false`: paths do.
    pub names_model: bool,
    /// The words of a caller's query that go on to a provider: others have held keys.
    pub query_words: &'static [&'static str],
    /// The header in which its SDKs look for a call's id, beside `x-request-id`.
    pub request_id_header: Option<&'static str>,
    /// The header of its vendor's answers that names the service tier, where they do.
    pub tier_header: Option<&'static str>,
    /// Its streams say what was used only where that is asked for (`stream_options`).
    pub usage_is_asked_for: bool,
    /// The field of the most tokens to answer with; `None`: it stands among other settings, in no field of its own.
    pub max_tokens: Option<Field>,
    /// The same, where only an older one is understood.
    pub old_max_tokens: Field,
    /// The word of a caller's query by which a stream is server-sent events, where it is one JSON array without;
    /// `None`: it always is.
    pub events_word: Option<&'static str>,
    /// The bytes for the caller of a silent stream: nothing to any of its clients.
    pub keep_alive: &'static [u8],
    /// The content type of its streams, where they are no JSON array.
    pub stream_type: &'static str,
    /// True if its streams are messages of a binary event stream, and not text.
    pub is_binary: bool,
    /// The envelope of Anthropic's bodies, where its bodies are those.
    pub envelope: Option<Envelope>,
    /// True if a turn's thoughts stand in a list of their own, which does not say before which of its parts each came.
    pub thoughts_stand_apart: bool,
    /// The media types that its vendor's SDK says it accepts, for streams too (`accept`).
    pub accept: &'static str,
    /// The names that its providers take for tools.
    pub tool_names: ToolNameRule,
    /// True if its providers keep answers that they are not told to forget, and go on from one by its id.
    pub keeps_answers: bool,
    /// The header in which its clients look for an error's name.
    pub error_header: Option<ErrorHeader>,
    /// The fields whose tokens are counted, and the name that the count has.
    pub counted: (&'static [&'static str], &'static str),
    /// The word that a count calls itself (`object`), where it does.
    pub count_object: Option<&'static str>,
    /// True if its clients, where they asked for a stream, look for a prompt that does not fit among the events of one, and
    /// nowhere else.
    pub overflow_in_stream: bool,
    /// True if clients of it wait for the next event, however long a comment says that the answer is still to come.
    pub needs_events: bool,
    /// True if a stream's first event says the tokens of the prompt.
    pub counts_prompt_first: bool,
    /// The place of system text in its bodies; `None`: there is none.
    pub system: Option<SystemPlace>,
    /// The object of settings that the most tokens and the temperature stand in, if they do.
    pub settings_within: Option<SettingsWithin>,
}

/// The place of system text in a dialect's bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemPlace {
    /// Turns of the role `system` in `messages`.
    Turns,
    /// The text `instructions`.
    Instructions,
    /// `system`: a text, or blocks of type `text`.
    Blocks,
    /// `system`: a list of texts.
    Texts,
    /// `systemInstruction`, which has `parts`.
    Parts,
}

/// The object that holds a dialect's settings, and their names there; the first is the one that is written.
#[derive(Debug, Clone, Copy)]
pub struct SettingsWithin {
    /// The object.
    pub field: Field,
    /// The most tokens to answer with.
    pub max_tokens: &'static [&'static str],
    /// The temperature.
    pub temperature: &'static [&'static str],
}

/// The name of a kind of error.
pub type ErrorName = fn(ErrorKind) -> &'static str;
/// A header that names an error.
#[derive(Debug, Clone, Copy)]
pub struct ErrorHeader {
    /// The header's name.
    pub name: &'static str,
    /// The name that is written for a kind.
    pub written: ErrorName,
    /// The kind and the name in a value that was read; `None`: it is none that is known.
    pub read: fn(&str) -> Option<(ErrorKind, String)>,
}
/// The content type of server-sent events.
pub(crate) const EVENTS: &str = "text/event-stream";
/// A comment of server-sent events.
pub(crate) const COMMENT: &[u8] = crate::sse::KEEP_ALIVE;
/// The counted fields that Anthropic's dialect and OpenAI's have in common.
pub(crate) const COUNTED: (&[&str], &str) = (&["system", "messages", "tools"], "input_tokens");

/// Says where a part of a turn, or of a tool's result in it, stood in the caller's own body.
pub(crate) type PartPath = fn(message: &Message, index: usize, inner: Option<usize>) -> String;

/// Writes what a provider is sent.
pub(crate) type EncodeCall = fn(&Call, &ProviderProfile, PartPath) -> Result<Encoded, Refusal>;

/// A dialect, as rows of functions: nothing here has state of its own.
pub(crate) struct Spoke {
    /// Its customs.
    pub(crate) habits: Habits,
    /// `request/read`: what a caller sent. Errors: the body is not what the dialect allows, or holds what the hub can not
    /// carry.
    pub(crate) decode_call: fn(&[u8]) -> Result<Call, Refusal>,
    /// The same for a call whose tokens are to be counted: nothing has to be said of the answer.
    pub(crate) decode_counted: fn(&[u8]) -> Result<Call, Refusal>,
    /// `request/write`: what a provider is sent. The path is the caller's dialect's. Errors: the call holds what the
    /// dialect has no word for.
    pub(crate) encode_call: EncodeCall,
    /// `request/write`: what a provider is sent that counts the tokens of a call; `None`: it is asked in its own words
    /// only.
    pub(crate) encode_count: Option<EncodeCall>,
    /// `for_others`: a caller's call without the words that no other vendor has and that others say the same; `None`: it has none.
    pub(crate) for_others: fn(&Call) -> Option<Call>,
    /// `place`: how refusals name a part of a turn.
    pub(crate) part_path: PartPath,
    /// `embeddings`: vectors of texts; `None`: it has none.
    pub(crate) embeddings: Option<&'static Embeddings>,
    /// A body that passes, with another name of the model wherever it stands; `None`: it stands in its own field alone.
    pub(crate) rename: Option<fn(&Bytes, &str) -> Bytes>,
    /// `place`: a caller's own names of the settings that writers of other dialects refuse by the hub's, which are Chat
    /// Completions'. A name that ends in `[]` stands for each of a list whose places are not the caller's.
    pub(crate) words: &'static [(&'static str, &'static str)],
    /// `thoughts`: where those of other vendors stand in a body that passes; `None`: there is no place for any.
    pub(crate) thoughts: Option<&'static ThoughtPlaces>,
    /// `reply`: a whole answer. Errors: it is not what the dialect allows.
    pub(crate) decode_reply: fn(&[u8]) -> Result<Reply, Malformed>,
    /// `reply`: the same, written; beside it is the caller's own body.
    pub(crate) encode_reply: fn(&Reply, &[u8]) -> EncodedReply,
    /// The place of turns in its bodies, and the form of one that is text alone.
    pub(crate) answer_place: AnswerPlace,
    /// True if answers repeat some of the call's own body.
    pub(crate) repeats_the_call: bool,
    /// `stream/read`: a reader of one streamed answer.
    pub(crate) stream_decoder: fn() -> Box<dyn DecodeStream>,
    /// `stream/write`: a writer of one streamed answer.
    pub(crate) stream_encoder: fn(StreamOptions) -> Box<dyn EncodeStream>,
    /// `stream`: what a whole stream ends in.
    pub(crate) stream_end: &'static [u8],
    /// `error`: a provider's error answer; anything at all gives an error, if need be only by its status.
    pub(crate) decode_error: fn(u16, &[u8]) -> ProviderError,
    /// `error`: an error's body, beside the call's id.
    pub(crate) encode_error: fn(&ProviderError, &str) -> Vec<u8>,
    /// `error`: the same body, with when to come again in it, where that is where clients look.
    pub(crate) say_when: fn(Vec<u8>, Duration) -> Vec<u8>,
    /// `error`: whether a body says of a prompt that does not fit what the dialect's clients know it by.
    pub(crate) tells_overflow: fn(&[u8]) -> bool,
    /// `error`: the status that the dialect's own vendor would answer with.
    pub(crate) status: fn(ErrorKind) -> u16,
    /// `peek`: what routing needs of a body that is not read.
    pub(crate) peek: fn(&Look<'_>) -> Result<Peeked, Refusal>,
    /// The key, between quotes, behind which a stream's events have their text.
    pub(crate) text_key: &'static str,
    /// `observe`: one event of a stream that passes.
    pub(crate) observe: ObserveEvent,
    /// `observe`: how a whole answer is told from what is none.
    pub(crate) answer: AnswerShape,
    /// `fold`: a stream folded into a whole answer.
    pub(crate) fold: fn() -> Box<dyn FoldEvents>,
    /// `fold`: a whole answer told as a stream, with usage where it is asked for; `None`: no stream has words for it.
    pub(crate) replay: fn(&[u8], bool, &mut Vec<u8>) -> Option<()>,
    /// `fold`: whether a whole answer says why it ended; each of its answers, where it has several.
    pub(crate) has_stop_reason: fn(&[u8]) -> bool,
    /// `models`: one model of a list, and the list around them.
    pub(crate) models: crate::model_list::ModelShape,
}

/// The word of a guardrail that its host puts before and behind a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuardrailWord {
    /// The dialect knows of none.
    Never,
    /// It has said nothing so far.
    Unsaid,
    /// It has put words of its own in the answer's place.
    Spoken,
}

/// A reader of one streamed answer.
pub(crate) trait DecodeStream: std::fmt::Debug + Send {
    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed>;
    /// The memory that the unfinished event takes.
    fn held(&self) -> usize;
    /// True if every answer in the stream has said why it ended.
    fn is_finished(&self) -> bool;
    /// The service tier that answers, where the stream says it before and beside its usage.
    fn tier(&self) -> ServiceTier {
        ServiceTier::Unsaid
    }
    /// True if the usage, where there is any, was said at the answer's beginning alone.
    fn usage_is_early(&self) -> bool {
        false
    }
    /// The word that a guardrail has had in the answer. It is known before the event that says why the answer ended.
    fn guardrail(&self) -> GuardrailWord {
        GuardrailWord::Never
    }
    /// Says that the body came to its clean end.
    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed>;
    /// It stands behind a stream that passes: what a writer would name in another way is kept.
    fn follow(&mut self) {}
    /// The names that it has kept so.
    fn followed(&self) -> Option<FollowedItems> {
        None
    }
}

/// The names of a stream that passes, where a writer has others: OpenAI's items, which its last event tells once more.
#[derive(Debug, Clone, Default)]
pub(crate) struct FollowedItems {
    /// The number of the last event.
    pub(crate) number: Option<u64>,
    /// The items that are whole.
    pub(crate) whole: Vec<Raw>,
    /// The id of the message that grows.
    pub(crate) open: Option<String>,
    /// True if the text that grew has been told whole, and its part not yet.
    pub(crate) is_said: bool,
}

/// A writer of one streamed answer.
pub(crate) trait EncodeStream: std::fmt::Debug + Send {
    /// Appends what this event is on the wire; some events are nothing there.
    fn push(&mut self, event: &Event, out: &mut Vec<u8>);
    /// The number of parts so far that the dialect has no words for: they are left out.
    fn skipped(&self) -> usize;
    /// Appends the dialect's error event. Nothing follows it.
    fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>);
    /// The memory that the answer so far takes, where its end tells it once more.
    fn held(&self) -> usize {
        0
    }
    /// It goes on by the names of the stream that has passed until here.
    fn go_on_from(&mut self, _followed: FollowedItems) {}
}
