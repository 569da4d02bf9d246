//! The table of spokes by dialect: the only place that names them all, in one `match`.

mod counting;

use std::time::Duration;

use bytes::Bytes;

use crate::bedrock_invoke::Reframer;
use crate::codec::{Encoded, EncodedReply, Malformed, ProviderProfile, Refusal, StreamOptions};
use crate::content_policy;
use crate::continuation;
use crate::dialect::Dialect;
use crate::embeddings::{self, EmbeddingAnswer};
use crate::fold::StreamFold;
use crate::hub::{Call, ErrorKind, Event, ProviderError, Reply, ServiceTier, Usage};
use crate::mark::SeenMarks;
use crate::model_list::{ListedModel, ModelPage, ModelShape};
use crate::observe::{ObserverMode, StreamObserver};
use crate::shape::{self, RequestShape};
use crate::signature_mark::SignatureMark;
use crate::spoke::{DecodeStream, EncodeStream, FollowedItems, GuardrailWord, Habits, Spoke};
use crate::thoughts;
use crate::unseen::{self, UnseenUsage};
use crate::vendors::{self, LookAlike};
use crate::verbatim::{CacheWords, Edit, PathSays, Peek};
use crate::{anthropic_messages, bedrock_converse, bedrock_invoke, cohere_chat, gemini};
use crate::{observe, openai_chat, openai_completions, openai_responses, verbatim};

