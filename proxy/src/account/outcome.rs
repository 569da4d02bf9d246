//! The words for how things went: small closed sets, each with the label it is counted under.

use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::side::SideOutput;

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum End {
    /// The answer went out whole, to its last byte (a provider's error that was passed on included).
    Done = 0,
    /// The caller was at fault and got an error.
    Refused = 1,
    /// The gateway or every provider failed, and the caller got an error.
    Failed = 2,
    /// The caller left before the answer was whole. What a dropped entry counts as.
    ClientGone = 3,
    /// The provider's answer broke off after the caller had seen some of it.
    UpstreamCut = 4,
    /// A timeout ended an answer after the caller had seen some of it.
    TimedOut = 5,
}

impl End {
    /// Every end, in the order of its numbers.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Refused, Self::Failed, Self::ClientGone, Self::UpstreamCut, Self::TimedOut];

    /// The label it is counted under.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::ClientGone => "client_gone",
            Self::UpstreamCut => "upstream_cut",
            Self::TimedOut => "timed_out",
        }
    }

    /// True if the access log always tells of it, whatever its sampling.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Done | Self::ClientGone)
    }
}

/// The end of one attempt at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AttemptEnd {
    /// An answer that counts as one.
    Success = 0,
    /// The provider found the caller at fault (4xx, save 408, 429 and what is said of a key of the gateway's).
    ClientError = 1,
    /// 429 or the dialect's own word for it.
    RateLimited = 2,
    /// 5xx.
    ServerError = 3,
    /// No connection could be made.
    ConnectFailed = 4,
    /// The connection broke.
    Reset = 5,
    /// Too slow.
    TimedOut = 6,
    /// The answer made no sense in its dialect.
    Malformed = 7,
    /// Given up because the caller left.
    Cancelled = 8,
    /// The gateway could not ask: nothing is known of the provider.
    Gateway = 9,
    /// The provider refused the gateway's own key, or its account has no money (401, 402).
    KeyRefused = 10,
}

impl AttemptEnd {
    /// The number of them.
    pub const COUNT: usize = 11;

    /// Every one, in the order of its numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Success,
        Self::ClientError,
        Self::RateLimited,
        Self::ServerError,
        Self::ConnectFailed,
        Self::Reset,
        Self::TimedOut,
        Self::Malformed,
        Self::Cancelled,
        Self::Gateway,
        Self::KeyRefused,
    ];

    /// The label it is counted under.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::ConnectFailed => "connect_failed",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Malformed => "malformed",
            Self::Cancelled => "cancelled",
            Self::Gateway => "gateway",
            Self::KeyRefused => "key_refused",
        }
    }
}

/// The API operation that a path addresses; only what uses tokens is counted in the GenAI family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// An answer of a model, in any dialect.
    Chat,
    /// A text that goes on from a prompt: `POST /v1/completions`.
    TextCompletion,
    /// Vectors of texts: `POST /v1/embeddings`.
    Embeddings,
    /// The vector of one text, in a dialect that asks for several at another path.
    Embedding,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// Images of a text: `POST /v1/images/generations`.
    ImageGeneration,
    /// Images of images and a text: `POST /v1/images/edits`.
    ImageEdit,
    /// Images like an image: `POST /v1/images/variations`.
    ImageVariation,
    /// Speech of a text: `POST /v1/audio/speech`.
    Speech,
    /// The text of speech: `POST /v1/audio/transcriptions`.
    Transcription,
    /// The text of speech, in English: `POST /v1/audio/translations`.
    Translation,
    /// A judgement on texts and images, fit to be shown or not: `POST /v1/moderations`.
    Moderation,
    /// Texts in the order in which they answer a question: `POST /v1/rerank`, `POST /v2/rerank`.
    Rerank,
    /// Several requests in one call: `POST /v1/batch`.
    Batch,
    /// An answer that is kept, asked for by its id: `/v1/responses/{id}` and what is below it.
    StoredResponse,
    /// A file that a provider keeps: `/v1/files` and what is below it.
    File,
    /// Requests that a provider works off in its own time: `/v1/batches`, `/v1/messages/batches` and what is below them.
    StoredBatch,
    /// Whatever is at a path that a rule names, and that the gateway has no words for.
    NamedPath,
    /// `GET /v1/models`.
    ListModels,
    /// `GET /v1/models/{id}`.
    GetModel,
    /// `OPTIONS`: which methods a path takes.
    Options,
    /// `GET /`: whether anything is here. Clients probe a base URL so.
    Root,
    /// A path or method there is none of.
    Unknown,
}

impl Operation {
    /// `true`: a model writes an answer.
    #[must_use]
    pub const fn generates(self) -> bool {
        matches!(self, Self::Chat | Self::TextCompletion)
    }

