//! Errors of Amazon's services: a message in the body, the exception's name in a header, and in a stream in the event.
//!
//! Names and statuses are those of the API reference of the Bedrock runtime ("InvokeModel", "ConverseStream") and of its
//! "Common errors".

use serde::Deserialize;
use serde_json::json;

use crate::hub::{CONTEXT_OVERFLOW, ErrorKind, ProviderError};
use crate::overflow;
use crate::spoke::ErrorHeader;

/// Kind, status, exception. Of a kind the first row is written; of a name the first row is read.
const TABLE: [(ErrorKind, u16, &str); 26] = [
    (ErrorKind::InvalidRequest, 400, VALIDATION),
    (ErrorKind::Authentication, 403, "UnrecognizedClientException"),
    (ErrorKind::Authentication, 403, "InvalidSignatureException"),
    (ErrorKind::Authentication, 403, "ExpiredTokenException"),
    (ErrorKind::Authentication, 403, "MissingAuthenticationTokenException"),
    (ErrorKind::Permission, 403, "AccessDeniedException"),
    (ErrorKind::Billing, 402, "AccessDeniedException"),
    (ErrorKind::NotFound, 404, "ResourceNotFoundException"),
    (ErrorKind::Method, 405, VALIDATION),
    // Written of callers who took too long too; who says it means the model.
    (ErrorKind::Timeout, 408, "ModelTimeoutException"),
    (ErrorKind::RequestTimeout, 408, "ModelTimeoutException"),
    (ErrorKind::Conflict, 409, "ConflictException"),
    (ErrorKind::TooLarge, 413, VALIDATION),
    (ErrorKind::MediaType, 415, VALIDATION),
    (ErrorKind::Unprocessable, 422, VALIDATION),
    (ErrorKind::RateLimit, 429, "ThrottlingException"),
    (ErrorKind::Quota, 400, "ServiceQuotaExceededException"),
    (ErrorKind::HeadersTooLarge, 431, VALIDATION),
    (ErrorKind::Internal, 500, "InternalServerException"),
    (ErrorKind::Internal, 424, "ModelErrorException"),
    // `ModelStreamErrorException` is of streams alone.
    (ErrorKind::BadGateway, 424, "ModelErrorException"),
    (ErrorKind::BadGateway, 424, "ModelStreamErrorException"),
    (ErrorKind::BadGateway, 500, "InternalFailure"),
    (ErrorKind::Overloaded, 503, UNAVAILABLE),
    (ErrorKind::Overloaded, 429, "ModelNotReadyException"),
    (ErrorKind::Unavailable, 503, UNAVAILABLE),
];
/// The beginning of what is said, as of a caller's mistake, of a model that is not there (any more).
const NO_MODEL: &str = "The provided model identifier is invalid";
const VALIDATION: &str = "ValidationException";
const UNAVAILABLE: &str = "ServiceUnavailableException";

/// The header that names an error; Bedrock itself names it nowhere else in a whole answer.
pub(crate) const HEADER: ErrorHeader = ErrorHeader { name: "x-amzn-errortype", written: name, read };

#[derive(Deserialize, Default)]
struct SaidByAmazon {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type")]
    name: Option<String>,
}

