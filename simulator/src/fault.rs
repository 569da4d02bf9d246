//! An error a vendor would give, before it is put in that vendor's words.

use std::time::Duration;

/// An error to answer with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The vendor's `type` word; absent: the one that goes with the status.
    pub(crate) r#type: Option<&'static str>,
    /// The vendor's `code`, where it has one.
    pub(crate) code: Option<&'static str>,
    /// The field at fault, where the vendor names it apart from the message.
    pub(crate) param: Option<String>,
    /// The text.
    pub(crate) message: String,
    /// The vendor's details for programs, where it gives any.
    pub(crate) details: Option<serde_json::Value>,
    /// The time after which to come back.
    pub(crate) retry_after: Option<Duration>,
    /// The value of `x-should-retry`, where it is sent.
    pub(crate) should_retry: Option<bool>,
}

/// A value read out of a request, or the error that a vendor would give of it.
pub(crate) type Checked<T> = Result<T, Box<Fault>>;

impl Fault {
    /// An error with no more than a status and a message.
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { status, message: message.into(), ..Self::default() })
    }

    /// Names the field at fault.
    pub(crate) fn at(mut self: Box<Self>, param: impl Into<String>) -> Box<Self> {
        self.param = Some(param.into());
        self
    }

    /// Gives the vendor's code.
    pub(crate) fn coded(mut self: Box<Self>, code: &'static str) -> Box<Self> {
        self.code = Some(code);
        self
    }

    /// Gives the vendor's details for programs.
    pub(crate) fn detailed(mut self: Box<Self>, details: serde_json::Value) -> Box<Self> {
        self.details = Some(details);
        self
    }

    /// Gives the vendor's type word.
    pub(crate) fn typed(mut self: Box<Self>, word: &'static str) -> Box<Self> {
        self.r#type = Some(word);
        self
    }
}
