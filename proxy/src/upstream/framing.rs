//! The framing of an HTTP/1.1 body: by its length, in chunks, or by the connection's end. Pure: bytes in, pieces out.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// The most of a chunk's first line, and of all lines behind the last chunk: nobody reads what may stand there.
const LONGEST_LINE: usize = 16 << 10;

/// The error of bytes that are no HTTP/1.1, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProtocolError(pub(crate) &'static str);

/// A body that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked(Chunked),
    /// Until the connection ends; whether it has.
    CloseDelimited(bool),
}

/// The state of reading a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// At a chunk's first line, of which so many bytes have come and hold no end.
    Size(usize),
    /// In a chunk, of which so much is still to come.
    Data(u64),
    /// At the line's end behind a chunk.
    End,
    /// At a line behind the last chunk: the bytes of the lines before it, and how many of its own hold no end.
    Trailer(usize, usize),
    /// Behind it all.
    Over,
}

/// The piece in the bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Some of the body.
    Data(Bytes),
    /// Nothing more yet.
    More,
    /// The body's end.
    Over,
}

impl Framing {
    /// At the beginning of a body in chunks.
    pub(crate) const fn chunked() -> Self {
        Self::Chunked(Chunked::Size(0))
    }

    /// True if all of it was taken.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Over) | Self::CloseDelimited(true))
    }

    /// The connection has ended. Whether that is the body's end too, and not a cut.
    pub(crate) const fn ended(&mut self) -> bool {
        if let Self::CloseDelimited(over) = self {
            *over = true;
        }
        self.is_over()
    }

    /// Takes the next piece out of what has come. Whether the body is over is known as soon as its end has come.
    ///
    /// # Errors
    /// It is not framed as it should be.
    pub(crate) fn take(&mut self, read_buf: &mut BytesMut) -> Result<Piece, ProtocolError> {
        if self.is_over() {
            return Ok(Piece::Over);
        }
        let data = match self {
            Self::CloseDelimited(_) => read_buf.split(),
            Self::Length(left) => split(read_buf, left),
            Self::Chunked(at) => {
                at.advance(read_buf)?;
                let data = match at {
                    Chunked::Data(left) => split(read_buf, left),
                    Chunked::Over => return Ok(Piece::Over),
                    _ => BytesMut::new(),
                };
                at.advance(read_buf)?;
                data
            }
        };
        Ok(if data.is_empty() { Piece::More } else { Piece::Data(data.freeze()) })
    }
}

/// As much of what is left as has come.
fn split(read_buf: &mut BytesMut, left: &mut u64) -> BytesMut {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(read_buf.len());
    *left -= here as u64;
    read_buf.split_to(here)
}

impl Chunked {
    /// Goes over everything that is no data.
    fn advance(&mut self, read_buf: &mut BytesMut) -> Result<(), ProtocolError> {
        loop {
            *self = match *self {
                Self::Data(0) => Self::End,
                Self::Data(_) | Self::Over => return Ok(()),
                Self::End => match read_buf.get(..2) {
                    None => return Ok(()),
                    Some(b"\r\n") => {
                        read_buf.advance(2);
                        Self::Size(0)
                    }
                    Some(_) => return Err(ProtocolError("a chunk longer than it says")),
                },
                Self::Size(searched) => match line(read_buf, searched, LONGEST_LINE)? {
                    ChunkLine::Open(searched) => {
                        *self = Self::Size(searched);
                        return Ok(());
                    }
                    ChunkLine::Whole(length, line) => {
                        let size = size(line).ok_or(ProtocolError("a chunk's size that is no number"))?;
                        read_buf.advance(length);
                        if size == 0 { Self::Trailer(0, 0) } else { Self::Data(size) }
                    }
                },
                Self::Trailer(taken, searched) => match line(read_buf, searched, LONGEST_LINE - taken)? {
                    ChunkLine::Open(searched) => {
                        *self = Self::Trailer(taken, searched);
                        return Ok(());
                    }
                    ChunkLine::Whole(length, line) => {
                        let last = line.is_empty();
                        read_buf.advance(length);
                        if last { Self::Over } else { Self::Trailer(taken + length, 0) }
                    }
                },
            };
        }
    }
}

/// The line at the beginning of what has come.
enum ChunkLine<'a> {
    /// So many bytes of it have come, and none of them is its end.
    Open(usize),
    /// Its length with its end, and the line without.
    Whole(usize, &'a [u8]),
}

/// Looks for the end of a line of at most `most` bytes, the first `searched` of which hold none.
fn line(read_buf: &[u8], searched: usize, most: usize) -> Result<ChunkLine<'_>, ProtocolError> {
    match memchr(b'\n', read_buf.get(searched..most.min(read_buf.len())).unwrap_or_default()) {
        Some(at) => {
            let end = searched + at;
            let line = read_buf.get(..end).and_then(|line| line.strip_suffix(b"\r"));
            Ok(ChunkLine::Whole(end + 1, line.ok_or(ProtocolError("a line of a chunked body without its end"))?))
        }
        None if read_buf.len() < most => Ok(ChunkLine::Open(read_buf.len())),
        None => Err(ProtocolError("a line of a chunked body without bounds")),
    }
}

