//! The one table that writes errors, in the caller's dialect.
//!
//! A leaf says what went wrong (`Problem`: whose fault, may a retry help, in which neutral kind, in which words);
//! status code, body, `retry-after` and `x-should-retry` all derive from that here and nowhere else.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{ErrorKind, ProviderError};

use crate::account::ErrorSource;
use crate::memory::Exhausted;

/// `x-request-id`: the id of the call, on every answer.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `request-id`: where Anthropic's SDKs look for it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// `x-should-retry`: obeyed by the OpenAI and Anthropic SDKs over their own rules.
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// SDKs give up, rather than wait, beyond this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// The problem of a call, before it is put into a dialect's words. Boxed: a result that is hardly ever a problem is passed on
/// through all of a call, and is as small as what it is otherwise.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemFacts>);

/// The facts of a problem.
#[derive(Debug, Clone)]
pub struct ProblemFacts {
    /// The party whose fault it is.
    pub fault: ErrorSource,
    /// In neutral words.
    pub kind: ErrorKind,
    /// For a person; names the field and what to do.
    pub message: Cow<'static, str>,
    /// The field at fault.
    pub param: Option<String>,
    /// The vendor's own code, where one fits (`model_not_found`).
    pub code: Option<Cow<'static, str>>,
    /// True if the caller may usefully send the same again; `None`: its SDK's own rules.
    pub should_retry: Option<bool>,
    /// The time after which to do so.
    pub retry_after: Option<Duration>,
    /// A header that says what would be taken instead (`allow`, `accept-encoding`, `upgrade`).
    pub taken: Option<(HeaderName, &'static str)>,
    /// A status that no kind stands for.
    pub status: Option<StatusCode>,
    /// True if the connection can not be used for another call (its body was not read).
    pub close: bool,
}

impl Deref for Problem {
    type Target = ProblemFacts;

    fn deref(&self) -> &ProblemFacts {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut ProblemFacts {
        &mut self.0
    }
}

impl From<ProblemFacts> for Problem {
    fn from(facts: ProblemFacts) -> Self {
        Self(Box::new(facts))
    }
}

impl Problem {
    /// A fault of the caller's: the same request will fail again.
    pub fn client(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorSource::Client, kind, message)
    }

    /// A fault of the gateway's or its configuration's.
    pub fn gateway(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorSource::Gateway, kind, message)
    }

    /// A fault of the providers', after everything was tried: the gateway has retried already, so the SDK need not.
    pub fn upstream(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(ErrorSource::Upstream, kind, message);
        problem.should_retry = Some(false);
        problem
    }

    fn new(fault: ErrorSource, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::from(ProblemFacts {
            fault,
            kind,
            message: message.into(),
            param: None,
            code: None,
            should_retry: None,
            retry_after: None,
            taken: None,
            status: None,
            close: false,
        })
    }

    /// Says it in these words.
    #[must_use]
    pub fn saying(mut self, message: String) -> Self {
        self.message = message.into();
        self
    }

    /// Names the field at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<Option<String>>) -> Self {
        self.param = param.into();
        self
    }

    /// Adds the vendor's own code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Says whether and when to come again.
    #[must_use]
    pub fn retry(mut self, should: bool, after: Option<Duration>) -> Self {
        self.should_retry = Some(should);
        self.retry_after = after;
        self
    }

    /// Says in a header what would be taken instead.
    #[must_use]
    pub fn taking(mut self, header: HeaderName, value: &'static str) -> Self {
        self.taken = Some((header, value));
        self
    }

    /// Answers with this status, not with its kind's.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Ends the connection after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The status of its answer in a dialect.
    #[must_use]
    pub fn status_in(&self, dialect: Dialect) -> StatusCode {
        let of_kind = || StatusCode::from_u16(dialect.status(self.kind)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.status.unwrap_or_else(of_kind)
    }

    /// The neutral error that a dialect's encoder takes.
    #[must_use]
    pub fn neutral(&self) -> ProviderError {
        ProviderError {
            kind: self.kind,
            message: self.message.clone().into_owned(),
            r#type: None,
            code: self.code.clone().map(Cow::into_owned),
            param: self.param.clone(),
        }
    }
}

impl From<sluicegate_dialects::Refusal> for Problem {
    fn from(refusal: sluicegate_dialects::Refusal) -> Self {
        let mut problem = Self::client(refusal.kind, refusal.message).param(refusal.param);
        problem.code = refusal.code.map(Cow::Borrowed);
        problem
    }
}

impl From<Exhausted> for Problem {
    fn from(_: Exhausted) -> Self {
        let message = "This gateway holds as much as it has memory for; please try again.";
        Self::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)))
    }
}

/// The answer that says what went wrong, in the dialect's own shape.
#[must_use]
pub fn answer(problem: &Problem, dialect: Dialect, request_id: &HeaderValue) -> Response<Bytes> {
    let id = request_id.to_str().unwrap_or_default();
    let body = dialect.encode_error(&problem.neutral(), id);
    let body = match problem.retry_after {
        Some(after) => say_when_in_body(body, dialect, after),
        None => body,
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = problem.status_in(dialect);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name_call(headers, dialect, request_id);
    name_error(headers, dialect, problem.kind);
    if let Some(retry) = problem.should_retry {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(if retry { "true" } else { "false" }));
    }
    if let Some(after) = problem.retry_after {
        say_when(headers, after);
    }
    if let Some((name, value)) = &problem.taken {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    if problem.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An error's body where the caller asked for a stream as one JSON array (`array`): the only element of such a one, as Google
/// answers.
#[must_use]
pub fn as_asked(body: Bytes, array: bool) -> Bytes {
    if array { [b"[", &body[..], b"]"].concat().into() } else { body }
}

/// Puts an error's name where the dialect's SDKs look for it, if that is a header.
pub fn name_error(headers: &mut http::HeaderMap, dialect: Dialect, kind: ErrorKind) {
    if let Some(header) = dialect.habits().error_header {
        headers.insert(HeaderName::from_static(header.name), HeaderValue::from_static((header.written)(kind)));
    }
}

/// Puts the call's id where the dialect's SDKs look for it. A provider's own id is the better one to have for a
/// support request, so on Anthropic's surface `request-id` is kept when it is there already.
pub fn name_call(headers: &mut http::HeaderMap, dialect: Dialect, request_id: &HeaderValue) {
    if let Some(name) = dialect.habits().request_id_header.filter(|name| !headers.contains_key(*name)) {
        headers.insert(HeaderName::from_static(name), request_id.clone());
    }
    headers.insert(X_REQUEST_ID, request_id.clone());
}

/// Says when to come again in an error's body, where the dialect's clients look for it there.
pub fn say_when_in_body(body: Vec<u8>, dialect: Dialect, after: Duration) -> Vec<u8> {
    dialect.say_when(body, after.min(LONGEST_RETRY_AFTER))
}

/// Says when to come again in `retry-after` and `retry-after-ms`; beyond what SDKs wait for, that they need not.
pub fn say_when(headers: &mut http::HeaderMap, after: Duration) {
    if after > LONGEST_RETRY_AFTER {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    let after = after.min(LONGEST_RETRY_AFTER);
    let seconds = u64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(1).max(1);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    headers.insert(RETRY_AFTER_MS, HeaderValue::from(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
}
