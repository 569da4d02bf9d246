//! The failures between the gateway and a provider, and whose fault it is.

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustix::io::Errno;
use thiserror::Error;

/// The phase that a call had come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendPhase {
    /// Finding the address of the provider's name.
    Resolve,
    /// Making (or waiting for) a connection.
    Connect,
    /// Agreeing on TLS, and on which HTTP.
    Tls,
    /// Agreeing on HTTP/2's settings, over TLS or without.
    Http2,
    /// Writing the request.
    Write,
    /// Waiting for the head of the answer.
    Head,
}

impl SendPhase {
    /// As a word, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::Write => "write",
            Self::Head => "head",
        }
    }
}

/// The error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendErrorKind {
    /// Nobody listens there.
    Refused,
    /// The connection was closed or reset.
    Reset,
    /// Not within the connect timeout.
    TimedOut,
    /// The time of the attempt was over, whatever it was waiting for.
    AttemptTimeout,
    /// No way to that network or host.
    Unreachable,
    /// The name has no address.
    UnknownName,
    /// The provider's certificate is not one we may trust.
    Certificate,
    /// The bytes that came are not HTTP (or TLS) as it should be.
    Protocol,
    /// All connections are in use and too many calls wait already.
    Busy,
    /// The request (or the origin's settings) cannot be put on the wire.
    Invalid,
    /// This process has no file descriptor, or this machine no port, left for another connection.
    Exhausted,
    /// Another failure of this machine's.
    Local,
}

impl SendErrorKind {
    /// As a word, for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::AttemptTimeout => "attempt_timeout",
            Self::Unreachable => "unreachable",
            Self::UnknownName => "unknown_name",
            Self::Certificate => "certificate",
            Self::Protocol => "protocol",
            Self::Busy => "busy",
            Self::Invalid => "invalid",
            Self::Exhausted => "exhausted",
            Self::Local => "local",
        }
    }

    /// The meaning of an operating system's error here.
    pub(super) fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            K::ConnectionRefused => Self::Refused,
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof | K::NotConnected => {
                Self::Reset
            }
            K::TimedOut => Self::TimedOut,
            K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => Self::Unreachable,
            K::InvalidData => Self::Protocol,
            K::AddrNotAvailable => Self::Exhausted,
            _ if is_out_of_files(error) => Self::Exhausted,
            _ => Self::Local,
        }
    }
}

/// True if the process, or the machine, has as many files open as it may.
fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::MFILE | Errno::NFILE))
}

/// The party whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendFault {
    /// The provider's, or the way to it: it counts against the endpoint.
    Upstream,
    /// Ours: it says nothing about the endpoint.
    Gateway,
}

/// The fate of a request that got no answer's head: it decides whether it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing of it can have been processed: it never left, or the provider says so itself.
    Unprocessed,
    /// The provider takes it over HTTP/1.1 alone (RFC 9113, 7: HTTP_1_1_REQUIRED).
    WantsHttp1,
    /// It left on a connection that had served before and ended without a byte of an answer: most likely the provider
    /// had closed it while it was idle.
    Unanswered,
    /// It may have been processed.
    Unknown,
}

/// An exchange that gave no head.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: SendError,
    pub(super) fate: Fate,
}

/// The part of HTTP/2 that a provider ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Http2End {
    /// None that is known of.
    #[default]
    Other,
    /// The request's own stream.
    Stream,
    /// The same, as the provider wants the request over HTTP/1.1.
    StreamForHttp1,
}

/// A call that got no answer's head. Its text holds no secret: no header, no body, no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// The phase that it had come to.
    pub phase: SendPhase,
    /// The error.
    pub kind: SendErrorKind,
    /// True if the provider may have seen (some of) the request.
    pub sent: bool,
    /// True if the request had been sent once more within this attempt.
    pub resent: bool,
    /// The end of a connection that calls share, of which another call has told already.
    pub echo: bool,
    /// The part of HTTP/2 that ended, where it is not the connection as such.
    pub ended: Http2End,
    /// More about it, for logs.
    pub detail: String,
}

