//! The head of a provider's good answer: what it says of the answer behind it; and the first bytes and the end of its body.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::account::Operation;
use crate::memory::Exhausted;

use super::headers;
use super::inbound::InboundCall;
use super::stored_object::StoredObject;

/// The mark of its byte order that a text may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The reason why a body was not read to its end.
pub(super) enum Collected {
    Silent,
    Full(Exhausted),
    Broken(String),
    TooLarge,
}

/// A body without the mark of its byte order, which no JSON has and some servers write.
pub(super) fn without_mark(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body }
}

/// The reason why a success is none, by what its head says of it.
pub(super) fn no_answer_by_head(operation: Operation, headers: &HeaderMap) -> Option<String> {
    if let Some(coding) = headers::unasked_coding(headers) {
        return Some(format!("its answer is coded in `{coding}`, which nobody asked for (content-encoding)"));
    }
    let no_sound = operation == Operation::Speech && (is_json(headers) || is_page(headers));
    no_sound.then(|| format!("its answer is no sound but `{}`", String::from_utf8_lossy(media_type(headers))))
}

/// True for the status of an answer: that of a model has one, what passes because a rule names its path any good one.
pub(super) fn is_answer(call: &InboundCall, status: StatusCode) -> bool {
    status == StatusCode::OK || (status.is_success() && call.named().is_some())
}

/// True if an answer passes piece by piece. What is to be JSON is read whole and judged by what it is, whatever it is called.
pub(super) fn passes_in_pieces(call: &InboundCall, (status, headers): (StatusCode, &HeaderMap)) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if call.named().is_some() || call.object().is_some_and(StoredObject::is_bytes) {
        return true;
    }
    let may = match call.operation {
        Operation::Speech => true,
        // A text, where the call asks for one.
        Operation::Transcription | Operation::Translation => !is_page(headers),
        // Told once more from its beginning.
        operation if operation.is_of_stored() => media_type(headers) == b"text/event-stream",
        operation if operation.draws() => call.peek.stream && !is_page(headers),
        _ => call.streams(),
    };
    may && !is_json(headers)
}

/// True for a page for people: somebody else has answered in the provider's place.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|page| kind.eq_ignore_ascii_case(page))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    let end = kind.get(kind.len().saturating_sub(4)..).unwrap_or_default();
    end.eq_ignore_ascii_case(b"json")
}

/// The content type without its parameters; empty when none is said.
pub(super) fn media_type(headers: &HeaderMap) -> &[u8] {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}
