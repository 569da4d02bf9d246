//! A request's head as HTTP/1.1 writes it, and an answer's head as it is read. Pure.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request};

use super::framing::{Framing, ProtocolError};

/// An answer's head may have so many headers, and be this large.
const MOST_HEADERS: usize = 100;
const LARGEST: usize = 64 << 10;
const TOO_LARGE: ProtocolError = ProtocolError("the head is too large");

/// An answer's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// True if the connection may carry another exchange after this one.
    pub(crate) keep_alive: bool,
}

/// Writes the head of a request with a body of so many bytes. Names and values are checked where they are made, so none
/// holds a line's end.
pub(crate) fn write(out: &mut Vec<u8>, head: &request::Parts, host: &HeaderValue, length: usize) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if !head.headers.contains_key(HOST) {
        line(out, &HOST, host.as_bytes());
    }
    for (name, value) in &head.headers {
        // How the body is framed is ours to say.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            line(out, name, value.as_bytes());
        }
    }
    line(out, &CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The state of reading an answer's head, so that a head that comes in many pieces is searched once.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// So many bytes hold no empty line.
    searched: usize,
    /// The length that was last parsed, without its end in it.
    parsed: usize,
    /// Empty lines in front of the head, which are let go.
    blank: usize,
    #[cfg(test)]
    cost: usize,
}

impl HeadReader {
    /// Takes an answer's head out of what has come, into an empty map; `None`: it is not whole yet. Interim answers are
    /// skipped.
    ///
    /// # Errors
    /// It is no answer's head, or one without bounds.
    pub(crate) fn read(
        &mut self,
        read_buf: &mut BytesMut,
        headers: &mut HeaderMap,
    ) -> Result<Option<Head>, ProtocolError> {
        loop {
            self.skip_blank(read_buf)?;
            if read_buf.is_empty() {
                return Ok(None);
            }
            let Some(length) = self.find_end(read_buf) else {
                if self.is_worth_parsing(read_buf) {
                    parse(read_buf, |_, _| Ok(()))?;
                }
                return if read_buf.len() < LARGEST { Ok(None) } else { Err(TOO_LARGE) };
            };
            (self.searched, self.parsed) = (0, 0);
            let bytes = read_buf.split_to(length).freeze();
            let add = |name: &str, value: Range<usize>| {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ProtocolError("a header's name"))?;
                // Checked once more: it costs less than a copy.
                let value = HeaderValue::from_maybe_shared(bytes.slice(value));
                headers.append(name, value.map_err(|_| ProtocolError("a header's value"))?);
                Ok(())
            };
            let Some((status, keeps)) = parse(&bytes, add)? else { return Err(ProtocolError("not an HTTP/1.1 head")) };
            match status.as_u16() {
                101 => return Err(ProtocolError("it changes to another protocol")),
                100..=199 => {
                    headers.clear();
                    continue;
                }
                _ => {}
            }
            let headers = std::mem::take(headers);
            let framing = framing(status, keeps, &headers)?;
            // Who says two lengths may mean either: what comes behind such an answer is not to be trusted.
            let clear = !(headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH));
            let keep_alive = clear && !matches!(framing, Framing::CloseDelimited(_)) && keep_alive(keeps, &headers);
            return Ok(Some(Head { status, headers, framing, keep_alive }));
        }
    }

    /// Lets go of empty lines in front of the head.
    fn skip_blank(&mut self, read_buf: &mut BytesMut) -> Result<(), ProtocolError> {
        let lines = read_buf.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        // The CR of a CRLF whose LF is still to come stays.
        let whole = read_buf.get(..lines).and_then(|lines| memchr::memrchr(b'\n', lines)).map_or(0, |end| end + 1);
        self.blank += whole;
        read_buf.advance(whole);
        if self.blank > LARGEST { Err(TOO_LARGE) } else { Ok(()) }
    }

    /// The head's length, if all of it has come: to its first empty line (LF, LF or LF, CRLF).
    fn find_end(&mut self, read_buf: &[u8]) -> Option<usize> {
        let from = self.searched.saturating_sub(2);
        let new = read_buf.get(from..).unwrap_or_default();
        let end = memchr::memchr_iter(b'\n', new).find_map(|at| match new.get(at + 1..) {
            Some([b'\n', ..]) => Some(at + 2),
            Some([b'\r', b'\n', ..]) => Some(at + 3),
            _ => None,
        });
        self.searched = read_buf.len();
        #[cfg(test)]
        {
            self.cost += new.len() + if end.is_some() { read_buf.len() } else { 0 };
        }
        end.map(|end| from + end)
    }

    /// True if a head that is not whole has doubled since it was last looked at: what is no head is told early, and at a cost
    /// that grows with its length only.
    fn is_worth_parsing(&mut self, read_buf: &[u8]) -> bool {
        let worth = read_buf.len() >= 2 * self.parsed || read_buf.len() >= LARGEST;
        if worth {
            self.parsed = read_buf.len();
            #[cfg(test)]
            {
                self.cost += read_buf.len();
            }
        }
        worth
    }
}