/// The size at the beginning of a chunk's first line.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at_checked(digits)?;
    let rest = rest.trim_ascii_start();
    if !(1..=16).contains(&digits.len()) || !(rest.is_empty() || rest.starts_with(b";")) {
        return None;
    }
    digits.iter().try_fold(0_u64, |size, digit| Some((size << 4) | u64::from(char::from(*digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that a body gives when it comes in these pieces, and whether it is over.
    fn taken(mut framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), ProtocolError> {
        let (mut read_buf, mut out) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            read_buf.extend_from_slice(piece);
            while let Piece::Data(data) = framing.take(&mut read_buf)? {
                out.extend_from_slice(&data);
            }
        }
        Ok((out, framing.is_over(), read_buf.to_vec()))
    }

    #[test]
    fn a_body_is_the_same_wherever_it_is_split() {
        let chunked = b"2\r\nhi\r\n0A;a=\"b\"\r\n, you all!\r\n1 \r\n\n\r\n000\r\nx: y\r\nz: w\r\n\r\nHTTP".as_slice();
        for (framing, text, body) in
            [(Framing::chunked(), chunked, b"hi, you all!\n".as_slice()), (Framing::Length(3), b"abcHTTP", b"abc")]
        {
            let whole = text.len() - 4;
            for end in 0..=text.len() {
                let (first, second) = text.split_at(end);
                let expected = (body.to_vec(), true, b"HTTP".to_vec());
                assert_eq!(taken(framing, &[first, second]), Ok(expected), "{end}");
                let cut = taken(framing, &[first]).unwrap();
                assert_eq!(cut.1, end >= whole, "{end}");
            }
            let single = text.chunks(1).collect::<Vec<_>>();
            assert_eq!(taken(framing, &single).unwrap().0, body);
        }
        assert_eq!(taken(Framing::CloseDelimited(false), &[b"a", b"bc"]), Ok((b"abc".to_vec(), false, Vec::new())));
    }

    #[test]
    fn the_end_is_known_with_the_last_piece() {
        let mut read_buf = BytesMut::from(&b"2\r\nhi\r\n0\r\n\r\n"[..]);
        let mut framing = Framing::chunked();
        assert_eq!(framing.take(&mut read_buf), Ok(Piece::Data(Bytes::from_static(b"hi"))));
        assert!(framing.is_over() && read_buf.is_empty());
        assert_eq!(framing.take(&mut read_buf), Ok(Piece::Over));
    }

    #[test]
    fn the_connections_end_is_an_end_only_where_nothing_else_is() {
        assert!(Framing::CloseDelimited(false).ended());
        assert!(Framing::Length(0).ended());
        assert!(!Framing::Length(1).ended());
        assert!(!Framing::Chunked(Chunked::Trailer(0, 0)).ended());
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_is_searched_once() {
        let extended = format!("5;{}\r\n", "x".repeat(10_000));
        let trailer = format!("0\r\n{}: y\r\n\r\n", "x".repeat(10_000));
        for (at, text) in [(3, &extended), (3, &trailer)] {
            let (mut read_buf, mut framing) = (BytesMut::new(), Framing::chunked());
            for (number, byte) in text.bytes().enumerate() {
                read_buf.extend_from_slice(&[byte]);
                assert_eq!(framing.take(&mut read_buf).map(|piece| matches!(piece, Piece::Data(_))), Ok(false));
                if (at..9_000).contains(&number) {
                    // All that has come was searched, and is not again.
                    let searched = match framing {
                        Framing::Chunked(Chunked::Size(searched) | Chunked::Trailer(_, searched)) => searched,
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(searched, read_buf.len(), "{number}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_the_same_wherever_they_are_split(
            lines in prop::collection::vec("([0-9a-fA-F]{0,17})(;x|[ \t])?(\r\n|\n|\r)?|[a-z\r\n]{0,6}", 0..12),
            cuts in prop::collection::vec(0_usize..200, 0..4),
        ) {
            let text = lines.concat().into_bytes();
            let mut cuts = cuts.into_iter().map(|cut| cut.min(text.len())).collect::<Vec<_>>();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect::<Vec<_>>();
            for framing in [Framing::chunked(), Framing::Length(9), Framing::CloseDelimited(false)] {
                prop_assert_eq!(taken(framing, &pieces), taken(framing, &[&text]));
            }
        }
    }

    #[test]
    fn what_is_not_framed_so_is_refused() {
        for broken in [
            "zz\r\n",
            "\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1 1\r\n",
            "2\nhi\r\n",
            "2\r\nhiX\r\n",
            "2\r\nhi\n2",
            "11112222333344445\r\n",
            "0\r\nx: y\n\r\n",
        ] {
            assert!(taken(Framing::chunked(), &[broken.as_bytes()]).is_err(), "{broken}");
        }
        let endless = format!("1;{}", "x".repeat(LONGEST_LINE));
        assert!(taken(Framing::chunked(), &[endless.as_bytes()]).is_err());
        let endless = format!("0\r\n{}", "a: b\r\n".repeat(LONGEST_LINE / 6 + 1));
        assert!(taken(Framing::chunked(), &[endless.as_bytes()]).is_err());
    }
}