impl SendError {
    pub(super) fn new(phase: SendPhase, kind: SendErrorKind, detail: impl Into<String>) -> Self {
        Self { phase, kind, sent: false, resent: false, echo: false, ended: Http2End::Other, detail: detail.into() }
    }

    pub(super) fn late() -> Self {
        Self::new(SendPhase::Head, SendErrorKind::AttemptTimeout, "no answer in time")
    }

    pub(super) fn io(phase: SendPhase, error: &io::Error) -> Self {
        Self::new(phase, SendErrorKind::of_io(error), in_short(error.to_string()))
    }

    /// An exchange that hyper gave up; `sent`: whether a byte of the request may have left.
    pub(super) fn exchange(error: &hyper::Error, sent: bool) -> Self {
        let phase = if sent { SendPhase::Head } else { SendPhase::Write };
        let ended = http2_of(error).filter(|error| error.is_reset() && error.is_remote());
        let ended = ended.map_or(Http2End::Other, |error| match error.reason() {
            Some(h2::Reason::HTTP_1_1_REQUIRED) => Http2End::StreamForHttp1,
            _ => Http2End::Stream,
        });
        Self { sent, ended, ..Self::new(phase, kind_of(error), chain(error)) }
    }

    /// One to be changed by a test.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self::new(SendPhase::Connect, SendErrorKind::Refused, "")
    }

    /// The failure in words, for who reads of it: `Provider x failed: …`.
    #[must_use]
    pub fn in_words(&self) -> Cow<'static, str> {
        let detail = &self.detail;
        Cow::Borrowed(match (self.phase, self.kind) {
            (SendPhase::Resolve, SendErrorKind::UnknownName) => "its name has no address",
            (SendPhase::Resolve, SendErrorKind::TimedOut | SendErrorKind::AttemptTimeout) => {
                "its name was not resolved in time"
            }
            (SendPhase::Resolve, _) => "its name could not be resolved",
            (_, SendErrorKind::Refused) => "nobody listens at its address",
            (_, SendErrorKind::Unreachable) => "there is no way to its address",
            (_, SendErrorKind::Busy) => return format!("no connection to it was free ({detail})").into(),
            (_, SendErrorKind::Local | SendErrorKind::Exhausted) => {
                return format!("this proxy could not open a connection ({detail})").into();
            }
            (_, SendErrorKind::Invalid) => return format!("the request can not be written for it ({detail})").into(),
            (_, SendErrorKind::Certificate) => return format!("its certificate is not trusted ({detail})").into(),
            (SendPhase::Connect, SendErrorKind::Reset) => "it closed the connection while it was being made",
            (SendPhase::Connect, _) => "no connection to it came about in time",
            (SendPhase::Tls, SendErrorKind::Reset) => "it closed the connection during the TLS handshake",
            (SendPhase::Tls, SendErrorKind::TimedOut | SendErrorKind::AttemptTimeout) => {
                "the TLS handshake with it was not done in time"
            }
            (SendPhase::Tls, _) => return format!("TLS or HTTP/2 could not be agreed on with it ({detail})").into(),
            (SendPhase::Http2, SendErrorKind::Reset) => "it closed the connection while HTTP/2 was being agreed on",
            (SendPhase::Http2, SendErrorKind::TimedOut | SendErrorKind::AttemptTimeout) => {
                "HTTP/2 was not agreed on with it in time"
            }
            (SendPhase::Http2, _) => return format!("HTTP/2 could not be agreed on with it ({detail})").into(),
            _ if self.ended == Http2End::StreamForHttp1 => {
                "it takes the request over HTTP/1.1 alone, and is spoken to over HTTP/2 (`connection.http`)"
            }
            (_, SendErrorKind::Reset) if self.ended == Http2End::Stream => {
                return format!("it gave up the request's HTTP/2 stream before it answered ({detail})").into();
            }
            // What came was no HTTP, and what was wrong with it says more than that.
            (_, SendErrorKind::Protocol) => return format!("its answer can not be read ({detail})").into(),
            (SendPhase::Write, SendErrorKind::Reset) => "it closed the connection before the request was written",
            (_, SendErrorKind::Reset) => "it closed the connection before it answered",
            (_, SendErrorKind::UnknownName) => "its name has no address",
            (_, SendErrorKind::TimedOut | SendErrorKind::AttemptTimeout) => {
                "its connection went dead before it answered"
            }
        })
    }

    /// The party whose fault it is: the gateway's when it is local, busy or cannot write the request; else the
    /// upstream's.
    #[must_use]
    pub const fn fault(&self) -> SendFault {
        match self.kind {
            SendErrorKind::Busy | SendErrorKind::Invalid | SendErrorKind::Exhausted | SendErrorKind::Local => {
                SendFault::Gateway
            }
            _ => SendFault::Upstream,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.phase.as_str(), self.kind.as_str())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for SendError {}

/// An answer that broke off.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It ended before its end: short of its content-length, or a chunked body or stream without its last piece.
    // With words by which agents know what is worth another try.
    #[error("connection error, the provider cut the answer: {0}")]
    Cut(String),
    /// The bytes that came are not a body as HTTP frames it.
    #[error("the provider broke the protocol: {0}")]
    Protocol(String),
}