impl Dialect {
    /// The spoke that speaks it.
    const fn spoke(self) -> &'static Spoke {
        match self {
            Self::OpenAiChat => &openai_chat::SPOKE,
            Self::AnthropicMessages => &anthropic_messages::SPOKE,
            Self::OpenAiCompletions => &openai_completions::SPOKE,
            Self::Gemini => &gemini::SPOKE,
            Self::OpenAiResponses => &openai_responses::SPOKE,
            Self::BedrockInvoke => &bedrock_invoke::SPOKE,
            Self::CohereChat => &cohere_chat::SPOKE,
            Self::BedrockConverse => &bedrock_converse::SPOKE,
        }
    }

    /// Its customs.
    #[must_use]
    pub const fn habits(self) -> &'static Habits {
        &self.spoke().habits
    }

    /// True if its bodies and events are another dialect's, but for what goes around them.
    #[must_use]
    pub fn is_kin(self, other: Self) -> bool {
        self == other || (self.habits().envelope.is_some() && other.habits().envelope.is_some())
    }

    /// The engine that puts a stream's events into a kin dialect's framing; `None`: it is framed as that dialect's.
    #[must_use]
    pub fn reframer(self, to: Self) -> Option<Reframer> {
        let into_chunks = to.habits().is_binary;
        (self != to && self.is_kin(to) && self.habits().is_binary != into_chunks).then(|| Reframer::new(into_chunks))
    }

    /// The engine that marks the signatures of this model's thoughts, for callers of other dialects; `None`: they go as they are.
    #[must_use]
    pub fn signature_mark(self, model: &str) -> Option<SignatureMark> {
        match self {
            Self::BedrockConverse => vendors::bedrock_mark(model).map(SignatureMark::new),
            Self::OpenAiChat
            | Self::AnthropicMessages
            | Self::OpenAiCompletions
            | Self::Gemini
            | Self::OpenAiResponses
            | Self::BedrockInvoke
            | Self::CohereChat => None,
        }
    }

    /// A whole answer of a kin dialect's in this one's words: where a guardrail stands in for it, it ends in a refusal, as nothing
    /// else in it means anything to this dialect's callers.
    #[must_use]
    pub fn kin_answer(self, body: &Bytes, from: Self) -> Bytes {
        let refused = self != from && self.is_kin(from) && content_policy::is_of_guardrail(body);
        if refused { anthropic_messages::refused(body) } else { body.clone() }
    }

    /// The words in which a model's host is told what to keep in its prompt cache; `None`: it is not told.
    #[must_use]
    pub fn cache_words(self, model: &str, look_alike: Option<&LookAlike>) -> Option<CacheWords> {
        match self {
            Self::OpenAiChat => {
                look_alike.is_some_and(|row| row.takes_cache_marks(model)).then_some(CacheWords::PartControl)
            }
            Self::AnthropicMessages | Self::BedrockInvoke => Some(CacheWords::Control),
            Self::BedrockConverse => {
                let known = vendors::bedrock(model);
                let words = if known.caches_tools { CacheWords::Point } else { CacheWords::PointOutsideTools };
                known.caches.then_some(words)
            }
            Self::OpenAiCompletions | Self::OpenAiResponses | Self::Gemini | Self::CohereChat => None,
        }
    }

    /// The most tokens that a model of this dialect's own vendor answers with, as far as the tables know it: calls of other dialects
    /// are held to it.
    #[must_use]
    pub fn output_limit(self, model: &str) -> Option<u64> {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses => vendors::openai(model).max_output,
            Self::AnthropicMessages | Self::BedrockInvoke => vendors::claude(model).max_output,
            Self::Gemini => vendors::gemini(model).max_output,
            // Converse's models are of many vendors.
            Self::OpenAiCompletions | Self::CohereChat | Self::BedrockConverse => None,
        }
    }

    /// The usage that a stream of this model's, asked for by this body in whichever dialect, may leave unsaid until its end.
    #[must_use]
    pub fn unseen_usage(self, model: &str, body: &[u8]) -> UnseenUsage {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses => unseen::of_openai(model, body),
            Self::Gemini => unseen::of_gemini(model),
            Self::AnthropicMessages | Self::BedrockInvoke | Self::BedrockConverse => unseen::of_claude(model, body),
            Self::OpenAiCompletions | Self::CohereChat => UnseenUsage::None,
        }
    }

    /// Reads what a caller sent.
    ///
    /// # Errors
    /// The body is not what the dialect allows, or holds what the hub can not carry.
    pub fn decode_call(self, body: &[u8]) -> Result<Call, Refusal> {
        (self.spoke().decode_call)(body)
    }

    /// Reads what a caller sent whose tokens are to be counted.
    ///
    /// # Errors
    /// As of [`Self::decode_call`], but nothing has to be said of the answer.
    pub fn decode_counted(self, body: &[u8]) -> Result<Call, Refusal> {
        (self.spoke().decode_counted)(body)
    }

    /// Writes what a provider is sent.
    ///
    /// # Errors
    /// The call holds what the dialect has no word for.
    pub fn encode_call(self, call: &Call, profile: &ProviderProfile) -> Result<Encoded, Refusal> {
        let caller = call.extra.dialect.spoke();
        let told = self.told(call);
        let encoded = (self.spoke().encode_call)(told.as_ref().unwrap_or(call), profile, caller.part_path);
        if self == call.extra.dialect { encoded } else { encoded.map_err(|refusal| refusal.in_words(caller.words)) }
    }

    /// The call without words of the caller's dialect that say what others' say, too; `None`: it has none, or a kin is told it.
    fn told(self, call: &Call) -> Option<Call> {
        let caller = call.extra.dialect;
        if self.is_kin(caller) { None } else { (caller.spoke().for_others)(call) }
    }

    /// True if vectors of texts are asked for and given in its words.
    #[must_use]
    pub const fn embeds(self) -> bool {
        self.spoke().embeddings.is_some()
    }

    /// Writes a caller's call for vectors in a provider's words.
    ///
    /// # Errors
    /// It is not what the dialect allows, or says what the other has no word for.
    pub fn embedding_call(self, body: &[u8], (provider, model): (Self, &str)) -> Result<Encoded, Refusal> {
        match (self.spoke().embeddings, provider.spoke().embeddings) {
            (Some(from), Some(to)) => embeddings::call(from, to, body, model),
            _ => Err(Refusal::body("this provider gives no vectors to a caller of this dialect")),
        }
    }

    /// Writes a provider's vectors in the words of the caller who sent `asked` in the call of this id.
    ///
    /// # Errors
    /// It is no answer of vectors.
    pub fn embedding_answer(
        self,
        body: &[u8],
        (caller, asked, id): (Self, &[u8], &str),
    ) -> Result<EmbeddingAnswer, Malformed> {
        match (self.spoke().embeddings, caller.spoke().embeddings) {
            (Some(from), Some(to)) => embeddings::answer(from, to, body, (asked, id)),
            _ => Err(Malformed::new("there are no vectors in this dialect")),
        }
    }

    /// Checks that an answer that passes has a vector for each text of the caller's own body.
    ///
    /// # Errors
    /// It lacks some.
    pub fn has_all_vectors(self, body: &[u8], asked: &[u8]) -> Result<(), Malformed> {
        self.spoke().embeddings.map_or(Ok(()), |own| embeddings::is_whole(own, body, asked))
    }

    /// The usage of a call for vectors whose provider says none: an estimate, by its texts.
    #[must_use]
    pub fn embedding_estimate(asked: &[u8]) -> Usage {
        embeddings::estimated(asked)
    }

    /// A body that passes, with another name of the model where the dialect has it in more places than a field of its own.
    #[must_use]
    pub fn rename(self, body: &Bytes, model: &str) -> Bytes {
        self.spoke().rename.map_or_else(|| body.clone(), |rename| rename(body, model))
    }

    /// A body that passes, without the thoughts in it that only another vendor than its provider's can read; itself, uncopied,
    /// where there are none.
    #[must_use]
    pub fn disown(self, body: &Bytes, seen: SeenMarks, model: &str) -> Bytes {
        self.spoke().thoughts.map_or_else(|| body.clone(), |places| thoughts::disown(body, seen, model, places))
    }

    /// The body of a call to OpenAI itself as it takes the tools of a caller who `asked` for another vendor's model, or by a name that tells
    /// none: a regular expression that it does not compile is said in words. Any other body is itself.
    #[must_use]
    pub fn fit_patterns(self, body: &Bytes, asked: &str, model: &str) -> Bytes {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses if asked != model && !vendors::is_openais(asked) => {
                verbatim::with_portable_patterns(body)
            }
            _ => body.clone(),
        }
    }

    /// The body of a call to OpenAI's Responses API without the reasoning items that hold encrypted thoughts: an account that has not made
    /// them refuses them. Any other body is itself.
    #[must_use]
    pub fn without_encrypted_thoughts(self, body: &Bytes) -> Bytes {
        match self {
            Self::OpenAiResponses => openai_responses::without_encrypted_thoughts(body),
            _ => body.clone(),
        }
    }

    /// True if a call to OpenAI's Responses API holds encrypted thoughts, whoever has made them.
    #[must_use]
    pub fn has_encrypted_thoughts(self, body: &Bytes) -> bool {
        self.without_encrypted_thoughts(body).len() != body.len()
    }

    /// True if a call to OpenAI's Responses API holds a conversation that OpenAI has made shorter: only the account that did so reads it.
    #[must_use]
    pub fn is_made_shorter(self, body: &[u8]) -> bool {
        match self {
            Self::OpenAiResponses => openai_responses::is_made_shorter(body),
            _ => false,
        }
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// It is not what the dialect allows.
    pub fn decode_reply(self, body: &[u8]) -> Result<Reply, Malformed> {
        (self.spoke().decode_reply)(body)
    }

    /// Writes a whole answer. `call` is the caller's own body, which the answers of some dialects repeat.
    #[must_use]
    pub fn encode_reply(self, reply: &Reply, call: &[u8]) -> EncodedReply {
        (self.spoke().encode_reply)(reply, call)
    }

    /// True if answers repeat some of the call's own body.
    #[must_use]
    pub const fn repeats_the_call(self) -> bool {
        self.spoke().repeats_the_call
    }

    /// A caller's body with what an answer has said until it broke off, and with the words that ask to go on where there are any;
    /// `None`: it has no place for them.
    #[must_use]
    pub fn gone_on(self, body: &Bytes, said: &str, prompt: Option<&str>) -> Option<Bytes> {
        continuation::gone_on(body, self.spoke().answer_place, (said, prompt))
    }

    /// True if its calls have a prompt, which an answer goes on with, and no turns.
    #[must_use]
    pub fn has_prompts(self) -> bool {
        self.spoke().answer_place == continuation::AnswerPlace::Prompt
    }

    /// The edit that keeps a budget for thinking below the most tokens of the answer, in a body that is lowered to them; `None`: none is needed.
    #[must_use]
    pub fn thinking_within(body: &[u8], most: u64) -> Option<Edit> {
        shape::thinking_within(body, most)
    }

    /// True if a model that is spoken to in this dialect goes on by itself from a last turn that is its own; `thinks`: it is to think
    /// first, for which it would begin anew.
    #[must_use]
    pub fn takes_prefill(self, model: &str, thinks: bool) -> bool {
        match self {
            Self::OpenAiCompletions => true,
            Self::AnthropicMessages | Self::BedrockInvoke | Self::BedrockConverse => {
                !thinks && vendors::claude(model).takes_prefill()
            }
            Self::OpenAiChat | Self::OpenAiResponses | Self::Gemini | Self::CohereChat => false,
        }
    }

    /// True if a translated call with this body is to be asked for a whole answer, though its caller wants a stream: the model answers it in no
    /// other way.
    #[must_use]
    pub fn is_answered_whole(self, model: &str, body: &[u8]) -> bool {
        self == Self::BedrockConverse && bedrock_converse::is_answered_whole(model, body)
    }

    /// A reader of one streamed answer.
    #[must_use]
    pub fn stream_decoder(self) -> StreamDecoder {
        StreamDecoder((self.spoke().stream_decoder)())
    }

    /// A writer of one streamed answer.
    #[must_use]
    pub fn stream_encoder(self, options: StreamOptions) -> StreamEncoder {
        StreamEncoder((self.spoke().stream_encoder)(options))
    }

    /// The end of a whole stream.
    #[must_use]
    pub const fn stream_end(self) -> &'static [u8] {
        self.spoke().stream_end
    }

    /// Reads a provider's error answer; anything at all gives an error, if need be only by its status.
    #[must_use]
    pub fn decode_error(self, status: u16, body: &[u8]) -> ProviderError {
        (self.spoke().decode_error)(status, body)
    }

    /// The same, with the error's name where that stands in a header (`Habits::error_header`).
    #[must_use]
    pub fn decode_named_error(self, status: u16, name: Option<&str>, body: &[u8]) -> ProviderError {
        let error = self.decode_error(status, body);
        let header = self.habits().error_header.filter(|_| error.r#type.is_none() && !error.is_context_overflow());
        match header.zip(name).and_then(|(header, name)| (header.read)(name)) {
            // A name that says no more than that the caller is wrong says less than most statuses.
            Some((ErrorKind::InvalidRequest, name)) => ProviderError { r#type: Some(name), ..error },
            Some((kind, name)) => ProviderError { kind, r#type: Some(name), ..error },
            None => error,
        }
    }

    /// Writes an error body.
    #[must_use]
    pub fn encode_error(self, error: &ProviderError, request_id: &str) -> Vec<u8> {
        (self.spoke().encode_error)(error, request_id)
    }

    /// The same error body, with when to come again in it, where the dialect's clients look for it there.
    #[must_use]
    pub fn say_when(self, body: Vec<u8>, after: Duration) -> Vec<u8> {
        (self.spoke().say_when)(body, after)
    }

    /// True if an error body says of a prompt that does not fit what the dialect's clients know it by.
    #[must_use]
    pub fn tells_overflow(self, body: &[u8]) -> bool {
        (self.spoke().tells_overflow)(body)
    }

    /// The status code its own vendor would answer with.
    #[must_use]
    pub fn status(self, kind: ErrorKind) -> u16 {
        (self.spoke().status)(kind)
    }

    /// Looks at a body, building nothing. What its path says is not looked for in it.
    ///
    /// # Errors
    /// It is not UTF-8 or not a JSON object, `model` is missing, a field looked at has the wrong type or stands there
    /// twice (a provider might take the other one).
    pub fn peek(self, body: &[u8], path: PathSays<'_>) -> Result<Peek, Refusal> {
        verbatim::peek(body, path, self.spoke().peek)
    }

    /// A caller's body with the changes of a rule, uncopied where there are none.
    ///
    /// # Errors
    /// With them it is no call any more.
    pub fn shape(self, body: &Bytes, path: PathSays<'_>, shape: &RequestShape) -> Result<Bytes, Refusal> {
        shape::shape(body, (self.habits(), |body: &[u8]| self.peek(body, path)), shape)
    }

    /// A watcher of one streamed answer that passes, at its beginning.
    #[must_use]
    pub fn observer(self, mode: ObserverMode) -> StreamObserver {
        let observer = StreamObserver::new(self.spoke().observe, self.spoke().text_key, mode);
        if self.habits().is_binary { observer.of_messages() } else { observer }
    }

    /// The usage that a whole answer says; `None` when it says none.
    ///
    /// # Errors
    /// The answer is not a JSON object to its last byte.
    pub fn usage_of_whole(self, body: &[u8]) -> Result<Option<Usage>, Malformed> {
        self.usage_and_beginning(body).map(|(usage, _)| usage)
    }

    /// The same, and true if the core of the dialect's answers begins in it. If not, [`Self::is_answer`] has the last word.
    ///
    /// # Errors
    /// As those of [`Self::usage_of_whole`].
    pub fn usage_and_beginning(self, body: &[u8]) -> Result<(Option<Usage>, bool), Malformed> {
        observe::usage_of_whole(&self.spoke().answer, body)
    }

    /// Checks that a whole answer holds what its dialect's answers do.
    ///
    /// # Errors
    /// It does not: a provider's error under status 200, whose message is repeated, an empty list, or something else in
    /// JSON.
    pub fn is_answer(self, body: &[u8]) -> Result<(), Malformed> {
        observe::is_answer(&self.spoke().answer, body)
    }

    /// The error that stands where a whole answer should; `None`: there is none.
    #[must_use]
    pub fn error_of_whole(self, body: &[u8]) -> Option<ProviderError> {
        observe::error_of_whole(&self.spoke().answer, body)
    }

    /// The error that a whole answer stands for which is nothing but the refusal of a content filter; `None`: it is not.
    #[must_use]
    pub fn refusal_of_whole(self, body: &[u8]) -> Option<ProviderError> {
        let reply = (self.spoke().decode_reply)(body).ok()?;
        (reply.is_refusal() || content_policy::is_of_guardrail(body)).then(ProviderError::content_refusal)
    }

    /// Folds one stream, giving up when it has to hold more than `most` bytes.
    #[must_use]
    pub fn stream_fold(self, most: usize) -> StreamFold {
        StreamFold::new((self.spoke().fold)(), most)
    }

    /// The bytes of a stream that says what this whole answer says; `None`: a stream of that dialect has no words for
    /// something in it. `include_usage` is OpenAI's: Anthropic's streams always tell it.
    #[must_use]
    pub fn stream_of_whole(self, whole: &[u8], include_usage: bool) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(whole.len() * 2);
        (self.spoke().replay)(whole, include_usage, &mut out)?;
        Some(out)
    }

    /// True if a whole answer says why it ended; each of its answers, where it has several.
    #[must_use]
    pub fn has_stop_reason(self, whole: &[u8]) -> bool {
        (self.spoke().has_stop_reason)(whole)
    }

    /// One model, as an answer. `publisher`: as Vertex AI has it.
    #[must_use]
    pub fn model(self, listed: &ListedModel, publisher: bool) -> Bytes {
        (self.models(publisher).one)(listed).into()
    }

    /// The list of models, or the part of it that a query asks for. The models are in the order of their names.
    ///
    /// # Errors
    /// The query makes no sense.
    pub fn model_list(self, models: &[ListedModel], query: Option<&str>, publisher: bool) -> Result<Bytes, Refusal> {
        (self.models(publisher).list)(models, query).map(Bytes::from)
    }

    /// A page of a provider's list of models; `None`: it is none.
    #[must_use]
    pub fn read_models(self, body: &[u8]) -> Option<ModelPage> {
        (self.spoke().models.read)(body)
    }

    fn models(self, publisher: bool) -> &'static ModelShape {
        if publisher && self == Self::Gemini { &gemini::PUBLISHER } else { &self.spoke().models }
    }
}

