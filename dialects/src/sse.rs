//! Server-sent events, framing only: an incremental reader that may be fed cut anywhere, and a writer.
//!
//! The format is that of the WHATWG HTML standard, "Server-sent events"; `id` and `retry` mean nothing to LLM APIs and
//! are skipped.

use crate::codec::Malformed;

/// The most bytes one event may hold: an answer's largest events are whole pictures in base64.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

/// Buffers that one large event has grown are given back beyond this.
const KEEP: usize = 64 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its name; empty when it has none.
    pub name: &'a [u8],
    /// Its data, lines joined by LF.
    pub data: &'a [u8],
    /// The offset in the pushed bytes just behind the event's blank line.
    pub end: usize,
    /// True if the event was larger than the limit: its name and data were let go.
    pub skipped: bool,
}

/// Reads events out of bytes cut anywhere. Lines end in LF, CRLF or CR; comments are skipped; an event is bounded. Each
/// byte is searched once, however the bytes are cut. An error that stands between events as bare JSON, as Google's servers say it,
/// is an event's data.
#[derive(Debug)]
pub struct SseDecoder {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The data stands there as bare JSON.
    is_bare: bool,
    /// The bytes so far end inside a line.
    mid_line: bool,
    after_cr: bool,
    begun: bool,
    limit: usize,
    /// True if an event beyond the limit is let go, and not an error.
    lenient: bool,
    /// The event is beyond the limit, and its blank line has not come.
    skipping: bool,
    #[cfg(test)]
    pub(crate) searched: usize,
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new(MAX_EVENT)
    }
}