/// Reads a provider's error answer; anything at all gives an error, if need be only by its status.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let SaidByAmazon { message, name } = serde_json::from_slice(body).unwrap_or_default();
    let message = message.filter(|message| !message.is_empty());
    let name = name.map(|name| bare(&name).to_owned());
    let kind = name.as_deref().and_then(kind_of).unwrap_or_else(|| by_status(status));
    let message = message.unwrap_or_else(|| ProviderError::unreadable(kind, status).message);
    let is_gone = kind == ErrorKind::InvalidRequest && message.starts_with(NO_MODEL);
    let kind = if is_gone { ErrorKind::NotFound } else { kind };
    overflow::recognised(ProviderError { kind, message, r#type: name, code: None, param: None })
}

/// The name in `com.amazon.coral.service#ThrottlingException:http://…`.
fn bare(name: &str) -> &str {
    name.rsplit('#').next().unwrap_or(name).split(':').next().unwrap_or_default()
}

/// The kind and the name of an error by its header; `None`: it is none that is known.
fn read(name: &str) -> Option<(ErrorKind, String)> {
    let name = bare(name).trim();
    kind_of(name).map(|kind| (kind, name.to_owned()))
}

/// The error that an event of a stream is; `None`: it is none.
pub(crate) fn of_event(name: &[u8], data: &[u8]) -> Option<ProviderError> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.ends_with("Exception") || name.ends_with("Error"))?;
    let upper = name.split_at_checked(1).map(|(first, rest)| first.to_ascii_uppercase() + rest).unwrap_or_default();
    let error = decode(500, data);
    let kind = kind_of(&upper).unwrap_or(ErrorKind::Internal);
    Some(overflow::recognised(ProviderError { kind, r#type: Some(upper), ..error }))
}

/// Writes an error body. The exception's name stands in the header `x-amzn-errortype` too.
pub(crate) fn encode(error: &ProviderError, _request_id: &str) -> Vec<u8> {
    serde_json::to_vec(&json!({ "message": message(error), "__type": name(error.kind) })).unwrap_or_default()
}

/// The exception's name in a stream, and its payload.
pub(crate) fn event(error: &ProviderError) -> (&'static str, Vec<u8>) {
    let name = match error.kind {
        ErrorKind::RateLimit | ErrorKind::Quota => "throttlingException",
        ErrorKind::Overloaded | ErrorKind::Unavailable => "serviceUnavailableException",
        ErrorKind::Timeout | ErrorKind::RequestTimeout => "modelTimeoutException",
        ErrorKind::BadGateway => "modelStreamErrorException",
        ErrorKind::Internal => "internalServerException",
        _ => "validationException",
    };
    (name, serde_json::to_vec(&json!({ "message": message(error) })).unwrap_or_default())
}

fn message(error: &ProviderError) -> String {
    match &error.param {
        // Claude Code, whichever way it goes, knows it by Anthropic's words.
        _ if error.is_context_overflow() => overflow::in_anthropics_words(&error.message).into_owned(),
        Some(param) if !error.message.contains(&**param) => format!("{param}: {}", error.message),
        _ => error.message.clone(),
    }
}

/// True if an error body says that a prompt does not fit, as clients know it: by words in its message.
pub(crate) fn tells_overflow(body: &[u8]) -> bool {
    let error = decode(400, body);
    error.code.as_deref() == Some(CONTEXT_OVERFLOW) && overflow::is_told(&error.message)
}

/// The name of a kind's exception.
pub(crate) fn name(kind: ErrorKind) -> &'static str {
    TABLE.iter().find(|row| row.0 == kind).map_or(VALIDATION, |row| row.2)
}

/// The status of a kind.
pub(crate) fn status(kind: ErrorKind) -> u16 {
    TABLE.iter().find(|row| row.0 == kind).map_or(500, |row| row.1)
}

fn kind_of(name: &str) -> Option<ErrorKind> {
    TABLE.iter().find(|row| row.2 == name).map(|row| row.0)
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        424 => ErrorKind::Internal,
        429 => ErrorKind::RateLimit,
        503 => ErrorKind::Overloaded,
        504 => ErrorKind::Timeout,
        400..=499 => ErrorKind::InvalidRequest,
        502 => ErrorKind::BadGateway,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_by_name_and_by_status() {
        for (status, body, kind) in [
            (429, r#"{"message":"Too many tokens, please wait before trying again."}"#, ErrorKind::RateLimit),
            (400, r#"{"message":"bad"}"#, ErrorKind::InvalidRequest),
            (400, r#"{"message":"The provided model identifier is invalid."}"#, ErrorKind::NotFound),
            (
                400,
                r#"{"__type":"com.amazon.coral.service#ServiceQuotaExceededException:http://x/","message":"a"}"#,
                ErrorKind::Quota,
            ),
            (403, r#"{"Message":"The security token included in the request is expired"}"#, ErrorKind::Permission),
            (403, r#"{"__type":"ExpiredTokenException"}"#, ErrorKind::Authentication),
            (424, r#"{"message":"model"}"#, ErrorKind::Internal),
            (503, "", ErrorKind::Overloaded),
        ] {
            assert_eq!(decode(status, body.as_bytes()).kind, kind, "{status} {body}");
        }
        let overflow = decode(400, br#"{"message":"Input is too long for requested model."}"#);
        assert!(overflow.is_context_overflow());
        assert!(tells_overflow(&encode(&overflow, "")), "{}", String::from_utf8_lossy(&encode(&overflow, "")));
    }

    #[test]
    fn an_error_is_known_by_the_name_in_its_header() {
        use crate::dialect::Dialect::{AnthropicMessages, BedrockConverse};
        for (status, name, kind) in [
            (400, "ServiceQuotaExceededException", ErrorKind::Quota),
            (400, "ThrottlingException:http://internal.amazon.com/coral/", ErrorKind::RateLimit),
            (408, "ModelTimeoutException", ErrorKind::Timeout),
            (400, "NewException", ErrorKind::InvalidRequest),
            (413, VALIDATION, ErrorKind::TooLarge),
        ] {
            let read = BedrockConverse.decode_named_error(status, Some(name), br#"{"message":"x"}"#);
            assert_eq!(read.kind, kind, "{name}");
        }
        let overflow = br#"{"message":"Input Tokens Exceeded: Number of input tokens exceeds maximum length."}"#;
        assert!(BedrockConverse.decode_named_error(400, Some(VALIDATION), overflow).is_context_overflow());
        let other = AnthropicMessages.decode_named_error(400, Some("ThrottlingException"), b"{}");
        assert_eq!(other.kind, ErrorKind::InvalidRequest, "nobody else has the header");
    }

    #[test]
    fn kinds_are_told_by_the_exceptions_of_whole_answers() {
        for (kind, told) in [
            (ErrorKind::BadGateway, (424, "ModelErrorException")),
            (ErrorKind::Internal, (500, "InternalServerException")),
            (ErrorKind::Overloaded, (503, "ServiceUnavailableException")),
            (ErrorKind::Unavailable, (503, "ServiceUnavailableException")),
            (ErrorKind::Timeout, (408, "ModelTimeoutException")),
            (ErrorKind::RateLimit, (429, "ThrottlingException")),
        ] {
            assert_eq!((status(kind), name(kind)), told, "{kind:?}");
        }
        for (name, kind) in [
            ("ModelErrorException", ErrorKind::Internal),
            ("ModelStreamErrorException", ErrorKind::BadGateway),
            ("ModelNotReadyException", ErrorKind::Overloaded),
        ] {
            assert_eq!(kind_of(name), Some(kind));
        }
    }

    #[test]
    fn an_exception_of_a_stream_is_an_error() {
        let error = of_event(b"throttlingException", br#"{"message":"slow"}"#).unwrap();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::RateLimit, "slow"));
        assert!(of_event(b"contentBlockDelta", b"{}").is_none());
        let (name, payload) = event(&error);
        assert_eq!(of_event(name.as_bytes(), &payload).unwrap().kind, ErrorKind::RateLimit);
    }
}
