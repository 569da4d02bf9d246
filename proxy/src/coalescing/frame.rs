//! The form that a flight has in Redis: frames, one after the other, each with its length and a checksum. What is read is bytes from
//! a stranger.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::ErrorKind;
use xxhash_rust::xxh3::xxh3_64;

use super::flight::{FlightClose, FlightHead, WholeAnswer};
use crate::account::{End, ErrorSource};
use crate::errors::{Problem, ProblemFacts};

/// The first byte of a flight's data: the version of all that follows.
pub(super) const VERSION: u8 = 1;
/// The most bytes of a flight that stand in Redis.
pub(super) const MOST_PUBLISHED: usize = 16 << 20;
/// Pieces up to this size are copied out of what was read.
const COPIED: usize = 16 << 10;
/// Kind, length and checksum.
const PREFIX: usize = 13;

/// A piece of news of a flight.
#[derive(Debug)]
pub(super) enum Frame {
    /// The answer comes as a stream.
    Head(FlightHead),
    /// More of the stream.
    Piece(Bytes),
    /// The stream is over.
    Close(FlightClose),
    /// The answer is here whole.
    Whole(WholeAnswer),
    /// There is none.
    Failed(Problem),
    /// It will not be told: too much. Each asks by itself.
    Untold,
}

/// The bytes are none that this version writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are no frames of a flight")]
pub(super) struct BadFrame;

#[derive(Serialize, Deserialize)]
struct HeadWords {
    clamped: Option<u64>,
    /// The number of the dialect; a proxy that is older says none, and shares with its own dialect only.
    #[serde(default)]
    dialect: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct WholeWords {
    status: u16,
    headers: Vec<(String, String)>,
    end: End,
    clamped: Option<u64>,
    #[serde(default)]
    dialect: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct ProblemWords {
    fault: ErrorSource,
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    code: Option<String>,
    should_retry: Option<bool>,
    retry_after: Option<u64>,
    status: Option<u16>,
}

impl Frame {
    const HEAD: u8 = 1;
    const PIECE: u8 = 2;
    const WHOLE_CLOSE: u8 = 3;
    const CUT: u8 = 4;
    const WHOLE: u8 = 5;
    const FAILED: u8 = 6;
    const UNTOLD: u8 = 7;

    /// Writes it.
    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Head(head) => put(out, Self::HEAD, &words(&HeadWords::of(head)), &[]),
            Self::Piece(bytes) => put(out, Self::PIECE, &[], bytes),
            Self::Close(FlightClose::Whole) => put(out, Self::WHOLE_CLOSE, &[], &[]),
            Self::Close(FlightClose::Cut) => put(out, Self::CUT, &[], &[]),
            Self::Whole(answer) => {
                let head = words(&WholeWords::of(answer));
                let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
                put(out, Self::WHOLE, &[&length[..], &head].concat(), &answer.body);
            }
            Self::Failed(problem) => put(out, Self::FAILED, &words(&ProblemWords::of(problem)), &[]),
            Self::Untold => put(out, Self::UNTOLD, &[], &[]),
        }
    }

    fn read(kind: u8, payload: Bytes) -> Option<Self> {
        Some(match kind {
            Self::HEAD => {
                let HeadWords { clamped, dialect } = serde_json::from_slice(&payload).ok()?;
                let dialect = known(dialect)?;
                Self::Head(FlightHead { headers: HeaderMap::new(), clamped, is_remote: true, dialect })
            }
            // Where it stood stands more.
            Self::PIECE if payload.len() <= COPIED => Self::Piece(Bytes::copy_from_slice(&payload)),
            Self::PIECE => Self::Piece(payload),
            Self::WHOLE_CLOSE => Self::Close(FlightClose::Whole),
            Self::CUT => Self::Close(FlightClose::Cut),
            Self::WHOLE => Self::Whole(whole(payload)?),
            Self::FAILED => Self::Failed(serde_json::from_slice::<ProblemWords>(&payload).ok()?.problem()?),
            Self::UNTOLD => Self::Untold,
            _ => return None,
        })
    }
}