impl SseDecoder {
    /// A reader that refuses events of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            is_bare: false,
            mid_line: false,
            after_cr: false,
            begun: false,
            limit,
            lenient: false,
            skipping: false,
            #[cfg(test)]
            searched: 0,
        }
    }

    /// A reader that lets events of more than `limit` bytes go by: of such an event only its end is told.
    #[must_use]
    pub fn lenient(limit: usize) -> Self {
        Self { lenient: true, ..Self::new(limit) }
    }

    /// True if the bytes so far end between two events (a CRLF's LF may still be due).
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        !self.mid_line && !self.skipping && !self.has_data && self.name.is_empty()
    }

    /// True if an event beyond the limit is going by.
    #[must_use]
    pub fn skips(&self) -> bool {
        self.skipping
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.capacity() + self.name.capacity() + self.data.capacity()
    }

    /// Takes the next bytes and gives each event they complete to `each`. An event whose one data line lies whole in
    /// `bytes` is not copied. Errors: an event is too large, or what `each` says.
    pub fn push<F>(&mut self, bytes: &[u8], mut each: F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        let mut at = 0;
        let mut direct: Option<&[u8]> = None;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if std::mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                at += 1;
                continue;
            }
            let found = memchr::memchr2(b'\n', b'\r', rest);
            self.count(found.unwrap_or(rest.len()));
            let Some(length) = found else {
                self.grow_line(rest)?;
                break;
            };
            let (line, mark) = rest.split_at(length);
            at += length + 1;
            // CRLF is one line end. Its LF may be in the next push.
            match mark {
                [b'\r', b'\n', ..] => at += 1,
                [b'\r'] => self.after_cr = true,
                _ => {}
            }
            if self.mid_line {
                self.grow_line(line)?;
                self.field_of_copied_line(&mut direct)?;
            } else if line.is_empty() {
                self.dispatch(direct.take(), at, &mut each)?;
            } else {
                self.field(line, &mut direct)?;
            }
        }
        match direct {
            Some(data) => self.grow_data(data),
            None => Ok(()),
        }
    }

    /// Says that the body ended. An event that lacks only its blank line is given all the same: look-alike providers
    /// forget it after `[DONE]`. Errors: as `push`.
    pub fn finish<F>(&mut self, mut each: F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        if self.mid_line {
            let mut direct = None;
            self.field_of_copied_line(&mut direct)?;
        }
        self.dispatch(None, 0, &mut each)
    }

    fn dispatch<F>(&mut self, direct: Option<&[u8]>, end: usize, each: &mut F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        let skipped = std::mem::take(&mut self.skipping);
        let data = direct.unwrap_or(&self.data);
        let is_noise = std::mem::take(&mut self.is_bare) && memchr::memmem::find(data, b"\"error\"").is_none();
        let given = match std::mem::take(&mut self.has_data) && !is_noise {
            _ if skipped => each(Frame { name: b"", data: b"", end, skipped }),
            true => each(Frame { name: &self.name, data, end, skipped }),
            false => Ok(()),
        };
        self.name.clear();
        self.data.clear();
        self.data.shrink_to(KEEP);
        given
    }

    fn field_of_copied_line(&mut self, direct: &mut Option<&[u8]>) -> Result<(), Malformed> {
        if let Some(data) = direct.take() {
            self.grow_data(data)?;
        }
        self.mid_line = false;
        let mut line = std::mem::take(&mut self.line);
        let mut copied = None;
        let mut taken = self.field(&line, &mut copied);
        if let (Ok(()), Some(data)) = (&taken, copied) {
            taken = self.grow_data(data);
        }
        line.clear();
        line.shrink_to(KEEP);
        self.line = line;
        taken
    }

    /// Takes one line. The event's first data line stays where it is, in `direct`; a second one is copied behind it.
    fn field<'a>(&mut self, line: &'a [u8], direct: &mut Option<&'a [u8]>) -> Result<(), Malformed> {
        if self.skipping {
            return Ok(());
        }
        self.count(line.len());
        let line = if std::mem::replace(&mut self.begun, true) { line } else { line.strip_prefix(BOM).unwrap_or(line) };
        self.is_bare |= line.first() == Some(&b'{') && !self.has_data && self.name.is_empty();
        let (field, value) =
            match memchr::memchr(b':', line).filter(|_| !self.is_bare).and_then(|colon| line.split_at_checked(colon)) {
                Some((field, value)) => {
                    let value = value.get(1..).unwrap_or_default();
                    (field, value.strip_prefix(b" ").unwrap_or(value))
                }
                None if self.is_bare => (&b"data"[..], line),
                None => (line, &[][..]),
            };
        match field {
            b"data" if !self.has_data => {
                self.has_data = true;
                *direct = Some(value);
                Ok(())
            }
            b"data" => {
                if let Some(first) = direct.take() {
                    self.grow_data(first)?;
                }
                self.grow_data(b"\n")?;
                self.grow_data(value)
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn grow_line(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.mid_line |= !bytes.is_empty();
        if self.fits(self.line.len() + bytes.len())? {
            self.line.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn grow_data(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.fits(self.data.len() + bytes.len())? {
            self.data.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// True if the event goes on being held. Errors: it is beyond the limit, and that is not allowed.
    fn fits(&mut self, length: usize) -> Result<bool, Malformed> {
        if self.skipping || length <= self.limit {
            return Ok(!self.skipping);
        }
        if !self.lenient {
            return Err(Malformed::new(format!("an event of the stream is larger than {} bytes", self.limit)));
        }
        self.skipping = true;
        (self.line, self.name, self.data, self.has_data) = (Vec::new(), Vec::new(), Vec::new(), false);
        Ok(false)
    }

    /// Counts bytes that were searched, for the tests.
    const fn count(&mut self, bytes: usize) {
        #[cfg(test)]
        {
            self.searched += bytes;
        }
        #[cfg(not(test))]
        let _ = bytes;
    }
}

/// Appends one event; each line of its data on a line of its own. The name must hold no line end, the data no CR.
pub fn write(name: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// A comment that keeps a silent connection alive; every client skips it. (`retry:` or `id:` lines break the OpenAI
/// SDK for Python, which takes them for an empty event; and so does its SDK for Go before 3.43 with the empty line that a comment does
/// not need.)
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        let mut each = |frame: Frame<'_>| {
            events.push((
                String::from_utf8_lossy(frame.name).into_owned(),
                String::from_utf8_lossy(frame.data).into_owned(),
            ));
            Ok(())
        };
        for piece in pieces {
            decoder.push(piece, &mut each).unwrap();
        }
        decoder.finish(&mut each).unwrap();
        events
    }

    const MIXED: &[u8] = b"\xef\xbb\xbf: hello\n\ndata: one\n\nevent: two\r\ndata:2a\r\ndata: 2b\r\n\r\n\
        data: three\r\rid: 7\nretry: 3\n\ndata\n\nevent: lonely\n\ndata: [DONE]";

    #[test]
    fn reads_every_line_end_comments_and_a_last_event_without_blank_line() {
        let expected: Vec<(String, String)> = [("", "one"), ("two", "2a\n2b"), ("", "three"), ("", ""), ("", "[DONE]")]
            .iter()
            .map(|(name, data)| ((*name).to_owned(), (*data).to_owned()))
            .collect();
        assert_eq!(read(&[MIXED]), expected);
        for first in 0..MIXED.len() {
            let (head, tail) = MIXED.split_at(first);
            assert_eq!(read(&[head, tail]), expected, "split at {first}");
        }
        let single: Vec<&[u8]> = MIXED.chunks(1).collect();
        assert_eq!(read(&single), expected);
    }

    #[test]
    fn an_error_that_stands_there_as_bare_json_is_an_events_data() {
        let stream =
            "data: one\r\n\r\n{\r\n  \"error\": {\r\n    \"code\": 503,\r\n    \"status\": \"UNAVAILABLE\"\r\n  }\r\n}";
        let error = "{\n  \"error\": {\n    \"code\": 503,\n    \"status\": \"UNAVAILABLE\"\n  }\n}";
        let expected = [("", "one"), ("", error)].map(|(name, data)| (name.to_owned(), data.to_owned()));
        for first in 0..stream.len() {
            let (head, tail) = stream.as_bytes().split_at(first);
            assert_eq!(read(&[head, tail]), expected, "split at {first}");
        }
        assert_eq!(read(&[b"{\"error\":{}}\n\ndata: two\n\n"]).len(), 2);
        // Nobody knows anything else that stands there.
        assert_eq!(
            read(&[b"{\"id\":1}\n\n:c\n{\ndata: two\n}\n\ndata: three\n\n"]),
            [(String::new(), "three".to_owned())]
        );
    }

    #[test]
    fn data_of_several_lines_is_written_in_several_lines() {
        let mut out = Vec::new();
        write(Some("n"), b"{\n\n}", &mut out);
        assert_eq!(read(&[&out]), [("n".to_owned(), "{\n\n}".to_owned())]);
    }

    #[test]
    fn refuses_an_event_beyond_the_limit() {
        let mut decoder = SseDecoder::new(8);
        assert!(decoder.push(b"data: 123", |_| Ok(())).is_err());
        let mut decoder = SseDecoder::new(8);
        let many = (0..9).map(|_| decoder.push(b"data: 1\n", |_| Ok(()))).collect::<Vec<_>>();
        assert!(many.iter().any(Result::is_err));
    }

    #[test]
    fn knows_its_boundary_and_where_an_event_ended() {
        let mut decoder = SseDecoder::default();
        let mut ends = Vec::new();
        decoder
            .push(b"data: 1\n\ndata: 2\r\n\r\nda", |frame| {
                ends.push(frame.end);
                Ok(())
            })
            .unwrap();
        assert_eq!(ends, [9, 20]);
        assert!(!decoder.at_boundary());
    }

    #[test]
    fn a_lenient_reader_lets_a_large_event_go_by_and_tells_its_end() {
        let long = "x".repeat(40);
        for large in [
            format!("data: {long}\n\n"),
            format!("event: {long}\r\ndata: 1\r\n\r\n"),
            format!("data: 1\ndata: {long}\n\n"),
            format!("{}\n", "data: 12345\n".repeat(5)),
            format!(": {long}\ndata: 1\n\n"),
        ] {
            let text = format!("data: before\n\n{large}event: e\ndata: behind\n\n");
            for size in 1..=text.len() {
                let mut decoder = SseDecoder::lenient(16);
                let mut heard = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    let hear = |frame: Frame<'_>| {
                        assert!(frame.end <= piece.len());
                        heard.push((frame.name.to_vec(), frame.data.to_vec(), frame.skipped));
                        Ok(())
                    };
                    decoder.push(piece, hear).unwrap();
                    assert!(decoder.held() <= 256, "{}", decoder.held());
                }
                assert!(decoder.at_boundary());
                let skips = heard.iter().filter(|(.., skipped)| *skipped).count();
                // What lies whole in one piece needs no memory, and is heard.
                assert!(skips == 1 || (skips == 0 && size > 1), "{size} {large}: {heard:?}");
                assert_eq!(heard.first(), Some(&(Vec::new(), b"before".to_vec(), false)));
                assert_eq!(heard.last(), Some(&(b"e".to_vec(), b"behind".to_vec(), false)));
            }
        }
    }

    #[test]
    fn however_an_event_is_cut_its_bytes_are_searched_at_most_twice() {
        let text = format!("event: x\ndata: {}\ndata: {}\n\n", "y".repeat(100_000), "z\ndata:".repeat(10_000));
        for size in [1, 2, 3, 100, 1_000, text.len()] {
            let mut decoder = SseDecoder::default();
            let mut events = 0;
            for piece in text.as_bytes().chunks(size) {
                let hear = |_: Frame<'_>| {
                    events += 1;
                    Ok(())
                };
                decoder.push(piece, hear).unwrap();
            }
            assert_eq!(events, 1);
            assert!(decoder.searched <= 2 * text.len(), "{size}: {} of {}", decoder.searched, text.len());
        }
    }
}
