//! Request bodies that come compressed: made plain before anything looks at them, and bounded by what they become.
//!
//! RFC 9110 8.4: codings are named in the order they were applied, so the last one is undone first. Claude Code sends gzip,
//! Codex zstd.

use std::cell::Cell;
use std::io::{self, BufRead, ErrorKind as IoErrorKind, Read};
use std::rc::Rc;
use std::sync::Arc;

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use sluicegate_dialects::hub::ErrorKind;

use crate::errors::Problem;
use crate::memory::{Allowance, Purpose};

/// The codings that a client is told of which uses another one.
const TAKEN: &str = "gzip, deflate, br, zstd";
/// One body is compressed once, or by mistake twice; more is no use to anybody.
const MOST_CODINGS: usize = 3;
/// After so much the other calls of the worker have their turn.
const TURN: usize = 256 << 10;
/// The same of what is read for it: what becomes nothing takes time, too.
const INPUT_TURN: usize = 32 << 10;
/// So much of a body may have become nothing. Nobody compresses what becomes larger by it, but frames around nothing cost as much as others.
const MOST_FOR_NOTHING: usize = 256 << 10;
/// A reader looks for the end behind what it was asked for, and a full vector would grow for that.
const PROBE: usize = 64;
/// RFC 9659: the window that a zstd decoder for HTTP has to have; a larger one would be room that a header alone takes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A way in which a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, and what some send in its name: RFC 1951 without a frame.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// The codings of a body, in the order they were applied.
///
/// # Errors
/// A coding that nobody here knows, or too many of them.
pub(super) fn named(headers: &HeaderMap) -> Result<Vec<Coding>, Problem> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => {}
                b"gzip" | b"x-gzip" => codings.push(Coding::Gzip),
                b"deflate" => codings.push(Coding::Deflate),
                b"br" => codings.push(Coding::Brotli),
                b"zstd" => codings.push(Coding::Zstd),
                other => return Err(unknown(other)),
            }
        }
    }
    if codings.len() > MOST_CODINGS {
        let message = format!("content-encoding: a body is compressed at most {MOST_CODINGS} times over.");
        return Err(Problem::client(ErrorKind::MediaType, message).taking(ACCEPT_ENCODING, TAKEN).closing());
    }
    Ok(codings)
}

fn unknown(coding: &[u8]) -> Problem {
    let shown: String = String::from_utf8_lossy(coding).chars().take(100).collect();
    let message = format!("content-encoding: {shown} is not taken; send the body plain, or in one of {TAKEN}.");
    Problem::client(ErrorKind::MediaType, message).taking(ACCEPT_ENCODING, TAKEN).closing()
}

/// The plain body, with its part of the memory budget.
///
/// # Errors
/// It is larger than the limit, not what its coding says, or more than there is memory for.
pub(super) async fn decode(
    body: Bytes,
    codings: &[Coding],
    (memory, limit): (&Arc<Allowance>, usize),
) -> Result<Bytes, Problem> {
    let mut body = body;
    for coding in codings.iter().rev() {
        body = undo(*coding, &body, (memory, limit)).await?;
    }
    Ok(body)
}

