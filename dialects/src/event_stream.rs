//! Amazon's binary event streams (`application/vnd.amazon.eventstream`), framing only: an incremental reader that may be fed cut
//! anywhere, and a writer.
//!
//! A message is a prelude (its length, its headers' length, a CRC of both), headers, a payload, and a CRC of all before it, as
//! the Smithy documentation of the format has it. Both CRCs are checked, and a message is bounded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::codec::Malformed;
use crate::sse::Frame;

/// The length of the prelude, its CRC included.
const PRELUDE: usize = 12;
/// The length of the CRC at a message's end.
const TRAILER: usize = 4;
/// The longest message. So the first byte of a stream is always 0, which no text begins with.
const LONGEST: usize = 0x00ff_ffff;
/// Buffers that one large message has grown are given back beyond this.
const KEEP: usize = 64 * 1024;
/// The type of a header's value that is a text.
const TEXT: u8 = 7;
/// The event whose payload has another event in it, in base64.
const CHUNK: &[u8] = b"chunk";

/// The role of a message in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// An event.
    Event,
    /// The error that ends the stream.
    Exception,
}

/// Reads messages out of bytes cut anywhere. A message that lies whole in the bytes is not copied.
#[derive(Debug, Default)]
pub(crate) struct EventStreamDecoder {
    /// The message so far.
    held: Vec<u8>,
    broken: bool,
}

impl EventStreamDecoder {
    /// Takes the next bytes and gives each message they complete to `each`; what an event of the name `chunk` has in it is given
    /// as an event without a name. Errors: a message is too large or damaged (then nothing more is read), or what `each` says.
    pub(crate) fn push<F>(&mut self, bytes: &[u8], mut each: F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.broken {
                return Err(damaged());
            }
            if self.held.is_empty()
                && let Some(length) = self.checked(rest)?
                && let Some(message) = rest.get(..length)
            {
                at += length;
                self.message(message, at, &mut each)?;
                continue;
            }
            let wanted = self.wanted()?;
            let taken = rest.get(..wanted.min(rest.len())).unwrap_or_default();
            self.held.extend_from_slice(taken);
            at += taken.len();
            if self.held.len() >= PRELUDE && self.wanted()? == 0 {
                let message = std::mem::take(&mut self.held);
                self.message(&message, at, &mut each)?;
                self.held = message;
                self.held.clear();
                self.held.shrink_to(KEEP);
            }
        }
        Ok(())
    }

    /// True if the bytes so far end between two messages.
    pub(crate) fn at_boundary(&self) -> bool {
        self.held.is_empty()
    }

    /// The memory that the unfinished message takes.
    pub(crate) fn held(&self) -> usize {
        self.held.capacity()
    }

    /// The number of bytes that the held message needs next.
    fn wanted(&mut self) -> Result<usize, Malformed> {
        let held = std::mem::take(&mut self.held);
        let length = self.checked(&held);
        let missing = length?.unwrap_or(PRELUDE).saturating_sub(held.len());
        self.held = held;
        Ok(missing)
    }

    /// The length of the message that begins here; `None`: its prelude is not whole.
    fn checked(&mut self, message: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some((prelude, crc)) = message.get(..PRELUDE).and_then(|prelude| prelude.split_at_checked(PRELUDE - 4))
        else {
            return Ok(None);
        };
        let length = number(prelude.get(..4));
        let headers = number(prelude.get(4..));
        let sound = (PRELUDE + TRAILER..=LONGEST).contains(&length) && headers <= length - PRELUDE - TRAILER;
        if !sound || crc32fast::hash(prelude).to_be_bytes() != crc {
            self.broken = true;
            return Err(damaged());
        }
        Ok(Some(length))
    }

    fn message<F>(&mut self, message: &[u8], end: usize, each: &mut F) -> Result<(), Malformed>
    where
        F: FnMut(Frame<'_>) -> Result<(), Malformed>,
    {
        let parts = Parts::of(message);
        let Some(Parts { name, payload, exception }) = parts else {
            self.broken = true;
            return Err(damaged());
        };
        if name == CHUNK && !exception {
            let chunk: PackedEvent<'_> = serde_json::from_slice(payload).map_err(|_| damaged())?;
            let data = STANDARD.decode(chunk.bytes.as_bytes()).map_err(|_| damaged())?;
            return each(Frame { name: b"", data: &data, end, skipped: false });
        }
        each(Frame { name, data: payload, end, skipped: false })
    }
}

#[derive(serde::Deserialize)]
struct PackedEvent<'a> {
    #[serde(borrow)]
    bytes: std::borrow::Cow<'a, str>,
}

/// A message taken apart.
struct Parts<'a> {
    /// The event's or the exception's name.
    name: &'a [u8],
    payload: &'a [u8],
    exception: bool,
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let (sealed, crc) = message.split_at_checked(message.len().checked_sub(TRAILER)?)?;
        if crc32fast::hash(sealed).to_be_bytes() != crc {
            return None;
        }
        let (mut headers, payload) = sealed.get(PRELUDE..)?.split_at_checked(number(message.get(4..8)))?;
        let (mut kind, mut event, mut exception, mut code) = (None, None, None, None);
        while !headers.is_empty() {
            let (name, value, rest) = header(headers)?;
            headers = rest;
            match name {
                b":message-type" => kind = value,
                b":event-type" => event = value,
                b":exception-type" => exception = value,
                b":error-code" => code = value,
                _ => {}
            }
        }
        match kind? {
            b"event" => Some(Self { name: event?, payload, exception: false }),
            // An error that the service's model does not name is told in headers.
            _ => Some(Self { name: exception.or(code)?, payload, exception: true }),
        }
    }
}