/// Reads a head: its status, and whether it is HTTP/1.1. `add` is given its headers: names, and where their values stand.
/// `None`: it is not whole.
fn parse(
    bytes: &[u8],
    mut add: impl FnMut(&str, Range<usize>) -> Result<(), ProtocolError>,
) -> Result<Option<(StatusCode, bool)>, ProtocolError> {
    let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut answer, bytes, &mut room) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(ProtocolError("too many headers")),
        Err(_) => return Err(ProtocolError("not an HTTP/1.1 head")),
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(ProtocolError("no status"))?;
    for header in answer.headers.iter() {
        let start = (header.value.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
        add(header.name, start..start + header.value.len())?;
    }
    Ok(Some((status, answer.version == Some(1))))
}

/// The framing of the body behind this head (RFC 9112, 6.3), as the answer to anything but `HEAD` and `CONNECT`.
fn framing(status: StatusCode, http11: bool, headers: &HeaderMap) -> Result<Framing, ProtocolError> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).into_iter();
    if let Some(last) = codings.next_back() {
        if !http11 {
            return Err(ProtocolError("a transfer coding in HTTP/1.0"));
        }
        let last = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        return Ok(if last.eq_ignore_ascii_case(b"chunked") {
            Framing::chunked()
        } else {
            Framing::CloseDelimited(false)
        });
    }
    let mut length = None;
    for said in headers.get_all(CONTENT_LENGTH) {
        for said in said.as_bytes().split(|byte| *byte == b',') {
            let said = digits(said.trim_ascii()).ok_or(ProtocolError("a content-length that is no number"))?;
            if length.is_some_and(|length| length != said) {
                return Err(ProtocolError("two content-lengths"));
            }
            length = Some(said);
        }
    }
    Ok(length.map_or(Framing::CloseDelimited(false), Framing::Length))
}

/// `str::parse` would take a sign.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

fn keep_alive(http11: bool, headers: &HeaderMap) -> bool {
    if http11 { !says(headers, b"close") } else { says(headers, b"keep-alive") && !says(headers, b"close") }
}