async fn undo(coding: Coding, body: &[u8], (memory, limit): (&Arc<Allowance>, usize)) -> Result<Bytes, Problem> {
    let (ration, mut taken) = (Rc::new(Cell::new(INPUT_TURN)), INPUT_TURN);
    let mut decoder = decoder(coding, body, &ration).map_err(|_| broken(coding))?;
    let mut charge = memory.nothing();
    let mut plain = Vec::new();
    loop {
        let before = plain.len();
        let room = TURN.min(limit.saturating_add(1) - before);
        if plain.capacity() - before < room + PROBE {
            // A vector that grows has its old room beside the new one for a moment.
            let new = (plain.capacity() * 2)
                .clamp(before + room + PROBE, limit.saturating_add(1 + PROBE).max(before + room + PROBE));
            let both = plain.capacity() + new;
            charge.set(both, Purpose::of(both))?;
            plain.reserve_exact(new - before);
            let _ = charge.set(plain.capacity(), Purpose::of(plain.capacity()));
        }
        let turn = u64::try_from(room).unwrap_or(u64::MAX);
        let read = decoder.by_ref().take(turn).read_to_end(&mut plain);
        if plain.len() > limit {
            return Err(super::intake::too_large(limit));
        }
        let is_over = match read {
            Ok(_) => plain.len() == before,
            Err(error) if error.kind() == IoErrorKind::WouldBlock => {
                if taken > plain.len() + MOST_FOR_NOTHING {
                    return Err(for_nothing(coding));
                }
                ration.set(INPUT_TURN);
                taken += INPUT_TURN;
                false
            }
            Err(_) => return Err(broken(coding)),
        };
        if is_over {
            charge.set(plain.capacity(), Purpose::of(plain.capacity()))?;
            return Ok(charge.hold(plain.into()));
        }
        tokio::task::yield_now().await;
    }
}

/// A compressed body, read in turns: at the end of each its reader is told to come again.
struct InTurns<'a> {
    rest: &'a [u8],
    room: Rc<Cell<usize>>,
}

impl BufRead for InTurns<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let (room, rest) = (self.room.get(), self.rest);
        match rest.get(..room.min(rest.len())).unwrap_or_default() {
            [] if !rest.is_empty() => Err(IoErrorKind::WouldBlock.into()),
            ready => Ok(ready),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.rest = self.rest.get(amount..).unwrap_or_default();
        self.room.set(self.room.get().saturating_sub(amount));
    }
}

impl Read for InTurns<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