impl BodyError {
    pub(super) fn io(error: &io::Error) -> Self {
        match SendErrorKind::of_io(error) {
            SendErrorKind::Protocol => Self::Protocol(in_short(error.to_string())),
            _ => Self::Cut(in_short(error.to_string())),
        }
    }

    pub(super) fn of(error: &hyper::Error) -> Self {
        match kind_of(error) {
            SendErrorKind::Protocol => Self::Protocol(chain(error)),
            _ => Self::Cut(chain(error)),
        }
    }
}

/// The error of HTTP/2 in hyper's, where there is one.
pub(super) fn http2_of(error: &hyper::Error) -> Option<&h2::Error> {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref::<h2::Error>()).next()
}

/// The text of an error, without the address of a library's manual at its end: users of the gateway have no use for it.
fn in_short(said: String) -> String {
    match said.find(": https://") {
        Some(end) => said.get(..end).unwrap_or_default().to_owned(),
        None => said,
    }
}

/// The kind of hyper's error: from the operating system's error in it, or from what hyper says of itself.
fn kind_of(error: &hyper::Error) -> SendErrorKind {
    if error.is_user() {
        return SendErrorKind::Invalid;
    }
    if error.is_parse() {
        return SendErrorKind::Protocol;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return SendErrorKind::Reset;
    }
    if error.is_timeout() {
        return SendErrorKind::TimedOut;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            // A chunk whose size is no number comes as invalid input or data.
            return match io.kind() {
                io::ErrorKind::InvalidInput => SendErrorKind::Protocol,
                _ => SendErrorKind::of_io(io),
            };
        }
        source = cause.source();
    }
    SendErrorKind::Reset
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    in_short(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_manual_is_told_to_nobody() {
        let said = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/x#unexpected-eof";
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, said);
        assert_eq!(
            BodyError::io(&error).to_string(),
            "connection error, the provider cut the answer: peer closed connection without sending TLS close_notify"
        );
        assert!(!SendError::io(SendPhase::Tls, &error).to_string().contains("docs.rs"));
        assert_eq!(in_short("a https://x".to_owned()), "a https://x");
    }

    #[test]
    fn words_name_what_ended() {
        let of = |phase, ended| {
            SendError { ended, ..SendError::new(phase, SendErrorKind::Reset, "why") }.in_words().into_owned()
        };
        for (phase, ended, words) in [
            (SendPhase::Tls, Http2End::Other, "it closed the connection during the TLS handshake"),
            (SendPhase::Http2, Http2End::Other, "it closed the connection while HTTP/2 was being agreed on"),
            (SendPhase::Head, Http2End::Other, "it closed the connection before it answered"),
            (SendPhase::Head, Http2End::Stream, "it gave up the request's HTTP/2 stream before it answered (why)"),
            (
                SendPhase::Head,
                Http2End::StreamForHttp1,
                "it takes the request over HTTP/1.1 alone, and is spoken to over HTTP/2 (`connection.http`)",
            ),
        ] {
            assert_eq!(of(phase, ended), words);
        }
    }
}