/// True if `connection` says this word.
pub(crate) fn says(headers: &HeaderMap, word: &[u8]) -> bool {
    let lines = headers.get_all(CONNECTION).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|said| said.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, ProtocolError> {
        HeadReader::default().read(&mut BytesMut::from(text), &mut HeaderMap::new())
    }

    #[test]
    fn a_request_says_its_length_and_its_host_once() {
        let mut request = http::Request::post("/v1/x?y=z")
            .header("a", "b")
            .header("content-length", "7")
            .header("transfer-encoding", "chunked");
        let written = |request: http::request::Builder| {
            let mut out = Vec::new();
            let (head, ()) = request.body(()).unwrap().into_parts();
            write(&mut out, &head, &HeaderValue::from_static("there:80"), 12);
            String::from_utf8(out).unwrap()
        };
        let plain = http::Request::post("/v1/x?y=z").header("a", "b");
        let expected = "POST /v1/x?y=z HTTP/1.1\r\nhost: there:80\r\na: b\r\ncontent-length: 12\r\n\r\n";
        assert_eq!(written(plain), expected);
        request = request.header("host", "elsewhere");
        let expected = "POST /v1/x?y=z HTTP/1.1\r\na: b\r\nhost: elsewhere\r\ncontent-length: 12\r\n\r\n";
        assert_eq!(written(request), expected);
    }

    #[test]
    fn a_head_is_read_when_it_is_whole_and_interim_ones_are_skipped() {
        let text = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\ncontent-length: 3\r\n\r\nabc";
        let whole = text.len() - 3;
        for end in 0..text.len() {
            let mut read_buf = BytesMut::from(&text[..end]);
            let (mut headers, mut reader) = (HeaderMap::new(), HeadReader::default());
            let first = reader.read(&mut read_buf, &mut headers).unwrap();
            assert_eq!(first.is_some(), end >= whole, "{end}");
            read_buf.extend_from_slice(&text.as_bytes()[end..]);
            let head = first.or_else(|| reader.read(&mut read_buf, &mut headers).unwrap()).unwrap();
            assert_eq!((head.status, head.framing, head.keep_alive), (StatusCode::OK, Framing::Length(3), true));
            assert_eq!(head.headers.get_all("a").into_iter().collect::<Vec<_>>(), ["1", "2"]);
            assert_eq!((head.headers.len(), &read_buf[..]), (3, &b"abc"[..]));
        }
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_read_as_one_that_comes_whole_and_costs_no_more_than_its_length() {
        let long = format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 3\r\n\r\n", "b".repeat(20_000));
        let bare = long.replace("\r\n", "\n");
        let blank = format!("{}{long}", "\r\n".repeat(1_000));
        let interim = format!("{}{long}", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100));
        for text in [long, bare, blank, interim] {
            let (mut read_buf, mut headers, mut reader) = (BytesMut::new(), HeaderMap::new(), HeadReader::default());
            let mut found = None;
            for byte in text.bytes() {
                assert!(found.is_none());
                read_buf.extend_from_slice(&[byte]);
                found = reader.read(&mut read_buf, &mut headers).unwrap();
            }
            let head = found.unwrap();
            assert_eq!((head.framing, head.headers.len(), read_buf.len()), (Framing::Length(3), 2, 0));
            assert!(reader.cost <= 8 * text.len(), "{} of {}", reader.cost, text.len());
        }
        // What never ends costs no more.
        for (begin, again) in
            [("", "\n"), ("", "\r\n"), ("HTTP/1.1 200 OK\r\na: ", "b"), ("HTTP/1.1 200 OK", "\r\na: b")]
        {
            let (mut read_buf, mut headers, mut reader) = (BytesMut::new(), HeaderMap::new(), HeadReader::default());
            let endless = begin.bytes().chain(again.bytes().cycle()).take(2 * LARGEST);
            let failed = endless.zip(1..).find_map(|(byte, number)| {
                read_buf.extend_from_slice(&[byte]);
                reader.read(&mut read_buf, &mut headers).err().map(|_| number)
            });
            assert!(failed.is_some_and(|number| reader.cost <= 8 * number), "{again:?}: {} {failed:?}", reader.cost);
        }
    }

    #[test]
    fn how_a_body_is_framed_and_whether_the_connection_stays() {
        let of = |lines: &str| {
            let head = head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).unwrap().unwrap();
            (head.framing, head.keep_alive)
        };
        assert_eq!(of("content-length: 5\r\n"), (Framing::Length(5), true));
        assert_eq!(of("content-length: 5, 5\r\ncontent-length: 5\r\n"), (Framing::Length(5), true));
        assert_eq!(of("content-length: 5\r\nconnection: x, Close\r\n"), (Framing::Length(5), false));
        assert_eq!(
            of("content-length: 5\r\nconnection: keep-alive\r\nconnection: close\r\n"),
            (Framing::Length(5), false)
        );
        assert_eq!(of("Transfer-Encoding: gzip, Chunked\r\n"), (Framing::chunked(), true));
        assert_eq!(of("transfer-encoding: chunked\r\ncontent-length: 5\r\n"), (Framing::chunked(), false));
        assert_eq!(of("transfer-encoding: gzip\r\n"), (Framing::CloseDelimited(false), false));
        assert_eq!(of("a: b\r\n"), (Framing::CloseDelimited(false), false));
        let old = |lines: &str| head(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n")).map(|head| head.unwrap().keep_alive);
        assert_eq!(old("content-length: 5\r\n"), Ok(false));
        assert_eq!(old("content-length: 5\r\nconnection: Keep-Alive\r\n"), Ok(true));
        assert!(old("transfer-encoding: chunked\r\n").is_err());
        for (status, framing) in [(204, Framing::Length(0)), (304, Framing::Length(0)), (500, Framing::Length(9))] {
            let head = head(&format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n")).unwrap().unwrap();
            assert_eq!((head.status.as_u16(), head.framing), (status, framing));
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for broken in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\x01\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        ] {
            assert!(head(broken).is_err(), "{broken}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(head(&many).unwrap_err(), ProtocolError("too many headers"));
        let large = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(LARGEST));
        assert_eq!(head(&large).unwrap_err(), ProtocolError("the head is too large"));
    }
}