fn decoder<'a>(coding: Coding, body: &'a [u8], room: &Rc<Cell<usize>>) -> io::Result<Box<dyn Read + 'a>> {
    let framed = is_framed(body);
    let body = InTurns { rest: body, room: Rc::clone(room) };
    Ok(match coding {
        Coding::Gzip => Box::new(MultiGzDecoder::new(body)),
        Coding::Deflate if framed => Box::new(ZlibDecoder::new(body)),
        Coding::Deflate => Box::new(DeflateDecoder::new(body)),
        Coding::Brotli => Box::new(Decompressor::new(body, 4096)),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// True if deflated data begins as RFC 1950 says.
fn is_framed(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

const fn name(coding: Coding) -> &'static str {
    match coding {
        Coding::Gzip => "gzip",
        Coding::Deflate => "deflate",
        Coding::Brotli => "br",
        Coding::Zstd => "zstd",
    }
}

fn for_nothing(coding: Coding) -> Problem {
    let name = name(coding);
    Problem::client(ErrorKind::InvalidRequest, format!("The request body is far larger in {name} than it is without."))
}

fn broken(coding: Coding) -> Problem {
    let name = name(coding);
    Problem::client(ErrorKind::InvalidRequest, format!("The request body is not whole and valid {name}."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine as _;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;
    use crate::memory::MemoryBudget;

    const PLAIN: &[u8] = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    const BROTLI: &str = "GzgAQBwHdoyzhTkcbOe1yF7a1mhrFp2uPuCQA6cDZW2BfF5nNh2WhHqCPLlklkwDgMV37wY=";

    fn brotli() -> Vec<u8> {
        // What Node's zlib makes of `PLAIN`.
        base64::engine::general_purpose::STANDARD.decode(BROTLI).unwrap()
    }

    async fn plain(coding: &str, body: &[u8], limit: usize) -> Result<Bytes, ErrorKind> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        let codings = named(&headers).map_err(|problem| problem.kind)?;
        let memory = MemoryBudget::new(64 << 20, 1).allowance();
        decode(Bytes::copy_from_slice(body), &codings, (&memory, limit)).await.map_err(|problem| problem.kind)
    }

    #[tokio::test]
    async fn every_coding_is_undone_in_its_turn() {
        for (coding, body) in [
            ("identity", PLAIN.to_vec()),
            ("gzip", gzip(PLAIN)),
            ("GZIP", gzip(PLAIN)),
            ("x-gzip", [gzip(&PLAIN[..9]), gzip(&PLAIN[9..])].concat()),
            ("gzip, gzip", gzip(&gzip(PLAIN))),
            ("deflate, gzip", gzip(&zlib(PLAIN))),
            ("deflate", zlib(PLAIN)),
            ("deflate", raw(PLAIN)),
            ("br", brotli()),
            ("zstd", zstd::stream::encode_all(PLAIN, 3).unwrap()),
        ] {
            // What is compressed twice is larger in between than it becomes.
            assert_eq!(plain(coding, &body, 2 * PLAIN.len()).await.unwrap(), PLAIN, "{coding}");
        }
    }

    #[tokio::test]
    async fn what_it_becomes_is_bounded() {
        let zeros = vec![0; 3 << 20];
        for (coding, body) in [
            ("gzip", gzip(&zeros)),
            ("gzip, gzip", gzip(&gzip(&zeros))),
            ("deflate", zlib(&zeros)),
            ("deflate", raw(&zeros)),
            ("zstd", zstd::stream::encode_all(zeros.as_slice(), 3).unwrap()),
        ] {
            assert_eq!(plain(coding, &body, zeros.len()).await.unwrap().len(), zeros.len(), "{coding}");
            assert_eq!(plain(coding, &body, zeros.len() - 1).await, Err(ErrorKind::TooLarge), "{coding}");
        }
        // A window of 128 MiB, said by a header of a few bytes.
        let large = {
            let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
            encoder.window_log(27).unwrap();
            encoder.write_all(&zeros).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(plain("zstd", &large, 1 << 30).await, Err(ErrorKind::InvalidRequest));
    }

    #[tokio::test]
    async fn what_becomes_nothing_is_read_in_turns_and_not_for_ever() {
        // Noise is as long as what becomes of it, and longer than a turn.
        let next =
            |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let numbers = std::iter::successors(Some(1_u64), next).take(200_000);
        let noise = numbers.map(|number| number.to_be_bytes()[0]).collect::<Vec<_>>();
        for (coding, body) in [
            ("gzip", gzip(&noise)),
            ("deflate", zlib(&noise)),
            ("deflate", raw(&noise)),
            ("zstd", zstd::stream::encode_all(noise.as_slice(), 3).unwrap()),
            ("gzip", noise.chunks(64 << 10).map(gzip).collect::<Vec<_>>().concat()),
            ("gzip", [gzip(b"").repeat(5_000), gzip(&noise)].concat()),
        ] {
            assert!(body.len() > 2 * INPUT_TURN, "{coding}");
            assert!(plain(coding, &body, 1 << 20).await.unwrap() == noise, "{coding}");
        }
        let empty_blocks = [[0, 0, 0, 0xff, 0xff].repeat(100_000), raw(PLAIN)].concat();
        for (coding, body) in [("gzip", [gzip(b"").repeat(20_000), gzip(PLAIN)].concat()), ("deflate", empty_blocks)] {
            assert_eq!(plain(coding, &body, 1 << 20).await, Err(ErrorKind::InvalidRequest), "{coding}");
        }
    }

    #[tokio::test]
    async fn what_is_broken_or_unknown_is_refused() {
        for (coding, body) in [
            ("gzip", gzip(PLAIN)),
            ("deflate", zlib(PLAIN)),
            ("br", brotli()),
            ("zstd", zstd::stream::encode_all(PLAIN, 3).unwrap()),
        ] {
            for cut in 1..body.len() {
                assert_eq!(
                    plain(coding, &body[..cut], 1 << 20).await,
                    Err(ErrorKind::InvalidRequest),
                    "{coding} {cut}"
                );
            }
            assert_eq!(plain(coding, b"{}", 1 << 20).await, Err(ErrorKind::InvalidRequest), "{coding}");
        }
        for coding in ["compress", "gzip;q=1", "gzip,gzip,gzip,gzip"] {
            assert_eq!(plain(coding, PLAIN, 1 << 20).await, Err(ErrorKind::MediaType), "{coding}");
        }
    }
}