/// A header's name, its value where that is a text, and what stands behind it.
type Header<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// The next header.
fn header(from: &[u8]) -> Option<Header<'_>> {
    let (length, rest) = from.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        9 => (16, rest),
        6 | 7 => {
            let (length, rest) = rest.split_at_checked(2)?;
            (number(Some(length)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((name, (*kind == TEXT).then_some(value), rest))
}

/// A number of at most four bytes, the highest first.
fn number(bytes: Option<&[u8]>) -> usize {
    bytes.unwrap_or_default().iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
}

fn damaged() -> Malformed {
    Malformed::new("a message of the event stream is damaged")
}

/// Appends a message of this name around a payload in JSON.
pub(crate) fn write(kind: MessageKind, name: &str, payload: &[u8], out: &mut Vec<u8>) {
    let (word, type_header) = match kind {
        MessageKind::Event => ("event", ":event-type"),
        MessageKind::Exception => ("exception", ":exception-type"),
    };
    let mut headers = Vec::with_capacity(96);
    for (header, value) in [(type_header, name), (":content-type", "application/json"), (":message-type", word)] {
        headers.push(u8::try_from(header.len()).unwrap_or_default());
        headers.extend_from_slice(header.as_bytes());
        headers.push(TEXT);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let begin = out.len();
    let length = PRELUDE + headers.len() + payload.len() + TRAILER;
    for number in [length, headers.len()] {
        out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }
    let seal = |out: &mut Vec<u8>| {
        let crc = crc32fast::hash(out.get(begin..).unwrap_or_default());
        out.extend_from_slice(&crc.to_be_bytes());
    };
    seal(out);
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    seal(out);
}

/// Appends an event that has another in it.
pub(crate) fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(data.len() * 4 / 3 + 16);
    payload.extend_from_slice(b"{\"bytes\":\"");
    payload.extend_from_slice(STANDARD.encode(data).as_bytes());
    payload.extend_from_slice(b"\"}");
    write(MessageKind::Event, "chunk", &payload, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        write(MessageKind::Event, "messageStart", br#"{"role":"assistant"}"#, &mut out);
        write_chunk(br#"{"type":"ping"}"#, &mut out);
        write(MessageKind::Exception, "throttlingException", br#"{"message":"slow"}"#, &mut out);
        out
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, Malformed> {
        let (mut decoder, mut seen) = (EventStreamDecoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece, |frame| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                seen.push((text(frame.name), text(frame.data)));
                Ok(())
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn messages_are_the_same_wherever_the_bytes_are_cut() {
        let bytes = stream();
        let expected = [
            ("messageStart", r#"{"role":"assistant"}"#),
            ("", r#"{"type":"ping"}"#),
            ("throttlingException", r#"{"message":"slow"}"#),
        ];
        let expected = expected.map(|(name, data)| (name.to_owned(), data.to_owned()));
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(read(&[head, tail]).unwrap(), expected, "{at}");
        }
        for size in 1..=bytes.len() {
            assert_eq!(read(&bytes.chunks(size).collect::<Vec<_>>()).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn whatever_is_damaged_is_found_by_its_sums() {
        let bytes = stream();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            let alike = read(&[&damaged]).is_ok_and(|seen| seen.len() == 3);
            assert!(!alike, "byte {at} may be anything");
        }
        // A length beyond every bound is told by its prelude, before anything is held.
        let mut long = 0x7fff_ffff_u32.to_be_bytes().to_vec();
        long.extend_from_slice(&0_u32.to_be_bytes());
        long.extend_from_slice(&crc32fast::hash(&long).to_be_bytes());
        let mut decoder = EventStreamDecoder::default();
        assert!(decoder.push(&long, |_| Ok(())).is_err() && decoder.push(b"more", |_| Ok(())).is_err());
        assert!(decoder.held() <= PRELUDE);
    }

    #[test]
    fn headers_of_every_type_are_gone_over() {
        let mut headers = Vec::new();
        let kinds: [(u8, &[u8]); 9] = [
            (0, b""),
            (1, b""),
            (2, b"1"),
            (3, b"12"),
            (4, b"1234"),
            (5, b"12345678"),
            (6, b"\0\x01x"),
            (8, b"12345678"),
            (9, b"1234567890123456"),
        ];
        for (kind, value) in kinds {
            headers.extend_from_slice(&[1, b'a', kind]);
            headers.extend_from_slice(value);
        }
        for (name, value) in [(":event-type", "e"), (":message-type", "event")] {
            headers.push(u8::try_from(name.len()).unwrap());
            headers.extend_from_slice(name.as_bytes());
            headers.extend_from_slice(&[7, 0, u8::try_from(value.len()).unwrap()]);
            headers.extend_from_slice(value.as_bytes());
        }
        let mut bytes = Vec::new();
        for number in [PRELUDE + headers.len() + TRAILER, headers.len()] {
            bytes.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend_from_slice(&headers);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        assert_eq!(read(&[&bytes]).unwrap(), [("e".to_owned(), String::new())]);
    }
}