fn words(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn put(out: &mut BytesMut, kind: u8, head: &[u8], rest: &[u8]) {
    let start = out.len() + PREFIX;
    out.reserve(PREFIX + head.len() + rest.len());
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(&u32::try_from(head.len() + rest.len()).unwrap_or(u32::MAX).to_le_bytes());
    let sum_at = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(head);
    out.extend_from_slice(rest);
    let sum = xxh3_64(out.get(start..).unwrap_or_default()).to_le_bytes();
    if let Some(place) = out.get_mut(sum_at..start) {
        place.copy_from_slice(&sum);
    }
}

fn whole(mut payload: Bytes) -> Option<WholeAnswer> {
    let (length, _) = payload.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    payload.advance(4);
    if payload.len() < length {
        return None;
    }
    let WholeWords { status, headers, end, clamped, dialect } =
        serde_json::from_slice(&payload.split_to(length)).ok()?;
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
    let (status, headers) = (StatusCode::from_u16(status).ok()?, headers.collect());
    Some(WholeAnswer { status, headers, body: payload, end, clamped, is_remote: true, dialect: known(dialect)? })
}

/// The dialect of this number; `None`: nobody here knows it.
fn known(code: Option<u8>) -> Option<Option<Dialect>> {
    code.map_or(Some(None), |code| Dialect::of_code(code).map(Some))
}

impl HeadWords {
    fn of(head: &FlightHead) -> Self {
        Self { clamped: head.clamped, dialect: head.dialect.map(Dialect::code) }
    }
}

impl WholeWords {
    /// A good answer's headers are its provider's word to the one who led; an error is told as it is.
    fn of(answer: &WholeAnswer) -> Self {
        let WholeAnswer { status, headers, body: _, end, clamped, is_remote: _, dialect } = answer;
        let headers = headers.iter().filter(|_| !status.is_success());
        let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let dialect = dialect.map(Dialect::code);
        Self { status: status.as_u16(), headers: headers.collect(), end: *end, clamped: *clamped, dialect }
    }
}

impl ProblemWords {
    fn of(problem: &Problem) -> Self {
        let ProblemFacts { fault, kind, message, param, code, should_retry, retry_after, taken: _, status, close: _ } =
            &**problem;
        Self {
            fault: *fault,
            kind: *kind,
            message: message.clone().into_owned(),
            param: param.clone(),
            code: code.clone().map(std::borrow::Cow::into_owned),
            should_retry: *should_retry,
            retry_after: retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            status: status.map(|status| status.as_u16()),
        }
    }

    fn problem(self) -> Option<Problem> {
        let Self { fault, kind, message, param, code, should_retry, retry_after, status } = self;
        let status = match status {
            None => None,
            Some(status) => Some(StatusCode::from_u16(status).ok()?),
        };
        Some(Problem::from(ProblemFacts {
            fault,
            kind,
            message: message.into(),
            param,
            code: code.map(Into::into),
            should_retry,
            retry_after: retry_after.map(Duration::from_millis),
            taken: None,
            status,
            close: false,
        }))
    }
}

/// Reads frames, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    bytes: BytesMut,
    /// True if the version has been read.
    versioned: bool,
}

impl FrameReader {
    /// The bytes that come next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The number of bytes that wait for the rest of their frame.
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// The next frame; `None`: more has to come.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, BadFrame> {
        if !self.versioned {
            match self.bytes.first() {
                None => return Ok(None),
                Some(&VERSION) => self.bytes.advance(1),
                Some(_) => return Err(BadFrame),
            }
            self.versioned = true;
        }
        let Some((prefix, rest)) = self.bytes.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let [kind, a, b, c, d, sum @ ..] = *prefix;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| BadFrame)?;
        if length > MOST_PUBLISHED {
            return Err(BadFrame);
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.bytes.advance(PREFIX);
        let payload = self.bytes.split_to(length).freeze();
        if xxh3_64(&payload).to_le_bytes() != sum {
            return Err(BadFrame);
        }
        Frame::read(kind, payload).map(Some).ok_or(BadFrame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static("3"))]);
        let body = Bytes::from_static(b"{\"error\":{}}");
        let end = End::Done;
        let problem = Problem::client(ErrorKind::NotFound, "no such model").code("model_not_found");
        vec![
            Frame::Head(FlightHead {
                headers: HeaderMap::new(),
                clamped: Some(7),
                is_remote: false,
                dialect: Some(Dialect::CohereChat),
            }),
            Frame::Piece(Bytes::from_static(b"data: {}\n\n")),
            Frame::Close(FlightClose::Whole),
            Frame::Close(FlightClose::Cut),
            Frame::Whole(WholeAnswer {
                status: StatusCode::TOO_MANY_REQUESTS,
                headers,
                body,
                end,
                clamped: None,
                is_remote: false,
                dialect: None,
            }),
            Frame::Failed(problem.param("model".to_owned()).retry(true, Some(Duration::from_millis(1_500)))),
            Frame::Untold,
        ]
    }

    fn written() -> BytesMut {
        let mut out = BytesMut::from(&[VERSION][..]);
        frames().iter().for_each(|frame| frame.write(&mut out));
        out
    }

    /// All frames, the bytes given in pieces of this size.
    fn read(bytes: &[u8], size: usize) -> Result<Vec<String>, BadFrame> {
        let (mut reader, mut all) = (FrameReader::default(), Vec::new());
        for piece in bytes.chunks(size) {
            reader.push(piece);
            while let Some(frame) = reader.next()? {
                all.push(format!("{frame:?}"));
            }
        }
        Ok(all)
    }

    #[test]
    fn what_was_written_is_read_however_it_is_cut() {
        let wanted: Vec<_> =
            frames().iter().map(|frame| format!("{frame:?}").replace("is_remote: false", "is_remote: true")).collect();
        let bytes = written();
        for size in [1, 2, 7, 64, bytes.len()] {
            assert_eq!(read(&bytes, size).unwrap(), wanted, "{size}");
        }
    }

    #[test]
    fn an_older_proxys_words_name_no_dialect_and_unknown_ones_are_refused() {
        let head = |words: &str| Frame::read(Frame::HEAD, Bytes::copy_from_slice(words.as_bytes()));
        assert!(matches!(head(r#"{"clamped":null}"#), Some(Frame::Head(FlightHead { dialect: None, .. }))));
        let named = head(r#"{"clamped":null,"dialect":2,"new":1}"#);
        assert!(matches!(named, Some(Frame::Head(FlightHead { dialect: Some(Dialect::AnthropicMessages), .. }))));
        assert!(head(r#"{"clamped":null,"dialect":200}"#).is_none());
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_taken_for_others() {
        let (bytes, wanted) = (written(), read(&written(), 64).unwrap());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            // A length may come to be larger than what there is: then the rest is waited for.
            let said = read(&damaged, 64).unwrap_or_default();
            assert!(said.len() < wanted.len() && wanted.starts_with(&said), "{at}: {said:?}");
        }
    }
}
