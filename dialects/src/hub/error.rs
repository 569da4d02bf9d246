//! Errors in neutral words: what kind, what was said, and the status that goes with it.

/// The code of a prompt that does not fit, whoever says it.
pub const CONTEXT_OVERFLOW: &str = "context_length_exceeded";

/// An error as a provider said it, read out of its dialect's error shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The kind, in neutral words.
    pub kind: ErrorKind,
    /// The provider's message; safe to show to the caller.
    pub message: String,
    /// The provider's own type word (`rate_limit_error`, `invalid_request_error`).
    pub r#type: Option<String>,
    /// The provider's own code. `context_length_exceeded` stands for every vendor's words for a prompt that does not fit.
    pub code: Option<String>,
    /// The field at fault, where the provider names it.
    pub param: Option<String>,
}

impl ProviderError {
    /// An error whose answer says nothing that can be read, of this status; 0: it has none, inside a stream or under 200.
    pub(crate) fn unreadable(kind: ErrorKind, status: u16) -> Self {
        let message = match status {
            0 => "the provider answered with an error that can not be read".to_owned(),
            status => format!("the provider answered with status {status} and no readable error"),
        };
        Self { kind, message, r#type: None, code: None, param: None }
    }

    /// True if the conversation is longer than the model takes: the caller's to cure, and the same everywhere.
    #[must_use]
    pub fn is_context_overflow(&self) -> bool {
        self.code.as_deref() == Some(CONTEXT_OVERFLOW)
    }
}

/// The kind of an error, in neutral words. Status codes and each dialect's type words derive from it in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ErrorKind {
    /// 400: the request is wrong.
    InvalidRequest,
    /// 401: who are you.
    Authentication,
    /// 402: pay first.
    Billing,
    /// 403: not you.
    Permission,
    /// 404: no such thing (model, path).
    NotFound,
    /// 405: the path exists, the method does not.
    Method,
    /// 408: the caller was too slow.
    RequestTimeout,
    /// 409.
    Conflict,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is not JSON.
    MediaType,
    /// 422: well formed and still wrong.
    Unprocessable,
    /// 429: later.
    RateLimit,
    /// 429, and retrying does not help: the money or quota is gone.
    Quota,
    /// 431: headers too large.
    HeadersTooLarge,
    /// 500: the provider or gateway broke.
    Internal,
    /// 502: the provider answered nonsense or could not be reached.
    BadGateway,
    /// 503 or Anthropic 529: overloaded.
    Overloaded,
    /// 503: the gateway itself can not take it now; coming again helps.
    Unavailable,
    /// 504: too late.
    Timeout,
}

impl ErrorKind {
    /// The status that most vendors answer with; a dialect may know a better one.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::Unprocessable => 422,
            Self::RateLimit | Self::Quota => 429,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Overloaded | Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}