    /// `true`: it uses tokens that are paid for.
    #[must_use]
    pub const fn is_metered(self) -> bool {
        self.generates() || self.embeds() || self.passes()
    }

    /// `true`: it is told apart from others in the GenAI family. What a rule's naming its path lets through has no tokens, but a time.
    #[must_use]
    pub const fn is_told_of(self) -> bool {
        self.is_metered() || matches!(self, Self::NamedPath)
    }

    /// `true`: its bodies and answers pass untouched, to providers that offer it in the same words, and to no other.
    #[must_use]
    pub const fn passes(self) -> bool {
        self.draws()
            || matches!(self, Self::Speech | Self::Transcription | Self::Translation | Self::Moderation | Self::Rerank)
    }

    /// The kind of what it makes, where its answer passes.
    #[must_use]
    pub const fn makes(self) -> SideOutput {
        match self {
            Self::Speech => SideOutput::Speech,
            _ if self.draws() => SideOutput::Images,
            _ => SideOutput::Texts,
        }
    }

    /// `true`: its answer is images.
    #[must_use]
    pub const fn draws(self) -> bool {
        matches!(self, Self::ImageGeneration | Self::ImageEdit | Self::ImageVariation)
    }

    /// `true`: vectors of texts are asked for.
    #[must_use]
    pub const fn embeds(self) -> bool {
        matches!(self, Self::Embeddings | Self::Embedding)
    }

    /// `true`: it is about a thing that a provider keeps, and that is named by its id.
    #[must_use]
    pub const fn is_of_stored(self) -> bool {
        matches!(self, Self::StoredResponse | Self::File | Self::StoredBatch)
    }

    /// `true`: it asks for no model, and its body is nobody's here.
    #[must_use]
    pub const fn names_no_model(self) -> bool {
        self.is_of_stored() || matches!(self, Self::NamedPath)
    }

    /// `true`: it may have a body, and goes to a provider.
    #[must_use]
    pub const fn is_forwarded(self) -> bool {
        self.is_metered() || self.names_no_model() || matches!(self, Self::CountTokens | Self::Batch)
    }

    /// As what it is counted: the operations about models are one, and so are those that no API knows.
    #[must_use]
    pub const fn counted(self) -> Self {
        match self {
            Self::GetModel => Self::ListModels,
            Self::Embedding => Self::Embeddings,
            Self::Options | Self::Root => Self::Unknown,
            other => other,
        }
    }

    /// The label: OpenTelemetry's `gen_ai.operation.name` where it has one.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self.counted() {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Batch => "batch",
            Self::StoredResponse => "stored_response",
            Self::File => "file",
            Self::StoredBatch => "stored_batch",
            Self::NamedPath => "named_path",
            Self::ListModels => "list_models",
            Self::ImageGeneration => "image_generation",
            Self::ImageEdit => "image_edit",
            Self::ImageVariation => "image_variation",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::Translation => "translation",
            Self::Moderation => "moderation",
            Self::Rerank => "rerank",
            _ => "unknown",
        }
    }
}

/// A layer of the answer cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheLayer {
    /// In this process.
    Memory,
    /// In Redis.
    Redis,
    /// None: another call's answer, while it came.
    Flight,
}

impl CacheLayer {
    /// The label it is counted under.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::Flight => "flight",
        }
    }
}

/// The part of the cache in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheStatus {
    /// The rule does not cache.
    #[default]
    Off,
    /// The call may not be cached (its shape, or the caller's word).
    Bypass,
    /// Looked up and not there.
    Miss,
    /// Answered from this layer.
    Hit(CacheLayer),
}

impl CacheStatus {
    /// The word for the log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit(CacheLayer::Memory) => "hit_memory",
            Self::Hit(CacheLayer::Redis) => "hit_redis",
            Self::Hit(CacheLayer::Flight) => "hit_flight",
        }
    }
}

/// The party whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ErrorSource {
    /// The caller's.
    Client,
    /// Ours.
    Gateway,
    /// The provider's.
    Upstream,
}

impl ErrorSource {
    /// The word for the log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

/// The word for an error's kind, as the log writes it.
pub(super) const fn kind_label(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request",
        ErrorKind::Authentication => "authentication",
        ErrorKind::Billing => "billing",
        ErrorKind::Permission => "permission",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Method => "method",
        ErrorKind::RequestTimeout => "request_timeout",
        ErrorKind::Conflict => "conflict",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::MediaType => "media_type",
        ErrorKind::Unprocessable => "unprocessable",
        ErrorKind::RateLimit => "rate_limit",
        ErrorKind::Quota => "quota",
        ErrorKind::HeadersTooLarge => "headers_too_large",
        ErrorKind::Internal => "internal",
        ErrorKind::BadGateway => "bad_gateway",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
    }
}
