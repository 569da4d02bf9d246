//! Whole answers made smaller for callers that accept it. Streams never are: an event has to leave when it comes.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::compression::{AnswerCoding, Codec, Encoder, WORTHWHILE, forbids};
use crate::errors::Problem;
use crate::memory::Purpose;
use crate::settings::Settings;

use super::context::CallContext;
use super::exchange::{Exchange, Whole};

/// After so much the other calls of the worker have their turn.
const TURN: usize = 256 << 10;
/// Digests of the bytes that are sent: of compressed ones they are others.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// The coding that a caller's answer may have.
pub(super) fn accepted(headers: &HeaderMap, settings: &Settings) -> Option<AnswerCoding> {
    if settings.compress_answers { AnswerCoding::accepted(headers) } else { None }
}

/// Compresses the answer, where it is whole, its caller accepts that, and it becomes smaller.
pub(super) async fn answer(context: &CallContext, mut outcome: Result<Exchange, Problem>) -> Result<Exchange, Problem> {
    if let Ok(Exchange::Whole(whole)) = &mut outcome
        && context.worker.shared.settings.compress_answers
        && depends_on_caller(whole)
    {
        whole.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        let coding = context.caller.accepts.filter(|_| !whole.headers.contains_key(CONTENT_ENCODING));
        if let Some(coding) = coding
            && let Some(body) = compressed(context, coding, &whole.body).await
        {
            whole.body = body;
            describe(&mut whole.headers, coding);
        }
    }
    outcome
}

/// True if an answer has another form for callers of other tastes: it is long enough, a text, whole, and not forbidden.
fn depends_on_caller(Whole { headers, body, .. }: &Whole) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return true;
    }
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    body.len() > WORTHWHILE && is_text(kind) && !headers.contains_key(CONTENT_RANGE) && !forbids(headers)
}

/// True if a media type is of the texts that answers consist of.
fn is_text(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
        || kind.ends_with(b"+json")
        || kind.eq_ignore_ascii_case(b"text/plain")
}

/// The bytes with their part of the memory budget; `None`: they stay as they are.
async fn compressed(context: &CallContext, coding: AnswerCoding, plain: &Bytes) -> Option<Bytes> {
    let (memory, purpose) = (&context.worker.memory, Purpose::of(plain.len()));
    if plain.len() <= TURN {
        let body = context.worker.cache.codec().compress(coding, plain)?;
        return Some(memory.charge(body.len(), purpose).ok()?.hold(body));
    }
    let mut charge = memory.charge(plain.len(), purpose).ok()?;
    let body = text(context.worker.cache.codec(), coding, plain).await?;
    charge.set(body.len(), purpose).ok()?;
    Some(charge.hold(body))
}

/// The bytes compressed, a long text in turns with other calls; `None`: that makes them no smaller.
pub(super) async fn text(codec: &Codec, coding: AnswerCoding, plain: &Bytes) -> Option<Bytes> {
    if plain.len() <= TURN {
        return codec.compress(coding, plain);
    }
    // Boxed: it is rare.
    Box::pin(in_turns(coding, plain)).await.filter(|body| body.len() < plain.len())
}

async fn in_turns(coding: AnswerCoding, plain: &Bytes) -> Option<Bytes> {
    let mut encoder = Encoder::new(coding, plain.len()).ok()?;
    for piece in plain.chunks(TURN) {
        encoder.push(piece).ok()?;
        tokio::task::yield_now().await;
    }
    // Copied: what the encoder made has room that nobody needs.
    encoder.finish().ok().map(|body| Bytes::copy_from_slice(&body))
}

/// Describes in the head a body that was compressed.
fn describe(headers: &mut HeaderMap, coding: AnswerCoding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    headers.remove(ACCEPT_RANGES);
    DIGESTS.iter().for_each(|digest| drop(headers.remove(digest)));
    // Another form of the same answer: no longer the same bytes.
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()) {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::account::End;

    fn depends(length: usize, pairs: &[(&'static str, &'static str)]) -> bool {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let (status, body, end) = (StatusCode::OK, Bytes::from(vec![b' '; length]), End::Done);
        depends_on_caller(&Whole { status, headers: pairs.collect(), body, end })
    }

    #[test]
    fn only_long_whole_texts_are_compressed() {
        let json = ("content-type", "application/json");
        assert!(depends(1025, &[json]) && !depends(1024, &[json]));
        assert!(depends(2000, &[("content-type", "Application/JSON; charset=utf-8")]));
        assert!(depends(2000, &[("content-type", "application/problem+json")]));
        assert!(depends(9, &[json, ("content-encoding", "zstd")]), "it was kept so");
        for others in ["text/event-stream", "application/octet-stream", "audio/mpeg", "image/png", ""] {
            assert!(!depends(2000, &[("content-type", others)]), "{others}");
        }
        assert!(!depends(2000, &[]));
        assert!(!depends(2000, &[json, ("content-range", "bytes 0-1/2")]));
        assert!(!depends(2000, &[json, ("cache-control", "private, no-transform")]));
    }

    #[test]
    fn the_head_says_what_became_of_the_body() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs =
                pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let mut headers: HeaderMap = pairs.collect();
            describe(&mut headers, AnswerCoding::Gzip);
            let mut said: Vec<_> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            said.sort_unstable();
            said.join(", ")
        };
        assert_eq!(of(&[]), "content-encoding: gzip");
        assert_eq!(of(&[("etag", "\"a\"")]), "content-encoding: gzip, etag: W/\"a\"");
        assert_eq!(of(&[("etag", "W/\"a\"")]), "content-encoding: gzip, etag: W/\"a\"");
        assert_eq!(
            of(&[("content-md5", "x"), ("repr-digest", "x"), ("accept-ranges", "bytes")]),
            "content-encoding: gzip"
        );
    }
}