/// A reader of one streamed answer, whichever dialect it speaks.
#[derive(Debug)]
pub struct StreamDecoder(Box<dyn DecodeStream>);

impl StreamDecoder {
    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    ///
    /// # Errors
    /// An event is too large or is not what the dialect allows.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        self.0.push(bytes, out)
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held()
    }

    /// True if every answer in the stream has said why it ended, so that what is still to come is no more than its
    /// usage.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The service tier that answers, where the stream says it before and beside its usage.
    #[must_use]
    pub fn tier(&self) -> ServiceTier {
        self.0.tier()
    }

    /// True if the usage, where there is any, was said at the answer's beginning alone: how long the answer would be nobody knew then.
    #[must_use]
    pub fn usage_is_early(&self) -> bool {
        self.0.usage_is_early()
    }

    /// The word that a guardrail has had in the answer.
    pub(crate) fn guardrail(&self) -> GuardrailWord {
        self.0.guardrail()
    }

    /// It stands behind a stream that passes.
    pub(crate) fn follow(&mut self) {
        self.0.follow();
    }

    /// The names by which that stream tells what a writer tells by others.
    pub(crate) fn followed(&self) -> Option<FollowedItems> {
        self.0.followed()
    }

    /// Says that the body came to its clean end. No `Event::End` among all events means that the stream was cut.
    ///
    /// # Errors
    /// What came last is not what the dialect allows.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        self.0.finish(out)
    }
}

/// A writer of one streamed answer, whichever dialect it speaks.
#[derive(Debug)]
pub struct StreamEncoder(Box<dyn EncodeStream>);

impl StreamEncoder {
    /// Appends what this event is on the wire; some events are nothing there.
    pub fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.0.push(event, out);
    }

    /// The number of parts so far that the dialect has no words for: they are left out.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.0.skipped()
    }

    /// The memory that the answer so far takes, in dialects whose streams end with the answer whole.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held()
    }

    /// It goes on by the names of the stream that has passed until here.
    pub(crate) fn go_on_from(&mut self, followed: FollowedItems) {
        self.0.go_on_from(followed);
    }

    /// Appends the dialect's error event. Nothing follows it.
    pub fn error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        self.0.error(error, out);
    }
}

#[cfg(test)]
mod tests;
